"""The table of signatures: each finds a line that was seen on a console, and a table that is wrong is refused."""

import tomllib
from pathlib import Path
from typing import TypedDict

import pytest

from racklet_hostd.doctor.diagnosis import Diagnosis
from racklet_hostd.doctor.phases import Phase
from racklet_hostd.doctor.signatures import Silence, known_signatures, read_signatures, signatures_with
from racklet_hostd.errors import ConfigError
from tests.conftest import ROOT

# What brings a boot into each phase.
ENTRIES = {
    Phase.UNKNOWN: b"",
    Phase.ROM: b"RPi: BOOTLOADER release\r\n",
    Phase.FIRMWARE: b"UEFI firmware (version 2025.02)\r\n",
    Phase.TF_A: b"NOTICE:  BL31: v2.11.0\r\n",
    Phase.U_BOOT: b"U-Boot 2025.01 (Jun 24 2026)\r\n",
    Phase.KERNEL: b"[    0.000000] Booting Linux on physical CPU 0x0\r\n",
    Phase.INIT: b"[    6.113631] Run /init as init process\r\n",
    Phase.LOGIN: b"node-1 login: \r\n",
    Phase.HALTED: b"[   61.000000] reboot: Power down\r\n",
}


class SeenLine(TypedDict, total=False):
    source: str
    phase: str
    line: str


CAPTURES = ROOT.parent / "shared" / "bootlogs"
LINES: dict[str, SeenLine] = tomllib.loads((Path(__file__).parent / "lines.toml").read_text())  # type: ignore[assignment]
GOOD = """
[[signature]]
id = "burning"
pattern = 'smoke \\S{1,10}'
meaning = "It burns."
advice = "Run."

[[silence]]
id = "quiet"
phases = ["kernel"]
seconds = 5
meaning = "It is quiet."
advice = "Wait."
"""


def found_in(phase: Phase, line: str, silent_s: int = 0) -> list[str]:
    """Return the ids of what is found when `line` comes in `phase`."""
    diagnosis = Diagnosis(known_signatures(), 0)
    data = ENTRIES[phase] + line.encode() + b"\r\n"
    diagnosis.feed(0, 0, data)
    diagnosis.listen(silent_s * 1000, 0)
    return [finding.signature for finding in diagnosis.findings]


def refusal(folder: Path, text: str) -> str:
    path = folder / "signatures.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        read_signatures(path)
    return str(refused.value).replace(f"{folder}/", "")


def test_each_signature_has_a_line_and_it_is_told_where_that_comes_from() -> None:
    assert set(LINES) == known_signatures().ids
    for signature in known_signatures().signatures:
        assert LINES[signature.id]["source"] in {"recorded", "report", "source"}


@pytest.mark.parametrize("signature", sorted(name for name, line in LINES.items() if line.get("source") == "recorded"))
def test_a_recorded_line_is_in_a_capture(signature: str) -> None:
    if not CAPTURES.exists():
        pytest.skip("the captures of real boots are not here")
    line = LINES[signature]["line"].strip().encode()
    assert any(line in path.read_bytes() for path in CAPTURES.glob("*.log"))


@pytest.mark.parametrize("signature", sorted(LINES))
def test_a_signature_finds_its_line(signature: str) -> None:
    seen = LINES[signature]
    phase = Phase(seen["phase"])
    silences = [each for each in known_signatures().silences[phase] if each.id == signature]
    if not silences:
        assert signature in found_in(phase, seen["line"])
        return
    assert found_in(phase, seen["line"], silences[0].seconds) == [signature]
    assert found_in(phase, seen["line"], silences[0].seconds - 1) == []


def test_a_running_node_may_be_silent() -> None:
    assert found_in(Phase.LOGIN, "", 10**6) == []


def test_a_table_is_read(tmp_path: Path) -> None:
    path = tmp_path / "signatures.toml"
    path.write_text(GOOD)
    table = read_signatures(path)
    assert table.ids == {"burning", "quiet"}
    assert [signature.phases for signature in table.signatures] == [tuple(Phase)]
    assert table.silences[Phase.KERNEL] == (
        Silence.model_validate(
            {"id": "quiet", "phases": ["kernel"], "seconds": 5, "meaning": "It is quiet.", "advice": "Wait."}
        ),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD.replace("smoke ", "("), "signatures.toml:4: signature[0].pattern: expected a regular expression ("),
        (GOOD.replace("{1,10}", "+"), "signatures.toml:4: signature[0].pattern: expected a regular expression that"),
        (GOOD.replace("{1,10}", "{1,}"), "nothing without an end: {0,80}, not * or +"),
        (GOOD.replace("\\S{1,10}", "(a{1,9}){1,9}"), "repeats no group"),
        (GOOD.replace("smoke \\S{1,10}", "x?"), "that does not find just anything"),
        (GOOD.replace('"burning"', '"Burning!"'), "signatures.toml:3: signature[0].id: expected 1 to 40 lowercase"),
        (GOOD.replace('"kernel"', '"kernle"'), "signatures.toml:10: silence[0].phases: expected an array of phases"),
        (GOOD.replace("seconds = 5", "seconds = 0"), "seconds: expected a whole number from 1 to 86400, found 0"),
        (GOOD.replace('advice = "Run."\n', ""), "signature[0].advice: expected this key, found none"),
        (GOOD.replace("meaning", "meanings", 1), "signature[0].meanings: unknown key; did you mean meaning?"),
        (GOOD.replace('"quiet"', '"burning"'), "signatures.toml:9: silence[0].id: expected an id of its own, found"),
        (GOOD.replace("It burns.", "It burns"), "signature[0].meaning: expected a sentence"),
        ("signature = 5", "signature"),
    ],
)
def test_what_is_wrong_in_a_table_is_said_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    assert said in refusal(tmp_path, text)


def test_own_signatures_join_those_that_come_with_hostd_and_replace_them_by_id(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(GOOD.replace('"quiet"', '"kernel-silent"').replace('"burning"', '"no-lease"'))
    table = signatures_with(path)
    assert table.ids == known_signatures().ids
    assert [each.pattern.pattern for each in table.signatures if each.id == "no-lease"] == [rb"smoke \S{1,10}"]
    assert [each.seconds for each in table.silences[Phase.KERNEL]] == [5]
    path.write_text(GOOD.partition("[[silence]]")[0])
    assert signatures_with(path).ids == known_signatures().ids | {"burning"}
    assert signatures_with(None) is known_signatures()


def test_a_set_may_hold_what_repeats_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "signatures.toml"
    path.write_text(GOOD.replace("smoke ", r"[*+{3,}] \+ \*"))
    assert read_signatures(path).ids == {"burning", "quiet"}
