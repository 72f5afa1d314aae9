"""The supply gate as a state machine: measurements and requests in, switching and results out. No hardware."""

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
_EVENT_KIND_SUPPLY_STATE = const(1)
_EVENT_KIND_OVER_CURRENT = const(2)
_EVENT_KIND_OVER_VOLTAGE = const(3)
_EVENT_KIND_UNDER_VOLTAGE = const(4)
_EVENT_KIND_OVER_TEMPERATURE = const(5)
_EVENT_KIND_START_FAILED = const(6)
_EVENT_KIND_SUPPLY_STUCK_ON = const(7)

GOOD_UV = const(4_750_000)  # USB 2.0, 7.2.2: what a device may count on; a Raspberry Pi warns below 4.63 V
DOWN_UV = const(300_000)  # below this no part of a node is held alive
START_MS = const(500)  # the rail rises in 3 ms; the rest is for nodes with large capacitors
FALL_MS = const(3_000)  # the bleeder takes 0.3 s for 1000 µF
MIN_OFF_MS = const(1_000)  # a node's own capacitors discharge; shorter outages can leave an SD card confused
IDLE_UA = const(120_000)  # a halted Raspberry Pi 5 takes 60 mA, an idle one 500 mA
IDLE_MS = const(500)
ASK_MS = const(300)  # how long the node's power button is held; beyond 5 s a Pi 5 would cut hard
GRACE_DEFAULT_MS = const(30_000)
GRACE_MAX_MS = const(600_000)
OFF_MAX_MS = const(60_000)


