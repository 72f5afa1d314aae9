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
DEFAULTS = {
    "halt_current_ma": 120,
    "halt_hold_ms": 500,
    "fast_current_ma": 8_000,
    "thermal_current_ma": 5_000,
    "thermal_time_ms": 30_000,
}
RANGES = {
    "over_current_ma": (1, config.OVER_CURRENT_MAX_MA),
    "over_current_hold_ms": (0, config.HOLD_MAX_MS),
    "over_voltage_mv": (config.SUPPLY_MV + 1, config.OVER_VOLTAGE_MAX_MV),
    "under_voltage_mv": (config.UNDER_VOLTAGE_MIN_MV, config.SUPPLY_MV - 1),
    "under_voltage_hold_ms": (0, config.HOLD_MAX_MS),
    "over_temperature_mc": (1, config.OVER_TEMPERATURE_MAX_MC),
    "halt_current_ma": (10, 1_000),
    "halt_hold_ms": (100, config.HOLD_MAX_MS),
    "fast_current_ma": (1_000, 8_000),
    "thermal_current_ma": (100, config.OVER_CURRENT_MAX_MA),
    "thermal_time_ms": (1_000, 600_000),
}
FIELDS = list(RANGES)


def take(limits: Limits, **changed: int) -> int:
    """Let the limits take GOOD with some changed, as they come over the link."""
    return limits.take(held(link_pb2.SetLimits(**(GOOD | changed))).slots)


def in_force(limits: Limits) -> dict[str, int]:
    return dict(zip(FIELDS, limits.values, strict=True))


def test_the_limits_are_the_fields_of_the_message_in_their_order() -> None:
    assert [field.name for field in link_pb2.SetLimits.DESCRIPTOR.fields] == FIELDS


def test_limits_that_are_possible_are_taken() -> None:
    limits = Limits()
    assert take(limits) == 0
    assert in_force(limits) == GOOD | DEFAULTS


def test_what_is_left_out_of_the_later_fields_is_the_default_again() -> None:
    limits = Limits()
    take(limits, halt_current_ma=80, thermal_time_ms=5_000)
    assert in_force(limits) == GOOD | DEFAULTS | {"halt_current_ma": 80, "thermal_time_ms": 5_000}
    take(limits)
    assert in_force(limits) == GOOD | DEFAULTS


@pytest.mark.parametrize("name", RANGES)
def test_each_limit_may_be_at_the_ends_of_its_range(name: str) -> None:
    for end in RANGES[name]:
        assert take(Limits(), **{name: end}) == 0


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("end", [0, 1])
def test_a_limit_beyond_its_range_is_refused_by_its_number_and_changes_nothing(name: str, end: int) -> None:
    beyond = RANGES[name][end] + (-1, 1)[end]
    limits = Limits()
    unsigned = name != "over_temperature_mc"
    field = link_pb2.SetLimits.DESCRIPTOR.fields_by_name[name].number
    assert take(limits, **{name: beyond & 0xFFFFFFFF if unsigned else beyond}) == field
    assert limits.values == Limits().values


@given(values=st.fixed_dictionaries({name: st.integers(0, 2**31 - 1) for name in RANGES}))
def test_what_is_in_force_is_always_within_what_the_hardware_stands(values: dict[str, int]) -> None:
    limits = Limits()
    take(limits, **values)
    assert all(low <= in_force(limits)[name] <= high for name, (low, high) in RANGES.items())


def test_the_defaults_could_be_set() -> None:
    limits = Limits()
    assert take(limits, **in_force(Limits())) == 0
    assert limits.values == Limits().values
