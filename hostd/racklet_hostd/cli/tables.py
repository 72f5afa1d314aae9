"""Nodes, boots and events as tables and lines."""

from collections.abc import Sequence

from google.protobuf.descriptor import EnumDescriptor
from rich.style import Style
from rich.table import Table
from rich.text import Text

from racklet.v1 import rack_pb2
from racklet_client.names import boot_number, short_name
from racklet_hostd.cli import units
from racklet_hostd.cli.terminal_text import printable

DIM = Style(dim=True)
NONE = Text("-", DIM)  # copy it where it is to be changed

_BEGAN_WITH: dict[int, str] = {
    rack_pb2.BOOT_CAUSE_SUPPLY_ON: "supply on",
    rack_pb2.BOOT_CAUSE_FOUND_RUNNING: "node found running",
    rack_pb2.BOOT_CAUSE_BREAK: "reset (line held low)",
    rack_pb2.BOOT_CAUSE_BOOTLOADER: "reset (boot loader came again)",
}
_SUPPLY_STYLES: dict[int, str] = {
    rack_pb2.SUPPLY_STATE_OFF: "dim",
    rack_pb2.SUPPLY_STATE_STARTING: "yellow",
    rack_pb2.SUPPLY_STATE_ON: "green",
    rack_pb2.SUPPLY_STATE_STOPPING: "yellow",
    rack_pb2.SUPPLY_STATE_TRIPPED: "bold red",
    rack_pb2.SUPPLY_STATE_STUCK_ON: "bold red",
}
_HAT_STYLES: dict[int, str] = {rack_pb2.HAT_STATE_ONLINE: "green", rack_pb2.HAT_STATE_UNSPECIFIED: "dim"}


def supply_word(state: int) -> str:
    """Return the state in one word, also for one that is newer than this command."""
    return _word(rack_pb2.SupplyState.DESCRIPTOR, state)


def hat_word(state: int) -> str:
    """Return the state in one word, also for one that is newer than this command."""
    return _word(rack_pb2.HatState.DESCRIPTOR, state)


def supply_text(state: int) -> Text:
    """Return the state in one coloured word."""
    return Text(supply_word(state), _SUPPLY_STYLES.get(state, "dim"))


def hat_text(state: int) -> Text:
    """Return the state in one coloured word."""
    return Text(hat_word(state), _HAT_STYLES.get(state, "red"))


def plain_table(*columns: str, right: Sequence[str] = ()) -> Table:
    """Return a table without lines, that reads well and parses well; the columns in `right` hold numbers."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", no_wrap=True)
    return table


def nodes_table(nodes: Sequence[rack_pb2.Node]) -> Table:
    """Return one row a node."""
    numbers = ("VOLTS", "AMPS", "WATTS", "ENERGY", "BOOT")
    table = plain_table("NODE", "HAT", "SUPPLY", *numbers, right=numbers)
    table.add_column("LAST LINE")  # the only one that gives way where room is short
    for node in nodes:
        table.add_row(
            Text(printable(short_name(node.name))),
            hat_text(node.hat.state),
            supply_text(node.supply_state),
            *measured(node),
            units.energy(node.energy_uj),
            Text(boot_number(node.boot)) if node.boot else NONE,
            Text(printable(node.last_line), DIM, no_wrap=True, overflow="ellipsis"),
        )
    return table


def measured(node: rack_pb2.Node) -> tuple[Text, Text, Text]:
    """Return volts, amperes and watts, or dashes when there is no measurement."""
    if not node.HasField("measurement"):
        return NONE.copy(), NONE.copy(), NONE.copy()
    now = node.measurement
    return Text(units.volts(now.supply_uv)), Text(units.amperes(now.supply_ua)), Text(units.watts(now.supply_uw))


def problem(node: rack_pb2.Node) -> Text | None:
    """Return a line that says what is wrong with the node's HAT, if something is."""
    if node.hat.state == rack_pb2.HAT_STATE_ONLINE and not node.hat.problem:
        return None
    why = f": {printable(node.hat.problem)}" if node.hat.problem else ""
    return Text(f"HAT is {hat_word(node.hat.state)}{why}", "red")


