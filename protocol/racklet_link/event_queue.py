"""The HAT's queue of events that hostd has not stored yet."""

from array import array

from racklet_link import messages
from racklet_link.kernels import const, put_time
from racklet_link.message import Message

_EVENT_SEQUENCE = const(0)
_EVENT_AT_MS = const(1)
_EVENT_KIND = const(3)
_EVENT_VALUE = const(4)
_EVENT_LIMIT = const(5)
_EVENT_DETAIL = const(6)
_EVENT_BOOT = const(7)
_EVENT_LOST_BEFORE = const(8)
_EVENT_SAMPLES = const(9)
_EVENT_KIND_WAVEFORM = const(14)

_WORDS = const(7)  # of one event: ms, turns, kind, value, limit, detail, boot


class EventQueue:
    """Numbered events in fixed memory. When it is full the oldest goes, and the next tells how many went.

    Everything below `oldest` is gone or acknowledged, and not sent any more.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._words = array("i", bytes(4 * _WORDS * capacity))
        self.next_sequence = 1
        self.oldest = 1
        self._cursor = 1
        self.acked_sequence = 1  # hostd has everything below
        self.waveform = bytearray()  # what events of kind WAVEFORM carry a part of

    def put(
        self, kind: int, now_ms: int, turns: int, boot: int, value: int = 0, limit: int = 0, detail: int = 0
    ) -> None:
        """Add an event at the end."""
        if self.next_sequence - self.oldest == self._capacity:
            self.oldest += 1
            self._cursor = max(self._cursor, self.oldest)
        words = self._words
        at = self.next_sequence % self._capacity * _WORDS
        words[at] = now_ms
        words[at + 1] = turns
        words[at + 2] = kind
        words[at + 3] = value
        words[at + 4] = limit
        words[at + 5] = detail
        words[at + 6] = boot
        self.next_sequence += 1

    def next_event(self, event: Message) -> bool:
        """Fill `event` with what is at the cursor and move on; False when everything was sent."""
        if self._cursor == self.next_sequence:
            return False
        event.begin(messages.EVENT)
        slots = event.slots
        words = self._words
        at = self._cursor % self._capacity * _WORDS
        slots[_EVENT_SEQUENCE] = self._cursor
        put_time(slots, _EVENT_AT_MS, words[at + 1], words[at])
        slots[_EVENT_KIND] = words[at + 2]
        slots[_EVENT_VALUE] = words[at + 3]
        slots[_EVENT_LIMIT] = words[at + 4]
        slots[_EVENT_DETAIL] = words[at + 5]
        slots[_EVENT_BOOT] = words[at + 6]
        slots[_EVENT_LOST_BEFORE] = self.oldest - self.acked_sequence if self._cursor == self.oldest else 0
        if words[at + 2] == _EVENT_KIND_WAVEFORM:
            after = words[at + 3] == 0
            event.blobs[0] = self.waveform
            slots[_EVENT_SAMPLES] = len(self.waveform) // 2 if after else 0
            slots[_EVENT_SAMPLES + 1] = len(self.waveform) // 2 if after else -4 * words[at + 3]
        self._cursor += 1
        return True

    def acknowledge(self, sequence: int) -> None:
        """Free the events below `sequence`. A number that was never given, or was passed, changes nothing."""
        if self.acked_sequence < sequence <= self.next_sequence:
            self.acked_sequence = sequence
            self.oldest = max(self.oldest, sequence)
            self._cursor = max(self._cursor, sequence)

    def rewind(self, sequence: int) -> None:
        """Send again from `sequence` on, or from the oldest that is held."""
        self._cursor = min(max(sequence, self.oldest), self.next_sequence)