class PowerGate:
    """Moves the supply as one transaction at a time, each of which ends with a measured result, and protects it.

    What a request does while no transaction runs (while one does, all are busy). Pending unless it says otherwise:

    | state    | ON                    | OFF                   | FORCE_OFF             | CYCLE                 |
    |----------|-----------------------|-----------------------|-----------------------|-----------------------|
    | OFF      | set; STARTING (1)     | done                  | done                  | cut; STOPPING, then ON |
    | STARTING | a transaction runs    | a transaction runs    | a transaction runs    | a transaction runs    |
    | ON       | done                  | ask; STOPPING         | cut; STOPPING         | cut; STOPPING, then ON |
    | STOPPING | cut; then ON (2)      | cut (2)               | cut (2)               | cut; then ON (2)      |
    | TRIPPED  | set; STARTING (1)     | cut; STOPPING         | cut; STOPPING         | cut; STOPPING, then ON |

    (1) Not before the minimum off time is over: STOPPING until then. (2) After a stop that was not reached.
    Every ON and CYCLE is refused without a monitor: nothing is switched on blind.

    What a measurement does:

    | state         | event                                   | next                                             |
    |---------------|-----------------------------------------|--------------------------------------------------|
    | OFF           | rail is up by itself                    | STOPPING, SUPPLY_STUCK_ON                        |
    | STARTING      | rail good                               | ON, done                                         |
    | STARTING      | not good for START_MS                   | cut; STOPPING, START_FAILED, not reached         |
    | ON            | over-current, -voltage, -temperature, under-voltage | cut; TRIPPED, the event              |
    | STOPPING, asked | node halted, or idle for IDLE_MS      | cut                                              |
    | STOPPING, asked | grace over                            | cut if forced, else ON, node busy                |
    | STOPPING, asked | a protection                          | cut; TRIPPED, the event, tripped                 |
    | STOPPING, cut | rail down and the off time over         | OFF, done; for CYCLE set; STARTING               |
    | STOPPING, cut | rail still up after FALL_MS             | SUPPLY_STUCK_ON, not reached; it stays STOPPING  |

    Without a valid measurement no state changes but by its time: a start fails, a stop is not reached, what is on
    stays on. At start the gate takes over what the latch holds and moves nothing.

    `report` takes events, `finish` the results of requests that were pending.
    """

    def __init__(self, rail: "Rail", limits: "Limits", report: "Report", finish: "Finish", is_on: bool) -> None:
        self._rail = rail
        self._limits = limits
        self._report = report
        self._finish = finish
        self.state = _SUPPLY_STATE_ON if is_on else _SUPPLY_STATE_OFF
        self._request_id = 0
        self._request_ms = 0
        self._asking = False
        self._then_on = False
        self._force = False
        self._grace_ms = 0
        self._off_ms = MIN_OFF_MS
        self._since_ms = 0  # when the state, or the phase of it, began
        self._cut_ms = 0
        self._was_cut = False
        self._idle_ms = -1  # since when the node is idle; -1 while it is not
        self._over_ms = -1
        self._under_ms = -1
        self._stuck_told = False
        self.supply_uv = 0
        self.supply_ua = 0
        self.valid = False

    def request(self, request_id: int, action: int, grace_ms: int, force: int, off_ms: int, now_ms: int) -> int:
        """Begin a transaction; return a Result. `pending` is followed by a call of `finish`."""
        if not _POWER_ACTION_ON <= action <= _POWER_ACTION_CYCLE:
            return _RESULT_INVALID
        if not (0 <= grace_ms <= GRACE_MAX_MS and 0 <= off_ms <= OFF_MAX_MS):
            return _RESULT_INVALID
        if self._request_id:
            return _RESULT_BUSY
        wants_on = action in (_POWER_ACTION_ON, _POWER_ACTION_CYCLE)
        if wants_on and not self.valid:
            return _RESULT_NO_MONITOR
        if self._is_there(action):
            return _RESULT_DONE
        self._request_id = request_id
        self._request_ms = now_ms
        self._grace_ms = grace_ms or GRACE_DEFAULT_MS
        self._force = bool(force)
        self._then_on = wants_on
        self._off_ms = max(off_ms, MIN_OFF_MS) if action == _POWER_ACTION_CYCLE else MIN_OFF_MS
        self._begin(action, now_ms)
        return _RESULT_PENDING

    def step(self, supply_uv: int, supply_ua: int, temperature_mc: int, valid: bool, now_ms: int) -> None:
        """Take a measurement, or with `valid` False that there is none, and let time pass."""
        self.valid = valid
        if valid:
            self.supply_uv = supply_uv
            self.supply_ua = supply_ua
        if self._asking and elapsed_ms(now_ms, self._since_ms) >= ASK_MS:
            self._rail.ask(False)
        state = self.state
        if state == _SUPPLY_STATE_STARTING:
            self._step_starting(now_ms)
        elif state == _SUPPLY_STATE_STOPPING and not self._asking:
            self._step_falling(now_ms)
        elif state == _SUPPLY_STATE_OFF:
            self._step_off(now_ms)
        if valid and (self._asking or self.state in (_SUPPLY_STATE_STARTING, _SUPPLY_STATE_ON)):
            self._protect(temperature_mc, now_ms)
        if self._asking:
            self._step_asking(now_ms)

    def _is_there(self, action: int) -> bool:
        if action == _POWER_ACTION_ON:
            return self.state == _SUPPLY_STATE_ON
        return action != _POWER_ACTION_CYCLE and self.state == _SUPPLY_STATE_OFF and self._is_down()

    def _is_down(self) -> bool:
        return self.valid and self.supply_uv < DOWN_UV

    def _begin(self, action: int, now_ms: int) -> None:
        if self.state == _SUPPLY_STATE_ON and action == _POWER_ACTION_OFF:
            self._asking = True
            self._idle_ms = -1
            self._rail.ask(True)
            self._enter(_SUPPLY_STATE_STOPPING, now_ms)
        elif action == _POWER_ACTION_ON and self.state in (_SUPPLY_STATE_OFF, _SUPPLY_STATE_TRIPPED):
            self._wait_then_start(now_ms)
        else:
            self._cut(_SUPPLY_STATE_STOPPING, now_ms)

    def _wait_then_start(self, now_ms: int) -> None:
        """Start, unless the rail was cut too short a time ago."""
        if self._was_cut and elapsed_ms(now_ms, self._cut_ms) < self._off_ms:
            self._enter(_SUPPLY_STATE_STOPPING, now_ms)
        else:
            self._start(now_ms)

    def _start(self, now_ms: int) -> None:
        self._then_on = False
        self._over_ms = self._under_ms = -1
        self._enter(_SUPPLY_STATE_STARTING, now_ms)
        self._rail.set()

    def _cut(self, state: int, now_ms: int) -> None:
        self._rail.clear()
        if self._asking:
            self._asking = False
            self._rail.ask(False)
        self._was_cut = True
        self._cut_ms = now_ms
        self._stuck_told = False
        self._enter(state, now_ms)

    def _enter(self, state: int, now_ms: int) -> None:
        before, self.state = self.state, state
        self._since_ms = now_ms
        if before != state:
            self._report(_EVENT_KIND_SUPPLY_STATE, state, 0, before)

    def _end(self, result: int, now_ms: int) -> None:
        request_id, self._request_id = self._request_id, 0
        self._then_on = False
        if request_id:
            self._finish(request_id, result, elapsed_ms(now_ms, self._request_ms))

    def _step_starting(self, now_ms: int) -> None:
        if self.valid and self.supply_uv >= GOOD_UV:
            self._enter(_SUPPLY_STATE_ON, now_ms)
            self._end(_RESULT_DONE, now_ms)
        elif elapsed_ms(now_ms, self._since_ms) > START_MS:
            self._report(_EVENT_KIND_START_FAILED, self.supply_uv if self.valid else 0, GOOD_UV, 0)
            self._cut(_SUPPLY_STATE_STOPPING, now_ms)
            self._end(_RESULT_NOT_REACHED, now_ms)

    def _step_asking(self, now_ms: int) -> None:
        if self._rail.is_halted() or self._is_idle(now_ms):
            self._cut(_SUPPLY_STATE_STOPPING, now_ms)
        elif elapsed_ms(now_ms, self._since_ms) >= self._grace_ms:
            if self._force:
                self._cut(_SUPPLY_STATE_STOPPING, now_ms)
            else:
                self._asking = False
                self._rail.ask(False)
                self._enter(_SUPPLY_STATE_ON, now_ms)
                self._end(_RESULT_NODE_BUSY, now_ms)

    def _is_idle(self, now_ms: int) -> bool:
        if not self.valid or self.supply_ua >= IDLE_UA:
            self._idle_ms = -1
            return False
        if self._idle_ms < 0:
            self._idle_ms = now_ms
        return elapsed_ms(now_ms, self._idle_ms) >= IDLE_MS

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
        elif since_cut > FALL_MS:
            if self.valid and not self._stuck_told:
                self._stuck_told = True
                self._report(_EVENT_KIND_SUPPLY_STUCK_ON, self.supply_uv, DOWN_UV, 0)
            self._end(_RESULT_NOT_REACHED, now_ms)

    def _step_off(self, now_ms: int) -> None:
        if self.valid and self.supply_uv >= GOOD_UV:
            self._report(_EVENT_KIND_SUPPLY_STUCK_ON, self.supply_uv, DOWN_UV, 0)
            self._cut(_SUPPLY_STATE_STOPPING, now_ms)
            self._stuck_told = True

    def _protect(self, temperature_mc: int, now_ms: int) -> None:
        limits = self._limits
        uv, ua = self.supply_uv, self.supply_ua
        if uv > limits.over_voltage_uv:
            self._trip(_EVENT_KIND_OVER_VOLTAGE, uv, limits.over_voltage_uv, now_ms)
        elif temperature_mc > limits.over_temperature_mc:
            self._trip(_EVENT_KIND_OVER_TEMPERATURE, temperature_mc, limits.over_temperature_mc, now_ms)
        elif self._holds(ua > limits.over_current_ua, limits.over_current_hold_ms, now_ms):
            self._trip(_EVENT_KIND_OVER_CURRENT, ua, limits.over_current_ua, now_ms)
        elif self._sags(uv < limits.under_voltage_uv, limits.under_voltage_hold_ms, now_ms):
            self._trip(_EVENT_KIND_UNDER_VOLTAGE, uv, limits.under_voltage_uv, now_ms)

    def _holds(self, over: bool, hold_ms: int, now_ms: int) -> bool:
        if not over:
            self._over_ms = -1
            return False
        if self._over_ms < 0:
            self._over_ms = now_ms
        return elapsed_ms(now_ms, self._over_ms) >= hold_ms

    def _sags(self, under: bool, hold_ms: int, now_ms: int) -> bool:
        if not under or self.state == _SUPPLY_STATE_STARTING:
            self._under_ms = -1
            return False
        if self._under_ms < 0:
            self._under_ms = now_ms
        return elapsed_ms(now_ms, self._under_ms) >= hold_ms

    def _trip(self, kind: int, value: int, limit: int, now_ms: int) -> None:
        self._over_ms = self._under_ms = -1
        self._report(kind, value, limit, 0)
        self._cut(_SUPPLY_STATE_TRIPPED, now_ms)
        self._end(_RESULT_TRIPPED, now_ms)
