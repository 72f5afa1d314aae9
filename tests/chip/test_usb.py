"""What the computer sends reaches the firmware whole, whatever its bytes and its length."""

from __future__ import annotations

import pytest

from tests.chip.conftest import MakeHat
from tests.system.link_port import padded_knock
from tools.chip_host import ChipHost

LENGTHS = [length + near for length in range(64, 520, 64) for near in (-1, 0, 1, 2)]
ALL_VALUES = bytes(range(256))


@pytest.fixture(scope="module")
def host(make_module_hat: MakeHat) -> ChipHost:
    """A HAT that has said Hello."""
    host = ChipHost(make_module_hat())
    host.greet()
    return host


def test_frames_of_all_lengths_around_multiples_of_64_bytes_arrive(host: ChipHost) -> None:
    for length in LENGTHS:
        frame = padded_knock(length)
        assert length - len(frame) in {0, 1}
        host.hat.write(frame)
        host.greet()


def test_all_byte_values_arrive_and_ctrl_c_in_a_frame_interrupts_nothing(host: ChipHost) -> None:
    for start in range(0, 256, 64):
        host.hat.write(padded_knock(400, ALL_VALUES[start:] + ALL_VALUES[:start]))
        host.greet()


def test_a_computer_that_reads_nothing_holds_up_neither_the_meter_nor_the_next_reader(host: ChipHost) -> None:
    host.hat.chip.set_usb_room(0)
    host.hat.run_ms(1_500)
    host.hat.chip.set_usb_room(1 << 30)
    before = len(host.telemetry)
    host.run_until(lambda: len(host.telemetry) > before + 2)
    assert host.telemetry[-1].samples > 5
