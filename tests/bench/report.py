"""What a benchmark found, as a table."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import floor, log10

from rich.table import Table


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of ours, its peer's and the limit's; None where there is none."""

    what: str
    unit: str
    ours: float
    peer: float | None
    limit: float | None = None
    more_is_better: bool = False


@dataclass(slots=True)
class Report:
    """What a benchmark found. `notes` say who the peer and the limit are, and how it was measured."""

    title: str
    notes: list[str]
    sections: list[list[Row]] = field(default_factory=list)

    @property
    def rows(self) -> list[Row]:
        """The rows of all sections."""
        return [row for section in self.sections for row in section]

    def table(self) -> Table:
        """Return what to print."""
        table = Table(title=self.title, title_justify="left", title_style="bold", caption="\n".join(self.notes))
        table.caption_justify = "left"
        table.add_column("what")
        table.add_column("unit")
        table.add_column("better")
        for name in ("ours", "peer", "limit", "ours / peer", "ours / limit"):
            table.add_column(name, justify="right")
        for section in self.sections:
            for row in section:
                ratios = (ratio(row.ours, row.peer), ratio(row.ours, row.limit))
                figures = (figure(value) for value in (row.ours, row.peer, row.limit))
                table.add_row(row.what, row.unit, "more" if row.more_is_better else "less", *figures, *ratios)
            table.add_section()
        return table


def figure(value: float | None) -> str:
    """Return three significant digits, or all there are before the point; "-" for none."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    digits = max(0, 2 - floor(log10(abs(value))))
    return f"{value:,.{digits}f}"


def ratio(ours: float, other: float | None) -> str:
    """Return how many times as much ours is."""
    return "-" if other is None or other == 0 else f"{figure(ours / other)}"
