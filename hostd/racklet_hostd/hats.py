"""The HATs of a rack: who is plugged in where, whose it is, and how that is changed."""

import asyncio
import logging
from dataclasses import replace

from racklet.link.v1 import link_pb2
from racklet_hostd.clock import Clock
from racklet_hostd.event_log import EventLog
from racklet_hostd.hat_session import HatSession
from racklet_hostd.model import HatStanding, SeenHat
from racklet_hostd.refusals import AdoptionRefusedError, HatOfflineError, NoAnswerError, RefusedError, UnknownHatError
from racklet_hostd.slot import Slot
from racklet_hostd.slots import Slots
from racklet_hostd.store import Adoption, Adoptions

log = logging.getLogger(__name__)

ADOPT_TIMEOUT_S = 10
REQUEST_TIMEOUT_MS = 5_000


class Hats:
    """The HATs. What `docs/hotswap.md` promises of adopting, replacing and forgetting is done here."""

    def __init__(self, slots: Slots, adoptions: Adoptions, events: EventLog, clock: Clock) -> None:
        self._slots = slots
        self._adoptions = adoptions
        self._events = events
        self._clock = clock
        self._changing = asyncio.Lock()  # one adoption after another

    @property
    def refusals(self) -> dict[str, int]:
        """How often somebody said to be a HAT of ours and did not prove it, since hostd started, by slot."""
        return {slot.name: slot.refusals for slot in self._slots}

    def seen(self) -> list[SeenHat]:
        """Return those that are plugged in and those that are adopted, by id; a HAT and whoever has its id are two."""
        here = [slot.seen for slot in self._slots if slot.seen is not None]
        proved = {seen.hat_id for seen in here if seen.standing is HatStanding.ADOPTED}
        away = [_away(adoption) for adoption in self._adoptions.all() if adoption.hat_id.hex() not in proved]
        return sorted((*here, *away), key=lambda seen: (seen.hat_id, seen.standing, seen.slot))

    def find(self, hat_id: str) -> SeenHat:
        """Return a HAT: if it is adopted, the one that has proved itself. Raises UnknownHatError."""
        found = [seen for seen in self.seen() if seen.hat_id == hat_id]
        if not found:
            raise UnknownHatError(hat_id)
        return max(found, key=lambda seen: (seen.standing is HatStanding.ADOPTED, bool(seen.slot)))

    async def adopt(self, hat_id: str, node: str, who: str, *, replaces: bool) -> SeenHat:
        """Let a HAT be that of a node; return it as it is then.

        `replaces` lets it take the place of the node's HAT, or get another key when it has lost its own.

        Raises AdoptionRefusedError, UnknownHatError, NoAnswerError, StoreError.
        """
        async with self._changing:
            holder = self._adoptions.of_node(node)
            if holder is not None and holder.hat_id.hex() != hat_id and not replaces:
                raise AdoptionRefusedError(
                    hat_id, f"{node} has the HAT {holder.hat_id.hex()}; with --replace this one takes its place"
                )
            own = self._adoptions.of_hat(bytes.fromhex(hat_id))
            proved = self._slot_of(hat_id, HatStanding.ADOPTED)
            claimant = self._claimant(hat_id)
            if own is not None and (proved is not None or claimant is None):
                await self._reassign(own, proved, node, who)
            elif claimant is None:
                raise UnknownHatError(hat_id)
            else:
                await self._agree(claimant, node, who, replaces=replaces)
            if holder is not None and holder.hat_id.hex() != hat_id:
                self._end_talk(holder.hat_id.hex(), f"its HAT was replaced by {hat_id}")
            return self.find(hat_id)

    async def forget(self, hat_id: str, who: str) -> bool:
        """Know a HAT no more; return whether it has forgotten its key as well, which it can when it is plugged in.

        Raises UnknownHatError, NoAnswerError, StoreError.
        """
        async with self._changing:
            own = self._adoptions.of_hat(bytes.fromhex(hat_id))
            if own is None:
                raise UnknownHatError(hat_id)
            slot = self._slot_of(hat_id, HatStanding.ADOPTED)
            if slot is not None and slot.session is not None:
                await self._ask(slot.session, link_pb2.ForgetKey(), hat_id)
            await asyncio.get_running_loop().run_in_executor(None, self._adoptions.forget, own.hat_id)
            self._tell("hat_forgotten", own.node, f"The HAT {hat_id} of {own.node} was forgotten by {who}.")
            self._end_talk(hat_id, "it was forgotten")
            return slot is not None

    async def identify(self, hat_id: str, duration_ms: int) -> None:
        """Blink the LED of a HAT that is plugged in. Raises UnknownHatError, AdoptionRefusedError, NoAnswerError."""
        seen = self.find(hat_id)
        slot = self._slot_of(hat_id, seen.standing)
        if slot is None or slot.session is None or seen.standing not in {HatStanding.UNADOPTED, HatStanding.ADOPTED}:
            raise UnknownHatError(hat_id) if slot is None else AdoptionRefusedError(hat_id, seen.problem)
        await self._ask(slot.session, link_pb2.Identify(duration_ms=duration_ms), hat_id)

    async def _reassign(self, own: Adoption, slot: Slot | None, node: str, who: str) -> None:
        """Give a HAT of ours to another node. Its key stays."""
        if own.node == node:
            return
        moved = replace(own, node=node, at_ms=self._clock.unix_ms(), who=who)
        await asyncio.get_running_loop().run_in_executor(None, self._adoptions.adopt, moved)
        self._tell(
            "hat_adopted", node, f"The HAT {own.hat_id.hex()}, which was that of {own.node}, was adopted by {who}."
        )
        if slot is not None and slot.session is not None:
            slot.session.end(f"its HAT was adopted for {node}")

    async def _agree(self, slot: Slot, node: str, who: str, *, replaces: bool) -> None:
        """Agree on a key with a HAT that has none."""
        seen = slot.seen
        if seen is None:
            raise HatOfflineError(node, "it was pulled")
        if not seen.is_keyless or (seen.standing is HatStanding.REFUSED and not replaces):
            raise AdoptionRefusedError(seen.hat_id, seen.problem)
        done = slot.adopt(bytes.fromhex(seen.hat_id), node, who)
        try:
            async with asyncio.timeout(ADOPT_TIMEOUT_S):
                await done
        except (TimeoutError, asyncio.CancelledError) as error:
            if isinstance(error, TimeoutError) or done.cancelled():
                raise NoAnswerError(node, "did not agree on a key in time") from error
            raise

    async def _ask(self, session: HatSession, operation: link_pb2.ForgetKey | link_pb2.Identify, hat_id: str) -> None:
        answer = await asyncio.shield(session.request(operation, REQUEST_TIMEOUT_MS))
        if isinstance(answer, RefusedError):
            raise answer
        if answer.result != link_pb2.RESULT_DONE:
            raise AdoptionRefusedError(hat_id, "its firmware does not do what it was asked")

    def _slot_of(self, hat_id: str, standing: HatStanding) -> Slot | None:
        return next(
            (
                each
                for each in self._slots
                if each.seen and (each.seen.hat_id, each.seen.standing) == (hat_id, standing)
            ),
            None,
        )

    def _claimant(self, hat_id: str) -> Slot | None:
        """Return the slot of somebody with this id who has not proved himself; of one without a key if there is one."""
        found = [each for each in self._slots if each.seen and each.seen.hat_id == hat_id]
        return max(found, key=lambda slot: bool(slot.seen and slot.seen.is_keyless), default=None)

    def _end_talk(self, hat_id: str, why: str) -> None:
        slot = self._slot_of(hat_id, HatStanding.ADOPTED)
        if slot is not None and slot.session is not None:
            slot.session.end(why)

    def _tell(self, kind: str, node: str, message: str) -> None:
        log.info("adoption changed", extra={"kind": kind, "node": node})
        self._events.record(node, self._clock.unix_ms(), kind, message)


def _away(adoption: Adoption) -> SeenHat:
    problem = "it is not plugged in"
    return SeenHat(adoption.hat_id.hex(), HatStanding.ADOPTED, "", adoption.node, problem, "", "", adoption.at_ms)
