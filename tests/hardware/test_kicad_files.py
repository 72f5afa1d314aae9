"""KiCad reads the committed files as we do; and each check of `just hardware` fails when what it guards is broken."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from hardware.netlist import BOARDS, from_kicad, read_golden, write_golden

KICAD = shutil.which("kicad-cli")
PYTHON = "/usr/bin/python3"
ROOT = BOARDS.parents[1]
pytestmark = [
    pytest.mark.skipif(KICAD is None, reason="KiCad 9 is missing; `just hardware` installs it"),
    pytest.mark.timeout(120),
]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the HAT's KiCad files that a test may break."""
    shutil.copytree(BOARDS / "hat", tmp_path / "hat")
    shutil.copytree(BOARDS / "racklet.pretty", tmp_path / "racklet.pretty")
    shutil.copy(BOARDS / "racklet.kicad_sym", tmp_path)
    return tmp_path / "hat"


def kicad(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["kicad-cli", *arguments], capture_output=True, text=True, check=False)


def change(path: Path, pattern: str, replacement: str) -> None:
    text = path.read_text(encoding="utf-8")
    changed, count = re.subn(pattern, replacement, text, count=1, flags=re.DOTALL)
    assert count == 1
    path.write_text(changed, encoding="utf-8")


def erc(folder: Path) -> tuple[int, str]:
    report = folder / "erc.rpt"
    done = kicad(
        "sch", "erc", "--severity-all", "--exit-code-violations", "-o", str(report), str(folder / "hat.kicad_sch")
    )
    return done.returncode, report.read_text(encoding="utf-8")


def drc(folder: Path) -> tuple[int, str]:
    report = folder / "drc.rpt"
    options = ["--schematic-parity", "--severity-all", "--exit-code-violations", "-o", str(report)]
    done = kicad("pcb", "drc", *options, str(folder / "hat.kicad_pcb"))
    return done.returncode, report.read_text(encoding="utf-8")


def power_path(folder: Path) -> tuple[int, str]:
    command = [PYTHON, "-m", "hardware.power_path", str(folder / "hat.kicad_pcb")]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    return done.returncode, done.stdout


def netlist(folder: Path) -> str:
    target = folder / "exported.net"
    kicad("sch", "export", "netlist", "-o", str(target), str(folder / "hat.kicad_sch"))
    return write_golden(from_kicad(target.read_text(encoding="utf-8")))


def test_the_schematic_is_the_golden_netlist(copy: Path) -> None:
    assert netlist(copy) == write_golden(read_golden("hat"))


def test_the_electrical_rules_find_nothing_and_find_a_pin_without_a_net(copy: Path) -> None:
    assert erc(copy)[0] == 0
    change(copy / "hat.kicad_sch", r'\(label "GATE_SET"', '(label "GATE_SETT"')
    code, report = erc(copy)
    assert code != 0
    assert "GATE_SETT" in report


def test_swapped_pins_pass_the_electrical_rules_and_fail_the_golden_netlist(copy: Path) -> None:
    schematic = copy / "hat.kicad_sch"
    text = schematic.read_text(encoding="utf-8")
    swapped = text.replace('(label "NODE_TXD"', '(label "X"').replace('(label "NODE_RXD"', '(label "NODE_TXD"')
    schematic.write_text(swapped.replace('(label "X"', '(label "NODE_RXD"'), encoding="utf-8")
    assert erc(copy)[0] == 0
    assert netlist(copy) != write_golden(read_golden("hat"))


def test_the_design_rules_find_nothing(copy: Path) -> None:
    code, report = drc(copy)
    assert code == 0, report


def test_the_design_rules_find_a_track_that_comes_too_near(copy: Path) -> None:
    change(copy / "hat.kicad_pcb", r"(\(segment\s+\(start [^)]*\)\s+\(end [^)]*\)\s+\(width )0\.15", r"\g<1>0.6")
    code, report = drc(copy)
    assert code != 0
    assert "clearance" in report


def test_the_design_rules_find_a_missing_track(copy: Path) -> None:
    for _ in range(3):
        change(copy / "hat.kicad_pcb", r"\t\(via\n.*?\n\t\)\n", "")
    code, report = drc(copy)
    assert code != 0
    assert "unconnected" in report


def test_parity_finds_a_value_that_only_one_side_has(copy: Path) -> None:
    change(copy / "hat.kicad_sch", r'"Value" "110k"', '"Value" "120k"')
    code, report = drc(copy)
    assert code != 0
    assert "R9" in report


def test_the_step_that_the_case_is_built_around_is_the_board(copy: Path) -> None:
    (copy / "new").mkdir()
    kicad("pcb", "export", "step", "--board-only", "-o", str(copy / "new" / "hat.step"), str(copy / "hat.kicad_pcb"))
    fresh, committed = ((path / "hat.step").read_text(encoding="utf-8") for path in (copy / "new", copy))
    assert fresh.partition("DATA;")[2] == committed.partition("DATA;")[2]  # the head has the hour


def test_the_power_path_holds(copy: Path) -> None:
    code, table = power_path(copy)
    assert code == 0, table


def test_the_power_path_finds_a_pour_that_is_too_thin(copy: Path) -> None:
    # As if the 5 V went from the inductor to the ideal diode through 0.3 mm: the pour's filling shrinks to a strip.
    board = copy / "hat.kicad_pcb"
    text = board.read_text(encoding="utf-8")
    start = text.index('(name "5V_SUPPLY")')
    filled = text.index("(filled_polygon", start)
    points = text.index("(pts", filled)
    numbers = re.findall(r"\(xy ([\d.]+) ([\d.]+)\)", text[points : text.index("\n\t\t)\n", points)])
    left = min(float(x) for x, _ in numbers)
    strip = f"(pts (xy {left} 98.5) (xy {left + 0.3} 98.5) (xy {left + 0.3} 107.6) (xy {left} 107.6))"
    end = text.index("\n\t\t)\n", points)
    board.write_text(text[:points] + strip + text[end:], encoding="utf-8")
    code, table = power_path(copy)
    assert code != 0
    assert "5V_SUPPLY" in table.splitlines()[-1]


def test_the_power_path_finds_a_missing_pour(copy: Path) -> None:
    change(copy / "hat.kicad_pcb", r"\t\(zone\n(?:(?!\n\t\)\n).)*?\(name \"5V_DIODE\"\).*?\n\t\)\n", "")
    code, table = power_path(copy)
    assert code != 0
    assert "5V_DIODE" in table.splitlines()[-1]
