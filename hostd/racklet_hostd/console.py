"""Who is at a node's console, and who types."""

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

from racklet_hostd.bell import Bell
from racklet_hostd.hat_session import HatSession
from racklet_hostd.refusals import ConsoleInUseError

NOTICES_KEPT = 8  # the oldest goes: they tell of how things stand, and the newest counts
CALLERS_REMEMBERED = 64  # who was at this console lately and may come back; the one longest away is forgotten


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, as it said itself: `name` for people, `key` to be known by when it comes back; "" for none."""

    name: str = ""
    key: str = ""

    @property
    def word(self) -> str:
        """Whom to tell the others of."""
        return self.name or "somebody"


class ConsoleSeat:
    """One caller at a console, and what there is to tell it.

    Attributes:
        caller: who it is.
        since_ms: the unix time when it came.
        typed_offset: how much of what this caller typed, over all its streams, is with the HAT.
        is_resumed: the caller was known, so that `typed_offset` is exact.
        is_gone: its caller has come back on another stream, and this one is to end.
        company_is_news: who sits here or who writes has changed.
    """

    def __init__(self, caller: Caller, since_ms: int, typed_offset: int, *, is_resumed: bool) -> None:
        self.caller = caller
        self.since_ms = since_ms
        self.typed_offset = typed_offset
        self.is_resumed = is_resumed
        self.is_gone = False
        self.company_is_news = True
        self.notices: deque[str] = deque(maxlen=NOTICES_KEPT)
        self._last = ""

    def tell(self, notice: str) -> None:
        """Leave a notice, unless it repeats the one before."""
        if notice != self._last:
            self._last = notice
            self.notices.append(notice)


class Console:
    """The callers at one node's console. At most one of them types.

    `bell` rings when there is something new: the log grew, the HAT took input or changed its state, a seat was told.
    """

    def __init__(self, node: str, session: Callable[[], HatSession | None]) -> None:
        self.bell = Bell()
        self._node = node
        self._session = session
        self._seats: list[ConsoleSeat] = []
        self._writer: ConsoleSeat | None = None
        self._typed: OrderedDict[str, int] = OrderedDict()  # typed offsets by the callers' keys

    @property
    def seats(self) -> list[tuple[ConsoleSeat, bool]]:
        """Everybody here, in the order they came, and whether it is the one who writes."""
        return [(seat, seat is self._writer) for seat in self._seats]

    def sit(
        self, caller: Caller, since_ms: int, *, writes: bool, take_over: bool = False, input_offset: int = 0
    ) -> ConsoleSeat:
        """Take a seat; `leave` it at the end. A seat that the same caller still has is given up for it.

        Raises ConsoleInUseError when somebody else writes.
        """
        own = next((seat for seat in self._seats if caller.key and seat.caller.key == caller.key), None)
        if writes and not take_over and self._writer is not None and self._writer is not own:
            raise ConsoleInUseError(self._node, self._writer.caller.name)
        if own is not None:
            own.is_gone = True
            self.leave(own)
        known = self._typed.get(caller.key)
        seat = ConsoleSeat(caller, since_ms, input_offset if known is None else known, is_resumed=known is not None)
        self._remember(seat)
        self._seats.append(seat)
        if writes:
            self.take_over(seat)
        self._tell_company()
        return seat

    def leave(self, seat: ConsoleSeat) -> None:
        """Give up a seat."""
        if seat in self._seats:
            self._seats.remove(seat)
            self.stop_writing(seat)
            self._tell_company()

    def take_over(self, seat: ConsoleSeat) -> None:
        """Write from now on; who wrote is told."""
        before, self._writer = self._writer, seat
        if before is not None and before is not seat:
            before.tell(f"{seat.caller.word} took over the console; what you type is no longer sent")
        self._tell_company()

    def stop_writing(self, seat: ConsoleSeat) -> None:
        """Let somebody else write, and go on looking."""
        if self._writer is seat:
            self._writer = None
            self._tell_company()

    def tell_all(self, notice: str) -> None:
        """Leave a notice at every seat."""
        for seat in self._seats:
            seat.tell(notice)
        self.bell.ring()

    async def type(self, seat: ConsoleSeat, data: bytes, offset: int) -> None:
        """Type `data`; return when the link has taken it, which is as fast as the HAT takes it.

        `offset` is where it begins in all that the caller typed: what was typed before is left out. What is typed while
        the HAT is offline, or by who is not the writer, is dropped with a notice: nobody wants old keystrokes to come
        out later. Cancelling drops what is not yet taken.
        """
        data = data[max(0, seat.typed_offset - offset) :]
        while data:
            session = self._session()
            if self._writer is not seat:
                self._refuse(seat, len(data), "you are only looking; what you type is not sent")
                return
            if session is None:
                self._refuse(seat, len(data), "the HAT is offline; what you type is not sent")
                return
            taken = session.type_console(data)
            self._count(seat, taken)
            data = data[taken:]
            if data:
                await self.bell.wait()

    def _refuse(self, seat: ConsoleSeat, count: int, notice: str) -> None:
        self._count(seat, count)  # dropped here and now, and not to be sent again
        seat.tell(notice)
        self.bell.ring()

    def _count(self, seat: ConsoleSeat, count: int) -> None:
        seat.typed_offset += count
        self._remember(seat)
        self.bell.ring()

    def _remember(self, seat: ConsoleSeat) -> None:
        if not seat.caller.key or seat.is_gone:
            return
        self._typed[seat.caller.key] = seat.typed_offset
        self._typed.move_to_end(seat.caller.key)
        if len(self._typed) > CALLERS_REMEMBERED:
            self._typed.popitem(last=False)

    def _tell_company(self) -> None:
        for seat in self._seats:
            seat.company_is_news = True
        self.bell.ring()
