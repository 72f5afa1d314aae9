"""The command line."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console

from tests.bench import api, capture, chip, codec, fanin, framing, metrics, ports, storage
from tests.bench.computer import describe
from tests.bench.report import Report

WIDTH = 132  # of the tables, where nobody says how wide the terminal is

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class Name(StrEnum):
    """The benchmarks."""

    CODEC = "codec"
    FRAMING = "framing"
    FANIN = "fanin"
    METRICS = "metrics"
    STORAGE = "storage"
    CAPTURE = "capture"
    PORTS = "ports"
    API = "api"
    CHIP = "chip"


@app.command()
def main(names: Annotated[list[Name] | None, typer.Argument(help="Which to run; all by default.")] = None) -> None:
    """Measure ours, a peer and the physical limit side by side, as ratios. Nothing here passes or fails."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    console.print(describe(), highlight=False)
    for name in names or list(Name):
        console.print()
        console.print(run(name).table())


def run(name: Name) -> Report:
    """Run one benchmark at its full size."""
    match name:
        case Name.CODEC:
            return codec.run(codec.FULL)
        case Name.FRAMING:
            return framing.run(framing.FULL)
        case Name.FANIN:
            return fanin.run(fanin.FULL)
        case Name.METRICS:
            return metrics.run(metrics.FULL)
        case Name.STORAGE:
            return storage.run(storage.FULL)
        case Name.CAPTURE:
            return capture.run(capture.FULL)
        case Name.PORTS:
            return ports.run(ports.FULL)
        case Name.API:
            return api.run(api.FULL)
        case Name.CHIP:
            return chip.run(chip.FULL)
