"""The rack at a glance, drawn again whenever something changes. A rich renderable for `racklet watch` and the demo."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.align import AlignMethod
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from racklet.v1 import rack_pb2
from racklet_client.names import boot_number, short_name
from racklet_hostd.cli import units
from racklet_hostd.cli.names import natural_key
from racklet_hostd.cli.tables import NONE, hat_word, measured, problem, supply_word
from racklet_hostd.cli.terminal_text import printable

_FRAME_LINES = 3  # head, blank, column names
_WIDTH = 80
_WIDE = 140  # columns from which on the last console line has room beside the numbers
_NAME_WIDTH = 10  # more where the screen is wider than _WIDTH
_COLUMNS: tuple[tuple[str, int, AlignMethod], ...] = (
    ("NODE", _NAME_WIDTH, "left"),
    ("  SUPPLY", 12, "left"),
    ("VOLTS", 6, "right"),
    ("AMPS", 6, "right"),
    ("WATTS", 6, "right"),
    ("ENERGY", 10, "right"),
    ("BOOT", 5, "right"),
    ("UP", 8, "right"),
    (" PHASE", 9, "left"),
)
_MARKS: dict[int, tuple[str, str]] = {
    rack_pb2.SUPPLY_STATE_OFF: ("○", "dim"),
    rack_pb2.SUPPLY_STATE_STARTING: ("◐", "yellow"),
    rack_pb2.SUPPLY_STATE_ON: ("●", "green"),
    rack_pb2.SUPPLY_STATE_STOPPING: ("◑", "yellow"),
    rack_pb2.SUPPLY_STATE_TRIPPED: ("▲", "bold red"),
    rack_pb2.SUPPLY_STATE_STUCK_ON: ("▲", "bold red"),
}
_PHASE_STYLES = {"login": "green", "halted": "dim"}
_FOUND_STYLE = "bold red"
_SUPPLIED = frozenset({rack_pb2.SUPPLY_STATE_STARTING, rack_pb2.SUPPLY_STATE_ON, rack_pb2.SUPPLY_STATE_STOPPING})


@dataclass(slots=True)
class _Row:
    node: rack_pb2.Node
    boot_start_s: int = 0

    @property
    def is_online(self) -> bool:
        return self.node.hat.state == rack_pb2.HAT_STATE_ONLINE

    @property
    def runs(self) -> bool:
        return self.is_online and self.node.supply_state in _SUPPLIED


class RackView:
    """Nodes as `update` saw them last. `note` stands in the head line, such as that hostd is away.

    Fits any width from 80 columns on. Each node has a second line with what the boot doctor found and what its console
    said last, or what is wrong with its HAT; on a wide screen that stands beside the numbers, and on one too low for
    all the lines it is left out.
    """

    def __init__(self, title: str, unix_now_s: Callable[[], float] = time.time) -> None:
        self.title = title
        self.note = ""
        self._unix_now_s = unix_now_s
        self._rows: dict[str, _Row] = {}

    def update(self, nodes: Sequence[rack_pb2.Node], *, is_whole: bool = False) -> list[str]:
        """Take in nodes that changed; with `is_whole` there are no others.

        Returns the names of nodes whose boot is new here: tell its start with `boot_started`.
        """
        begun: list[str] = []
        if is_whole:
            names = {node.name for node in nodes}
            self._rows = {name: row for name, row in self._rows.items() if name in names}
        for node in nodes:
            row = self._rows.get(node.name)
            if node.boot and (row is None or row.node.boot != node.boot):
                begun.append(node.name)
            row = self._rows.setdefault(node.name, _Row(node))
            row.node = node
        return begun

    def boot_started(self, name: str, unix_s: int) -> None:
        """Tell when the newest boot of the node `name` began."""
        self._rows[name].boot_start_s = unix_s

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the head line and the nodes."""
        width = max(options.max_width, _WIDTH)
        rows = sorted(self._rows.values(), key=lambda row: natural_key(row.node.name))
        longest = max((len(short_name(row.node.name)) for row in rows), default=0)
        name_width = min(max(longest, _NAME_WIDTH), _NAME_WIDTH + width - _WIDTH)
        yield self._head(rows, width)
        yield Text()
        yield _line(name_width, [Text(title, "dim") for title, _, _ in _COLUMNS])
        has_room_below = _FRAME_LINES + 2 * len(rows) < (options.height or console.height)
        if not rows:
            yield Text("No nodes yet; `racklet nodes` says how to add one.", "dim")
        for row in rows:
            numbers, words = _line(name_width, self._cells(row)), _words(row)
            for line in [numbers + words] if width >= _WIDE else [numbers, words][: 1 + has_room_below]:
                line.truncate(width, overflow="ellipsis")
                yield line

    def _head(self, rows: list[_Row], width: int) -> Text:
        online = sum(row.is_online for row in rows)
        power_uw = sum(row.node.measurement.supply_uw for row in rows)
        count = "1 node" if len(rows) == 1 else f"{len(rows)} nodes"
        head = Text.assemble(
            (printable(self.title), "bold"),
            f"  {count}, {online} online  ",
            (f"{units.watts(power_uw)} W", "bold cyan"),
        )
        side = Text(self.note, "bold yellow") if self.note else Text(units.clock(self._unix_now_s()), "dim")
        head.truncate(max(0, width - side.cell_len - 2), overflow="ellipsis", pad=True)
        return head + Text("  ") + side

    def _cells(self, row: _Row) -> list[Text]:
        node = row.node
        mark, style = _MARKS.get(node.supply_state, ("?", "dim")) if row.is_online else ("✗", "red")
        word = supply_word(node.supply_state) if row.is_online else hat_word(node.hat.state)
        uptime = units.span(self._unix_now_s() - row.boot_start_s) if row.runs and row.boot_start_s else ""
        return [
            Text(printable(short_name(node.name)), "bold"),
            Text(f"{mark} {word}", style),
            *measured(node),
            Text(units.energy(node.energy_uj)),
            Text(boot_number(node.boot)) if node.boot else NONE.copy(),
            Text(uptime) if uptime else NONE.copy(),
            _phase(row),
        ]


def _phase(row: _Row) -> Text:
    phase = printable(row.node.phase)
    if not row.runs or phase in {"", "unknown"}:
        return Text(" -", "dim")
    return Text(f" {phase}", _FOUND_STYLE if row.node.findings else _PHASE_STYLES.get(phase, ""))


def _line(name_width: int, cells: list[Text]) -> Text:
    for (title, fixed_width, align), cell in zip(_COLUMNS, cells, strict=True):
        width = name_width if title == "NODE" else fixed_width
        cell.truncate(width, overflow="ellipsis")
        cell.align(align, width)
    return Text(" ").join(cells)


def _words(row: _Row) -> Text:
    if wrong := problem(row.node):
        return Text.assemble("  ", wrong)
    found = f"{printable(', '.join(row.node.findings))}: " if row.runs and row.node.findings else ""
    return Text.assemble("  ", (found, _FOUND_STYLE), (printable(row.node.last_line), "dim"))
