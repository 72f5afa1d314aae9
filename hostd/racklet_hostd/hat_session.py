"""One talk with a HAT: a HostLink on an open port, bounded in what the port may bring."""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from racklet.link.v1 import link_pb2
from racklet_hostd.clock import Clock
from racklet_hostd.errors import StoreError
from racklet_hostd.refusals import HatOfflineError, NoAnswerError, RefusedError, TooManyRequestsError
from racklet_hostd.serial_port import FULL_BYTES, SerialPort
from racklet_hostd.urgent import urgent_bytes
from racklet_link.events import ConsoleTaken, LinkEvent, LogData, RequestEnded, RequestTimedOut
from racklet_link.frame_reader import is_log_alone
from racklet_link.host import HostLink
from racklet_link.requester import Operation, RequestsFullError

TICK_MS = 100  # a session has its ticks at multiples of it, when something is due
READ_BUDGET_BYTES = 48 << 10  # a tick: three times what a UART at 1,500,000 baud brings; the worst garbage takes 7 ms
GARBAGE_BYTES = 2048  # without one good frame are an error, "garbage": four frames of the greatest length
ANSWERS_FOR_MS = 2000  # after a HAT was asked or typed to, nothing that it says waits for more than 20 ms
# Console bytes that come so late, and so many together, were held back: the terminal and its driver, which hold 6 to
# 12 KiB, were full, and the HAT's ring fills. What came in time is no older than what a HAT gathers, which is 40 ms.
HELD_BACK_MS = 50
# Few takings cost less than many. So of a port that brings FAST_BYTES_A_SECOND, what holds nothing but console bytes is
# kept, unread, until it is worth a sync; at the latest until the first look at the port after KEPT_MS.
FAST_BYTES_A_SECOND = 65_536
KEPT_FROM_BYTES = 1024  # at once: less is no sign of how fast a port is
KEPT_MS = 300
_HOST_SESSIONS = (1 << 30) - 1  # small integers on the HAT

Answer = link_pb2.Reply | RefusedError


@dataclass(frozen=True, slots=True)
class GarbageStarted:
    """GARBAGE_BYTES came, and no good frame was among them. Told once until a good frame comes."""


@dataclass(frozen=True, slots=True)
class ConsoleRoom:
    """The HAT has taken console input, so that more can be typed."""


HatNews = LinkEvent | GarbageStarted | ConsoleRoom


