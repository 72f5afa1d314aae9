"""The firmware starts on the chip, with the real MicroPython and everything in its file system."""

from __future__ import annotations

from racklet.link.v1 import link_pb2
from racklet_emulator.image import files_of
from tests.chip.conftest import MakeHat
from tools.chip_host import ChipHost

UNIQUE_ID = bytes.fromhex("e660583883724a32")


def test_a_hat_says_hello_within_600_ms_of_its_start_and_switches_nothing(make_hat: MakeHat) -> None:
    hat = make_hat()
    host = ChipHost(hat)

    hello = host.greet()

    assert hat.now_ms < 600
    assert hello.hat_id == UNIQUE_ID
    assert hello.board == "hat-a"
    assert hello.reset_cause == link_pb2.RESET_CAUSE_POWER_ON
    assert hello.supply_state == link_pb2.SUPPLY_STATE_OFF
    assert not hat.hardware.supply.latch_on
    assert hat.hardware.supply.switch_ons == 0
    host.run_until(lambda: host.telemetry)


def test_the_image_holds_what_it_was_made_from(image: bytes) -> None:
    files = files_of(image)

    assert "main.py" in files
    assert "racklet_hat/board.mpy" in files
    assert files["racklet_link/kernels_chip.mpy"].startswith(b"M\x06")
