"""The events of the rack."""

from collections import Counter, deque
from dataclasses import dataclass, replace
from itertools import islice
from threading import Lock

from racklet_hostd.store.database import MAX_INTEGER, Database
from racklet_hostd.store.model import Event, Waveform, bounded_ms
from racklet_hostd.store.rows import EventRow

PENDING_LIMIT = 10_000  # events that wait for a sync; then the oldest is dropped, and counted
MESSAGE_LIMIT = 500  # characters
# Numbers up to here beyond the newest may be given out before the next sync. After a crash they are not used again.
SEQUENCES_AHEAD = 1 << 20

_CEILING = "event_ceiling"
_RETIRED = "retired_events"

Events = list[Event]


@dataclass(frozen=True)
class EventBatch:
    """What one sync takes, and how many of the oldest it throws away. `newest` is the newest number given out."""

    rows: tuple[EventRow, ...]
    newest: int
    forgotten: int

    def __bool__(self) -> bool:
        """Whether it changes anything."""
        return bool(self.rows or self.forgotten)

    def hat_sequences(self) -> dict[str, dict[int, int]]:
        """Return by node and HAT session the number below which the events are stored with this batch."""
        sequences: dict[str, dict[int, int]] = {}
        for row in self.rows:
            if row.hat_session is not None and row.hat_sequence is not None:
                of_node = sequences.setdefault(row.event.node, {})
                of_node[row.hat_session] = max(of_node.get(row.hat_session, 0), row.hat_sequence + 1)
        return sequences


class EventStore:
    """Everything that happened, in the order in which hostd heard of it. May be used from several threads.

    Attributes:
        retired: how many events were thrown away as the oldest beyond the limit, as far as that is durable.
    """

    def __init__(self, database: Database, kept: int) -> None:
        self.retired = database.counter(_RETIRED)
        self._database = database
        self._limit = kept
        self._lock = Lock()
        self._newest = database.counter(_CEILING)
        self._kept = database.event_count()
        self._pending: deque[EventRow] = deque()  # the sync under way has taken the first `_taken` of them
        self._taken = 0
        self._by_hat: dict[tuple[str, int, int], Event] = {}  # those of them that come from HATs
        self._lost: Counter[str] = Counter()
        with database.transaction():
            database.save_counter(_CEILING, self._newest + SEQUENCES_AHEAD)

    @property
    def newest_sequence(self) -> int:
        """The sequence of the newest event; that of the last one of an earlier run or more before the first of this."""
        return self._newest

    def append(  # noqa: PLR0913  what an event is made of
        self,
        node: str,
        at_ms: int,
        kind: str,
        message: str,
        *,
        hat_sequence: int | None = None,
        hat_session: int | None = None,
        lost_before: int = 0,
        waveform: Waveform | None = None,
    ) -> Event:
        """Record an event, durable after the next sync. A HAT's event that is recorded already is returned as it is.

        The message is cut to MESSAGE_LIMIT. When PENDING_LIMIT events wait for a sync, the oldest is dropped and
        counted in `lost_before` of the node's next one.
        """
        with self._lock:
            place = None if hat_session is None or hat_sequence is None else (node, hat_session, hat_sequence)
            known = self._known(place)
            if known is not None:
                return known
            if len(self._pending) >= PENDING_LIMIT:
                self._drop_oldest()
            self._newest += 1
            message = message[:MESSAGE_LIMIT].encode(errors="replace").decode()
            lost_before += self._lost.pop(node, 0)
            event = Event(self._newest, node, bounded_ms(at_ms), kind, message, lost_before)
            if waveform is not None:
                event = replace(event, **waveform._asdict())
            self._pending.append(EventRow(event, hat_session, hat_sequence))
            if place is not None:
                self._by_hat[place] = event
            return event

    def number_of(self, node: str, hat_session: int, hat_sequence: int) -> int:
        """Return the sequence of a HAT's event; 0 when it is not recorded."""
        with self._lock:
            known = self._known((node, hat_session, hat_sequence))
            return known.sequence if known else 0

    def list(self, node: str | None, before: int | None, limit: int) -> Events:
        """Return at most `limit` events below sequence `before`, newest first; those of one node, or all."""
        before = MAX_INTEGER if before is None else before
        pending, first = self._waiting(node)
        found = list(islice((event for event in reversed(pending) if event.sequence < before), limit))
        found += self._database.events_before(node, min(before, first), limit - len(found))
        return found

    def since(self, sequence: int, limit: int, node: str | None = None) -> Events:
        """Return at most `limit` events from `sequence` on, oldest first; those of one node, or all."""
        pending, first = self._waiting(node)
        stored = self._database.events_since(node, sequence, limit)
        found = [event for event in stored if event.sequence < first]
        found += islice((event for event in pending if event.sequence >= sequence), limit - len(found))
        return found

    # What follows is for Store.sync.

    def take(self) -> EventBatch:
        """Begin a sync: return what is to be stored."""
        with self._lock:
            self._taken = len(self._pending)
            excess = self._kept + self._taken - self._limit
            return EventBatch(tuple(self._pending), self._newest, max(0, excess))

    def save(self, batch: EventBatch) -> None:
        """Write the batch into the index, within its transaction, and throw away what is beyond the limit."""
        if batch.rows:
            self._database.save_counter(_CEILING, batch.newest + SEQUENCES_AHEAD)
            for row in batch.rows:
                self._database.save_event(row)
        if batch.forgotten:
            self._database.forget_events(batch.forgotten)
            self._database.save_counter(_RETIRED, self.retired + batch.forgotten)

    def commit(self, batch: EventBatch) -> None:
        """End a sync: the batch is durable."""
        with self._lock:
            for row in batch.rows:
                self._pending.popleft()
                self._forget_place(row)
            self._taken = 0
            self._kept += len(batch.rows) - batch.forgotten
            self.retired += batch.forgotten

    def put_back(self) -> None:
        """End a sync that failed: the next one takes it all again."""
        with self._lock:
            self._taken = 0

    def close(self) -> None:
        """Say that no number beyond the newest was given out."""
        with self._database.transaction():
            self._database.save_counter(_CEILING, self._newest)

    def _known(self, place: tuple[str, int, int] | None) -> Event | None:
        if place is None:
            return None
        return self._by_hat.get(place) or self._database.hat_event(*place)

    def _drop_oldest(self) -> None:
        """Drop the oldest event that no sync has taken, if there is one."""
        if self._taken < len(self._pending):
            row = self._pending[self._taken]
            del self._pending[self._taken]
            self._forget_place(row)
            self._lost[row.event.node] += 1 + row.event.lost_before

    def _forget_place(self, row: EventRow) -> None:
        if row.hat_session is not None and row.hat_sequence is not None:
            self._by_hat.pop((row.event.node, row.hat_session, row.hat_sequence), None)

    def _waiting(self, node: str | None) -> tuple[Events, int]:
        """Return the events of `node` that no sync has stored, and the number below which all others lie."""
        with self._lock:
            first = self._pending[0].event.sequence if self._pending else MAX_INTEGER
            return [row.event for row in self._pending if node in {None, row.event.node}], first
