"""What becomes of the supply when the HAT's input power comes back."""

from racklet_link.kernels import const, elapsed_ms

_RESTORE_POLICY_OFF = const(1)
_RESTORE_POLICY_LAST = const(2)
_RESTORE_POLICY_ON = const(3)
_SET_RESTORE_POLICY_FIELD = const(1)
_SET_RESTORE_DELAY_FIELD = const(2)
_SUPPLY_STATE_OFF = const(1)
_SUPPLY_STATE_ON = const(3)
_SUPPLY_STATE_TRIPPED = const(5)
_INPUT_MIN_UV = const(7_000_000)  # below it the converter cannot make the supply
_KEPT_BYTES = const(4)
_DELAY_MAX_MS = const(600_000)


class Restore:
    """Decides; it switches nothing and writes nothing. `kept` is what the flash shall hold: see `is_new`.

    `lost` is True from a loss of the input power until the policy has acted, or somebody else has.
    """

    def __init__(self, kept: bytearray, lost: bool, is_on: bool) -> None:
        self.kept = kept  # policy, whether the supply was on last, delay in 0.1 s: two bytes, low first
        if len(kept) != _KEPT_BYTES or not _RESTORE_POLICY_OFF <= kept[0] <= _RESTORE_POLICY_ON:
            self.kept = bytearray((_RESTORE_POLICY_OFF, 0, 0, 0))
        self.lost = lost and not is_on
        self.is_new = False
        self._good_ms = -1  # since when the input is good
        self._was_on = is_on or (self.kept[0] == _RESTORE_POLICY_LAST and bool(self.kept[1]))
        self._keep(1, self._was_on and self.kept[0] == _RESTORE_POLICY_LAST)

    def set(self, policy: int, delay_ms: int) -> int:
        """Take a SetRestore and return 0, or change nothing and return the number of the field out of range."""
        if not _RESTORE_POLICY_OFF <= policy <= _RESTORE_POLICY_ON:
            return _SET_RESTORE_POLICY_FIELD
        if not 0 <= delay_ms <= _DELAY_MAX_MS:
            return _SET_RESTORE_DELAY_FIELD
        self._keep(0, policy)
        self._keep(1, self._was_on and policy == _RESTORE_POLICY_LAST)
        self._keep(2, delay_ms // 100 & 255)
        self._keep(3, delay_ms // 100 >> 8)
        return 0

    def follow(self, state: int) -> None:
        """The supply has got to a state. What happens because the input is lost is not what somebody wanted."""
        if state in (_SUPPLY_STATE_OFF, _SUPPLY_STATE_ON, _SUPPLY_STATE_TRIPPED) and not self.lost:
            self._was_on = state == _SUPPLY_STATE_ON
            self._keep(1, self._was_on and self.kept[0] == _RESTORE_POLICY_LAST)

    def step(self, input_uv: int, state: int, latch_on: bool, now_ms: int) -> bool:
        """Tell whether the supply is to be switched on now."""
        if input_uv < _INPUT_MIN_UV:
            self.lost = True
            self._good_ms = -1
            return False
        if self._good_ms < 0:
            self._good_ms = now_ms
        if latch_on and state == _SUPPLY_STATE_ON:
            self.lost = False  # the input only dipped, and the latch held
        if not self.lost or state not in (_SUPPLY_STATE_OFF, _SUPPLY_STATE_TRIPPED):
            return False
        if elapsed_ms(now_ms, self._good_ms) < 100 * (self.kept[2] | self.kept[3] << 8):
            return False
        if self.kept[0] == _RESTORE_POLICY_ON or (self.kept[0] == _RESTORE_POLICY_LAST and self._was_on):
            return True
        self.lost = False
        return False

    def _keep(self, at: int, value: int) -> None:
        if self.kept[at] != value:
            self.kept[at] = value
            self.is_new = True
