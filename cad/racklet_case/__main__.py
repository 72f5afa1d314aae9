"""`just cad`: compute the case, prove it, write what a builder needs into build/case."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from racklet_case import checks, outputs
from racklet_case.assembly import assemble
from racklet_case.layout import layout
from racklet_case.parameters import ROOT, ParameterError, parameters


class _Clock:
    """Prints each step with what it took."""

    def __init__(self) -> None:
        self._before = self.start = time.monotonic()

    def say(self, what: str) -> None:
        now = time.monotonic()
        print(f"{what:52} {now - self._before:5.1f} s", flush=True)
        self._before = now


def main() -> int:
    """Return 0 for a rack that is sound, 1 for one with findings, 2 for parameters that cannot be built."""
    parser = argparse.ArgumentParser(prog="just cad", description=__doc__)
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a parameter, such as rack.slots=3"
    )
    parser.add_argument("--into", type=Path, default=ROOT / "build" / "case", help="the folder, emptied first")
    parser.add_argument("--check", action="store_true", help="compute and prove, write nothing")
    arguments = parser.parse_args()
    clock = _Clock()
    try:
        assembly = assemble(layout(parameters(_changes(arguments.set))))
    except ParameterError as error:
        print(f"cad: {error}", file=sys.stderr)
        return 2
    clock.say(f"model: {len(assembly.printed)} printed parts, {len(assembly.placed)} solids in place")
    problems = list(_proved(assembly, clock))
    if not arguments.check:
        problems += outputs.write(assembly, arguments.into)
        clock.say("parts, pictures, drawing, bills; printability")
        if shutil.which("kicad-cli"):
            problems += outputs.real_boards(assembly, arguments.into)
            clock.say("boards of hardware/kicad as KiCad exports them")
        else:
            print("boards of hardware/kicad: not compared, there is no kicad-cli (just hardware installs it)")
    for problem in problems:
        print(f"cad: {problem}", file=sys.stderr)
    where = "" if arguments.check else f"{arguments.into}: "
    print(f"{where}{'NOT sound' if problems else 'sound'}, {time.monotonic() - clock.start:.0f} s")
    return 1 if problems else 0


def _proved(assembly: Any, clock: _Clock) -> Iterable[str]:  # noqa: ANN401  # an Assembly; the CAD library has few types
    at = assembly.at
    steps = {
        "no two solids intersect": checks.intersections(assembly),
        "every tray comes all the way out": checks.travel(assembly),
        "latches hold": checks.latches(assembly),
        "connectors meet, coolers have air, screws hold": [*checks.connectors(at), *checks.air(at), *checks.held(at)],
    }
    for name, found in steps.items():
        listed = [finding.what for finding in found]
        yield from listed
        clock.say(f"{name}{f': {len(listed)} findings' if listed else ''}")


def _changes(given: list[str]) -> dict[str, Any]:
    changes = {}
    for each in given:
        key, separator, text = each.partition("=")
        if not separator:
            raise ParameterError(f"--set {each}: expected KEY=VALUE")
        try:
            changes[key] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            changes[key] = text
    return changes


if __name__ == "__main__":
    sys.exit(main())
