"""The benchmarks' structure, each at its smallest size. What they measure is for people to judge."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from rich.console import Console

from racklet_emulator.parts import EmulatorUnavailableError, find_parts
from tests.bench import api, capture, chip, codec, fanin, framing, metrics, ports, storage
from tests.bench.command import Name
from tests.bench.computer import describe
from tests.bench.report import Report, figure
from tests.conftest import micropython32_path, micropython_path

SMALLEST: dict[Name, Callable[[], Report]] = {
    Name.CODEC: lambda: codec.run(codec.SMALLEST),
    Name.FRAMING: lambda: framing.run(framing.SMALLEST),
    Name.FANIN: lambda: fanin.run(fanin.SMALLEST),
    Name.METRICS: lambda: metrics.run(metrics.SMALLEST),
    Name.STORAGE: lambda: storage.run(storage.SMALLEST),
    Name.CAPTURE: lambda: capture.run(capture.SMALLEST),
    Name.PORTS: lambda: ports.run(ports.SMALLEST),
    Name.API: lambda: api.run(api.SMALLEST),
    Name.CHIP: lambda: chip.run(chip.SMALLEST),
}


def printed(report: Report) -> str:
    console = Console(width=200, no_color=True)
    with console.capture() as capture:
        console.print(report.table())
    return capture.get()


@pytest.mark.parametrize("name", Name)
def test_a_benchmark_sets_ours_beside_a_peer(name: Name) -> None:
    if name is Name.CODEC and micropython_path() is None:
        pytest.skip("no MicroPython here; 'just setup' gets it")
    if name is Name.CHIP:
        try:
            find_parts()
        except EmulatorUnavailableError as error:
            pytest.skip(str(error))
    report = SMALLEST[name]()
    assert report.rows
    assert all(row.unit for row in report.rows)
    assert all(row.ours >= 0 for row in report.rows if "adds" not in row.what)
    missing = any("is not installed" in note for note in report.notes)
    without = ("no HATs", "adds")  # there is nothing like it elsewhere
    rows = [row for row in report.rows if not any(word in row.what for word in without)]
    assert missing or all(row.peer is not None for row in rows)
    text = printed(report)
    assert all(row.what in text for row in report.rows)
    assert all(word in text for word in ("unit", "ours / peer", "ours / limit", "peer:", "Medians of"))


def test_our_codec_takes_no_heap_on_any_micropython() -> None:
    paths = [path for path in (micropython_path(), micropython32_path()) if path]
    if not paths:
        pytest.skip("no MicroPython here; 'just setup' gets it")
    heap = [row for row in codec.run(codec.SMALLEST).rows if row.unit == "heap bytes/message"]
    assert len(heap) == 2 * len(paths)
    assert [row.ours for row in heap] == [0] * len(heap)
    assert all(row.peer for row in heap)


def test_a_whole_boot_costs_little_more_than_its_bytes() -> None:
    traffic = framing.play_boot(framing.SMALLEST.boot_ms)
    assert traffic.console_bytes < traffic.line_bytes["log_record"] < traffic.line_bytes.total()
    assert {"hello", "welcome", "telemetry", "acknowledge"} <= traffic.line_bytes.keys()


def test_the_header_says_what_it_was_measured_on() -> None:
    text = describe()
    assert all(word in text for word in ("CPU: ", "Python: ", "MicroPython, 64-bit: ", "MicroPython, 32-bit: "))


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (0, "0"), (0.01234, "0.0123"), (9.876, "9.88"), (12.34, "12.3"), (12345, "12,345")]
)
def test_a_figure_has_three_digits_or_all_before_the_point(value: float | None, text: str) -> None:
    assert figure(value) == text
