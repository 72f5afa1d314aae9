"""A node's console: what it shows from now on, and who types."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from racklet_hostd.bell import Bell
from racklet_hostd.hat_session import HatSession
from racklet_hostd.refusals import ConsoleInUseError
from racklet_hostd.store import BootLog, Chunk, NodeStore

CHUNK_BYTES = 32 << 10
BEHIND_LIMIT_BYTES = 256 << 10  # a reader that is further behind sees what is new, not what is old
BEHIND_KEPT_BYTES = 16 << 10
NOTICES_KEPT = 8  # the oldest goes: they tell of how things stand, and the newest counts


@dataclass(frozen=True, slots=True)
class ConsoleOutput:
    """What a console shows next: bytes, after `lost_bytes` that are not shown, or a word to the person before it."""

    data: bytes = b""
    lost_bytes: int = 0
    notice: str = ""


class ConsoleView:
    """Follows the newest boot of a node from now on."""

    def __init__(self, store: NodeStore) -> None:
        self._store = store
        self._log = store.newest
        self._offset = self._log.end if self._log else 0
        self._lost_bytes = 0

    def next_output(self) -> list[ConsoleOutput]:
        """Return what came since the call before, at most CHUNK_BYTES of it; [] when there is nothing."""
        output = self._read(self._log) if self._log else []
        newest = self._store.newest
        if output or newest is None or (self._log and self._log.number == newest.number):
            return output
        self._log, self._offset, self._lost_bytes = newest, 0, 0
        return [ConsoleOutput(notice=f"boot {newest.number} begins")]

    def _read(self, log: BootLog) -> list[ConsoleOutput]:
        if log.end - self._offset > BEHIND_LIMIT_BYTES:
            self._lost_bytes += log.end - BEHIND_KEPT_BYTES - self._offset
            self._offset = log.end - BEHIND_KEPT_BYTES
        output: list[ConsoleOutput] = []
        data = bytearray()
        for piece in log.read(self._offset, CHUNK_BYTES):
            self._offset = piece.end
            if isinstance(piece, Chunk):
                data += piece.data
                continue
            if data:
                output.append(self._shown(data))
                data = bytearray()
            self._lost_bytes += piece.lost_bytes
        if data:
            output.append(self._shown(data))
        return output

    def _shown(self, data: bytearray) -> ConsoleOutput:
        lost_bytes, self._lost_bytes = self._lost_bytes, 0
        return ConsoleOutput(bytes(data), lost_bytes)


class ConsoleSeat:
    """One caller at a console, and what there is to tell it."""

    def __init__(self) -> None:
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
        self._seats: set[ConsoleSeat] = set()
        self._writer: ConsoleSeat | None = None

    def sit(self, *, writes: bool, take_over: bool) -> ConsoleSeat:
        """Take a seat; `leave` it at the end. Raises ConsoleInUseError when somebody else writes."""
        if writes and self._writer is not None and not take_over:
            raise ConsoleInUseError(self._node)
        seat = ConsoleSeat()
        self._seats.add(seat)
        if writes:
            if self._writer is not None:
                self._writer.tell("somebody took over the console; what you type is no longer sent")
            self._writer = seat
            self.bell.ring()
        return seat

    def leave(self, seat: ConsoleSeat) -> None:
        """Give up a seat."""
        self.stop_writing(seat)
        self._seats.discard(seat)

    def stop_writing(self, seat: ConsoleSeat) -> None:
        """Let somebody else write, and go on looking."""
        if self._writer is seat:
            self._writer = None

    def tell_all(self, notice: str) -> None:
        """Leave a notice at every seat."""
        for seat in self._seats:
            seat.tell(notice)
        self.bell.ring()

    async def type(self, seat: ConsoleSeat, data: bytes) -> None:
        """Type `data`; return when the link has taken it, which is as fast as the HAT takes it.

        What is typed while the HAT is offline, or by who is not the writer, is dropped with a notice: nobody wants old
        keystrokes to come out later. Cancelling drops what is not yet taken.
        """
        while data:
            session = self._session()
            if self._writer is not seat:
                self._refuse(seat, "you are only looking; what you type is not sent")
                return
            if session is None:
                self._refuse(seat, "the HAT is offline; what you type is not sent")
                return
            data = data[session.type_console(data) :]
            if data:
                await self.bell.wait()

    def _refuse(self, seat: ConsoleSeat, notice: str) -> None:
        seat.tell(notice)
        self.bell.ring()
