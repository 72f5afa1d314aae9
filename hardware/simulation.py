"""ngspice on the HAT's circuits, with the values of the committed netlist."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from hardware.netlist import Netlist

MODELS = Path(__file__).parent / "spice" / "models.lib"
_TIMEOUT_S = 25
_SCALES = {"p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "R": 1.0, "k": 1e3, "M": 1e6}
_SHOWN = re.compile(r"^(\d+(?:\.\d+)?)([pnumRkM])(\d*)")


class SimulationError(RuntimeError):
    """ngspice did not finish, or a measurement found nothing."""


def parameters(netlist: Netlist) -> dict[str, float]:
    """Return the value of each resistor and capacitor in ohms and farads, by reference."""
    found = {}
    for part in netlist.components.values():
        match = _SHOWN.match(part.value)
        if match and part.ref[0] in "RC":
            found[part.ref] = float(f"{match[1]}.{match[3]}" if match[3] else match[1]) * _SCALES[match[2]]
    return found


def run(deck: str, values: Mapping[str, float | str]) -> dict[str, float]:
    """Run a deck and return what its `meas` lines measured. Names in {braces} take `values` or stay ngspice's own.

    Raises SimulationError.
    """
    models = MODELS.read_text(encoding="utf-8")
    text = "* Racklet\n" + _filled(models, values) + _filled(deck, values) + "\n.end\n"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "deck.cir")
        path.write_text(text, encoding="utf-8")
        try:
            command = ["ngspice", "-b", str(path)]
            done = subprocess.run(  # noqa: S603 - our own deck
                command, capture_output=True, text=True, timeout=_TIMEOUT_S, cwd=folder, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise SimulationError(f"ngspice took more than {_TIMEOUT_S} s") from error
    output = done.stdout + done.stderr
    if done.returncode or "out of interval" in output or "failed" in output or "simulation(s) aborted" in output:
        raise SimulationError(output[-2000:])
    return {name: float(value) for name, value in re.findall(r"^(\w+)\s+=\s+([-+0-9.eE]+)", done.stdout, re.MULTILINE)}


def _filled(text: str, values: Mapping[str, float | str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: str(values.get(found[1], found[0])), text)
