"""Puts what a HAT tells into the store, with wall times."""

from racklet.link.v1 import link_pb2
from racklet_hostd.clock import Clock
from racklet_hostd.errors import BadPositionError
from racklet_hostd.event_log import EventLog
from racklet_hostd.hat_clock import HatClock
from racklet_hostd.store import BootCause, BootLog, NodeStore
from racklet_link.events import BootStarted, EventReceived, LogData, LogGap, StoredPositions

_SEQUENCE_MAX = (1 << 32) - 2  # the one after it must still fit into an Acknowledge

# What is not here tells that the HAT cannot know the node's beginning.
_CAUSES: dict[int, BootCause] = {
    link_pb2.BOOT_CAUSE_SUPPLY_ON: BootCause.SUPPLY_ON,
    link_pb2.BOOT_CAUSE_BREAK: BootCause.BREAK,
    link_pb2.BOOT_CAUSE_BOOTLOADER: BootCause.BOOTLOADER,
}

HatRecord = BootStarted | LogData | LogGap | EventReceived


class Recorder:
    """The record of one node. Every method may raise StoreError: what it was given is not recorded then.

    Attributes:
        energy_uj: the node's energy counter, also what is not yet durable: for the record, not to publish.
    """

    def __init__(self, store: NodeStore, events: EventLog, clock: Clock) -> None:
        self._store = store
        self._events = events
        self._clock = clock
        self._hat_clock = HatClock(0, 0)
        self._hat_session = 0
        self._hat_boot = 0
        self._log: BootLog | None = None
        self.energy_uj = store.energy_uj

    def attach(self, hello: link_pb2.Hello) -> StoredPositions:
        """Take up a HAT session; return what is stored of it."""
        stored = self._store.attach(
            hello.session, hello.hat_id, hello.boot_continues, counters_continue=hello.counters_continue
        )
        self._hat_session = hello.session
        self._hat_clock = HatClock(hello.at_ms, self._clock.monotonic_ms())
        self._take_up_boot(stored.log_boot)
        return StoredPositions(stored.log_boot, stored.log_offset, stored.event_sequence)

    def positions(self) -> StoredPositions:
        """Return what is durable of the HAT session that was taken up last."""
        stored = self._store.positions()
        return StoredPositions(stored.log_boot, stored.log_offset, stored.event_sequence)

    @property
    def log(self) -> BootLog | None:
        """The boot log that was added to last, or taken up; None when that is closed, or there is none."""
        return self._log

    def take(self, record: HatRecord) -> None:
        """Record what the HAT tells."""
        match record:
            case LogData(boot, offset, at_ms, data, damage):  # first, since most are
                if log := self._log_of(boot):
                    log.append(offset, self._unix_ms(at_ms), data, damage)
            case BootStarted():
                self._begin_boot(record)
            case LogGap(boot, offset, at_ms, lost_bytes, reason):
                if log := self._log_of(boot):
                    word = reason.removeprefix("GAP_REASON_").lower()
                    log.append_gap(offset, self._unix_ms(at_ms), lost_bytes, word)
            case EventReceived(event, lost_before):
                if event.sequence > _SEQUENCE_MAX:
                    raise BadPositionError(self._store.name, f"no HAT has had {event.sequence} events")
                at_ms = self._unix_ms(event.at_ms)
                self._events.record_from_hat(self._store.name, self._hat_session, event, at_ms, lost_before)

    def take_telemetry(self, telemetry: link_pb2.Telemetry) -> int:
        """Add up energy and charge, keep the HAT's clock; return the unix time of the measurement."""
        self._hat_clock.hear(telemetry.at_ms, self._clock.monotonic_ms())
        if telemetry.samples:
            self.energy_uj = self._store.add_energy(self._hat_session, telemetry.energy_uj)
            self._store.add_charge(self._hat_session, telemetry.charge_uc)
        return self._unix_ms(telemetry.at_ms)

    def _begin_boot(self, started: BootStarted) -> None:
        self._log = self._store.begin_boot(
            started.boot,
            self._unix_ms(started.at_ms),
            cause=_CAUSES.get(started.cause, BootCause.FOUND_RUNNING),
            lost_boots=started.lost_boots,
            lost_bytes=started.lost_bytes,
        )
        self._hat_boot = started.boot

    def _log_of(self, hat_boot: int) -> BootLog | None:
        """Return the log; None for a boot that is stored and closed, of which a HAT has nothing to add."""
        if hat_boot != self._hat_boot:
            self._take_up_boot(hat_boot)
        return self._log

    def _take_up_boot(self, hat_boot: int) -> None:
        self._hat_boot = hat_boot
        self._log = self._store.hat_boot_log(hat_boot)

    def _unix_ms(self, hat_ms: int) -> int:
        return self._hat_clock.unix_ms(hat_ms, self._clock.monotonic_ms(), self._clock.unix_ms())
