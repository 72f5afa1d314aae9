"""Calls and connections that were refused, in the log and in the audit log, without letting a flood fill either."""

import logging

from racklet_hostd.api.status import ANSWERS, INTERNAL
from racklet_hostd.caller import UNKNOWN_CALLER, Caller
from racklet_hostd.clock import Clock
from racklet_hostd.errors import RackletError
from racklet_hostd.store.audit import AuditLog
from racklet_hostd.token_bucket import TokenBucket

log = logging.getLogger(__name__)

BURST = 20  # told at once…
PER_SECOND = 0.2  # …and in the long run: 17,000 a day, some 5 MB, and hardly more than that in the log
_TEXT_LIMIT = 500  # characters


class RefusedCalls:
    """Tells who was refused what. What is too much is only counted, and told with the next one."""

    def __init__(self, audit: AuditLog, clock: Clock) -> None:
        self._audit = audit
        self._clock = clock
        self._bucket = TokenBucket(BURST, PER_SECOND)
        self._untold = 0

    def tell(self, caller: Caller, method: str, error: RackletError) -> None:
        """Put a refused call on record."""
        self._tell(caller, method, f"{ANSWERS.get(type(error), INTERNAL).code.name}: {error}")

    def tell_turned_away(self, peer: str, reason: str) -> None:
        """Put a connection on record that was not let in."""
        self._tell(Caller(UNKNOWN_CALLER.who, peer), "connect", f"UNAUTHENTICATED: {reason}")

    def _tell(self, caller: Caller, method: str, outcome: str) -> None:
        if not self._bucket.take(self._clock.monotonic_ms()):
            self._untold += 1
            return
        untold, self._untold = self._untold, 0
        more = {"untold_before": untold} if untold else {}
        log.warning("refused", extra={"peer": caller.peer, "who": caller.who, "method": method, "why": outcome, **more})
        self._audit.append(
            "refused",
            who=caller.who,
            peer=caller.peer,
            method=method[:_TEXT_LIMIT],
            outcome=outcome[:_TEXT_LIMIT],
            arguments=more,
        )
