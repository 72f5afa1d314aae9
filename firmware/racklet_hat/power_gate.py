"""The supply gate as a state machine: measurements and requests in, switching and results out. No hardware."""

from array import array

from racklet_link.kernels import const, elapsed_ms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from racklet_hat.limits import Limits
    from racklet_hat.ports import Finish, Rail, Report

_SUPPLY_STATE_OFF = const(1)
_SUPPLY_STATE_STARTING = const(2)
_SUPPLY_STATE_ON = const(3)
_SUPPLY_STATE_STOPPING = const(4)
_SUPPLY_STATE_TRIPPED = const(5)
_SUPPLY_STATE_STUCK_ON = const(6)
_POWER_ACTION_ON = const(1)
_POWER_ACTION_OFF = const(2)
_POWER_ACTION_FORCE_OFF = const(3)
_POWER_ACTION_CYCLE = const(4)
_RESULT_DONE = const(1)
_RESULT_PENDING = const(2)
_RESULT_BUSY = const(3)
_RESULT_INVALID = const(4)
_RESULT_NOT_REACHED = const(6)
_RESULT_NODE_BUSY = const(7)
_RESULT_TRIPPED = const(8)
_RESULT_NO_MONITOR = const(9)
_RESULT_OVERTAKEN = const(10)
_EVENT_KIND_SUPPLY_STATE = const(1)
_EVENT_KIND_OVER_CURRENT = const(2)
_EVENT_KIND_OVER_VOLTAGE = const(3)
_EVENT_KIND_UNDER_VOLTAGE = const(4)
_EVENT_KIND_OVER_TEMPERATURE = const(5)
_EVENT_KIND_START_FAILED = const(6)
_EVENT_KIND_SUPPLY_STUCK_ON = const(7)
_SET_LIMITS_OVER_CURRENT_MA = const(0)
_SET_LIMITS_OVER_CURRENT_HOLD_MS = const(1)
_SET_LIMITS_OVER_VOLTAGE_MV = const(2)
_SET_LIMITS_UNDER_VOLTAGE_MV = const(3)
_SET_LIMITS_UNDER_VOLTAGE_HOLD_MS = const(4)
_SET_LIMITS_OVER_TEMPERATURE_MC = const(5)
_SET_LIMITS_HALT_CURRENT_MA = const(6)
_SET_LIMITS_HALT_HOLD_MS = const(7)
_SET_LIMITS_FAST_CURRENT_MA = const(8)
_SET_LIMITS_THERMAL_CURRENT_MA = const(9)
_SET_LIMITS_THERMAL_TIME_MS = const(10)
_SET_POWER_ACTION_FIELD = const(1)
_SET_POWER_GRACE_FIELD = const(2)
_SET_POWER_OFF_FIELD = const(4)

# What Reply.detail is the sum of.
_ASKED = const(1)
_HALT_WAS_HIGH = const(2)
_HALT_ROSE = const(4)
_CURRENT_FELL = const(8)
_CUT = const(16)
_SET = const(32)

# What Event.detail of an over-current is.
_BY_HOLD = const(0)
_BY_ALERT = const(1)
_BY_HEAT = const(2)

_GOOD_UV = const(4_750_000)  # USB 2.0, 7.2.2: what a device may count on; a Raspberry Pi warns below 4.63 V
_SETTLE_UV = const(50_000)  # a rail that still moves more than this…
_SETTLE_MS = const(60)  # …within this is still rising: three samples
_DOWN_UV = const(300_000)  # below this no part of a node is held alive
_START_MS = const(500)  # the rail rises in 3 ms; the rest is for nodes with large capacitors
_FALL_MS = const(3_000)  # the bleeder takes 0.3 s for 1000 µF
_MIN_OFF_MS = const(1_000)  # a node's own capacitors discharge; shorter outages can leave an SD card confused
_FLOWS_UA = const(100_000)  # what is off takes nothing; an INA226 may be off by 4 mA
_FLOWS_MS = const(200)
_OF_HALT = const(0)  # in `_since`
_OF_OVER_CURRENT = const(1)
_OF_UNDER_VOLTAGE = const(2)
_OF_FLOW = const(3)
_HEAT_AMPERES_MAX = const(1_023)  # in steps of 16.384 mA, and…
_HEAT_SPAN_MAX_MS = const(31)  # …a longer span counts as this: so the heat stays a small integer
_ASK_MS = const(300)  # how long the node's power button is held; beyond 5 s a Pi 5 would cut hard
_GRACE_DEFAULT_MS = const(30_000)
_GRACE_MAX_MS = const(600_000)
_OFF_MAX_MS = const(60_000)


