"""The limits of the protection: what they start as, what they may be, and who sets them."""

from array import array

from racklet_hat import config
from racklet_link.kernels import const

_HALT_CURRENT_MAX_MA = const(1_000)
_FAST_CURRENT_MAX_MA = const(8_000)  # an INA226 measures up to 8.19 A in 10 mΩ
_THERMAL_TIME_MAX_MS = const(600_000)

# Of each field of SetLimits in turn: the least, the greatest, the default. That suits a Raspberry Pi 5 with everything
# attached.
_RANGES = (
    1, config.OVER_CURRENT_MAX_MA, 5_500,
    0, config.HOLD_MAX_MS, 100,
    config.SUPPLY_MV + 1, config.OVER_VOLTAGE_MAX_MV, 5_400,
    config.UNDER_VOLTAGE_MIN_MV, config.SUPPLY_MV - 1, 4_500,
    0, config.HOLD_MAX_MS, 500,
    1, config.OVER_TEMPERATURE_MAX_MC, 85_000,
    10, _HALT_CURRENT_MAX_MA, 120,  # a halted Raspberry Pi 5 takes 60 mA, an idle one 500 mA
    100, config.HOLD_MAX_MS, 500,
    1_000, _FAST_CURRENT_MAX_MA, _FAST_CURRENT_MAX_MA,
    100, config.OVER_CURRENT_MAX_MA, 5_000,
    1_000, _THERMAL_TIME_MAX_MS, 30_000,
)  # fmt: skip
_COUNT = const(11)
_MUST_BE_GIVEN = const(6)  # of them; of the others, 0 means the default


class Limits:
    """When the supply trips. `values` are in the order, and in the units, of the fields of SetLimits."""

    def __init__(self) -> None:
        self.values = array("i", [_RANGES[3 * index + 2] for index in range(_COUNT)])

    def take(self, slots: "array[int]") -> int:
        """Take the limits of a SetLimits and return 0, or nothing and return the number of the field out of range."""
        for index in range(_COUNT):
            is_left_out = slots[index] == 0 and index >= _MUST_BE_GIVEN
            if not is_left_out and not _RANGES[3 * index] <= slots[index] <= _RANGES[3 * index + 1]:
                return index + 1
        for index in range(_COUNT):
            self.values[index] = slots[index] or (_RANGES[3 * index + 2] if index >= _MUST_BE_GIVEN else 0)
        return 0
