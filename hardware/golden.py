"""Compares what KiCad exported with the golden netlist: `python -m hardware.golden EXPORTED GOLDEN [--accept]`."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path

from hardware.netlist import from_kicad, write_golden


def main() -> None:
    """Print the difference and end with 1 when there is one; `--accept` writes the golden netlist anew."""
    exported, golden = Path(sys.argv[1]), Path(sys.argv[2])
    found = write_golden(from_kicad(exported.read_text(encoding="utf-8")))
    if sys.argv[3:] == ["--accept"]:
        golden.write_text(found, encoding="utf-8")
        return
    wanted = golden.read_text(encoding="utf-8")
    if found != wanted:
        lines = difflib.unified_diff(wanted.splitlines(), found.splitlines(), "golden", "schematic", n=0, lineterm="")
        print("\n".join(lines))
        sys.exit(1)


if __name__ == "__main__":
    main()
