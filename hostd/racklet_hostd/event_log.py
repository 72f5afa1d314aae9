"""The events of the rack, with a wake-up for those who follow them."""

from racklet.link.v1 import link_pb2
from racklet_hostd import hat_events
from racklet_hostd.bell import Bell
from racklet_hostd.store import Event, EventStore, Waveform

_SAMPLE_BYTES = 4
_INDEX_MAX = 1000


class EventLog:
    """An EventStore that rings `grown` whenever it has grown."""

    def __init__(self, store: EventStore) -> None:
        self.store = store
        self.grown = Bell()

    def record(self, node: str, at_ms: int, kind: str, message: str) -> Event:
        """Record something that hostd noticed itself. `node` is "" when it concerns the rack."""
        event = self.store.append(node, at_ms, kind, message)
        self.grown.ring()
        return event

    def record_from_hat(self, node: str, hat_session: int, event: link_pb2.Event, at_ms: int, lost_before: int) -> None:
        """Record what a HAT tells; once, however often it tells it."""
        kind, message = hat_events.describe(event)
        waveform = None
        if event.samples:
            waveform = _waveform(event, self.store.number_of(node, hat_session, event.detail))
            message = f"{message} `racklet events --waveform {waveform.about}` shows them."
        self.store.append(
            node,
            at_ms,
            kind,
            message,
            hat_sequence=event.sequence,
            hat_session=hat_session,
            lost_before=lost_before,
            waveform=waveform,
        )
        self.grown.ring()


def _waveform(event: link_pb2.Event, about: int) -> Waveform:
    """Return the samples with the oldest first: the HAT sends the ring as it lies in its memory."""
    samples = event.samples[: len(event.samples) // _SAMPLE_BYTES * _SAMPLE_BYTES]
    start = _SAMPLE_BYTES * event.limit if 0 <= event.limit < len(samples) // _SAMPLE_BYTES else 0
    first_index = max(-_INDEX_MAX, min(event.value, _INDEX_MAX))
    return Waveform(about, first_index, samples[start:] + samples[:start])
