"""Whatever resets the chip, the supply stays: pulses of a millisecond move its latch, and in a reset pins float."""

from __future__ import annotations

import pytest

from racklet.link.v1 import link_pb2
from racklet_emulator.firmware_files import compiled_firmware
from racklet_emulator.hat import EmulatedHat
from racklet_emulator.image import flash_image
from racklet_emulator.parts import find_parts
from racklet_virtual.hardware import Pin
from tests.chip.conftest import MakeHat
from tools.chip_host import ChipHost

WATCHDOG_MS = 8_000
HANGS = b"""
import time
from racklet_hat import app
turns = 0
turn = app.App._turn_lights
def hang(self):
    global turns
    turns += 1
    if turns == 20:
        time.sleep(60)
    turn(self)
app.App._turn_lights = hang
app.main()
"""


@pytest.fixture(scope="module")
def hanging_image(image: bytes) -> bytes:
    """Return a flash whose firmware hangs two seconds after its start. Depends on `image` to skip as that does."""
    assert image
    files = compiled_firmware() | {"main.py": HANGS}
    return flash_image(find_parts().micropython.read_bytes(), files)


def gate_edges(hat: EmulatedHat, after_us: int) -> list[tuple[int, int | None]]:
    """Return what the chip did to the latch's pins since then."""
    return [
        (pin, level)
        for at_ns, pin, level in hat.edges
        if at_ns > after_us * 1000 and pin in (Pin.GATE_SET, Pin.GATE_CLEAR)
    ]


def test_a_watchdog_reset_keeps_the_supply_and_is_told_as_what_it_is(make_hat: MakeHat, hanging_image: bytes) -> None:
    hat = make_hat(image=hanging_image)
    host = ChipHost(hat)
    first = host.greet()
    assert host.switch(link_pb2.POWER_ACTION_ON).result == link_pb2.RESULT_DONE
    node, on_us = hat.hardware.node, hat.now_us
    host.run_until(lambda: hat.chip.resets == 1, limit_ms=WATCHDOG_MS + 4_000)
    hello = host.greet()

    assert hello.reset_cause == link_pb2.RESET_CAUSE_WATCHDOG
    assert hello.session != first.session
    assert hello.supply_state == link_pb2.SUPPLY_STATE_ON
    assert hello.boot_continues
    assert hello.counters_continue
    assert hat.hardware.supply.latch_on
    assert (hat.hardware.supply.switch_ons, node.starts) == (1, 1)
    assert 1 not in [level for _, level in gate_edges(hat, on_us)], "a pin of the latch rose"


def test_the_run_pin_and_a_loss_of_the_chips_power_alone_keep_the_supply(make_hat: MakeHat) -> None:
    hat = make_hat()
    host = ChipHost(hat)
    host.greet()
    assert host.switch(link_pb2.POWER_ACTION_ON).result == link_pb2.RESULT_DONE

    hat.reset()
    hello = host.greet()
    assert (hello.reset_cause, hello.supply_state) == (link_pb2.RESET_CAUSE_POWER_ON, link_pb2.SUPPLY_STATE_ON)

    hat.chip.power_down()
    host.run_ms(300)
    hat.power_up()
    assert host.greet().supply_state == link_pb2.SUPPLY_STATE_ON
    assert (hat.hardware.supply.switch_ons, hat.hardware.node.starts) == (1, 1)


def test_a_loss_of_the_input_power_switches_off_and_the_supply_stays_off(make_hat: MakeHat) -> None:
    hat = make_hat()
    host = ChipHost(hat)
    host.greet()
    assert host.switch(link_pb2.POWER_ACTION_ON).result == link_pb2.RESULT_DONE
    hat.lose_power()
    host.run_ms(300)
    hat.power_up()
    hello = host.greet()
    assert (hello.reset_cause, hello.supply_state) == (link_pb2.RESET_CAUSE_POWER_ON, link_pb2.SUPPLY_STATE_OFF)
    assert not hello.counters_continue
    assert not hat.hardware.supply.latch_on
