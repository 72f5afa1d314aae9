"""What a console showed last, and what the boot doctor found, hold nothing that a terminal obeys."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racklet_hostd.doctor.diagnosis import Diagnosis
from racklet_hostd.doctor.signatures import known_signatures
from racklet_hostd.last_line import LENGTH, ConsoleTail

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
HOSTILE = st.lists(
    st.binary(max_size=20)
    | st.sampled_from(
        [
            b"\x1b]52;c;eA==\x07",
            b"\x1b]0;x",
            b"\x1bP$q\x1b\\",
            b"\x1b[6n",
            b"\x9b6n",
            b"\xc2\x9b6n",
            b"\x05",
            b"\x00",
            b"\r",
            b"\n",
            b"Kernel panic - not syncing: ",
            b"[    0.000000] x\n",
        ]
    ),
    max_size=20,
)


@given(HOSTILE)
def test_the_last_line_holds_no_control_character_wherever_the_bytes_are_cut(pieces: list[bytes]) -> None:
    tail = ConsoleTail()
    for piece in pieces:
        tail.feed(piece)
    assert not _CONTROL.search(tail.last_line)
    assert len(tail.last_line) <= LENGTH
    assert tail.last_line == ConsoleTail(b"".join(pieces)).last_line


@given(HOSTILE)
def test_the_line_of_a_finding_is_printable(pieces: list[bytes]) -> None:
    diagnosis = Diagnosis(known_signatures(), 0)
    diagnosis.feed(0, 0, b"[    0.000000] Booting Linux on physical CPU 0x0\n" + b"".join(pieces) + b"\n")
    diagnosis.break_off(0)
    assert all(finding.line.isprintable() for finding in diagnosis.findings)


@pytest.mark.parametrize("size", [1, 448, 1 << 20])
def test_megabytes_without_a_newline_are_taken_in_bounded_memory(size: int) -> None:
    diagnosis, tail = Diagnosis(known_signatures(), 0), ConsoleTail()
    data = bytes(range(11, 256)) * (1 + (1 << (21 if size > 1 else 15)) // 245)
    data = data.replace(b"\r", b"")
    for offset in range(0, len(data), size):
        diagnosis.feed(offset, 0, data[offset : offset + size])
        tail.feed(data[offset : offset + size])
    diagnosis.look()
    unended = diagnosis._cutter.unended
    assert len(unended.data if unended else b"") < 4096
    assert not diagnosis._waiting
    assert len(tail.last_line) <= LENGTH
