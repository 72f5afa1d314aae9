"""The limits of the protection: what they start as, what they may be, and who sets them."""

from racklet_hat import config
from racklet_link.kernels import const

TYPE_CHECKING = False
if TYPE_CHECKING:
    from array import array

_SET_LIMITS_OVER_CURRENT_MA = const(0)
_SET_LIMITS_OVER_CURRENT_HOLD_MS = const(1)
_SET_LIMITS_OVER_VOLTAGE_MV = const(2)
_SET_LIMITS_UNDER_VOLTAGE_MV = const(3)
_SET_LIMITS_UNDER_VOLTAGE_HOLD_MS = const(4)
_SET_LIMITS_OVER_TEMPERATURE_MC = const(5)


class Limits:
    """When the supply trips. The defaults suit a Raspberry Pi 5 with everything attached."""

    def __init__(self) -> None:
        self.over_current_ua = 5_500_000
        self.over_current_hold_ms = 100
        self.over_voltage_uv = 5_400_000
        self.under_voltage_uv = 4_500_000
        self.under_voltage_hold_ms = 500
        self.over_temperature_mc = 85_000

    def take(self, slots: "array[int]") -> bool:
        """Take the limits of a SetLimits; False, and nothing changes, when one lies beyond what the hardware stands."""
        possible = (
            0 < slots[_SET_LIMITS_OVER_CURRENT_MA] <= config.OVER_CURRENT_MAX_MA
            and 0 <= slots[_SET_LIMITS_OVER_CURRENT_HOLD_MS] <= config.HOLD_MAX_MS
            and config.SUPPLY_MV < slots[_SET_LIMITS_OVER_VOLTAGE_MV] <= config.OVER_VOLTAGE_MAX_MV
            and config.UNDER_VOLTAGE_MIN_MV <= slots[_SET_LIMITS_UNDER_VOLTAGE_MV] < config.SUPPLY_MV
            and 0 <= slots[_SET_LIMITS_UNDER_VOLTAGE_HOLD_MS] <= config.HOLD_MAX_MS
            and 0 < slots[_SET_LIMITS_OVER_TEMPERATURE_MC] <= config.OVER_TEMPERATURE_MAX_MC
        )
        if possible:
            self.over_current_ua = slots[_SET_LIMITS_OVER_CURRENT_MA] * 1000
            self.over_current_hold_ms = slots[_SET_LIMITS_OVER_CURRENT_HOLD_MS]
            self.over_voltage_uv = slots[_SET_LIMITS_OVER_VOLTAGE_MV] * 1000
            self.under_voltage_uv = slots[_SET_LIMITS_UNDER_VOLTAGE_MV] * 1000
            self.under_voltage_hold_ms = slots[_SET_LIMITS_UNDER_VOLTAGE_HOLD_MS]
            self.over_temperature_mc = slots[_SET_LIMITS_OVER_TEMPERATURE_MC]
        return possible
