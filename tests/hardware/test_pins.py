"""The firmware and the board mean the same pins."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from hardware.netlist import Netlist, read_golden

CONFIG = Path(__file__).parents[2] / "firmware/racklet_hat/config.py"
# RP2040 data sheet 1.4.1, QFN-56: the pin of each GPIO.
PIN_OF_GPIO = {
    0: 2, 1: 3, 2: 4, 3: 5, 4: 6, 5: 7, 6: 8, 7: 9, 8: 11, 9: 12, 10: 13, 11: 14, 12: 15, 13: 16, 14: 17, 15: 18,
    16: 27, 17: 28, 18: 29, 19: 30, 20: 31, 21: 32, 22: 34, 23: 35, 24: 36, 25: 37, 26: 38, 27: 39, 28: 40, 29: 41,
}  # fmt: skip
# Constants among the pins that name a peripheral, not a pin.
NO_PINS = {"NODE_UART", "MONITOR_I2C"}


def firmware_constants() -> dict[str, int]:
    constants = {}
    for statement in ast.parse(CONFIG.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Call):
            (target,) = statement.targets
            assert isinstance(target, ast.Name)
            constants[target.id] = eval(ast.unparse(statement.value.args[0]), {})  # noqa: S307 - our own numbers
    return constants


def firmware_pins() -> dict[str, int]:
    constants = firmware_constants()
    names = list(constants)
    return {name: constants[name] for name in names[: names.index("INPUT_ADC") + 1] if name not in NO_PINS}


@pytest.fixture(scope="module")
def hat() -> Netlist:
    return read_golden("hat")


@pytest.mark.parametrize(("name", "gpio"), firmware_pins().items())
def test_each_pin_of_the_firmware_is_the_net_of_that_name(hat: Netlist, name: str, gpio: int) -> None:
    assert hat.net_of(f"U10.{PIN_OF_GPIO[gpio]}") == name


def test_each_gpio_that_the_board_connects_is_in_the_firmware(hat: Netlist) -> None:
    connected = {gpio: net for gpio, pin in PIN_OF_GPIO.items() for net in hat.nets if f"U10.{pin}" in hat.nets[net]}
    unknown = {net for gpio, net in connected.items() if firmware_pins().get(net) != gpio}
    assert unknown == set()


def test_the_uart_and_the_i2c_bus_can_reach_their_pins() -> None:
    constants = firmware_constants()  # RP2040 data sheet 1.4.3: each pin has one UART and one I2C role
    assert (constants["NODE_UART"], constants["NODE_TX"] % 8, constants["NODE_RX"] % 8) == (1, 4, 5)
    assert (constants["MONITOR_I2C"], constants["MONITOR_SDA"] % 4, constants["MONITOR_SCL"] % 4) == (0, 0, 1)


def test_the_monitor_answers_at_the_firmware_s_address(hat: Netlist) -> None:
    assert {hat.net_of("U6.1"), hat.net_of("U6.2")} == {"GND"}
    assert firmware_constants()["MONITOR_ADDRESS"] == 0x40


def test_shunt_and_input_divider_are_those_the_firmware_counts_with(hat: Netlist) -> None:
    constants = firmware_constants()
    assert hat.components["R22"].value == "10mR 1%"
    assert constants["MONITOR_SHUNT_UOHM"] == 10_000
    assert (hat.components["R4"].value, hat.components["R5"].value) == ("100k", "10k")
    assert constants["INPUT_UV_PER_COUNT"] == round(3_300_000 * 11 / 65_535)
