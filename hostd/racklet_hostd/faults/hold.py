"""What a run of faults has of one node's supply: taken or not, and what is under way."""

from enum import Enum, auto

RETRY_MS = (1000, 2000, 5000, 10_000, 30_000)  # between tries to give back; the last one again and again


class Deed(Enum):
    """What is to be done to a node."""

    CUT = auto()
    """Note down durably that the node is taken, then cut its supply."""
    RAISE = auto()
    """Switch its supply on."""
    SETTLE = auto()
    """Strike out durably that the node is taken."""


class Outcome(Enum):
    """How a deed ended."""

    DONE = auto()
    FAILED = auto()
    """It may have been carried out all the same."""
    UNTOUCHED = auto()
    """It was surely not carried out."""
    TRIPPED = auto()
    """A protection of the HAT has cut the supply, or does not let it come on."""


class HoldState(Enum):
    """See Hold."""

    FREE = auto()
    CUTTING = auto()
    OFF = auto()
    RAISING = auto()
    ON = auto()
    SETTLING = auto()
    PAUSING = auto()
    GONE = auto()


_S = HoldState
_AFTER = {
    (_S.CUTTING, Outcome.DONE): _S.OFF,
    (_S.CUTTING, Outcome.FAILED): _S.OFF,
    (_S.CUTTING, Outcome.TRIPPED): _S.ON,
    (_S.CUTTING, Outcome.UNTOUCHED): _S.ON,
    (_S.RAISING, Outcome.DONE): _S.ON,
    (_S.RAISING, Outcome.TRIPPED): _S.ON,
    (_S.SETTLING, Outcome.DONE): _S.FREE,
}
_UNDER_WAY = {_S.CUTTING: Deed.CUT, _S.RAISING: Deed.RAISE, _S.SETTLING: Deed.SETTLE}
_STATE_OF = {deed: state for state, deed in _UNDER_WAY.items()}


class Hold:
    """One node's part in a run.

    | state    | what it is                    | wanted off     | wanted on        | kept on      | the deed ended                  |
    |----------|-------------------------------|----------------|------------------|--------------|---------------------------------|
    | FREE     | not taken                     | CUT → CUTTING  |                  |              |                                 |
    | CUTTING  | CUT is under way              |                |                  |              | done, failed → OFF; else → ON   |
    | OFF      | off, as far as is known       |                | RAISE → RAISING  | as wanted on |                                 |
    | RAISING  | RAISE is under way            |                |                  |              | done, tripped → ON; else PAUSING|
    | ON       | taken, but it may be on       | CUT → CUTTING  | SETTLE → SETTLING|              |                                 |
    | SETTLING | SETTLE is under way           |                |                  |              | done → FREE; else PAUSING       |
    | PAUSING  | RAISE or SETTLE did not go    | the same again when the pause is over, whatever is wanted ||                  |
    | GONE     | somebody else has taken it    |                |                  |              |                                 |

    `cut_ms` is when the CUT before the state OFF began. "Kept on": a fault goes on with it later. A free node needs nothing to be on, and one that is gone gets nothing.
    """  # noqa: E501  a table

    def __init__(self, state: HoldState = HoldState.FREE) -> None:
        self.state = state
        self.due_ms: int | None = None
        self.cut_ms = 0
        self.under_way: Deed | None = None
        self._failures = 0
        self._again = Deed.RAISE

    @property
    def is_out(self) -> bool:
        """Whether nothing is owed and nothing is under way."""
        return self.state in {HoldState.FREE, HoldState.GONE} and self.under_way is None

    def next_deed(self, *, off: bool, kept: bool, now_ms: int) -> Deed | None:
        """Return what there is to do now, which then is under way; `finished` ends it."""
        match self.state:
            case HoldState.FREE | HoldState.ON if off:
                self.cut_ms = now_ms
                return self._begin(Deed.CUT)
            case HoldState.OFF if not off:
                return self._begin(Deed.RAISE)
            case HoldState.ON if not kept:
                return self._begin(Deed.SETTLE)
            case HoldState.PAUSING if self.due_ms is not None and now_ms >= self.due_ms:
                return self._begin(self._again)
            case _:
                return None

    def finished(self, outcome: Outcome, now_ms: int) -> Deed | None:
        """Take how the deed ended; return which it was, or None when nobody waits for it any more."""
        deed, self.under_way = self.under_way, None
        if deed is None or self.state is HoldState.GONE:
            return None
        after = _AFTER.get((self.state, outcome), HoldState.PAUSING)
        if after is HoldState.PAUSING:
            self._again = deed
            self.due_ms = now_ms + RETRY_MS[min(self._failures, len(RETRY_MS) - 1)]
            self._failures += 1
        else:
            self._failures = 0
        self.state = after
        return deed

    def release(self) -> None:
        """Let somebody else have it."""
        self.state = HoldState.GONE
        self.due_ms = None

    def _begin(self, deed: Deed) -> Deed:
        self.state = _STATE_OF[deed]
        self.due_ms = None
        self.under_way = deed
        return deed
