"""The netlist of a board: what is connected to what, and which part is where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hardware.design.sexpr import Node, child, children, parse, value

BOARDS = Path(__file__).parent / "kicad"


@dataclass(frozen=True)
class Component:
    """A part of the board. `fitted` is False for a part that only has its place."""

    ref: str
    value: str
    footprint: str
    mpn: str
    fitted: bool
    listed: bool


@dataclass(frozen=True)
class Netlist:
    """Nets as sets of "REF.PIN", named as in the schematic without the sheet's slash; and the parts."""

    nets: dict[str, frozenset[str]]
    components: dict[str, Component]

    def net_of(self, pin: str) -> str:
        """Return the net a pin is on. Raises KeyError when it is on none."""
        for name, found in self.nets.items():
            if pin in found:
                return name
        raise KeyError(pin)


def from_kicad(text: str) -> Netlist:
    """Read what `kicad-cli sch export netlist` wrote."""
    root = parse(text)
    nets: dict[str, frozenset[str]] = {}
    for net in children(child(root, "nets"), "net"):
        found = frozenset(f"{value(node, 'ref')}.{value(node, 'pin')}" for node in children(net, "node"))
        name = value(net, "name").removeprefix("/")
        if not name.startswith("unconnected-"):
            nets[name] = found
    components = {}
    for entry in children(child(root, "components"), "comp"):
        component = _component(entry)
        components[component.ref] = component
    return Netlist(nets, components)


def _component(entry: Node) -> Component:
    flags = {value(found, "name") for found in children(entry, "property")}
    fields = {value(found, "name"): str(found[-1]) for found in children(child(entry, "fields"), "field")}
    return Component(
        value(entry, "ref"),
        value(entry, "value"),
        value(entry, "footprint"),
        fields.get("MPN", ""),
        "dnp" not in flags,
        "exclude_from_bom" not in flags,
    )


def write_golden(netlist: Netlist) -> str:
    """Return the netlist as lines that a person can read and a diff can show."""
    lines = []
    for part in sorted(netlist.components.values(), key=lambda part: _natural(part.ref)):
        state = "listed" if part.listed else "bare"
        fields = (part.value, part.footprint, part.mpn or "-", state if part.fitted else "not fitted")
        lines.append(f"part {part.ref}\t" + "\t".join(fields))
    lines += [f"net {name}\t" + " ".join(sorted(netlist.nets[name], key=_natural)) for name in sorted(netlist.nets)]
    return "\n".join(lines) + "\n"


def read_golden(board: str) -> Netlist:
    """Return the committed netlist of a board."""
    nets: dict[str, frozenset[str]] = {}
    components = {}
    for line in (BOARDS / board / f"{board}.netlist").read_text(encoding="utf-8").splitlines():
        head, *fields = line.split("\t")
        kind, name = head.split(" ", 1)
        if kind == "net":
            nets[name] = frozenset(fields[0].split())
        else:
            shown, footprint, mpn, state = fields
            mpn = "" if mpn == "-" else mpn
            components[name] = Component(name, shown, footprint, mpn, state != "not fitted", state != "bare")
    return Netlist(nets, components)


def _natural(text: str) -> tuple[str, int, str]:
    ref = text.partition(".")[0]
    letters = ref.rstrip("0123456789")
    return letters, int(ref.removeprefix(letters) or 0), text
