"""Picks the slot to run, and runs it. The table is the whole of it.

| the state says | runs | when that does not verify |
|---|---|---|
| `trial` is a slot | that one, on probation, once: before it starts the state says `tried` instead | as below |
| `active` is a slot | that one | the other, if its security version is not below the floor |
| nothing | whichever verifies, the higher security version first | nothing: the REPL is there for `just flash` |

A slot on probation that is not confirmed is left at the next start, whatever the reason of that start.
The supply's latch holds through all of it; no pin is touched here.
"""

import sys

from racklet_boot import slots as keeping
from racklet_boot.constant import const
from racklet_boot.slots import RefusedError, Slots

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any  # noqa: TID251 - for type checkers only

_WATCHDOG_MS = const(8_000)  # a slot on probation that does not come up is left after this


class Start:
    """What runs: the slot, its manifest, whether it is on probation, and whether the other was tried in vain."""

    def __init__(self, slots: Slots, slot: str, manifest: "dict[str, Any]", on_probation: bool) -> None:
        self.slots = slots
        self.slot = slot
        self.manifest = manifest
        self.on_probation = on_probation
        self.fell_back = slots.tried not in ("", slot)


def choose(root: str) -> "Start | None":
    """Return what to run, verified; None when nothing verifies."""
    slots = Slots(root)
    trial = slots.trial
    if trial and _is_marked_as_tried(slots):
        manifest = _verified(slots, trial)
        if manifest is not None:
            return Start(slots, trial, manifest, True)
    if slots.active:
        for slot in (slots.active, slots.other(slots.active)):
            manifest = _verified(slots, slot)
            if manifest is not None:
                return Start(slots, slot, manifest, False)
        return None
    best = None
    for slot in ("a", "b"):
        manifest = _verified(slots, slot)
        if manifest is not None and (best is None or manifest["security_version"] > best.manifest["security_version"]):
            best = Start(slots, slot, manifest, False)
    return best


def _is_marked_as_tried(slots: Slots) -> bool:
    """Keep that the trial was tried, before it is; False when the flash does not take it: then there is no trial."""
    try:
        slots.save(slots.active, "", slots.trial, slots.floor)
    except OSError:
        return False
    return True


def _verified(slots: Slots, slot: str) -> "dict[str, Any] | None":
    try:
        return keeping.check(slots, slot)
    except RefusedError:
        return None


def main(root: str = "") -> None:
    """Run the firmware, or say that there is none to be trusted and leave the REPL to a person."""
    start = choose(root)
    if start is None:
        print("racklet: neither slot holds firmware that verifies. The supply stays as it is. Run `just flash`.")  # noqa: T201 - the REPL's
        return
    sys.path[:] = [start.slots.path(start.slot), ".frozen"]
    if start.on_probation:
        _run_on_probation(start)
        return
    from racklet_hat import app  # noqa: PLC0415 - from the slot

    app.main(start)


def _run_on_probation(start: Start) -> None:
    """Run it, and come back to the other slot if it fails in any way."""
    import machine  # noqa: PLC0415 - not needed else

    machine.WDT(timeout=_WATCHDOG_MS)
    try:
        from racklet_hat import app  # noqa: PLC0415 - from the slot

        app.main(start)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other slot is better
        sys.print_exception(error)  # pyright: ignore[reportAttributeAccessIssue] - MicroPython has it
        machine.reset()