class PowerGate:
    """Moves the supply as one transaction at a time, each of which ends with a measured result, and protects it.

    What a request does while no transaction runs. Pending unless it says otherwise:

    | state    | ON                    | OFF                   | FORCE_OFF             | CYCLE                 |
    |----------|-----------------------|-----------------------|-----------------------|-----------------------|
    | OFF      | set; STARTING (1)     | done                  | done                  | cut; STOPPING, then ON |
    | STARTING | a transaction runs    | a transaction runs    | a transaction runs    | a transaction runs    |
    | ON       | done                  | ask; STOPPING         | cut; STOPPING         | cut; STOPPING, then ON |
    | STOPPING | cut; then ON (2)      | cut (2)               | cut (2)               | cut; then ON (2)      |
    | TRIPPED  | set; STARTING (1)     | cut; STOPPING         | cut; STOPPING         | cut; STOPPING, then ON |
    | STUCK_ON | cut; STOPPING, then ON | cut; STOPPING        | cut; STOPPING         | cut; STOPPING, then ON |

    (1) Not before the minimum off time is over: STOPPING until then. (2) After a stop that nobody could measure.
    Every ON and CYCLE is refused without a monitor: nothing is switched on blind.

    While a transaction runs every request is busy, but for FORCE_OFF while the node has time to shut down: the OFF ends
    as overtaken, and the supply is cut.

    What a measurement does:

    | state         | event                                   | next                                             |
    |---------------|-----------------------------------------|--------------------------------------------------|
    | OFF, TRIPPED (3) | rail is up, or current flows for FLOWS_MS | cut; STUCK_ON, SUPPLY_STUCK_ON               |
    | STARTING      | rail good and settled                   | ON, done                                         |
    | STARTING      | not so for START_MS                     | cut; STOPPING, START_FAILED, not reached         |
    | STARTING      | over-current                            | cut; TRIPPED, START_FAILED, tripped              |
    | STARTING      | over-voltage, over-temperature          | cut; TRIPPED, the event, tripped                 |
    | ON            | over-current, -voltage, -temperature, under-voltage | cut; TRIPPED, the event              |
    | STOPPING, asked | halt signal rises, or the current is that of a halt | cut                                |
    | STOPPING, asked | grace over                            | cut if forced, else ON, node busy                |
    | STOPPING, asked | a protection                          | cut; TRIPPED, the event, tripped                 |
    | STOPPING, cut | rail down and the off time over         | OFF, done; for CYCLE set; STARTING               |
    | STOPPING, cut | rail still up after FALL_MS             | STUCK_ON, SUPPLY_STUCK_ON, not reached           |
    | STUCK_ON      | rail down and nothing flows             | OFF                                              |

    (3) FALL_MS after the cut. Over-current is: above its limit for its hold time; the monitor's alert; I²t, the heat
    that approaches the square of the current with a time constant. A halt signal that was high before the node was
    asked is stuck and counts only once it has been low.

    Without a valid measurement no state changes but by its time: a start fails, a stop is not reached, what is on
    stays on. At start the gate takes over what the latch holds and moves nothing.

    `report` takes events, `finish` the results of requests that were pending. `told_id` is the request of which
    `before_state`, `lowest_ua` and `detail` tell, as in Reply; `invalid_field` is that of the last invalid request.
    """

    def __init__(self, rail: "Rail", limits: "Limits", report: "Report", finish: "Finish", is_on: bool) -> None:
        self._rail = rail
        self._limits = limits.values
        self._report = report
        self._finish = finish
        self.state = _SUPPLY_STATE_ON if is_on else _SUPPLY_STATE_OFF
        self.told_id = 0
        self.before_state = 0
        self.lowest_ua = 0
        self.detail = 0
        self.invalid_field = 0
        self.request_id = 0
        self._request_ms = 0
        self._asking = False
        self._halt_was_low = False
        self._then_on = False
        self._force = False
        self._grace_ms = 0
        self._off_ms = _MIN_OFF_MS
        self._since_ms = 0  # when the state, or the phase of it, began
        self._step_ms = 0
        self._cut_ms = -1  # -1 before the first
        self._settle_uv = 0
        self._settle_ms = 0
        self._heat = 0  # squares of 16.384 mA, times 32
        # Since when something holds; -1 while it does not: the node takes no more than a halted one, current is over
        # its limit, voltage under its limit, current flows though off.
        self._since = array("i", (-1, -1, -1, -1))
        self.supply_uv = 0
        self.supply_ua = 0
        self.valid = False

    def request(self, request_id: int, action: int, grace_ms: int, force: int, off_ms: int, now_ms: int) -> int:
        """Begin a transaction; return a Result. `pending` is followed by a call of `finish`."""
        wants_on = action in (_POWER_ACTION_ON, _POWER_ACTION_CYCLE)
        result = self._refusal(action, grace_ms, off_ms, wants_on)
        if result:
            return result
        if self.request_id:
            self._end(_RESULT_OVERTAKEN, now_ms)
        self.told_id = request_id
        self.before_state = self.state
        self.detail = 0
        self.lowest_ua = 0
        if self._is_there(action):
            return _RESULT_DONE
        self.request_id = request_id
        self._request_ms = now_ms
        self._grace_ms = grace_ms or _GRACE_DEFAULT_MS
        self._force = bool(force)
        self._then_on = wants_on
        self._off_ms = max(off_ms, _MIN_OFF_MS) if action == _POWER_ACTION_CYCLE else _MIN_OFF_MS
        self._begin(action, now_ms)
        return _RESULT_PENDING

    def step(
        self, supply_uv: int, supply_ua: int, temperature_mc: int, valid: bool, now_ms: int, alerted: bool = False
    ) -> None:
        """Take a measurement, or with `valid` False that there is none, and let time pass.

        `alerted` tells that the current was above the fast limit since the last step.
        """
        self.valid = valid
        if valid:
            self.supply_uv = supply_uv
            self.supply_ua = supply_ua
            self._warm(elapsed_ms(now_ms, self._step_ms))
        self._step_ms = now_ms
        if self._asking and elapsed_ms(now_ms, self._since_ms) >= _ASK_MS:
            self._rail.ask(False)
        self._step_state(now_ms)
        if self._asking or self.state in (_SUPPLY_STATE_STARTING, _SUPPLY_STATE_ON):
            if alerted:
                fast_ua = self._limits[_SET_LIMITS_FAST_CURRENT_MA] * 1000
                self._trip(_EVENT_KIND_OVER_CURRENT, max(self.supply_ua, fast_ua), fast_ua, _BY_ALERT, now_ms)
            elif valid:
                self._protect(temperature_mc, now_ms)
        if self._asking:
            self._step_asking(now_ms)

    def _step_state(self, now_ms: int) -> None:
        state = self.state
        if state == _SUPPLY_STATE_STARTING:
            self._step_starting(now_ms)
        elif state in (_SUPPLY_STATE_OFF, _SUPPLY_STATE_TRIPPED):
            self._step_off(now_ms)
        elif state != _SUPPLY_STATE_ON and not self._asking:
            self._step_falling(now_ms)

    def _refusal(self, action: int, grace_ms: int, off_ms: int, wants_on: bool) -> int:
        """Return why a request is refused, a Result; 0 when it is not."""
        field = 0
        if not _POWER_ACTION_ON <= action <= _POWER_ACTION_CYCLE:
            field = _SET_POWER_ACTION_FIELD
        elif not 0 <= grace_ms <= _GRACE_MAX_MS:
            field = _SET_POWER_GRACE_FIELD
        elif not 0 <= off_ms <= _OFF_MAX_MS:
            field = _SET_POWER_OFF_FIELD
        if field:
            self.invalid_field = field
            return _RESULT_INVALID
        if self.request_id and not (self._asking and action == _POWER_ACTION_FORCE_OFF):
            return _RESULT_BUSY
        return _RESULT_NO_MONITOR if wants_on and not self.valid else 0

    def _is_there(self, action: int) -> bool:
        if action == _POWER_ACTION_ON:
            return self.state == _SUPPLY_STATE_ON
        return action != _POWER_ACTION_CYCLE and self.state == _SUPPLY_STATE_OFF and self._is_down()

    def _is_down(self) -> bool:
        return self.valid and self.supply_uv < _DOWN_UV and abs(self.supply_ua) < _FLOWS_UA

    def _begin(self, action: int, now_ms: int) -> None:
        if self.state == _SUPPLY_STATE_ON and action == _POWER_ACTION_OFF:
            self._asking = True
            self._since[_OF_HALT] = -1
            self.lowest_ua = self.supply_ua
            self.detail = _ASKED | _HALT_WAS_HIGH if self._rail.is_halted() else _ASKED
            self._halt_was_low = not self.detail & _HALT_WAS_HIGH
            self._rail.ask(True)
            self._enter(_SUPPLY_STATE_STOPPING, now_ms)
        elif action == _POWER_ACTION_ON and self.state in (_SUPPLY_STATE_OFF, _SUPPLY_STATE_TRIPPED):
            if self._cut_ms >= 0 and elapsed_ms(now_ms, self._cut_ms) < self._off_ms:
                self._enter(_SUPPLY_STATE_STOPPING, now_ms)  # the rail was cut too short a time ago
            else:
                self._start(now_ms)
        else:
            self._cut(_SUPPLY_STATE_STOPPING, now_ms)

    def _start(self, now_ms: int) -> None:
        self._then_on = False
        self._since[_OF_OVER_CURRENT] = self._since[_OF_UNDER_VOLTAGE] = -1
        self._settle_uv = 0
        self._enter(_SUPPLY_STATE_STARTING, now_ms)
        self._rail.set()
        self.detail |= _SET

    def _cut(self, state: int, now_ms: int) -> None:
        self._rail.clear()
        self.detail |= _CUT
        if self._asking:
            self._asking = False
            self._rail.ask(False)
        self._cut_ms = now_ms
        self._since[_OF_FLOW] = -1
        self._enter(state, now_ms)

    def _enter(self, state: int, now_ms: int) -> None:
        before, self.state = self.state, state
        self._since_ms = now_ms
        if before != state:
            self._report(_EVENT_KIND_SUPPLY_STATE, state, 0, before)

    def _end(self, result: int, now_ms: int) -> None:
        request_id, self.request_id = self.request_id, 0
        self._then_on = False
        if request_id:
            self._finish(request_id, result, elapsed_ms(now_ms, self._request_ms))

    def _step_starting(self, now_ms: int) -> None:
        uv = self.supply_uv if self.valid else 0
        if uv < _GOOD_UV or abs(uv - self._settle_uv) > _SETTLE_UV:
            self._settle_uv = uv
            self._settle_ms = now_ms
        elif elapsed_ms(now_ms, self._settle_ms) >= _SETTLE_MS:
            self._enter(_SUPPLY_STATE_ON, now_ms)
            self._end(_RESULT_DONE, now_ms)
            return
        if elapsed_ms(now_ms, self._since_ms) > _START_MS:
            self._report(_EVENT_KIND_START_FAILED, uv, _GOOD_UV, self._flow())
            self._cut(_SUPPLY_STATE_STOPPING, now_ms)
            self._end(_RESULT_NOT_REACHED, now_ms)

    def _step_asking(self, now_ms: int) -> None:
        self.lowest_ua = min(self.lowest_ua, self.supply_ua)
        halted = self._rail.is_halted()
        if halted and self._halt_was_low:
            self.detail |= _HALT_ROSE
        self._halt_was_low = self._halt_was_low or not halted
        limits = self._limits
        idle = self.valid and self.supply_ua < limits[_SET_LIMITS_HALT_CURRENT_MA] * 1000
        if self._holds(_OF_HALT, idle, limits[_SET_LIMITS_HALT_HOLD_MS], now_ms):
            self.detail |= _CURRENT_FELL
        grace_over = elapsed_ms(now_ms, self._since_ms) >= self._grace_ms
        if self.detail & (_HALT_ROSE | _CURRENT_FELL) or (grace_over and self._force):
            self._cut(_SUPPLY_STATE_STOPPING, now_ms)
        elif grace_over:
            self._asking = False
            self._rail.ask(False)
            self._enter(_SUPPLY_STATE_ON, now_ms)
            self._end(_RESULT_NODE_BUSY, now_ms)

    def _step_falling(self, now_ms: int) -> None:
        since_cut = elapsed_ms(now_ms, self._cut_ms)
        if self._is_down():
            if since_cut < self._off_ms:
                return
            if self._then_on:
                self._start(now_ms)
                return
            self._enter(_SUPPLY_STATE_OFF, now_ms)
            self._end(_RESULT_DONE, now_ms)
        elif since_cut > _FALL_MS and self.state == _SUPPLY_STATE_STOPPING:
            if self.valid:
                self._tell_stuck(now_ms)
            self._end(_RESULT_NOT_REACHED, now_ms)

    def _step_off(self, now_ms: int) -> None:
        if self.state == _SUPPLY_STATE_TRIPPED and elapsed_ms(now_ms, self._cut_ms) <= _FALL_MS:
            return
        flows = self.valid and abs(self.supply_ua) >= _FLOWS_UA
        if self._holds(_OF_FLOW, flows, _FLOWS_MS, now_ms) or (self.valid and self.supply_uv >= _GOOD_UV):
            self._cut(_SUPPLY_STATE_STUCK_ON, now_ms)
            self._tell_stuck(now_ms)

    def _tell_stuck(self, now_ms: int) -> None:
        self._report(_EVENT_KIND_SUPPLY_STUCK_ON, self.supply_uv, _DOWN_UV, self._flow())
        self._enter(_SUPPLY_STATE_STUCK_ON, now_ms)

    def _flow(self) -> int:
        """Return the current as an event tells it, without its sign."""
        return abs(self.supply_ua) if self.valid else 0

    def _warm(self, span_ms: int) -> None:
        amperes = min(abs(self.supply_ua) >> 14, _HEAT_AMPERES_MAX)
        span_ms = min(span_ms, _HEAT_SPAN_MAX_MS)
        self._heat += ((amperes * amperes << 5) - self._heat) * span_ms // self._limits[_SET_LIMITS_THERMAL_TIME_MS]

    def _protect(self, temperature_mc: int, now_ms: int) -> None:
        limits = self._limits
        uv, ua = self.supply_uv, self.supply_ua
        limit = limits[_SET_LIMITS_OVER_VOLTAGE_MV] * 1000
        if uv > limit:
            self._trip(_EVENT_KIND_OVER_VOLTAGE, uv, limit, 0, now_ms)
            return
        limit = limits[_SET_LIMITS_OVER_TEMPERATURE_MC]
        if temperature_mc > limit:
            self._trip(_EVENT_KIND_OVER_TEMPERATURE, temperature_mc, limit, 0, now_ms)
            return
        limit = limits[_SET_LIMITS_OVER_CURRENT_MA] * 1000
        if self._holds(_OF_OVER_CURRENT, ua > limit, limits[_SET_LIMITS_OVER_CURRENT_HOLD_MS], now_ms):
            self._trip(_EVENT_KIND_OVER_CURRENT, ua, limit, _BY_HOLD, now_ms)
            return
        limit = limits[_SET_LIMITS_THERMAL_CURRENT_MA] * 1000
        amperes = limit >> 14
        if self._heat > amperes * amperes << 5:
            self._trip(_EVENT_KIND_OVER_CURRENT, ua, limit, _BY_HEAT, now_ms)
            return
        limit = limits[_SET_LIMITS_UNDER_VOLTAGE_MV] * 1000
        sags = uv < limit and self.state != _SUPPLY_STATE_STARTING
        if self._holds(_OF_UNDER_VOLTAGE, sags, limits[_SET_LIMITS_UNDER_VOLTAGE_HOLD_MS], now_ms):
            self._trip(_EVENT_KIND_UNDER_VOLTAGE, uv, limit, 0, now_ms)

    def _holds(self, what: int, now: bool, hold_ms: int, now_ms: int) -> bool:
        """Tell whether something has been so for `hold_ms`."""
        since = self._since
        if not now:
            since[what] = -1
            return False
        if since[what] < 0:
            since[what] = now_ms
        return elapsed_ms(now_ms, since[what]) >= hold_ms

    def _trip(self, kind: int, value: int, limit: int, detail: int, now_ms: int) -> None:
        if kind == _EVENT_KIND_OVER_CURRENT and self.state == _SUPPLY_STATE_STARTING:
            self._report(_EVENT_KIND_START_FAILED, self.supply_uv, _GOOD_UV, value)
        else:
            self._report(kind, value, limit, detail)
        self._cut(_SUPPLY_STATE_TRIPPED, now_ms)
        self._end(_RESULT_TRIPPED, now_ms)
