"""The replies the HAT keeps, so that a repeated request is answered again and never executed again."""

from array import array

from racklet_link import messages
from racklet_link.kernels import const
from racklet_link.message import Message

_REPLY_ID = const(0)
_REPLY_RESULT = const(1)
_RESULT_PENDING = const(2)

_REPLY_SLOTS = const(9)
_WIDTH = const(_REPLY_SLOTS + 1)
_DUE = const(0)  # words of one reply: 1 while it waits to be sent, then the Reply's slots


class ReplyCache:
    """The newest replies of one host session, in fixed memory."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._words = array("i", bytes(4 * _WIDTH * capacity))
        self._forgotten = 0  # the highest id whose reply is gone
        self.is_due = False  # one may wait to be sent

    def clear(self) -> None:
        """Forget everything: a new host session counts from 1 again."""
        self._forgotten = 0
        for index in range(len(self._words)):
            self._words[index] = 0

    def repeat(self, request_id: int) -> bool:
        """If the request is known, let its reply be sent again and return True."""
        at = self._find(request_id)
        if at < 0:
            return False
        self._words[at + _DUE] = 1
        self.is_due = True
        return True

    def is_pending(self, request_id: int) -> bool:
        """Tell whether the reply to this id is kept and not final."""
        at = self._find(request_id)
        return at >= 0 and self._words[at + 1 + _REPLY_RESULT] == _RESULT_PENDING

    def is_stale(self, request_id: int) -> bool:
        """Tell whether the reply to this id may have been forgotten."""
        return request_id <= self._forgotten

    def has_room(self) -> bool:
        """False when every kept reply is pending: hostd has sent more requests at once than it may."""
        return self._replaceable() >= 0

    def put(self, reply: Message) -> None:
        """Keep `reply`, to be sent. It replaces that of the same id, else the final one of the lowest id."""
        at = self._find(reply.slots[_REPLY_ID])
        if at < 0:
            at = self._replaceable()
            self._forgotten = max(self._forgotten, self._words[at + 1 + _REPLY_ID])
        words = self._words
        words[at + _DUE] = 1
        self.is_due = True
        for slot in range(_REPLY_SLOTS):
            words[at + 1 + slot] = reply.slots[slot]

    def next_reply(self, reply: Message) -> bool:
        """Fill `reply` with one that waits to be sent; False when there is none."""
        words = self._words
        for place in range(self._capacity):
            at = place * _WIDTH
            if words[at + _DUE]:
                words[at + _DUE] = 0
                reply.begin(messages.REPLY)
                for slot in range(_REPLY_SLOTS):
                    reply.slots[slot] = words[at + 1 + slot]
                return True
        self.is_due = False
        return False

    def _find(self, request_id: int) -> int:
        words = self._words
        for place in range(self._capacity):
            at = place * _WIDTH
            if words[at + 1 + _REPLY_ID] == request_id:
                return at
        return -1

    def _replaceable(self) -> int:
        """Return the place of a reply that may go: a free one, else that of the lowest final id, else -1."""
        words = self._words
        best = -1
        for place in range(self._capacity):
            at = place * _WIDTH
            if words[at + 1 + _REPLY_ID] == 0:
                return at
            final = words[at + 1 + _REPLY_RESULT] != _RESULT_PENDING
            if final and (best < 0 or words[at + 1 + _REPLY_ID] < words[best + 1 + _REPLY_ID]):
                best = at
        return best
