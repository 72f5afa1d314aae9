"""One slot: its port is served, whoever is plugged in is asked who he is, and the node gets its HAT."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from racklet.link.v1 import link_pb2
from racklet_hostd.clock import Clock
from racklet_hostd.event_log import EventLog
from racklet_hostd.hat_session import GarbageStarted, HatNews, HatSession
from racklet_hostd.model import HatStanding, SeenHat
from racklet_hostd.node import Node
from racklet_hostd.serial_port import PortUnavailableError
from racklet_hostd.store import Adoption, Adoptions
from racklet_link.events import HelloReceived, Incompatible, KeyAgreed, LinkLost, Stranger, Unproven
from racklet_link.limits import PROTOCOL_MIN

log = logging.getLogger(__name__)

# Doubling, up to half of the 2 s in which a HAT that is plugged in must be served.
BACKOFF_MS = (100, 200, 400, 800, 1000)
STEADY_MS = 10_000  # a talk of this length was a good one: the next opening is not held back
FIRST_USE = "config:first-use"
_ABOUT_IDENTITY = {HelloReceived, Stranger, Unproven, KeyAgreed, Incompatible, LinkLost, GarbageStarted}
_HAT_ID_BYTES = 16
_TEXT_LENGTH = 64  # of what a HAT says about itself


@dataclass(frozen=True, slots=True)
class SlotCommons:
    """What the slots of a rack share. `node_of` finds a node by its name; `tell` an adoption that took place."""

    adoptions: Adoptions
    node_of: Callable[[str], Node | None]
    slot_of: Callable[[HatSession], "Slot | None"]
    events: EventLog
    clock: Clock
    first_use: bool


@dataclass(slots=True)
class _Adopting:
    """A HAT that is to belong to a node as soon as a key is agreed on."""

    node: str
    who: str
    done: "asyncio.Future[None]"


class Slot:
    """A port and who is plugged in there.

    Attributes:
        name: of the slot: the port's last part.
        home: the node whose HAT the config expects here, if any.
        session: the talk over the port; None while that is closed.
        seen: who introduced himself, for as long as he is there.
        refusals: how often somebody said to be a HAT of ours and did not prove it.
    """

    def __init__(self, port: Path, home: Node | None, commons: SlotCommons) -> None:
        self.port = port
        self.name = port.name
        self.home = home
        self.session: HatSession | None = None
        self.seen: SeenHat | None = None
        self.refusals = 0
        self._commons = commons
        self._node: Node | None = None  # whose HAT this talk is with
        self._adopting: _Adopting | None = None
        self._wake = asyncio.Event()

    async def run(self, telemetry_period_ms: int) -> None:
        """Serve the port for ever, whether it is there or not. Cancelling closes it."""
        failures = 0
        clock = self._commons.clock
        while True:
            name = self.home.name if self.home else self.name
            key_of = self._commons.adoptions.key_of
            session = HatSession(name, telemetry_period_ms, clock, self.take_news, key_of)
            self._wake.clear()
            try:
                await session.open(self.port)
            except PortUnavailableError as error:
                level = logging.DEBUG if failures else logging.WARNING
                log.log(level, "port does not open", extra={"slot": self.name, "problem": str(error)})
                if self.home is not None:
                    self.home.port_failed(str(error))
                failures += 1
            else:
                opened_ms = clock.monotonic_ms()
                await self._serve(session)
                lasted_ms = clock.monotonic_ms() - opened_ms
                failures = 0 if lasted_ms >= STEADY_MS else failures + 1
            with suppress(TimeoutError):
                async with asyncio.timeout(BACKOFF_MS[min(failures, len(BACKOFF_MS) - 1)] / 1000):
                    await self._wake.wait()

    def wake(self) -> None:
        """Look at the port now: something was plugged in."""
        self._wake.set()

    def adopt(self, hat_id: bytes, node: str, who: str) -> "asyncio.Future[None]":
        """Agree on a key with the HAT that is plugged in; the future is done when it is the node's, durably.

        Cancel the future to give it up. It raises StoreError.
        """
        if self.session is None:
            raise RuntimeError("nobody is plugged in")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._give_up_adopting()
        self._adopting = _Adopting(node, who, done)
        done.add_done_callback(self._on_adoption_over)
        self.session.adopt(hat_id)
        return done

    def leave_node(self, why: str) -> None:
        """The HAT here is not, or no longer, that of its node."""
        node, self._node = self._node, None
        if node is not None and self.session is not None:
            node.leave(self.session, why)

    def take_news(self, news: HatNews) -> None:
        """Act on what the HAT told. Raises StoreError when it cannot be recorded."""
        if type(news) in _ABOUT_IDENTITY:
            self._take_word_of_identity(news)
        elif self._node is not None:
            self._node.take_news(news)

    def _take_word_of_identity(self, news: HatNews) -> None:
        match news:
            case HelloReceived(hello):
                self._on_hello(hello)
            case Stranger(hello):
                self._on_stranger(hello)
            case Unproven(hello):
                self._on_unproven(hello)
            case KeyAgreed(hat_id, key):
                self._on_key(hat_id, key)
            case Incompatible(hello):
                self._see(HatStanding.REFUSED, hello, "it speaks another version of the link's protocol")
                self._pass_on(news)
            case LinkLost():
                self.seen = None
                self._pass_on(news)
            case _:
                self._pass_on(news)

    async def _serve(self, session: HatSession) -> None:
        log.info("port opened", extra={"slot": self.name, "port": str(self.port)})
        self.session = session
        if self.home is not None:
            self.home.lend(session)
        end = "hostd is shutting down"
        try:
            end = await session.serve()
        finally:
            for node in (self._node, self.home):
                if node is not None:
                    node.leave(session, end)
            self.session = self.seen = self._node = None
            self._give_up_adopting()
        log.info("port closed", extra={"slot": self.name, "port": str(self.port), "why": end})

    def _on_hello(self, hello: link_pb2.Hello) -> None:
        """A HAT of ours has proved itself."""
        adoption = self._commons.adoptions.of_hat(hello.hat_id)
        node = self._commons.node_of(adoption.node) if adoption else None
        if adoption is None or node is None:  # it was forgotten this moment, or the config has changed
            name = adoption.node if adoption else "no node"
            self.leave_node(f"another HAT is plugged in at {self.port}")
            self._see(HatStanding.ADOPTED, hello, f"it is adopted for {name}, which is not in the config")
            return
        if self._node is not node:
            self.leave_node(f"another HAT is plugged in at {self.port}")
            self._take_place_of(node)
        self._see(HatStanding.ADOPTED, hello, "", node.name)
        node.take_news(HelloReceived(hello))

    def _take_place_of(self, node: Node) -> None:
        session = self.session
        if session is None:
            return
        if self.home is not None and self.home is not node:
            self.home.leave(session, f"the HAT of {node.name} is plugged in at {self.port}")
        before_port = node.port
        before = node.take_session(session, self.port)
        self._node = node
        other = self._commons.slot_of(before) if before is not None else None
        if other is not None and before is not None:
            other.let_go(before, f"the HAT is plugged in at {self.port} now")
        if before_port != self.port:
            log.info("HAT is in another slot", extra={"node": node.name, "slot": self.name})

    def let_go(self, session: HatSession, why: str) -> None:
        """The HAT that was here has proved itself in another slot, which has its node now."""
        if self._node is None:  # a port at home where nobody has introduced himself: it stays open for who comes
            return
        self._node = None
        self.seen = None
        session.end(why)

    def _on_stranger(self, hello: link_pb2.Hello) -> None:
        self.leave_node(f"another HAT is plugged in at {self.port}")
        if hello.has_key:
            why = "it has the key of another hostd; reset it to factory state to adopt it"
            if self._see(HatStanding.FOREIGN, hello, why):
                self._tell("hat_foreign", hello, why)
        else:
            is_news = self._see(HatStanding.UNADOPTED, hello, "nobody has adopted it")
            if is_news and not self._is_for_first_use:
                self._tell("hat_unadopted", hello, f"`racklet adopt {hello.hat_id.hex()} --node NAME` does that")
            if self.session is not None:
                self.session.link.welcome_stranger(self._commons.clock.monotonic_ms())
            self._adopt_at_first_use(hello)
        if self.home is not None and self.session is not None and self.home.is_served_by(self.session):
            standing = "belongs to another hostd" if hello.has_key else "is not adopted"
            self.home.report(f"the HAT {hello.hat_id.hex()} at {self.port} {standing}; see `racklet hats`")

    def _adopt_at_first_use(self, hello: link_pb2.Hello) -> None:
        if self.home is not None and self._is_for_first_use and self._adopting is None:
            self.adopt(hello.hat_id, self.home.name, FIRST_USE).add_done_callback(_take_outcome)

    @property
    def _is_for_first_use(self) -> bool:
        """Whether a HAT without a key becomes that of the node which is at home here."""
        is_wanted = self._commons.first_use and self.home is not None
        return is_wanted and self.home is not None and self._commons.adoptions.of_node(self.home.name) is None

    def _on_unproven(self, hello: link_pb2.Hello) -> None:
        self.leave_node(f"another HAT is plugged in at {self.port}")
        self.refusals += 1
        adoption = self._commons.adoptions.of_hat(hello.hat_id)
        about = f"it has the id of {adoption.node}'s HAT" if adoption else "it has the id of an adopted HAT"
        why = f"{about} and does not prove to have its key"
        if not hello.has_key:
            why = f"{about} and says that it has lost its key; if you have reset it, adopt it again with --replace"
        self._see(HatStanding.REFUSED, hello, why)
        log.warning("HAT refused", extra={"slot": self.name, "hat": hello.hat_id.hex(), "problem": why})
        self._tell("hat_refused", hello, why, adoption.node if adoption else "")
        if self.home is not None and self.session is not None and self.home.is_served_by(self.session):
            self.home.report(f"the HAT at {self.port} is refused: {why}")

    def _on_key(self, hat_id: bytes, key: bytes) -> None:
        """A key is agreed on: make it durable, then let the HAT prove itself with it."""
        adopting = self._adopting
        if adopting is None:
            return
        adoption = Adoption(hat_id, adopting.node, key, self._commons.clock.unix_ms(), adopting.who)
        loop = asyncio.get_running_loop()
        stored = loop.run_in_executor(None, self._commons.adoptions.adopt, adoption)
        stored.add_done_callback(lambda outcome: self._on_stored(adoption, adopting, outcome))

    def _on_stored(self, adoption: Adoption, adopting: _Adopting, outcome: "asyncio.Future[None]") -> None:
        error = None if outcome.cancelled() else outcome.exception()
        if error is not None:
            log.error("adoption not stored", extra={"slot": self.name, "problem": str(error)})
            if not adopting.done.done():
                adopting.done.set_exception(error)
            return
        hat_id = adoption.hat_id.hex()
        log.info("HAT adopted", extra={"slot": self.name, "hat": hat_id, "node": adoption.node, "who": adoption.who})
        message = f"The HAT {hat_id} was adopted for {adoption.node} by {adoption.who}."
        self._commons.events.record(adoption.node, self._commons.clock.unix_ms(), "hat_adopted", message)
        if self.session is not None:
            self.session.knock()
        if not adopting.done.done():
            adopting.done.set_result(None)

    def _on_adoption_over(self, done: "asyncio.Future[None]") -> None:
        if self._adopting is not None and self._adopting.done is done:
            self._adopting = None
            if self.session is not None:
                self.session.link.stop_adopting()

    def _give_up_adopting(self) -> None:
        if self._adopting is not None:
            self._adopting.done.cancel()
            self._adopting = None

    def _pass_on(self, news: HatNews) -> None:
        """Tell the node whose HAT is here, or is expected here and nowhere else."""
        node = self._node or self.home
        if node is not None and node.is_served_by(self.session):
            node.take_news(news)

    def _see(self, standing: HatStanding, hello: link_pb2.Hello, problem: str, node: str = "") -> bool:
        """Note who is here; tell whether that is news."""
        hat_id = hello.hat_id[:_HAT_ID_BYTES].hex()
        before = self.seen
        is_new = before is None or (before.hat_id, before.standing, before.node) != (hat_id, standing, node)
        seen_ms = self._commons.clock.unix_ms() if is_new or before is None else before.seen_ms
        keyless = not hello.has_key and hello.protocol_max >= PROTOCOL_MIN
        board, firmware = _text(hello.board), _text(hello.firmware)
        self.seen = SeenHat(hat_id, standing, self.name, node, problem, board, firmware, seen_ms, is_keyless=keyless)
        return is_new

    def _tell(self, kind: str, hello: link_pb2.Hello, why: str, node: str = "") -> None:
        words = {"hat_unadopted": "is not adopted", "hat_foreign": "is foreign", "hat_refused": "is refused"}
        hat_id = hello.hat_id[:_HAT_ID_BYTES].hex()
        message = f"The HAT {hat_id} in slot {self.name} {words[kind]}: {why}."
        self._commons.events.record(node, self._commons.clock.unix_ms(), kind, message)


def _take_outcome(done: "asyncio.Future[None]") -> None:
    """Look at an outcome for which nobody waits: the failure is in the log."""
    if not done.cancelled():
        done.exception()


def _text(text: str) -> str:
    """Return what a HAT says about itself, short and printable."""
    return "".join(char for char in text[:_TEXT_LENGTH] if char.isprintable())
