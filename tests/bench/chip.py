"""The firmware against minipb and plain Python, both on the emulated chip, in its own time."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from racklet.link.v1 import link_pb2
from racklet_emulator.firmware_files import compile_module, compiled_firmware
from racklet_emulator.hat import EmulatedHat
from racklet_emulator.image import flash_image
from racklet_emulator.parts import EmulatorUnavailableError, Parts, find_parts
from racklet_link.framing import FrameDecoder
from racklet_virtual.hardware import HatHardware
from racklet_virtual.node import NodeProfile
from racklet_virtual.record import SentBoots
from tests.bench.codec import minipb_source
from tests.bench.report import Report, Row
from tests.conftest import ROOT
from tests.protocol.hat_messages import payloads_in

LIMIT_MS = 60_000  # emulated; it takes a tenth of it
RECORD_BYTES = 448
UART_ENTRIES = 4096
BAUDS = (115_200, 1_500_000)
BITS = 10  # of the line, for a byte
GOAL_TIMES_FEWER = 50
GOAL_BYTE_CYCLES = 150


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: rounds."""

    rounds: int


FULL = Size(rounds=3)
SMALLEST = Size(rounds=1)


def run(size: Size) -> Report:
    """Measure on one emulated HAT. Raises RuntimeError when ours and the peer disagree about the bytes."""
    report = Report(
        "chip: the firmware on an emulated RP2040",
        [
            "peer: minipb, binascii.crc32 and COBS in plain Python, the same fields on the same chip. Log bytes it has",
            "at hand, without capture or log. For a collection it is MicroPython without the firmware.",
            "limit: copying the frame's bytes in machine code; no heap; half the UART's ring.",
            f"Medians of {size.rounds} rounds in turns, in emulated cycles, of which an instruction takes one or more.",
            "A lower bound: there is no flash cache. Garbage collection is left out, which favours the peer; half of",
            "the free heap is garbage, as between two collections. A fresh heap is that right after one.",
        ],
    )
    try:
        parts = find_parts()
    except EmulatorUnavailableError as error:
        report.notes.append(f"Nothing was measured: {error}.")
        return report
    result = _measure(parts, size)
    _judge({name: bytes.fromhex(wire) for name, wire in result["wires"].items()})
    mhz = result["hz"] / 1e6
    cycles = {name: median(spent) * mhz for name, spent in result["spent_us"].items()}
    report.sections += [_message_rows(cycles, result["heap"]), _byte_rows(cycles), _pause_rows(result["pause_us"])]
    report.notes += _goals(cycles, result["heap"], report.sections[-1])
    return report


def _measure(parts: Parts, size: Size) -> Any:  # noqa: ANN401 - JSON
    """Return what the program printed. Raises RuntimeError when that is no result."""
    files = compiled_firmware() | _programs()
    files["main.py"] = f"import chip_micropython\nchip_micropython.measure({size.rounds})\n".encode()
    flash = flash_image(parts.micropython.read_bytes(), files)
    said = bytearray()
    with tempfile.TemporaryDirectory() as folder:
        hardware = HatHardware(NodeProfile("node-1"), SentBoots(Path(folder)), seed=1)
        with EmulatedHat(flash, hardware) as hat:

            def has_ended() -> bool:
                said.extend(hat.read())
                return b"\n" in said

            hat.run_until(has_ended, LIMIT_MS, look_every_ms=10)
            hat.run_ms(100)  # an error has more lines than one
            said += hat.read()
    try:
        return json.loads(said.splitlines()[0])
    except ValueError as error:
        raise RuntimeError(f"the program on the chip failed: {said.decode(errors='replace')}") from error


def _programs() -> dict[str, bytes]:
    here = ROOT / "tests" / "bench"
    sources = [minipb_source(), here / "chip_micropython.py", *sorted((here / "minipb_needs").glob("*.py"))]
    files = {}
    with tempfile.TemporaryDirectory() as folder:
        for source in sources:
            target = Path(folder, f"{source.stem}.mpy")
            compile_module(source, target, "armv6m")
            files[target.name] = target.read_bytes()
    return files


