"""What is stored of one node."""

from collections.abc import Mapping
from itertools import islice
from threading import Lock
from weakref import WeakValueDictionary

from racklet_hostd.errors import BadPositionError, NoSuchBootError, StoreBehindError
from racklet_hostd.store.boot_log import BootLog, LogBatch
from racklet_hostd.store.database import MAX_INTEGER, Database
from racklet_hostd.store.hat_counters import CHARGE_MODULUS_UC, ENERGY_MODULUS_UJ, HatPlaces, gone_on
from racklet_hostd.store.model import BootCause, BootSummary, NodeTotals, StoreLimits, bounded_ms
from racklet_hostd.store.node_batch import NodeBatch, Unindexed
from racklet_hostd.store.retention import Retirement
from racklet_hostd.store.rows import BootRow, NodeRow, Segment
from racklet_hostd.store.segments import SegmentFolder
from racklet_hostd.store.sessions import HatSession
from racklet_link.events import StoredPositions

UNSTORED_LIMIT = 64  # boots or sessions between two syncs: no node is as fast; a HAT that says so is broken
UNINDEXED_LIMIT = 16  # boots and sessions that are in memory until the index has them
MAX_COUNT = 1 << 62  # keeps the sum within what SQLite stores


class NodeStore:
    """The boots, the HAT sessions and the counters of one node. May be used from several threads.

    Attributes:
        name: the node's name.
        totals: the counters, as far as they are durable, which is what may be published: they never go back.
    """

    def __init__(
        self, name: str, database: Database, files: SegmentFolder, limits: StoreLimits, places: HatPlaces
    ) -> None:
        self.name = name
        self._database = database
        self._files = files
        self._limits = limits
        self._places = places
        self._hats_seen: set[bytes] = set()  # that no sync has stored
        self._lock = Lock()
        row = database.node(name) or NodeRow(name, 1, NodeTotals())
        self.totals = row.totals
        self._next_boot = row.next_boot
        self._energy_uj, self._charge_uc = row.totals.energy_uj, row.totals.charge_uc
        self._lost_bytes = 0  # of boots that were lost as a whole and that no sync has counted
        self._lost_bytes_taken = 0
        self._attached: HatSession | None = None
        self._boot_continues = False
        self._sessions: dict[int, HatSession] = {}  # the attached one, and those that no sync has stored
        self._logs: WeakValueDictionary[int, BootLog] = WeakValueDictionary()  # all that somebody holds
        self._live: dict[int, BootLog] = {}  # those that may still grow
        sizes = database.segment_files(name)
        files.tidy(name, sizes)
        self._plain = {  # what is worth compressing, by boot and start, in the order in which it was found
            (file.boot, file.start): None
            for file, size in sizes.items()
            if not file.is_compressed and size > limits.plain_bytes
        }
        self._unindexed = Unindexed()
        self._boots_kept = database.boot_count(name)
        self._size_kept = sum(sizes.values())
        for newest in database.boots(name, MAX_INTEGER, 1):
            self._live[newest.number] = self._log(newest.number)

    @property
    def newest(self) -> BootLog | None:
        """The log of the newest boot; None before the first."""
        with self._lock:
            return self._newest()

    @property
    def is_attached(self) -> bool:
        """Whether a HAT session was attached since the store was opened."""
        return self._attached is not None

    @property
    def energy_uj(self) -> int:
        """Energy the node took, as far as it is durable, so that what was published never goes back."""
        return self.totals.energy_uj

    def attach(
        self,
        hello_session: int,
        hat_id: bytes,
        boot_continues: bool,  # noqa: FBT001  Hello's
        *,
        counters_continue: bool = False,
    ) -> StoredPositions:
        """Take up a HAT session and return what is durable of it: 0, 0, 1 when it is new.

        From where its counters are counted says docs/decisions/0006-who-owns-a-joule.md.

        Raises:
            StoreBehindError: UNSTORED_LIMIT sessions wait for a sync already.
        """
        with self._lock:
            session = self._session(hello_session, hat_id, counters_continue=counters_continue)
            before = self._places.move(hat_id, self.name)
            if before != self.name:
                self._hats_seen.add(hat_id)
                session.is_dirty = True
                if before is not None:
                    session.energy_uj = session.charge_uc = None
            if session is not self._attached:
                self._leave()
                session.resume()
                self._live.update((log.number, log) for log in session.logs.values())
                self._sessions[hello_session] = self._attached = session
            self._boot_continues = boot_continues and before in {None, self.name}
            return session.stored

    def positions(self) -> StoredPositions:
        """Return what is durable of the attached session; raise BadPositionError when there is none."""
        with self._lock:
            return self._required_session().stored

    def begin_boot(
        self, hat_boot: int, start_ms: int, *, cause: BootCause, lost_boots: int, lost_bytes: int = 0
    ) -> BootLog:
        """Return the log of the attached session's boot `hat_boot`, which begins unless it has begun already.

        When it is the session's first and was running before the HAT started, it goes on in the newest log behind a
        gap of unknown length, "hat_restart"; not so when the HAT was last seen in another slot, where that log
        is. Lost boots before it take a number each; `lost_bytes`, their size, counts in the totals.

        Raises:
            BadPositionError: the HAT went on to a later boot before, and all of it is acknowledged.
            StoreBehindError: UNSTORED_LIMIT boots wait for a sync already.
        """
        with self._lock:
            session = self._required_session()
            log = session.logs.get(hat_boot)
            if log is not None:
                return log
            self._require_next(session, hat_boot)
            log = self._newest() if hat_boot == 1 and self._boot_continues else None
            if log is None:
                log = self._new_log(start_ms, lost_boots, cause)
            else:
                log.go_on(start_ms)
            session.logs[hat_boot] = log
            session.is_dirty = True
            self._lost_bytes += lost_bytes
            return log

    def hat_boot_log(self, hat_boot: int) -> BootLog | None:
        """Return the log of the attached session's boot `hat_boot`; None when that has not begun or is long stored."""
        with self._lock:
            return self._required_session().logs.get(hat_boot)

    def boot_log(self, number: int) -> BootLog:
        """Return the log of boot `number`; raise NoSuchBootError."""
        with self._lock:
            return self._log(number)

    def boot_at(self, unix_ms: int) -> BootLog | None:
        """Return the log of the newest boot that had begun by then, else of the oldest; None before the first boot."""
        with self._lock:
            live = [number for number, log in self._live.items() if log.start_ms <= unix_ms]
            stored = self._database.boot_at(self.name, unix_ms)
            begun = live if stored is None else [*live, stored]
            first = self._database.oldest_number(self.name)
            kept = self._live if first is None else [*self._live, first]
            number = max(begun, default=min(kept, default=None))
            return None if number is None else self._log(number)

    def boots(self, before: int | None, limit: int) -> list[BootSummary]:
        """Return at most `limit` boots with numbers below `before`, newest first."""
        before = MAX_INTEGER if before is None else before
        with self._lock:
            live = {number: log for number, log in self._live.items() if number < before}
            rows = {row.number: row for row in self._database.boots(self.name, before, limit)}
        newest_first = sorted(live.keys() | rows.keys(), reverse=True)[:limit]
        return [live[number].summary() if number in live else rows[number].summary() for number in newest_first]

    def add_energy(self, session: int, energy_uj: int) -> int:
        """Fold in the energy counter of the attached session; return the node's total, durable after the next sync.

        A counter that goes back adds nothing until it is where it was. Publish `energy_uj`, not what this returns.

        Raises:
            BadPositionError: the session is not attached, or no node can have taken so much.
        """
        with self._lock:
            attached = self._counting_session(session, energy_uj, self._energy_uj, "uJ")
            gone_uj = gone_on(attached.energy_uj, energy_uj, ENERGY_MODULUS_UJ)
            if gone_uj is not None:
                self._energy_uj += gone_uj
                attached.is_dirty |= attached.energy_uj is None  # from here on it counts
                attached.has_energy |= attached.energy_uj != energy_uj
                attached.energy_uj = energy_uj
            return self._energy_uj

    def add_charge(self, session: int, charge_uc: int) -> int:
        """Fold in the charge counter of the attached session, as `add_energy` does with the energy's."""
        with self._lock:
            attached = self._counting_session(session, charge_uc, self._charge_uc, "uC")
            gone_uc = gone_on(attached.charge_uc, charge_uc, CHARGE_MODULUS_UC)
            if gone_uc is not None:
                self._charge_uc += gone_uc
                attached.is_dirty |= attached.charge_uc is None  # from here on it counts
                attached.has_energy |= attached.charge_uc != charge_uc
                attached.charge_uc = charge_uc
            return self._charge_uc

    # What follows is for Store.sync.

    def take(self, event_sequences: Mapping[int, int], *, idle_too: bool) -> NodeBatch | None:
        """Begin a sync: return what is to be stored, if anything is, all as it is at this moment.

        `event_sequences` tells by HAT session which events are stored with it. Energy alone is only stored `idle_too`.
        """
        with self._lock:
            for number, sequence in event_sequences.items():
                if session := self._sessions.get(number):
                    session.is_dirty |= sequence > session.event_sequence
                    session.event_sequence = max(session.event_sequence, sequence)
            logs = [batch for log in self._live.values() if (batch := log.take())]
            sessions = list(self._sessions.values())
            if not logs and not any(session.is_dirty or (idle_too and session.has_energy) for session in sessions):
                return None
            sessions = [each for each in sessions if each.is_dirty or each.has_energy or (logs and each.logs)]
            for session in sessions:
                session.is_dirty = session.has_energy = False
            totals = self.totals._replace(
                energy_uj=self._energy_uj,
                charge_uc=self._charge_uc,
                log_lost_bytes=self.totals.log_lost_bytes + self._lost_bytes,
            )
            self._lost_bytes_taken = self._lost_bytes
            rows = [(session, session.row()) for session in sessions]
            node = NodeRow(self.name, self._next_boot, totals)
            return NodeBatch(logs, rows, node, self._places.of(self._hats_seen))

    def drop(self, batch: LogBatch, reason: str) -> int:
        """Put a gap in the place of what the disk did not take; return how many bytes that loses."""
        with self._lock:
            return batch.log.drop(batch, reason)

    def commit(self, batch: NodeBatch) -> None:
        """End a sync: the batch is durable."""
        with self._lock:
            for taken in batch.logs:
                taken.log.commit(taken)
                if taken.segment is not None and taken.segment.size > self._limits.plain_bytes:
                    self._plain[taken.row.number, taken.segment.start] = None
            for session, row in batch.sessions:
                session.commit(row)
            self.totals = batch.node.totals
            self._lost_bytes -= self._lost_bytes_taken
            self._hats_seen -= batch.hats.keys()
            self._boots_kept += batch.new_boots
            self._size_kept += batch.written_bytes
            self._unindexed.add(batch)

    def put_back(self, batch: NodeBatch) -> None:
        """End a sync that failed: the next one takes it all again."""
        with self._lock:
            for taken in batch.logs:
                taken.log.put_back()
            for session, _ in batch.sessions:
                session.is_dirty = True

    # What follows is for the upkeep between two syncs.

    @property
    def is_unindexed(self) -> bool:
        """Whether the journal has something that the index has not."""
        return bool(self._unindexed)

    @property
    def is_over_limits(self) -> bool:
        """Whether there is more than should be: on the disk, or in memory until the index has it."""
        limits = self._limits
        is_too_much = self._boots_kept > limits.boots_per_node or self._size_kept > limits.log_bytes_per_node
        return is_too_much or len(self._unindexed.boots) + len(self._unindexed.sessions) > UNINDEXED_LIMIT

    def save_index(self, cutoff_ms: int) -> Retirement:
        """Write what the journal has into the index, within its transaction; throw away what is beyond the limits.

        Also what is from before the unix time `cutoff_ms`, unless that is 0.
        """
        with self._lock:
            in_use = self._used()
            retirement = Retirement(self._boots_kept, self._size_kept, cutoff_ms=cutoff_ms)
        self._unindexed.save(self._database, self.name)  # which only syncs change
        retirement.apply(self._database, self.name, self._limits, in_use)
        self._database.save_node(NodeRow(self.name, self._next_boot, self._totals_after(retirement)))
        return retirement

    def commit_index(self, retirement: Retirement) -> None:
        """Take in that the index is durable."""
        with self._lock:
            self.totals = self._totals_after(retirement)
            self._boots_kept, self._size_kept = retirement.boots, retirement.size
            for number in retirement.retired:
                if log := self._logs.get(number):
                    log.retire()
            for number, start in retirement.shortened.items():
                if log := self._logs.get(number):
                    log.forget_before(start)
            for file in retirement.files:
                self._plain.pop((file.boot, file.start), None)
            self._unindexed = Unindexed()
            self._let_go()
        self._files.remove(retirement.files)

    def closed_segments(self, limit: int) -> list[tuple[int, Segment]]:
        """Return at most `limit` segments that get no more bytes and are worth compressing, each with its boot."""
        with self._lock:
            growing = {(log.number, log.growing_start) for log in self._live.values()}
            open_ones = growing | self._unindexed.segments.keys()
            closed = islice((key for key in self._plain if key not in open_ones), limit)
            found = [(boot, self._log(boot).segment(start)) for boot, start in closed]
        return [(boot, segment) for boot, segment in found if segment is not None]

    def leave_plain(self, boot: int, segment: Segment) -> None:
        """Do not tell of this segment again until the store is opened the next time."""
        with self._lock:
            self._plain.pop((boot, segment.start), None)

    def replace_segment(self, boot: int, before: Segment, after: Segment) -> None:
        """Read a segment from its other file from now on, of which the index knows already."""
        with self._lock:
            self._plain.pop((boot, before.start), None)
            self._size_kept += after.size - before.size
            if log := self._logs.get(boot):
                log.replace(after)

    def _totals_after(self, retirement: Retirement) -> NodeTotals:
        return self.totals._replace(
            retired_boots=self.totals.retired_boots + len(retirement.retired),
            retired_bytes=self.totals.retired_bytes + retirement.log_bytes,
        )

    def _newest(self) -> BootLog | None:
        return self._live[max(self._live)] if self._live else None

    def _required_session(self) -> HatSession:
        if self._attached is None:
            raise BadPositionError(self.name, "no HAT session is attached")
        return self._attached

    def _require_next(self, session: HatSession, hat_boot: int) -> None:
        if hat_boot < max(1, session.newest_boot):
            raise BadPositionError(self.name, f"the HAT began boot {hat_boot} after boot {session.newest_boot}")
        if sum(log.stored is None for log in self._live.values()) >= UNSTORED_LIMIT:
            raise StoreBehindError(self.name, UNSTORED_LIMIT)

    def _counting_session(self, session: int, told: int, total: int, unit: str) -> HatSession:
        attached = self._required_session()
        if session != attached.session or told > MAX_COUNT - total:
            raise BadPositionError(self.name, f"session {session} cannot have counted {told} {unit}")
        return attached

    def _new_session(self, number: int, hat_id: bytes, *, counters_continue: bool) -> HatSession:
        session = HatSession(number, hat_id, energy_uj=0, charge_uc=0)
        if counters_continue:
            newest_first = (self._attached, *reversed(self._sessions.values()), self._stored_session(hat_id))
            before = next((one for one in newest_first if one is not None and one.hat_id == hat_id), None)
            session.energy_uj = before.energy_uj if before else None
            session.charge_uc = before.charge_uc if before else None
        return session

    def _stored_session(self, hat_id: bytes) -> HatSession | None:
        row = self._database.newest_session(self.name, hat_id)
        return HatSession.load(row, None) if row else None

    def _session(self, number: int, hat_id: bytes, *, counters_continue: bool) -> HatSession:
        session = self._sessions.get(number)
        if session is not None and session.hat_id == hat_id:
            return session
        if len(self._sessions) > UNSTORED_LIMIT:
            raise StoreBehindError(self.name, UNSTORED_LIMIT)
        row = self._database.session(self.name, number)
        if row is None or row.hat_id != hat_id:
            return self._new_session(number, hat_id, counters_continue=counters_continue)
        try:
            return HatSession.load(row, self._log(row.boot))
        except NoSuchBootError:
            return HatSession.load(row, None)

    def _leave(self) -> None:
        left = self._attached
        if left is not None:
            left.leave()
            left.is_dirty |= bool(left.logs) or left.has_energy
            if not left.is_dirty and left.session not in self._unindexed.sessions:
                del self._sessions[left.session]

    def _log(self, number: int) -> BootLog:
        if number in self._logs:
            return self._logs[number]
        for row in self._database.boots(self.name, number + 1, 1):
            if row.number == number:
                log = BootLog(self.name, row, self._database.segments(self.name, number), self._files, self._lock)
                log.stored = row
                self._logs[number] = log
                return log
        raise NoSuchBootError(self.name, number)

    def _new_log(self, start_ms: int, lost_boots: int, cause: BootCause) -> BootLog:
        number = self._next_boot + lost_boots
        start_ms = bounded_ms(start_ms)
        row = BootRow(number, start_ms, start_ms, 0, 0, cause, "")
        log = BootLog(self.name, row, (), self._files, self._lock)
        self._next_boot = number + 1
        self._live[number] = self._logs[number] = log
        return log

    def _used(self) -> set[int]:
        """Return the boots that may still grow, or have something that no sync has stored."""
        newest = self._newest()
        in_session = self._attached.logs.values() if self._attached else ()
        dirty = (log for log in self._live.values() if log.is_dirty)
        return {log.number for log in (newest, *in_session, *dirty) if log is not None}

    def _let_go(self) -> None:
        """Forget what the database can tell from here on."""
        used = self._used()
        self._live = {number: log for number, log in self._live.items() if number in used}
        self._sessions = {
            number: session
            for number, session in self._sessions.items()
            if session.is_dirty or session.has_energy or session is self._attached
        }
