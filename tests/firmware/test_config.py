"""What the firmware says it is built from."""

from __future__ import annotations

from importlib.metadata import version

from racklet_hat import config
from racklet_link.limits import LOG_DATA_MAX

PINS = (
    *("NODE_TX", "NODE_RX", "GATE_SET", "GATE_CLEAR", "GATE_STATE", "POWER_GOOD", "SOFT_OFF"),
    *("IDENTIFY_LED", "NODE_HALTED", "ALERT", "MONITOR_SDA", "MONITOR_SCL", "STATUS_LED", "INPUT_ADC"),
)


def test_the_firmwares_version_is_the_distributions() -> None:
    assert config.FIRMWARE.decode() == version("racklet")


def test_no_pin_is_used_twice_and_all_are_a_picos() -> None:
    pins = [getattr(config, name) for name in PINS]
    assert len(set(pins)) == len(pins)
    assert set(pins) <= {*range(23), *range(25, 29)}


def test_the_ring_holds_what_the_design_promises() -> None:
    bytes_in_2800_ms = config.NODE_BAUDS[0] // 10 * 2.8
    heads = -(-bytes_in_2800_ms // LOG_DATA_MAX) * 6
    assert bytes_in_2800_ms + heads <= config.LOG_RING_BYTES


def test_no_banner_hides_one_behind_it() -> None:
    rest, banners = config.BANNERS, []
    while rest[0]:
        banners.append(rest[1 : rest[0] + 1])
        rest = rest[rest[0] + 1 :]
    assert rest == b"\0"
    for index, banner in enumerate(banners):
        assert not any(later.startswith(banner) for later in banners[index + 1 :])
        assert all(byte == 1 or 32 <= byte < 127 for byte in banner)
