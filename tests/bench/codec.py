"""The HAT's codec against minipb, both on MicroPython."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from racklet.link.v1 import link_pb2
from tests.bench.report import Report, Row
from tests.conftest import ROOT, micropython32_path, micropython_path

TIMEOUT_S = 20
HEAP = "256k"  # near a HAT's, so that what is thrown away is collected as often as there
FIELDS = ("sequence", "at_ms", "supply_state", "supply_uv", "supply_ua", "supply_uw", "temperature_mc", "energy_uj")


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: rounds, and the milliseconds of each run in a round."""

    rounds: int
    span_ms: int


FULL = Size(rounds=5, span_ms=40)
SMALLEST = Size(rounds=1, span_ms=2)


def run(size: Size) -> Report:
    """Measure on every MicroPython there is. Raises RuntimeError when the two disagree about the bytes."""
    report = Report(
        "codec: eight fields of Telemetry, on MicroPython",
        [
            "peer: minipb, with the same eight fields. limit: copying the message's bytes in machine code; no heap.",
            f"Medians of {size.rounds} rounds in turns; wall time; garbage collection included, in a heap of {HEAP}B.",
            "google.protobuf judged that both give the same bytes and read the same values.",
        ],
    )
    found = {"64-bit": micropython_path(), "32-bit": micropython32_path()}
    for width, path in found.items():
        if path is None:
            report.notes.append(f"There is no {width} MicroPython here: 'just setup' gets it where it can.")
        else:
            report.sections.append(_rows(width, _measure(path, size)))
    return report


def minipb_source() -> Path:
    """Return minipb's one module. Raises RuntimeError when it is not installed."""
    spec = find_spec("minipb")
    if spec is None or spec.origin is None:
        raise RuntimeError("minipb is not installed; 'just setup' gets it")
    return Path(spec.origin)


def _measure(micropython: str, size: Size) -> Any:  # noqa: ANN401 - JSON
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "minipb.py").symlink_to(minipb_source())  # beside it lies a folder of that name, which would win
        here = ROOT / "tests" / "bench"
        script = [str(here / "codec_micropython.py"), str(size.rounds), str(size.span_ms)]
        done = subprocess.run(
            [micropython, "-X", f"heapsize={HEAP}", *script],
            env={"MICROPYPATH": f"{folder}:{here / 'minipb_needs'}:{ROOT / 'protocol'}:.frozen"},
            stdout=subprocess.PIPE,
            text=True,
            timeout=TIMEOUT_S,
            check=True,
        )
    result = json.loads(done.stdout)
    _judge(result)
    return result


def _judge(result: dict[str, Any]) -> None:
    """Raise RuntimeError unless both gave the bytes of google.protobuf, and read its values from them."""
    for name in ("ours", "peer"):
        wire, values = bytes.fromhex(result[name][0]), result[name][1]
        telemetry = link_pb2.Telemetry(**dict(zip(FIELDS, values, strict=True)))
        if wire != telemetry.SerializeToString(deterministic=True) or wire.hex() != result["ours"][0]:
            raise RuntimeError(f"{name} is wrong: {wire.hex()} for {values}")


def _rows(width: str, result: dict[str, Any]) -> list[Row]:
    speed = {name: median(values) for name, values in result["speeds"].items()}
    heap = result["heap"]
    rows = [
        Row(f"{verb}, {width}", "messages/s", speed[f"ours {verb}"], speed[f"peer {verb}"], speed["limit"], True)
        for verb in ("encode", "decode")
    ]
    return rows + [
        Row(f"{verb}, {width}", "heap bytes/message", heap[f"ours {verb}"], heap[f"peer {verb}"], heap["limit"])
        for verb in ("encode", "decode")
    ]
