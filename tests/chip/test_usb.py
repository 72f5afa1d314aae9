"""What the computer sends reaches the firmware whole, whatever its bytes and its length."""

from __future__ import annotations

import pytest

from racklet_emulator.hat import EmulatedHat
from tests.chip.conftest import MakeHat
from tests.system.link_port import padded_knock
from tools.chip_host import ChipHost

LENGTHS = [length + near for length in range(64, 520, 64) for near in (-1, 0, 1, 2)]
ALL_VALUES = bytes(range(256))
ANSWER_MS = 100


@pytest.fixture(scope="module")
def host(make_module_hat: MakeHat) -> ChipHost:
    """A HAT that has said Hello."""
    host = ChipHost(make_module_hat())
    host.greet()
    return host


def assert_answered(hat: EmulatedHat, frame: bytes) -> None:
    """Send a Knock as the first of a talk, and wait for its Hello, which names the board."""
    hat.read()
    said = bytearray()
    hat.write(frame)

    def has_said_hello() -> bool:
        said.extend(hat.read())
        return b"hat-a" in said

    hat.run_until(has_said_hello, ANSWER_MS)


def test_frames_of_all_lengths_around_multiples_of_64_bytes_arrive(host: ChipHost) -> None:
    for length in LENGTHS:
        frame = padded_knock(length)
        assert length - len(frame) in {0, 1}
        assert_answered(host.hat, frame)


def test_all_byte_values_arrive_and_ctrl_c_in_a_frame_interrupts_nothing(host: ChipHost) -> None:
    for start in range(0, 256, 64):
        assert_answered(host.hat, padded_knock(400, ALL_VALUES[start:] + ALL_VALUES[:start]))


def test_a_computer_that_reads_nothing_holds_up_neither_the_meter_nor_the_next_reader(host: ChipHost) -> None:
    host.hat.chip.set_usb_room(0)
    host.hat.run_ms(1_500)
    host.hat.chip.set_usb_room(1 << 30)
    before = len(host.telemetry)
    host.run_until(lambda: len(host.telemetry) > before + 2)
    assert host.telemetry[-1].samples > 5
