"""What the HAT of one node tells for good: recorded, followed by the boot doctor, counted; its last line is kept."""

import logging
from collections import Counter

from racklet.link.v1 import link_pb2
from racklet_hostd.boot_watch import BootWatch
from racklet_hostd.last_line import TAIL_BYTES, ConsoleTail
from racklet_hostd.model import Measurement
from racklet_hostd.recorder import HatRecord, Recorder
from racklet_hostd.store import BootLog, Chunk, NodeStore
from racklet_hostd.urgent import urgent_bytes
from racklet_link.events import BootStarted, Damage, EventReceived, LogData, LogGap, StoredPositions

log = logging.getLogger(__name__)

_SAMPLES_MAX = (1 << 31) - 1  # what the API can tell


class NodeLog:
    """The boot logs of a node, and who reads along while they grow.

    What is taken may raise StoreError: it is not recorded then.

    Attributes:
        watch: the boot doctor at work on the newest boot.
        uart_errors: since hostd started, characters that came damaged from the node, by kind, and "overrun": how often
            the HAT came too late to them.
    """

    def __init__(self, name: str, store: NodeStore, recorder: Recorder, watch: BootWatch) -> None:
        self.watch = watch
        self.uart_errors: Counter[str] = Counter()
        self._name = name
        self._store = store
        self._recorder = recorder
        self._tail = ConsoleTail(_stored_tail(store.newest))
        self._unsynced_bytes = 0
        self._urgent_bytes = urgent_bytes(0)

    @property
    def last_line(self) -> str:
        """The last line the console showed in the newest boot."""
        return self._tail.last_line

    @property
    def is_urgent(self) -> bool:
        """Whether the HAT holds so much that is not stored that it cannot wait for the next sync of everything."""
        return self._unsynced_bytes >= self._urgent_bytes

    def attach(self, hello: link_pb2.Hello) -> StoredPositions:
        """Take up a HAT session; return what is stored of it."""
        self._urgent_bytes = urgent_bytes(hello.log_ring_bytes)
        stored = self._recorder.attach(hello)
        self.watch.take_up(self._recorder.log)
        return stored

    def positions(self) -> StoredPositions:
        """Return what is durable of the HAT session that was taken up last."""
        return self._recorder.positions()

    def take(self, record: HatRecord) -> None:
        """Record what the HAT tells."""
        self._recorder.take(record)
        match record:
            case LogData(data=data, damage=damage):  # first, since most are
                self.watch.follow(self._recorder.log, data)
                self._tail.feed(data)
                self._unsynced_bytes += len(data)
                if damage is not None:
                    self._count(damage)
            case BootStarted():
                self.watch.follow(self._recorder.log, b"")
                self._tail = ConsoleTail()
                newest = self._store.newest
                log.info("boot started", extra={"node": self._name, "boot": newest.number if newest else 0})
            case LogGap(reason=reason):
                self.watch.follow(self._recorder.log, b"")
                self.uart_errors["overrun"] += reason == "GAP_REASON_UART_OVERRUN"
            case EventReceived():
                pass

    def meter(self, telemetry: link_pb2.Telemetry) -> Measurement | None:
        """Take the counters of a Telemetry; return what it measured, None when it measured nothing."""
        measure_ms = self._recorder.take_telemetry(telemetry)
        self.watch.meter(measure_ms, self._recorder.energy_uj)
        return _measurement(telemetry, measure_ms) if telemetry.samples else None

    def prepare_sync(self) -> bool:
        """Do what belongs before a sync: what the boot doctor finds is durable with its bytes.

        Return whether phase or findings have changed.
        """
        self._unsynced_bytes = 0
        return self.watch.look()

    def _count(self, damage: Damage) -> None:
        self.uart_errors.update(framing=damage.framing_errors, parity=damage.parity_errors, **{"break": damage.breaks})


def _stored_tail(newest: BootLog | None) -> bytes:
    if newest is None:
        return b""
    pieces = newest.read(max(0, newest.end - TAIL_BYTES), TAIL_BYTES)
    return b"".join(piece.data for piece in pieces if isinstance(piece, Chunk))


def _measurement(telemetry: link_pb2.Telemetry, measure_ms: int) -> Measurement:
    return Measurement(
        measure_ms=measure_ms,
        supply_uv=telemetry.supply_uv,
        supply_min_uv=telemetry.supply_min_uv,
        supply_max_uv=telemetry.supply_max_uv,
        supply_ua=telemetry.supply_ua,
        supply_min_ua=telemetry.supply_min_ua,
        supply_max_ua=telemetry.supply_max_ua,
        supply_uw=telemetry.supply_uw,
        temperature_mc=telemetry.temperature_mc,
        input_uv=telemetry.input_uv,
        samples=min(telemetry.samples, _SAMPLES_MAX),
    )
