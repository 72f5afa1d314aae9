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


BOARD_NAMES = ("hat", "backplane")


def copied(board: str, target: Path) -> Path:
    """A copy of a board's KiCad files that a test may break."""
    shutil.copytree(BOARDS / board, target / board)
    shutil.copytree(BOARDS / "racklet.pretty", target / "racklet.pretty")
    shutil.copy(BOARDS / "racklet.kicad_sym", target)
    return target / board


@pytest.fixture(params=BOARD_NAMES)
def copy(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return copied(request.param, tmp_path)


@pytest.fixture
def hat(tmp_path: Path) -> Path:
    return copied("hat", tmp_path)


@pytest.fixture
def backplane(tmp_path: Path) -> Path:
    return copied("backplane", tmp_path)


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
        "sch",
        "erc",
        "--severity-all",
        "--exit-code-violations",
        "-o",
        str(report),
        str(folder / f"{folder.name}.kicad_sch"),
    )
    return done.returncode, report.read_text(encoding="utf-8")


def drc(folder: Path) -> tuple[int, str]:
    report = folder / "drc.rpt"
    options = ["--schematic-parity", "--severity-all", "--exit-code-violations", "-o", str(report)]
    done = kicad("pcb", "drc", *options, str(folder / f"{folder.name}.kicad_pcb"))
    return done.returncode, report.read_text(encoding="utf-8")


def power_path(folder: Path, *nets: str) -> tuple[int, str]:
    command = [PYTHON, "-m", "hardware.power_path", str(folder / f"{folder.name}.kicad_pcb"), *nets]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    return done.returncode, done.stdout


def netlist(folder: Path) -> str:
    target = folder / "exported.net"
    kicad("sch", "export", "netlist", "-o", str(target), str(folder / f"{folder.name}.kicad_sch"))
    return write_golden(from_kicad(target.read_text(encoding="utf-8")))


def schematic(folder: Path) -> Path:
    return folder / f"{folder.name}.kicad_sch"


def layout(folder: Path) -> Path:
    return folder / f"{folder.name}.kicad_pcb"


def test_the_schematic_is_the_golden_netlist(copy: Path) -> None:
    assert netlist(copy) == write_golden(read_golden(copy.name))


def test_the_electrical_rules_find_nothing_and_find_a_pin_without_a_net(copy: Path) -> None:
    assert erc(copy)[0] == 0
    net = {"hat": "GATE_SET", "backplane": "USB_3_P"}[copy.name]
    change(schematic(copy), rf'\(label "{net}"', f'(label "{net}T"')
    code, report = erc(copy)
    assert code != 0
    assert f"{net}T" in report


@pytest.mark.parametrize(
    ("board", "one", "other"), [("hat", "NODE_TXD", "NODE_RXD"), ("backplane", "USB_1_N", "USB_1_P")]
)
def test_swapped_pins_pass_the_electrical_rules_and_fail_the_golden_netlist(
    tmp_path: Path, board: str, one: str, other: str
) -> None:
    folder = copied(board, tmp_path)
    text = schematic(folder).read_text(encoding="utf-8")
    # Only the first pin of each: a plug whose two wires are crossed.
    swapped = text.replace(f'(label "{one}"', '(label "X"', 1).replace(f'(label "{other}"', f'(label "{one}"', 1)
    schematic(folder).write_text(swapped.replace('(label "X"', f'(label "{other}"'), encoding="utf-8")
    assert erc(folder)[0] == 0
    assert netlist(folder) != write_golden(read_golden(board))


def test_the_design_rules_find_nothing(copy: Path) -> None:
    code, report = drc(copy)
    assert code == 0, report


def test_the_design_rules_find_a_track_that_comes_too_near(copy: Path) -> None:
    change(layout(copy), r"(\(segment\s+\(start [^)]*\)\s+\(end [^)]*\)\s+\(width )0\.15", r"\g<1>0.9")
    code, report = drc(copy)
    assert code != 0
    assert "clearance" in report


def test_the_design_rules_find_missing_tracks(copy: Path) -> None:
    text = layout(copy).read_text(encoding="utf-8")
    layout(copy).write_text(re.sub(r"\t\(segment\n.*?\n\t\)\n", "", text, count=9, flags=re.DOTALL), encoding="utf-8")
    code, report = drc(copy)
    assert code != 0
    assert "unconnected" in report


def test_parity_finds_a_value_that_only_one_side_has(copy: Path) -> None:
    ref, shown = {"hat": ("R9", "110k"), "backplane": ("R2", "5k1")}[copy.name]
    change(schematic(copy), f'"Value" "{shown}"', '"Value" "120k"')
    code, report = drc(copy)
    assert code != 0
    assert ref in report


def test_the_step_that_the_case_is_built_around_is_the_board(copy: Path) -> None:
    (copy / "new").mkdir()
    name = f"{copy.name}.step"
    kicad("pcb", "export", "step", "--board-only", "-o", str(copy / "new" / name), str(layout(copy)))
    fresh, committed = ((path / name).read_text(encoding="utf-8") for path in (copy / "new", copy))
    assert fresh.partition("DATA;")[2] == committed.partition("DATA;")[2]  # the head has the hour


def test_the_power_path_holds(copy: Path) -> None:
    code, table = power_path(copy)
    assert code == 0, table


def thinned(board: Path, pour: str, strip: tuple[float, float, float, float]) -> None:
    """Shrink what fills a pour to a strip: left, top, right, bottom on the page."""
    text = board.read_text(encoding="utf-8")
    start = text.index(f'(name "{pour}")')
    points = text.index("(pts", text.index("(filled_polygon", start))
    end = text.index("\n\t\t)\n", points)
    left, top, right, bottom = strip
    corners = f"(pts (xy {left} {top}) (xy {right} {top}) (xy {right} {bottom}) (xy {left} {bottom}))"
    board.write_text(text[:points] + corners + text[end:], encoding="utf-8")


def test_the_power_path_finds_a_pour_that_is_too_thin(hat: Path) -> None:
    thinned(layout(hat), "5V_SUPPLY", (109.6, 98.5, 109.9, 107.6))  # 5 A through 0.3 mm
    code, table = power_path(hat, "/5V_SUPPLY")
    assert code != 0
    assert "5V_SUPPLY" in table.splitlines()[-1]


def test_the_power_path_finds_a_missing_pour(hat: Path) -> None:
    change(layout(hat), r"\t\(zone\n(?:(?!\n\t\)\n).)*?\(name \"5V_DIODE\"\).*?\n\t\)\n", "")
    code, table = power_path(hat, "/5V_DIODE")
    assert code != 0
    assert "5V_DIODE" in table.splitlines()[-1]


def test_the_power_path_finds_a_slot_whose_pour_misses_the_socket(backplane: Path) -> None:
    thinned(layout(backplane), "VIN_3", (170.0, 90.7, 174.0, 94.0))
    code, table = power_path(backplane, "/VIN_3")
    assert code != 0
    assert "/VIN_3" in table.splitlines()[-1]


def test_pcbnew_loads_and_saves_a_board_without_a_change_that_matters(copy: Path) -> None:
    saved = copy / "saved.kicad_pcb"
    code = f"import pcbnew; pcbnew.SaveBoard({str(saved)!r}, pcbnew.LoadBoard({str(layout(copy))!r}))"
    subprocess.run([PYTHON, "-c", code], check=True, capture_output=True)
    assert saved.read_text(encoding="utf-8") == layout(copy).read_text(encoding="utf-8")
