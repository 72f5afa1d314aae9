"""The small parts that count and remember who comes."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racklet_hostd.config_values import Address
from racklet_hostd.door import clients as clients_module
from racklet_hostd.door.clients import ClientLimits, Clients
from racklet_hostd.door.door import Door
from racklet_hostd.door.greeting import PREFACE, answer_to, is_preface_so_far, what_it_speaks
from racklet_hostd.door.receiving import PlainWay
from racklet_hostd.listening import ListenError
from racklet_hostd.role import Role
from racklet_hostd.token_bucket import TokenBucket

LIMITS = ClientLimits(connections=2, calls=2, changes_per_second=1)


@given(
    st.integers(1, 20), st.floats(0.1, 100), st.lists(st.integers(0, 2000), min_size=1, max_size=200), st.integers(0)
)
def test_no_more_goes_through_than_the_burst_and_the_rate(
    burst: int, per_second: float, pauses_ms: list[int], start_ms: int
) -> None:
    bucket, now_ms, taken = TokenBucket(burst, per_second), start_ms, 0
    for pause_ms in pauses_ms:
        now_ms += pause_ms
        taken += bucket.take(now_ms)
        assert taken <= burst + (now_ms - start_ms) * per_second / 1000 + 1e-6


@given(st.integers(1, 5), st.integers(1, 50))
def test_after_the_wait_that_it_names_the_next_one_goes_through(burst: int, per_second: int) -> None:
    bucket, now_ms = TokenBucket(burst, per_second), 0
    while bucket.take(now_ms):
        now_ms += 1
    assert bucket.take(now_ms + bucket.wait_ms + 1)


def test_a_clock_that_goes_back_gives_nothing_away() -> None:
    bucket = TokenBucket(1, 1)
    assert bucket.take(10_000)
    assert not bucket.take(0)
    assert not bucket.take(500)


def test_who_comes_again_has_used_up_what_they_used_up() -> None:
    clients = Clients(LIMITS)
    while clients.client("ada").changes.take(0):
        pass
    assert not clients.client("ada").changes.take(0)
    assert clients.client("bob").changes.take(0)


def test_only_so_many_are_remembered_and_nobody_who_is_here_is_forgotten() -> None:
    clients = Clients(LIMITS)
    here = clients.client("here")
    here.connections = 1
    for number in range(clients_module.CLIENTS_LIMIT + 10):
        clients.client(f"passer-by {number}")
    assert len(clients._clients) == clients_module.CLIENTS_LIMIT
    assert clients.client("here") is here


@given(st.binary(max_size=40), st.integers(0, len(PREFACE)))
def test_only_the_preface_is_taken_for_it(data: bytes, length: int) -> None:
    begun = PREFACE[:length] + data
    assert is_preface_so_far(begun) == (begun[: len(PREFACE)] == PREFACE[: len(begun)])
    assert is_preface_so_far(PREFACE + data)
    assert what_it_speaks(begun)
    assert answer_to(begun) == b"" or b" " in begun


def resolving(*hosts: str) -> Callable[..., list[Any]]:
    """Return what resolves every name to these addresses, as the system would."""
    resolve = socket.getaddrinfo
    return lambda _host, *rest, **more: [each for host in hosts for each in resolve(host, *rest, **more)]


@pytest.fixture
def door() -> Iterator[Door]:
    door = Door(Clients(LIMITS), 1.0, lambda _peer, _why: None)
    yield door
    for way in door._ways:
        way.listener.close()


@pytest.mark.parametrize("missing", [(), ("203.0.113.1",)])
def test_every_address_of_a_name_is_listened_on_with_the_same_port(
    door: Door, monkeypatch: pytest.MonkeyPatch, missing: tuple[str, ...]
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolving(*missing, "127.0.0.1", "127.0.0.2", "127.0.0.1"))
    port = door.listen_on_tcp(Address("localhost", 0), PlainWay(Role.VIEWER).receive)
    assert [way.listener.getsockname() for way in door._ways] == [("127.0.0.1", port), ("127.0.0.2", port)]


def test_a_name_with_no_address_of_this_computer_is_told(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolving("203.0.113.1", "203.0.113.2"))
    with pytest.raises(ListenError, match="cannot listen on localhost:0: Cannot assign requested address"):
        door.listen_on_tcp(Address("localhost", 0), PlainWay(Role.VIEWER).receive)
    assert door._ways == []


def test_a_port_that_one_of_the_addresses_has_in_use_is_told_and_none_is_kept(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.2", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(socket, "getaddrinfo", resolving("127.0.0.1", "127.0.0.2"))
        with pytest.raises(ListenError, match="Address already in use"):
            door.listen_on_tcp(Address("localhost", port), PlainWay(Role.VIEWER).receive)
        assert door._ways == []
        socket.create_server(("127.0.0.1", port)).close()  # free again
