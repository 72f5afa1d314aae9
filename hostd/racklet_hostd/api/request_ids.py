"""Requests that are carried out once, however often they are asked for: AIP-155."""

import asyncio
import hashlib
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar, cast

from google.protobuf.message import Message

from racklet_hostd.api.status import BadArgumentError, RequestRepeatedError
from racklet_hostd.caller import Caller
from racklet_hostd.clock import Clock
from racklet_hostd.errors import RackletError
from racklet_hostd.store import AuditEntry

KEPT_MS: Final = 600_000
KEPT_LIMIT: Final = 1_000  # outcomes; those of calls that are under way come on top, and are bounded as calls are
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_METHOD_ENDING = "Request"

Response = TypeVar("Response")
Key = tuple[str, str, str]
_NotDone = None  # what was asked for was not begun, and may be asked for again


class OnceRequest:
    """One request under its id. `outcome` is the response, an error of hostd, or None when nothing was done."""

    def __init__(self, fingerprint: bytes, ended: Callable[["OnceRequest"], None] | None = None) -> None:
        self.fingerprint = fingerprint
        self._ended = ended
        self.outcome: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self.is_begun = False
        self.end_ms = 0

    def begin(self) -> None:
        """Say that from here on something is done that a repeat must not do. Who says so settles it, in any case."""
        self.is_begun = True

    def settle(self, outcome: object) -> None:
        """Say what came of it, unless that is known."""
        if self.outcome.done():
            return
        self.outcome.set_result(outcome)
        if self._ended is not None:
            self._ended(self)


@dataclass(frozen=True, slots=True)
class _Before:
    """What the audit log tells of a request that an earlier hostd was asked for."""

    unix_ms: int
    outcome: str


class RequestIds:
    """What came of the requests that carried an id, for KEPT_MS each; of more than KEPT_LIMIT the oldest are forgotten.

    A request that was refused before anything was done is not kept: it may be tried again with the same id. Of requests
    to an earlier hostd the audit log knows; they are not carried out again, though what they returned is lost.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: OrderedDict[Key, OnceRequest] = OrderedDict()
        self._before: dict[Key, _Before] = {}

    def remember(self, audit: Sequence[AuditEntry]) -> None:
        """Take what an earlier hostd left in the audit log, newest first."""
        self._before = _requests_before(audit, self._clock.unix_ms() - KEPT_MS)

    async def once(
        self, caller: Caller, request: Message, carry_out: Callable[[OnceRequest], Awaitable[Response]]
    ) -> Response:
        """Return what `carry_out` does, or has done for a request of the same caller with the same id.

        Raises BadArgumentError, RequestRepeatedError, and what `carry_out` raises or has raised.
        """
        fingerprint = _fingerprint(request)
        key = _key(caller, request)
        if key is None:
            return await carry_out(OnceRequest(fingerprint))
        self._check_before(key)
        while (known := self._known(key)) is not None:
            if known.fingerprint != fingerprint:
                raise BadArgumentError("request_id", "expected a new one, found that of another request")
            outcome = await asyncio.shield(known.outcome)
            if isinstance(outcome, RackletError):
                raise outcome
            if outcome is not _NotDone:
                return cast("Response", outcome)
        return await self._first(key, OnceRequest(fingerprint, partial(self._ended, key)), carry_out)

    async def _first(
        self, key: Key, mine: OnceRequest, carry_out: Callable[[OnceRequest], Awaitable[Response]]
    ) -> Response:
        self._kept[key] = mine
        try:
            response = await carry_out(mine)
        except RackletError as error:
            mine.settle(error if mine.is_begun else _NotDone)
            raise
        except BaseException:  # the caller left, or a bug
            if not mine.is_begun:
                mine.settle(_NotDone)
            raise
        mine.settle(response)
        return response

    def _known(self, key: Key) -> OnceRequest | None:
        oldest_ms = self._clock.monotonic_ms() - KEPT_MS
        known = self._kept.get(key)
        is_old = known is not None and known.outcome.done() and known.end_ms < oldest_ms
        return None if is_old else known

    def _ended(self, key: Key, request: OnceRequest) -> None:
        request.end_ms = self._clock.monotonic_ms()
        if self._kept.get(key) is not request:
            return
        if request.outcome.result() is _NotDone:
            del self._kept[key]
            return
        self._kept.move_to_end(key)
        self._forget(request.end_ms - KEPT_MS)

    def _forget(self, oldest_ms: int) -> None:
        """Forget what ended before `oldest_ms`, and the oldest of what is too many."""
        ended = [key for key, request in self._kept.items() if request.outcome.done()]
        too_many = len(ended) - KEPT_LIMIT
        for index, key in enumerate(ended):
            if index < too_many or self._kept[key].end_ms < oldest_ms:
                del self._kept[key]

    def _check_before(self, key: Key) -> None:
        before = self._before.get(key)
        if before is None:
            return
        if self._clock.unix_ms() - before.unix_ms > KEPT_MS:
            del self._before[key]
            return
        raise RequestRepeatedError(key[1], before.outcome)


def _key(caller: Caller, request: Message) -> Key | None:
    """Return what a request is kept under; None when it has no id."""
    given: str = request.request_id  # type: ignore[attr-defined]
    if not given:
        return None
    if _UUID.fullmatch(given.lower()) is None:
        raise BadArgumentError("request_id", "expected a UUID, such as 1f6d4c6e-9a49-4a0e-8d7c-3f1f0d6b5a20")
    return caller.who, request.DESCRIPTOR.name.removesuffix(_METHOD_ENDING), given.lower()


def _fingerprint(request: Message) -> bytes:
    bare = type(request)()
    bare.CopyFrom(request)
    bare.ClearField("request_id")
    return hashlib.sha256(bare.SerializeToString(deterministic=True)).digest()


def _requests_before(entries: Sequence[AuditEntry], oldest_unix_ms: int) -> dict[Key, _Before]:
    """Return the requests with an id in an audit log, newest first, that are not too old."""
    ends = {entry.asked: entry.outcome for entry in entries if entry.kind == "ended"}
    found: dict[Key, _Before] = {}
    for entry in entries:
        request_id = str(entry.arguments.get("request_id", "")).lower()
        if entry.kind == "asked" and request_id and entry.unix_ms >= oldest_unix_ms:
            outcome = ends.get(entry.sequence, "hostd ended before it did")
            found[entry.who, entry.method, request_id] = _Before(entry.unix_ms, outcome)
    return dict(list(found.items())[:KEPT_LIMIT])
