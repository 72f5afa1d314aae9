"""The reply cache against a simple model."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from racklet.link.v1 import link_pb2
from racklet_link.reply_cache import ReplyCache
from tests.protocol.hat_messages import empty, held, read

DONE, PENDING = link_pb2.RESULT_DONE, link_pb2.RESULT_PENDING


def put(cache: ReplyCache, request_id: int, result: int = DONE) -> None:
    cache.put(held(link_pb2.Reply(id=request_id, result=result)))


def next_reply(cache: ReplyCache) -> link_pb2.Reply | None:
    reply = empty()
    return read(reply, link_pb2.Reply) if cache.next_reply(reply) else None


def replies(cache: ReplyCache) -> dict[int, int]:
    told = {}
    while (reply := next_reply(cache)) is not None:
        assert reply.id not in told
        told[reply.id] = reply.result
    return told


def test_a_reply_is_sent_once_and_whole() -> None:
    cache = ReplyCache(4)
    reply = link_pb2.Reply(id=5, result=DONE, supply_state=3, supply_uv=5_100_000, supply_ua=-4, duration_ms=8)
    cache.put(held(reply))
    assert next_reply(cache) == reply
    assert next_reply(cache) is None


def test_a_known_request_is_answered_again() -> None:
    cache = ReplyCache(4)
    put(cache, 5)
    put(cache, 6)
    replies(cache)
    assert cache.repeat(5)
    assert replies(cache) == {5: DONE}


def test_an_unknown_request_is_not_answered() -> None:
    cache = ReplyCache(4)
    put(cache, 5)
    replies(cache)
    assert not cache.repeat(4)
    assert replies(cache) == {}


def test_the_final_reply_replaces_the_pending_one() -> None:
    cache = ReplyCache(4)
    put(cache, 5, PENDING)
    put(cache, 5, DONE)
    assert replies(cache) == {5: DONE}


def test_the_final_reply_of_the_lowest_id_makes_room_and_makes_that_id_stale() -> None:
    cache = ReplyCache(3)
    for request_id in (7, 5, 6, 8):
        put(cache, request_id)
    assert replies(cache) == {6: DONE, 7: DONE, 8: DONE}
    assert [request_id for request_id in range(1, 10) if cache.is_stale(request_id)] == [1, 2, 3, 4, 5]


def test_a_pending_reply_keeps_its_place() -> None:
    cache = ReplyCache(2)
    put(cache, 1, PENDING)
    for request_id in range(2, 9):
        put(cache, request_id)
    assert replies(cache) == {1: PENDING, 8: DONE}


def test_there_is_no_room_only_when_all_that_is_kept_is_pending() -> None:
    cache = ReplyCache(2)
    put(cache, 1, PENDING)
    assert cache.has_room()
    put(cache, 2, PENDING)
    assert not cache.has_room()
    put(cache, 1, DONE)
    assert cache.has_room()


def test_only_a_request_without_a_final_reply_is_pending() -> None:
    cache = ReplyCache(2)
    put(cache, 1, PENDING)
    put(cache, 2)
    assert [cache.is_pending(request_id) for request_id in (1, 2, 3)] == [True, False, False]


def test_a_new_host_session_may_use_every_id_again() -> None:
    cache = ReplyCache(2)
    for request_id in range(1, 6):
        put(cache, request_id)
    cache.clear()
    assert replies(cache) == {}
    assert not cache.repeat(5)
    assert not cache.is_stale(1)


class AnyHistory(RuleBasedStateMachine):
    """Whatever happens: a request is answered from the cache, refused as stale, or executed, and never executed twice.

    Requests come in any order and again; like HatLink, the machine asks the cache what to do with each.
    """

    CAPACITY = 3

    def __init__(self) -> None:
        super().__init__()
        self.cache = ReplyCache(self.CAPACITY)
        self.results: dict[int, int] = {}  # of all that were executed
        self.due: set[int] = set()

    @rule(request_id=st.integers(1, 12), result=st.sampled_from([DONE, PENDING]))
    def request(self, request_id: int, result: int) -> None:
        if self.cache.repeat(request_id):
            assert request_id in self.results
            self.due.add(request_id)
        elif self.cache.is_stale(request_id):
            assert any(known >= request_id for known in self.results)
        elif self.cache.has_room():
            assert request_id not in self.results
            self.put(request_id, result)
        else:
            assert self.pending_count() == self.CAPACITY

    @precondition(lambda self: PENDING in self.results.values())
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        pending = sorted(known for known, result in self.results.items() if result == PENDING)
        self.put(data.draw(st.sampled_from(pending)), DONE)

    @rule()
    def send(self) -> None:
        for request_id, result in replies(self.cache).items():
            assert result == self.results[request_id]
            self.due.discard(request_id)

    @rule()
    def begin_session(self) -> None:
        if self.pending_count() == 0:
            self.cache.clear()
            self.results.clear()
            self.due.clear()

    def put(self, request_id: int, result: int) -> None:
        put(self.cache, request_id, result)
        self.results[request_id] = result
        self.due.add(request_id)

    def pending_count(self) -> int:
        return list(self.results.values()).count(PENDING)

    @invariant()
    def a_pending_request_is_known(self) -> None:
        assert all(self.cache._find(known) >= 0 for known, result in self.results.items() if result == PENDING)

    @invariant()
    def what_is_due_is_known_or_stale(self) -> None:
        assert all(self.cache._find(known) >= 0 or self.cache.is_stale(known) for known in self.due)


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
