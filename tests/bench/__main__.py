"""The command: `python tests/bench [NAMES…]`."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

sys.path[0] = str(Path(__file__).parent.parent.parent)  # a folder that is run is no package yet

import typer
from rich.console import Console

from tests.bench import codec, fanin, framing, metrics
from tests.bench.computer import describe
from tests.bench.report import Report

WIDTH = 132  # of the tables, where nobody says how wide the terminal is


class Name(StrEnum):
    """The benchmarks."""

    CODEC = "codec"
    FRAMING = "framing"
    FANIN = "fanin"
    METRICS = "metrics"


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


def main(names: Annotated[list[Name] | None, typer.Argument(help="Which to run; all by default.")] = None) -> None:
    """Measure ours, a peer and the physical limit side by side, as ratios. Nothing here passes or fails."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    console.print(describe(), highlight=False)
    for name in names or list(Name):
        console.print()
        console.print(run(name).table())


typer.run(main)
