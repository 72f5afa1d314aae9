"""The HAT+ EEPROM's image: built, read back, and refused when a bit is wrong."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.eeprom import SIZE, BadImageError, Content, build, crc16, ours, parse

BOARD = uuid.UUID("01234567-89ab-cdef-0123-456789abcdef")
# Written once and checked by hand against Raspberry Pi's eeplib.h: header, vendor atom, supply atom.
GOLDEN = (
    "522d506902000200" + "4c000000"
    "01000000" + "2a000000" + "efcdab8967452301efcdab8967452301" + "0100" + "0100" + "07" + "0b"
    "5261636b6c6574" + "5261636b6c657420484154"
)


def test_the_crc_is_the_one_of_the_catalogues() -> None:
    assert crc16(b"123456789") == 0xBB3D  # CRC-16/ARC


def test_the_image_is_what_raspberry_pi_s_tools_lay_out() -> None:
    image = build(ours(BOARD))
    assert image.hex().startswith(GOLDEN)
    supply = image[-14:]
    assert supply[:12].hex() == "06000100" + "06000000" + "88130000"  # atom 6, number 1, 6 bytes: 5000
    assert len(image) <= SIZE


@given(st.uuids(), st.text("abcXYZ 09", max_size=255), st.text("abcXYZ 09", max_size=255), st.integers(0, 0xFFFFFFFF))
def test_what_was_built_reads_back(identity: uuid.UUID, vendor: str, product: str, supply_ma: int) -> None:
    content = Content(identity, vendor, product, 1, 2, supply_ma)
    assert parse(build(content)) == content


def test_the_unused_rest_of_the_eeprom_does_not_disturb() -> None:
    assert parse(build(ours(BOARD)).ljust(SIZE, b"\xff")) == ours(BOARD)


@given(st.data())
def test_a_wrong_bit_is_refused(data: st.DataObject) -> None:
    image = bytearray(build(ours(BOARD)))
    place = data.draw(st.integers(0, len(image) - 1).filter(lambda at: at != 5))  # byte 5 is reserved
    image[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(BadImageError):
        parse(bytes(image))


@given(st.integers(0, 75))
def test_a_short_image_is_refused(size: int) -> None:
    with pytest.raises(BadImageError):
        parse(build(ours(BOARD))[:size])
