"""The asking side of requests and of console input: numbered, repeated until answered, bounded."""

from __future__ import annotations

from dataclasses import dataclass

from racklet.link.v1 import link_pb2
from racklet_link.events import ConsoleTaken, RequestEnded, RequestTimedOut
from racklet_link.limits import CONSOLE_DATA_MAX, REQUESTS_OUTSTANDING_MAX

REPEAT_EVERY_MS = 300  # until the HAT has answered at all
POLL_EVERY_MS = 1000  # while it says that the request is pending
CONSOLE_BUFFER = 1024  # bytes typed and not yet taken; more are refused

Operation = (
    link_pb2.SetPower
    | link_pb2.Identify
    | link_pb2.SetLimits
    | link_pb2.SetRestore
    | link_pb2.ForgetKey
    | link_pb2.BeginUpdate
    | link_pb2.FinishUpdate
    | link_pb2.ConfirmUpdate
    | link_pb2.AbortUpdate
    | link_pb2.SelfTest
)
_FIELDS: dict[type[Operation], str] = {
    link_pb2.SetPower: "set_power",
    link_pb2.Identify: "identify",
    link_pb2.SetLimits: "set_limits",
    link_pb2.SetRestore: "set_restore",
    link_pb2.ForgetKey: "forget_key",
    link_pb2.BeginUpdate: "begin_update",
    link_pb2.FinishUpdate: "finish_update",
    link_pb2.ConfirmUpdate: "confirm_update",
    link_pb2.AbortUpdate: "abort_update",
    link_pb2.SelfTest: "self_test",
}


class RequestsFullError(Exception):
    """REQUESTS_OUTSTANDING_MAX requests are waiting for their replies."""


@dataclass(slots=True)
class _Outstanding:
    request: link_pb2.Request
    deadline_ms: int
    due_ms: int
    every_ms: int = REPEAT_EVERY_MS


class Requester:
    """Requests of one host session to one HAT session."""

    def __init__(self) -> None:
        self._last_id = 0
        self._outstanding: dict[int, _Outstanding] = {}

    def add(self, operation: Operation, timeout_ms: int, now_ms: int) -> int:
        """Take a request and return its id. Raises RequestsFullError."""
        if len(self._outstanding) >= REQUESTS_OUTSTANDING_MAX:
            raise RequestsFullError
        self._last_id += 1
        request = link_pb2.Request(id=self._last_id)
        field = getattr(request, _FIELDS[type(operation)])
        field.CopyFrom(operation)
        field.SetInParent()  # also one without fields
        self._outstanding[self._last_id] = _Outstanding(request, now_ms + timeout_ms, now_ms)
        return self._last_id

    @property
    def is_busy(self) -> bool:
        """True while a request has no final reply."""
        return bool(self._outstanding)

    def take(self, reply: link_pb2.Reply, now_ms: int) -> list[RequestEnded]:
        """Take a reply: nothing when it is pending, or when nobody waits for it."""
        waiting = self._outstanding.get(reply.id)
        if waiting is None:
            return []
        if reply.result == link_pb2.RESULT_PENDING:
            waiting.every_ms = POLL_EVERY_MS
            waiting.due_ms = now_ms + POLL_EVERY_MS
            return []
        del self._outstanding[reply.id]
        return [RequestEnded(reply.id, reply)]

    def due(self, now_ms: int) -> list[link_pb2.Request]:
        """Return the requests to send now, for the first time or again."""
        due = [waiting for waiting in self._outstanding.values() if waiting.due_ms <= now_ms]
        for waiting in due:
            waiting.due_ms = now_ms + waiting.every_ms
        return [waiting.request for waiting in due]

    def expire(self, now_ms: int) -> list[RequestTimedOut]:
        """Give up what got no final reply in its time."""
        late = [request_id for request_id, waiting in self._outstanding.items() if waiting.deadline_ms <= now_ms]
        for request_id in late:
            del self._outstanding[request_id]
        return [RequestTimedOut(request_id, hat_restarted=False) for request_id in late]

    def abandon(self) -> list[RequestTimedOut]:
        """Give up everything: the HAT restarted, and a repeat might be executed twice."""
        lost = [RequestTimedOut(request_id, hat_restarted=True) for request_id in self._outstanding]
        self._outstanding.clear()
        return lost


class ConsoleTyper:
    """Console input of one host session: each byte typed once."""

    def __init__(self) -> None:
        self._pending = bytearray()  # from `_taken` on
        self._taken = 0  # of this HAT session
        self._taken_before = 0  # of all earlier ones, dropped bytes included
        self._due_ms = 0

    def add(self, data: bytes) -> int:
        """Take as much of `data` as fits into CONSOLE_BUFFER; return how many bytes that is."""
        count = min(len(data), CONSOLE_BUFFER - len(self._pending))
        self._pending += data[:count]
        return count

    @property
    def is_busy(self) -> bool:
        """True while something typed was not taken."""
        return bool(self._pending)

    def take(self, acknowledge: link_pb2.ConsoleAcknowledge, now_ms: int) -> list[ConsoleTaken]:
        """Take an acknowledgement; what lies behind it is due at once if some of it is new."""
        fresh = acknowledge.offset - self._taken
        if not 0 < fresh <= len(self._pending):
            return []
        del self._pending[:fresh]
        self._taken += fresh
        self._due_ms = now_ms
        return [ConsoleTaken(self._taken_before + self._taken)]

    def restart(self) -> list[ConsoleTaken]:
        """Begin again with a HAT that restarted. What was not acknowledged is dropped: it may have been typed."""
        dropped = len(self._pending)
        self._taken_before += self._taken + dropped
        self._taken = 0
        self._pending.clear()
        return [ConsoleTaken(self._taken_before)] if dropped else []

    def due(self, now_ms: int) -> link_pb2.ConsoleInput | None:
        """Return the input to send now, for the first time or again."""
        if not self._pending or now_ms < self._due_ms:
            return None
        self._due_ms = now_ms + REPEAT_EVERY_MS
        return link_pb2.ConsoleInput(offset=self._taken, data=bytes(self._pending[:CONSOLE_DATA_MAX]))