class HatSession:
    """The talk over one opening of a port. `take_news` gets what the HAT tells, in order.

    A port that brings more than READ_BUDGET_BYTES in TICK_MS is left unread for the rest of it. When `take_news` raises
    a StoreError the talk ends: what a HAT sends and the store refuses is not acknowledged, and comes again.

    Attributes:
        node: whom its refusals are about: the node, or while that is not known the slot.
    """

    def __init__(
        self,
        node: str,
        telemetry_period_ms: int,
        clock: Clock,
        take_news: Callable[[HatNews], None],
        key_of: Callable[[bytes], bytes | None],
    ) -> None:
        self.node = node
        self._clock = clock
        self._take_news = take_news
        host_session = 1 + secrets.randbelow(_HOST_SESSIONS)
        self.link = HostLink(host_session, telemetry_period_ms, clock.monotonic_ms(), key_of, secrets.token_bytes)
        self._port: SerialPort | None = None
        self._answers: dict[int, asyncio.Future[Answer]] = {}
        self._budget_bytes = READ_BUDGET_BYTES
        self._budget_ms = 0  # from when on it counts
        self._timer: asyncio.TimerHandle | None = None
        self._kept: list[bytes] = []  # of the port, not yet given to the link
        self._kept_bytes = 0
        self._kept_ms = 0  # since when
        self._received_ms = 0
        self._received_tail = b""  # a frame may begin in it
        self._is_held_back = False
        self._frames = 0
        self._garbage_bytes = 0
        self._asked_ms = -ANSWERS_FOR_MS
        self._end = ""

    async def open(self, path: Path) -> None:
        """Open the port. Raises PortUnavailableError."""
        self._port = await SerialPort.open(path, self._receive)

    async def serve(self) -> str:
        """Talk until the port is gone; return why. Cancelling closes the port."""
        if self._port is None:
            raise RuntimeError("the port was not opened")
        try:
            self._tick()
            await self._port.wait_closed()
            self.take_kept()
        finally:
            if self._timer is not None:
                self._timer.cancel()
            await self._port.close()
            self._port = None
            self.end_requests(HatOfflineError(self.node, "it went away before it answered"))
        return self._end or "it was unplugged"

    def adopt(self, hat_id: bytes) -> None:
        """Agree on a key with the HAT; KeyAgreed tells when it has."""
        self.link.adopt(hat_id, self._clock.monotonic_ms())
        self._ask()

    def knock(self) -> None:
        """Begin the talk anew."""
        self.link.knock(self._clock.monotonic_ms())
        self._ask()

    def end(self, why: str) -> None:
        """Close the port, for this reason."""
        self._end = self._end or why
        if self._port is not None:
            self._port.abort()

    @property
    def sends_garbage(self) -> bool:
        """True while bytes come and no good frame is among them."""
        return self._garbage_bytes >= GARBAGE_BYTES

    def request(self, operation: Operation, timeout_ms: int) -> asyncio.Future[Answer]:
        """Ask the HAT; the future gets its final reply, or why there is none. It never raises, and may be abandoned."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        try:
            request_id = self.link.request(operation, timeout_ms, self._clock.monotonic_ms())
        except RequestsFullError:
            answer.set_result(TooManyRequestsError(self.node))
            return answer
        self._answers[request_id] = answer
        self._ask()
        return answer

    def end_requests(self, why: RefusedError) -> None:
        """Answer every request that waits with `why`."""
        for answer in self._answers.values():
            answer.set_result(why)
        self._answers.clear()

    def type_console(self, data: bytes) -> int:
        """Type on the node's console; return how many bytes were taken. ConsoleRoom tells when there is room again."""
        taken = self.link.type_console(data, self._clock.monotonic_ms())
        self._ask()
        return taken

    def write_output(self) -> None:
        """Send what the link has to say."""
        output = self.link.take_output()
        if output and self._port is not None:
            self._port.write(output)

    def take_kept(self) -> None:
        """Take now what may wait: for a sync of everything that came."""
        data = b"".join(self._kept)
        self._kept.clear()
        self._kept_bytes = 0
        if data:
            self._dispatch(self.link.receive(data, self._clock.monotonic_ms()))
            self._watch_for_garbage(len(data))

    def _ask(self) -> None:
        """Send what wants an answer; see to it until the HAT has given it."""
        self.write_output()
        if self._port is not None:
            self._asked_ms = self._clock.monotonic_ms()
            self._port.hurry()
            self._wake_in(0)

    def _receive(self, data: bytes) -> bool:
        """Take what came; return whether what follows should come soon."""
        now_ms = self._clock.monotonic_ms()
        if not self._kept:
            self._kept_ms = now_ms
        self._kept.append(data)
        self._kept_bytes += len(data)
        if not self._may_wait(data, now_ms):
            self.take_kept()
            self._is_held_back = len(data) >= FULL_BYTES and self.link.log_lag_ms >= HELD_BACK_MS
        self._received_ms, self._received_tail = now_ms, (self._received_tail + data)[-2:]
        if now_ms - self._budget_ms >= TICK_MS:
            self._budget_ms, self._budget_bytes = now_ms, READ_BUDGET_BYTES
        self._budget_bytes -= len(data)
        if self._budget_bytes <= 0 and self._port is not None:
            self.take_kept()
            self._port.pause()
            self._wake_in(0)
        return self._is_held_back or now_ms - self._asked_ms < ANSWERS_FOR_MS

    def _may_wait(self, data: bytes, now_ms: int) -> bool:
        """Tell whether what is kept, of which `data` came last, can be taken together with what follows soon."""
        if len(data) < KEPT_FROM_BYTES or len(data) * 1000 < FAST_BYTES_A_SECOND * (now_ms - self._received_ms):
            return False
        if now_ms - self._kept_ms >= KEPT_MS or now_ms - self._asked_ms < ANSWERS_FOR_MS:
            return False
        room = urgent_bytes(self.link.log_ring_bytes) - self.link.unacknowledged_bytes
        return self._kept_bytes < room and is_log_alone(self._received_tail + data)

    def _tick(self) -> None:
        self._timer = None
        now_ms = self._clock.monotonic_ms()
        self._dispatch(self.link.tick(now_ms))
        if self._port is None or self._end:
            return
        if self._budget_bytes <= 0:
            self._budget_ms, self._budget_bytes = now_ms, READ_BUDGET_BYTES
            self._port.resume()
        self._wake_in(self.link.due_ms - now_ms)

    def _wake_in(self, delay_ms: int) -> None:
        """Let the next tick come in `delay_ms`, or before, or up to TICK_MS later: when others have theirs as well."""
        loop = asyncio.get_running_loop()
        tick_s = TICK_MS / 1000
        at_s = ((loop.time() + max(0, delay_ms) / 1000) // tick_s + 1) * tick_s
        if self._timer is not None:
            if self._timer.when() <= at_s:
                return
            self._timer.cancel()
        self._timer = loop.call_at(at_s, self._tick)

    def _watch_for_garbage(self, count: int) -> None:
        frames, self._frames = self._frames, self.link.counters.frames_received
        if self._frames != frames:
            self._garbage_bytes = 0
            return
        stretches = self._garbage_bytes // GARBAGE_BYTES
        self._garbage_bytes += count
        more = self._garbage_bytes // GARBAGE_BYTES - stretches
        self.link.counters.errors["garbage"] += more
        if more and not stretches:
            self._dispatch([GarbageStarted()])

    def _dispatch(self, events: list[LinkEvent] | list[GarbageStarted]) -> None:
        try:
            for event in events:
                self._take(event)
        except StoreError as error:
            self._end = f"what it sends cannot be stored: {error}"
            if self._port is not None:
                self._port.abort()
            return
        self.write_output()

    def _take(self, event: LinkEvent | GarbageStarted) -> None:
        match event:
            case LogData():  # first, since most are
                self._take_news(event)
            case RequestEnded(request_id, reply):
                self._settle(request_id, reply)
            case RequestTimedOut(request_id, hat_restarted):
                why = "restarted before it answered" if hat_restarted else "gave no final answer in time"
                self._settle(request_id, NoAnswerError(self.node, why))
            case ConsoleTaken():
                self._take_news(ConsoleRoom())
            case _:
                self._take_news(event)

    def _settle(self, request_id: int, answer: Answer) -> None:
        waiting = self._answers.pop(request_id, None)
        if waiting is not None:
            waiting.set_result(answer)
