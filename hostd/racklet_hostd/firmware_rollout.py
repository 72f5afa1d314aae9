"""Updates of HATs' firmware: one HAT after the other, each until it is confirmed, and none after the first failure."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from racklet.link.v1 import link_pb2
from racklet_bundle.bundle import Bundle
from racklet_hostd.caller import Caller
from racklet_hostd.clock import Clock
from racklet_hostd.event_log import EventLog
from racklet_hostd.model import HatState
from racklet_hostd.node import Node
from racklet_hostd.refusals import HatOfflineError, NoAnswerError, RefusedError, UpdateFailedError, UpdateRunningError

log = logging.getLogger(__name__)

RETURN_S: Final = 60  # for a HAT that was unplugged
RESTART_S: Final = 30  # a HAT takes 2 s; a watchdog that has to end new firmware 8 s more
LISTEN_S: Final = 20  # for the first measurement on probation, which a HAT gives 60 s to end
STALL_S: Final = 30  # without a byte taken
REQUEST_MS: Final = 10_000
CHECK_MS: Final = 30_000  # the HAT reads and hashes all of it: 1 s on a chip
TELL_S: Final = 1.0

_REFUSALS: Final[dict[int, str]] = {
    link_pb2.UPDATE_REFUSAL_NO_SLOTS: "it was not set up for updates; `just flash` does that, once, over its own port",
    link_pb2.UPDATE_REFUSAL_KEY: "no key that it trusts has signed the bundle",
    link_pb2.UPDATE_REFUSAL_SIGNATURE: "the signature does not verify",
    link_pb2.UPDATE_REFUSAL_MANIFEST: "the manifest is of a format that it does not know",
    link_pb2.UPDATE_REFUSAL_OLDER: "its security version is older than what the HAT still takes",
    link_pb2.UPDATE_REFUSAL_BOARD: "it is for other boards",
    link_pb2.UPDATE_REFUSAL_PROTOCOL: "it does not speak the protocol of this hostd",
    link_pb2.UPDATE_REFUSAL_MPY: "it is compiled for another MicroPython or another processor",
    link_pb2.UPDATE_REFUSAL_SPACE: "its flash has no room for it",
    link_pb2.UPDATE_REFUSAL_CONTENT: "what it has written is not what is signed; try again",
    link_pb2.UPDATE_REFUSAL_SIZE: "a length is out of range",
    link_pb2.UPDATE_REFUSAL_FLASH: "its flash cannot be written",
    link_pb2.UPDATE_REFUSAL_ORDER: "it has lost the update; try again",
    link_pb2.UPDATE_REFUSAL_PROBATION: "its firmware is on probation; try again in a minute",
    link_pb2.UPDATE_REFUSAL_BOOT: "it needs newer start-up code, which `just flash` puts there",
}


class Stage(Enum):
    """How far the update of one HAT is, as in rack.proto."""

    SENDING = auto()
    WAITING = auto()
    CHECKING = auto()
    STARTING = auto()
    PROBATION = auto()
    DONE = auto()
    CURRENT = auto()
    FAILED = auto()
    LEFT = auto()


@dataclass(frozen=True, slots=True)
class Standing:
    """How the update of one HAT stands. `message` says it for a person."""

    node: str
    stage: Stage
    message: str
    done_bytes: int
    total_bytes: int


Tell = Callable[[Standing], Awaitable[None]]


class Rollout:
    """The updates of a rack, one at a time."""

    def __init__(self, events: EventLog, clock: Clock) -> None:
        self._events = events
        self._clock = clock
        self._by = ""

    async def run(self, nodes: Sequence[Node], bundle: Bundle, caller: Caller, tell: Tell) -> None:
        """Update the HATs of the nodes in their order. Cancelling leaves a HAT that is not through its old firmware.

        Raises UpdateFailedError of the first that is not updated, UpdateRunningError.
        """
        async with self._turn_of(caller):
            for index, node in enumerate(nodes):
                try:
                    stage = await NodeUpdate(node, bundle, tell).run()
                except RefusedError as error:
                    raise await self._failure(node, nodes[index + 1 :], bundle, error, tell) from error
                if stage is Stage.DONE:
                    told = f"The HAT runs firmware {bundle.manifest.version}, which {caller.who} has brought."
                    self._events.record(node.name, self._clock.unix_ms(), "firmware_updated", told)

    @asynccontextmanager
    async def _turn_of(self, caller: Caller) -> AsyncIterator[None]:
        if self._by:
            raise UpdateRunningError(self._by)
        self._by = caller.who
        try:
            yield
        finally:
            self._by = ""

    async def _failure(
        self, node: Node, left: Sequence[Node], bundle: Bundle, why: RefusedError, tell: Tell
    ) -> UpdateFailedError:
        """Tell of a failure, and of the HATs that are left as they are; return it."""
        error = why if isinstance(why, UpdateFailedError) else UpdateFailedError(node.name, str(why))
        log.warning("firmware not updated", extra={"node": node.name, "problem": str(error)})
        version = bundle.manifest.version
        told = f"The HAT does not run firmware {version}: {error}. It goes on with what it had."
        self._events.record(node.name, self._clock.unix_ms(), "firmware_update_failed", told)
        total = len(bundle.stream)
        await tell(Standing(node.name, Stage.FAILED, str(error), 0, total))
        for other in left:
            await tell(Standing(other.name, Stage.LEFT, f"left as it is, since {node.name} failed", 0, total))
        return error


class NodeUpdate:
    """The update of one HAT."""

    def __init__(self, node: Node, bundle: Bundle, tell: Tell) -> None:
        self._node = node
        self._bundle = bundle
        self._tell = tell
        self._stream = bundle.stream
        self._done = 0

    async def run(self) -> Stage:
        """Bring the HAT to the bundle's firmware. Raises RefusedError."""
        node, manifest = self._node, self._bundle.manifest
        if node.hat.state is not HatState.ONLINE:
            await self._await_return(HatOfflineError(node.name, node.hat.problem))
        while True:
            session = node.talk.session
            try:
                if not await self._begin():
                    await self._say(Stage.CURRENT, f"runs {manifest.version} already")
                    return Stage.CURRENT
                await self._bring()
            except (HatOfflineError, NoAnswerError) as error:
                await self._await_return(error)
                if not (node.hat.on_probation and node.hat.firmware == manifest.version):
                    continue
            break
        await self._await_start(session)
        await self._listen_and_confirm()
        await self._say(Stage.DONE, f"runs {manifest.version} now, from slot {node.hat.slot}")
        return Stage.DONE

    async def _begin(self) -> bool:
        """Have the HAT take it up; False when it runs what is in the bundle, to the byte. Raises as `_bring`."""
        bundle = self._bundle
        begin = link_pb2.BeginUpdate(
            manifest_bytes=len(bundle.manifest.encode()),
            signature_bytes=len(bundle.signature),
            files_bytes=bundle.manifest.size,
            digest=bundle.digest,
        )
        reply = await self._node.ask_hat(begin, REQUEST_MS)
        if reply.result == link_pb2.RESULT_UPDATE_REFUSED and reply.detail == link_pb2.UPDATE_REFUSAL_CURRENT:
            return False
        self._judge(reply)
        return True

    async def _bring(self) -> None:
        """Send all of it and have it checked. Raises HatOfflineError, NoAnswerError when the HAT is not there."""
        node = self._node
        node.send_update(self._stream)
        try:
            await self._send()
        finally:
            if node.hat.state is HatState.ONLINE:
                node.send_update(b"")
        await self._say(Stage.CHECKING, "checks what it has written")
        self._judge(await node.ask_hat(link_pb2.FinishUpdate(), CHECK_MS))

    async def _send(self) -> None:
        """Return when the HAT has taken all of it."""
        node, session = self._node, self._node.talk.session
        loop = asyncio.get_running_loop()
        stalled_s, told_s = loop.time() + STALL_S, 0.0
        while self._taken() < len(self._stream):
            if node.hat.state is not HatState.ONLINE or node.talk.session != session:
                raise HatOfflineError(node.name, node.hat.problem or "it started anew")
            if self._taken() != self._done:
                self._done = self._taken()
                stalled_s = loop.time() + STALL_S
            if loop.time() > stalled_s:
                raise UpdateFailedError(node.name, f"it has taken nothing for {STALL_S} s")
            if loop.time() >= told_s:
                told_s = loop.time() + TELL_S
                await self._say(Stage.SENDING, "takes the bundle")
            await self._change(TELL_S)
        self._done = len(self._stream)

    def _taken(self) -> int:
        """Return how much the HAT has taken. Raises UpdateFailedError when it has refused it."""
        update = self._node.talk.update
        if update is None:  # it has not said in this talk; where it goes on it says at once
            return min(self._done, len(self._stream) - 1)
        if update.state == link_pb2.UPDATE_STATE_REFUSED:
            raise UpdateFailedError(self._node.name, _refusal(update.refusal))
        return update.offset

    async def _await_return(self, why: RefusedError) -> None:
        """Wait for a HAT that went away, and goes on where it was when it is back. Raises UpdateFailedError."""
        node = self._node
        await self._say(Stage.WAITING, f"is waited for: {why}")
        if not await self._until(lambda: node.hat.state is HatState.ONLINE, RETURN_S):
            raise UpdateFailedError(node.name, f"{why}, and it was not back in {RETURN_S} s")

    async def _await_start(self, session: int) -> None:
        node = self._node
        await self._say(Stage.STARTING, "starts with it")
        while node.is_switching and not self._is_up_anew(session):  # the HAT ends that first
            await self._change(TELL_S)
        if not await self._until(lambda: self._is_up_anew(session), RESTART_S):
            raise UpdateFailedError(node.name, f"it did not start with it in {RESTART_S} s, and goes back by itself")
        if not node.hat.on_probation:
            raise UpdateFailedError(node.name, "it started with its old firmware, for the new one did not come up")

    def _is_up_anew(self, session: int) -> bool:
        return self._node.hat.state is HatState.ONLINE and self._node.talk.session != session

    async def _listen_and_confirm(self) -> None:
        node = self._node
        session = node.talk.session
        await self._say(Stage.PROBATION, "runs it on probation")
        heard = await self._until(lambda: node.talk.measures or node.talk.session != session, LISTEN_S)
        if not heard or node.talk.session != session:
            raise UpdateFailedError(node.name, f"it has not measured within {LISTEN_S} s, and goes back by itself")
        self._judge(await node.ask_hat(link_pb2.ConfirmUpdate(), REQUEST_MS))
        node.confirm_firmware()

    async def _until(self, holds: Callable[[], bool], patience_s: float) -> bool:
        loop = asyncio.get_running_loop()
        end_s = loop.time() + patience_s
        while not holds():
            if loop.time() >= end_s:
                return False
            await self._change(min(TELL_S, end_s - loop.time()))
        return True

    async def _change(self, patience_s: float) -> None:
        """Wait for a change of anything, at most so long."""
        try:
            async with asyncio.timeout(patience_s):
                await self._node.until_changed()
        except TimeoutError:
            return

    def _judge(self, reply: link_pb2.Reply) -> None:
        if reply.result == link_pb2.RESULT_UPDATE_REFUSED:
            raise UpdateFailedError(self._node.name, _refusal(reply.detail))
        if reply.result == link_pb2.RESULT_INVALID:
            raise UpdateFailedError(self._node.name, "its firmware knows no updates; `just flash` brings one that does")
        if reply.result != link_pb2.RESULT_DONE:
            raise UpdateFailedError(self._node.name, f"it answered with result {reply.result}")

    async def _say(self, stage: Stage, message: str) -> None:
        await self._tell(Standing(self._node.name, stage, message, self._done, len(self._stream)))


def _refusal(refusal: int) -> str:
    return _REFUSALS.get(refusal, f"it refuses it for a reason ({refusal}) that this hostd does not know")