def _judge(wires: dict[str, bytes]) -> None:
    """Raise RuntimeError unless both gave the same good frames, as google.protobuf would pack them."""
    payloads = {name: _payload(name, wire) for name, wire in wires.items()}
    frames = {name: link_pb2.Frame.FromString(payload) for name, payload in payloads.items()}
    for name, peer in (("plain", "peer"), ("log", "log peer")):
        if payloads[name] != payloads[peer] or frames[name].SerializeToString(deterministic=True) != payloads[name]:
            raise RuntimeError(f"{name} is wrong: {payloads[name].hex()} where the peer has {payloads[peer].hex()}")
    if frames["sealed"].telemetry != frames["plain"].telemetry or not frames["sealed"].seal:
        raise RuntimeError(f"the sealed frame is wrong: {payloads['sealed'].hex()}")
    if len(frames["log"].log_record.data) != RECORD_BYTES:
        raise RuntimeError(f"the log record is not full: {frames['log']}")


def _payload(name: str, wire: bytes) -> bytes:
    decoder = FrameDecoder()
    found = payloads_in(decoder, wire)
    if len(found) != 1 or decoder.bad_frames:
        raise RuntimeError(f"{name} is no good frame: {wire.hex()}")
    return found[0]


def _message_rows(cycles: dict[str, float], heap: dict[str, float]) -> list[Row]:
    kinds = {
        "telemetry, packed": ("packed", "peer packed"),
        "telemetry, framed": ("plain", "peer"),
        "telemetry, sealed and framed": ("sealed", "peer"),
    }
    early = "telemetry, framed, fresh heap"
    return [
        *(
            Row(what, "cycles/message", cycles[ours], cycles[peer], cycles["limit"])
            for what, (ours, peer) in kinds.items()
        ),
        Row(early, "cycles/message", cycles["plain early"], cycles["peer"], cycles["limit"]),
        *(
            Row(what, "heap bytes/message", heap[ours], heap[peer], heap["limit"])
            for what, (ours, peer) in kinds.items()
        ),
    ]


def _byte_rows(cycles: dict[str, float]) -> list[Row]:
    kinds = {
        "log, 448 bytes at once": "log",
        "log, 56 bytes every 5 ms": "log in turns",
        "log, 448 bytes at once, sealed": "log sealed",
        "log, 56 bytes every 5 ms, fresh heap": "log in turns early",
    }
    peer, limit = cycles["log peer"] / RECORD_BYTES, cycles["log limit"] / RECORD_BYTES
    return [Row(what, "cycles/byte", cycles[name] / RECORD_BYTES, peer, limit) for what, name in kinds.items()]


def _pause_rows(pause_us: dict[str, float]) -> list[Row]:
    def entries(name: str, baud: int) -> float:
        return pause_us[name] * baud / BITS / 1e6

    return [
        Row(
            f"worst collection, at {baud} baud",
            "UART entries",
            entries("ours", baud),
            entries("peer", baud),
            UART_ENTRIES // 2,
        )
        for baud in BAUDS
    ]


def _goals(cycles: dict[str, float], heap: dict[str, float], pauses: list[Row]) -> list[str]:
    fewer = [cycles["peer"] / cycles[name] for name in ("plain", "sealed")]
    each = [cycles[name] / RECORD_BYTES for name in ("log", "log in turns", "log sealed")]
    most = max(row.ours for row in pauses)
    goals = (
        (
            f"{GOAL_TIMES_FEWER} times fewer cycles for telemetry than the peer",
            f"{fewer[0]:.1f} times, sealed {fewer[1]:.1f}",
            min(fewer) >= GOAL_TIMES_FEWER,
        ),
        (
            f"{GOAL_BYTE_CYCLES} instructions for a log byte",
            f"at most {each[0]:,.0f} at once, {each[1]:,.0f} in parts, {each[2]:,.0f} sealed",
            max(each) <= GOAL_BYTE_CYCLES,
        ),
        (
            f"at most {UART_ENTRIES // 2:,} UART entries while garbage is collected",
            f"{most:,.0f}",
            most <= UART_ENTRIES // 2,
        ),
        ("no heap for a message", f"{heap['plain']:.0f} bytes, sealed {heap['sealed']:.0f}", heap["sealed"] == 0),
    )
    return [f"Goal: {goal}. It is {found}: {'met' if is_met else 'not met'}." for goal, found, is_met in goals]