def node_line(node: rack_pb2.Node, unix_s: float) -> str:
    """Return what `watch` prints of a node when there is no screen to draw on."""
    volts, amperes, watts = measured(node)
    state = supply_word(node.supply_state) if node.hat.state == rack_pb2.HAT_STATE_ONLINE else hat_word(node.hat.state)
    boot = f"boot {boot_number(node.boot)}" if node.boot else "no boot"
    return (
        f"{units.clock(unix_s)} {printable(short_name(node.name))} {state} {volts} V {amperes} A {watts} W"
        f" {units.energy(node.energy_uj)} {boot} {printable(node.last_line)}"
    ).rstrip()


def boots_table(boots: Sequence[rack_pb2.Boot]) -> Table:
    """Return one row a boot."""
    numbers = ("BYTES", "LOST")
    table = plain_table("BOOT", "BEGAN", "LAST BYTE", *numbers, "BEGAN WITH", right=("BOOT", *numbers))
    for boot in boots:
        table.add_row(
            boot_number(boot.name),
            units.local_time(boot.start_time),
            units.local_time(boot.last_byte_time),
            str(boot.log_end),
            Text(str(boot.lost_bytes), "yellow" if boot.lost_bytes else ""),
            _BEGAN_WITH.get(boot.cause, "unknown"),
        )
    return table


def phases_table(phases: Sequence[rack_pb2.BootPhase]) -> Table:
    """Return one row a phase."""
    numbers = ("TOOK", "ENERGY", "WATTS", "OFFSET")
    table = plain_table("PHASE", "BEGAN", *numbers, right=numbers)
    for phase in phases:
        took_ms = phase.duration.ToMilliseconds()
        table.add_row(
            Text(printable(phase.phase)),
            units.clock(phase.start_time.seconds),
            units.short_span(took_ms),
            units.energy(phase.energy_uj) if phase.HasField("energy_uj") else NONE,
            _mean_watts(phase.energy_uj, took_ms) if phase.HasField("energy_uj") else NONE,
            str(phase.offset),
        )
    return table


def _mean_watts(energy_uj: int, took_ms: int) -> str | Text:
    return units.watts(energy_uj * units.MS_PER_S // took_ms) if took_ms else NONE


def event_text(event: rack_pb2.Event) -> Text:
    """Return an event as a line, after a line about lost ones if there are any."""
    lost = Text(f"--- {event.lost_before} lost before this ---\n" if event.lost_before else "", "yellow")
    node = printable(short_name(event.node)) or "rack"
    return lost + Text.assemble(
        (units.local_time(event.event_time), DIM),
        f"  {node:<10}  ",
        (f"{printable(event.kind):<16}", "cyan"),
        f"  {printable(event.message)}",
    )


def rack_table(rack: rack_pb2.RackInfo, address: str, unix_s: float) -> Table:
    """Return what there is to say about the rack."""
    table = Table.grid(padding=(0, 2, 0, 0))
    started = units.local_time(rack.start_time)
    for name, value in (
        ("Rack", printable(rack.display_name)),
        ("Nodes", f"{rack.node_count}, {rack.online_count} online"),
        ("Power", f"{units.watts(rack.supply_uw)} W"),
        ("hostd", f"{printable(rack.version)} at {address}"),
        ("Running", f"{units.span(unix_s - rack.start_time.seconds)} since {started}"),
    ):
        table.add_row(Text(name, "bold"), Text(value))
    return table


def _word(states: EnumDescriptor, state: int) -> str:
    value = states.values_by_number.get(state)
    if value is None:
        return f"state {state}"
    prefix_and_word = value.name.partition("_STATE_")
    return "unknown" if state == 0 else prefix_and_word[2].lower()
