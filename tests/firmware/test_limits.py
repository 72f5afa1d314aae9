"""The limits of the protection: what may be set and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racklet.link.v1 import link_pb2
from racklet_hat import config
from racklet_hat.limits import Limits
from tests.protocol.hat_messages import held

GOOD = {
    "over_current_ma": 3_000,
    "over_current_hold_ms": 50,
    "over_voltage_mv": 5_300,
    "under_voltage_mv": 4_700,
    "under_voltage_hold_ms": 200,
    "over_temperature_mc": 70_000,
}
RANGES = {
    "over_current_ma": (1, config.OVER_CURRENT_MAX_MA),
    "over_current_hold_ms": (0, config.HOLD_MAX_MS),
    "over_voltage_mv": (config.SUPPLY_MV + 1, config.OVER_VOLTAGE_MAX_MV),
    "under_voltage_mv": (config.UNDER_VOLTAGE_MIN_MV, config.SUPPLY_MV - 1),
    "under_voltage_hold_ms": (0, config.HOLD_MAX_MS),
    "over_temperature_mc": (1, config.OVER_TEMPERATURE_MAX_MC),
}


def take(limits: Limits, **changed: int) -> bool:
    """Let the limits take GOOD with some changed, as they come over the link."""
    return limits.take(held(link_pb2.SetLimits(**(GOOD | changed))).slots)


def test_limits_that_are_possible_are_taken_in_the_units_of_the_monitor() -> None:
    limits = Limits()
    assert take(limits)
    assert vars(limits) == {
        "over_current_ua": 3_000_000,
        "over_current_hold_ms": 50,
        "over_voltage_uv": 5_300_000,
        "under_voltage_uv": 4_700_000,
        "under_voltage_hold_ms": 200,
        "over_temperature_mc": 70_000,
    }


@pytest.mark.parametrize("name", RANGES)
def test_each_limit_may_be_at_the_ends_of_its_range(name: str) -> None:
    for end in RANGES[name]:
        assert take(Limits(), **{name: end})


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("end", [0, 1])
def test_a_limit_beyond_its_range_is_refused_and_changes_nothing(name: str, end: int) -> None:
    beyond = RANGES[name][end] + (-1, 1)[end]
    limits = Limits()
    unsigned = name != "over_temperature_mc"
    assert not take(limits, **{name: beyond & 0xFFFFFFFF if unsigned else beyond})
    assert vars(limits) == vars(Limits())


@given(values=st.fixed_dictionaries({name: st.integers(0, 2**31 - 1) for name in GOOD}))
def test_what_is_in_force_is_always_within_what_the_hardware_stands(values: dict[str, int]) -> None:
    limits = Limits()
    take(limits, **values)
    assert 0 < limits.over_current_ua <= config.OVER_CURRENT_MAX_MA * 1000
    assert config.SUPPLY_MV * 1000 < limits.over_voltage_uv <= config.OVER_VOLTAGE_MAX_MV * 1000
    assert config.UNDER_VOLTAGE_MIN_MV * 1000 <= limits.under_voltage_uv < config.SUPPLY_MV * 1000
    assert 0 < limits.over_temperature_mc <= config.OVER_TEMPERATURE_MAX_MC


def test_the_defaults_could_be_set() -> None:
    before = Limits()
    limits = Limits()
    assert take(
        limits,
        over_current_ma=before.over_current_ua // 1000,
        over_current_hold_ms=before.over_current_hold_ms,
        over_voltage_mv=before.over_voltage_uv // 1000,
        under_voltage_mv=before.under_voltage_uv // 1000,
        under_voltage_hold_ms=before.under_voltage_hold_ms,
        over_temperature_mc=before.over_temperature_mc,
    )
    assert vars(limits) == vars(before)
