"""AttachConsole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from racklet.v1 import rack_pb2
from racklet_hostd import console_view
from racklet_hostd.console import CALLERS_REMEMBERED, Caller, Console
from tests.hostd.rig import Rig, running_rack, until


class Terminal:
    """A caller at a console, and what it has been shown."""

    def __init__(self, rig: Rig) -> None:
        self.call = rig.rack.AttachConsole()
        self.shown = b""
        self.lost_bytes = 0
        self.notices: list[str] = []
        self.company: list[tuple[str, bool, bool]] = []
        self.typed_offset = 0
        self.is_resumed = False
        self.place = ("", 0)

    async def send(self, data: bytes = b"", **fields: object) -> None:
        await self.call.write(rack_pb2.AttachConsoleRequest(data=data, **fields))  # type: ignore[arg-type]

    async def read_until(self, holds: Callable[[Terminal], object]) -> None:
        async with asyncio.timeout(20):
            while not holds(self):
                response = await self.call.read()
                assert isinstance(response, rack_pb2.AttachConsoleResponse)
                self.shown += response.data
                self.lost_bytes += response.lost_bytes
                self.notices += [response.notice] if response.notice else []
                self.company = [(seat.caller, seat.writes, seat.is_you) for seat in response.seats] or self.company
                self.typed_offset = max(self.typed_offset, response.typed_offset)
                self.is_resumed |= response.is_resumed
                self.place = (response.boot, response.offset + len(response.data)) if response.data else self.place


@asynccontextmanager
async def attached(rig: Rig, *, seats: int = 1, **fields: object) -> AsyncIterator[Terminal]:
    """Attach to node-1 and wait until hostd has taken the caller in as number `seats`."""
    terminal = Terminal(rig)
    await terminal.send(name="nodes/node-1", **fields)
    await until(lambda: len(rig.daemon.rack.node("node-1").console._seats) == seats or terminal.call.done())
    try:
        yield terminal
    finally:
        terminal.call.cancel()


async def test_what_the_node_says_is_shown_from_now_on(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        hat = rig.hats["node-1"]
        hat.boot()
        hat.say(b"long ago\n")
        await until(lambda: hat.all_acknowledged)
        async with attached(rig) as terminal:
            hat.say(b"login: ")
            await terminal.read_until(lambda each: each.shown == b"login: ")


async def test_what_is_typed_reaches_the_node_whole_and_once(tmp_path: Path) -> None:
    text = bytes(range(256)) * 20
    async with running_rack(tmp_path) as rig:
        hat = rig.hats["node-1"]
        hat.type_room = 50  # a slow node
        async with attached(rig, data=text[:10]) as terminal:
            for start in range(10, len(text), 1000):
                await terminal.send(text[start : start + 1000])
            await until(lambda: len(hat.typed) >= len(text))
    assert hat.typed == text


async def test_a_second_writer_is_refused_and_a_looker_is_not(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig, attached(rig):
        async with attached(rig, seats=2, read_only=True) as looker:
            rig.hats["node-1"].boot()
            rig.hats["node-1"].say(b"hello")
            await looker.read_until(lambda each: each.shown == b"hello")
            await looker.send(b"let me")
            await looker.read_until(lambda each: any("only looking" in notice for notice in each.notices))
        async with attached(rig, seats=99) as second:
            with pytest.raises(grpc.aio.AioRpcError, match="take it over, or look only") as caught:
                await second.read_until(lambda _: False)
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert rig.hats["node-1"].typed == b""


async def test_who_takes_over_writes_and_the_other_is_told(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig, attached(rig) as first, attached(rig, seats=2, take_over=True) as second:
        await first.read_until(lambda each: any("took over" in notice for notice in each.notices))
        await first.send(b"no")
        await first.read_until(lambda each: any("only looking" in notice for notice in each.notices))
        await second.send(b"yes")
        await until(lambda: rig.hats["node-1"].typed == b"yes")


async def test_who_has_nothing_more_to_type_makes_way_and_goes_on_looking(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig, attached(rig) as first:
        await first.send(b"1")
        await first.call.done_writing()
        await until(lambda: rig.daemon.rack.node("node-1").console._writer is None)
        async with attached(rig, seats=2) as second:
            await second.send(b"2")
            await until(lambda: rig.hats["node-1"].typed == b"12")
            rig.hats["node-1"].boot()
            rig.hats["node-1"].say(b"seen by both")
            for terminal in (first, second):
                await terminal.read_until(lambda each: each.shown == b"seen by both")


async def test_a_caller_that_goes_gives_up_its_seat(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        node = rig.daemon.rack.node("node-1")
        async with attached(rig):
            assert node.console._writer is not None
        await until(lambda: not node.console._seats and node.console._writer is None)


async def test_a_console_stays_while_the_hat_is_away_and_nothing_old_is_typed_later(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig, attached(rig) as terminal:
        hat = rig.hats["node-1"]
        hat.unplug()
        await terminal.read_until(lambda each: any("went offline" in notice for notice in each.notices))
        await terminal.send(b"reboot\n")
        await terminal.read_until(lambda each: any("not sent" in notice for notice in each.notices))
        hat.plug()
        await terminal.read_until(lambda each: any("is online" in notice for notice in each.notices))
        await terminal.send(b"uptime\n")
        await until(lambda: hat.typed)
        assert hat.typed == b"uptime\n"


async def test_who_attaches_to_an_offline_hat_is_told(tmp_path: Path) -> None:
    async with running_rack(tmp_path, hats={}) as rig, attached(rig) as terminal:
        await terminal.read_until(lambda each: any("there is no such port" in notice for notice in each.notices))


async def test_a_new_boot_is_announced_between_the_bytes(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        hat = rig.hats["node-1"]
        hat.boot()
        await rig.until_node(lambda node: node.boot != "")
        async with attached(rig) as terminal:
            hat.say(b"old")
            hat.boot()
            hat.say(b"new")
            await terminal.read_until(lambda each: each.shown == b"oldnew")
            assert terminal.notices == ["boot 2 begins"]


async def test_a_reader_that_is_far_behind_sees_what_is_new_and_how_much_it_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console_view, "BEHIND_LIMIT_BYTES", 1000)
    monkeypatch.setattr(console_view, "BEHIND_KEPT_BYTES", 100)
    async with running_rack(tmp_path) as rig:
        hat = rig.hats["node-1"]
        hat.boot()
        await rig.until_node(lambda node: node.boot != "")
        view = console_view.ConsoleView(rig.daemon.rack.node("node-1").store)
        hat.say(bytes(5000) + b"z" * 100)
        await until(lambda: hat.all_acknowledged)
        assert view.next_output() == [console_view.ConsoleOutput(b"z" * 100, 5000, boot=1, offset=5000)]
        hat.lose(7)
        hat.say(b"after")
        await until(lambda: hat.all_acknowledged)
        assert view.next_output() == [console_view.ConsoleOutput(b"after", 7, boot=1, offset=5107)]
        assert view.next_output() == []


@pytest.mark.parametrize(
    ("requests", "code", "words"),
    [
        ([], grpc.StatusCode.INVALID_ARGUMENT, "expected a first message"),
        ([{"data": b"x"}], grpc.StatusCode.INVALID_ARGUMENT, "name: expected nodes/NAME"),
        ([{"name": "nodes/node-9"}], grpc.StatusCode.NOT_FOUND, "there is no node node-9"),
        (
            [{"name": "nodes/node-1"}, {"name": "nodes/node-1"}],
            grpc.StatusCode.INVALID_ARGUMENT,
            "name: is for the first message",
        ),
    ],
)
async def test_a_caller_that_does_not_keep_to_the_protocol_is_refused(
    tmp_path: Path, requests: list[dict[str, object]], code: grpc.StatusCode, words: str
) -> None:
    async with running_rack(tmp_path) as rig:
        terminal = Terminal(rig)
        for request in requests:
            await terminal.send(**request)  # type: ignore[arg-type]
        if not requests:
            await terminal.call.done_writing()
        with pytest.raises(grpc.aio.AioRpcError, match=words) as caught:
            await terminal.read_until(lambda _: False)
        assert not rig.daemon.rack.node("node-1").console._seats
    assert caught.value.code() is code


async def test_a_console_ends_with_unavailable_when_hostd_goes(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig, attached(rig) as terminal:
        rig.stop.set()
        with pytest.raises(grpc.aio.AioRpcError, match="hostd is shutting down") as caught:
            await terminal.read_until(lambda _: False)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_everybody_is_told_who_is_there_and_who_writes(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig, attached(rig, caller="ada@lab") as ada:
        await ada.read_until(lambda each: each.company == [("ada@lab", True, True)])
        async with attached(rig, seats=2, caller="bob\x1b@lab", read_only=True) as bob:
            await bob.read_until(lambda each: each.company == [("ada@lab", True, False), ("bob@lab", False, True)])
            await ada.read_until(lambda each: each.company == [("ada@lab", True, True), ("bob@lab", False, False)])
            await bob.send(take_over=True)
            await ada.read_until(lambda each: each.company == [("ada@lab", False, True), ("bob@lab", True, False)])
            await ada.read_until(lambda each: any("bob@lab took over" in notice for notice in each.notices))
            await bob.send(b"yes")
            await until(lambda: rig.hats["node-1"].typed == b"yes")
            async with attached(rig, seats=99) as third:
                with pytest.raises(grpc.aio.AioRpcError, match="bob@lab is writing on the console of node-1"):
                    await third.read_until(lambda _: False)
        await ada.read_until(lambda each: each.company == [("ada@lab", False, True)])


async def test_who_comes_back_goes_on_and_nothing_is_typed_twice(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        hat = rig.hats["node-1"]
        hat.boot()
        hat.say(b"seen ")
        await rig.until_node(lambda node: node.boot != "")
        async with attached(rig, caller_id="k1", data=b"abc") as first:
            hat.say(b"one ")
            await first.read_until(lambda each: each.typed_offset == 3 and each.place[1] == 9)
            assert not first.is_resumed
            # The stream is still there as far as hostd knows; the caller does not wait for its end.
            place = {"from_boot": first.place[0], "from_offset": first.place[1]}
            hat.say(b"two ")
            async with attached(rig, caller_id="k1", data=b"bcdef", input_offset=1, **place) as second:
                await second.read_until(lambda each: each.shown == b"two " and each.typed_offset == 6)
                assert second.is_resumed
                await until(lambda: hat.typed == b"abcdef")
                assert len(rig.daemon.rack.node("node-1").console.seats) == 1
                while await first.call.read() is not grpc.aio.EOF:
                    pass
                assert await first.call.code() is grpc.StatusCode.OK


async def test_input_that_leaves_out_some_is_refused(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig, attached(rig, caller_id="k1") as terminal:
        await terminal.send(b"x", input_offset=7)
        with pytest.raises(grpc.aio.AioRpcError, match="input_offset: expected at most 0") as caught:
            await terminal.read_until(lambda _: False)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_view_goes_on_where_one_before_a_restart_ended(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        hat, store = rig.hats["node-1"], rig.daemon.rack.node("node-1").store
        empty = console_view.ConsoleView(store, 3, 2)
        assert empty.next_output() == []
        for text in (b"one", b"two"):
            hat.boot()
            hat.say(text)
        await until(lambda: hat.all_acknowledged)
        behind, ahead = console_view.ConsoleView(store, 1, 1), console_view.ConsoleView(store, 3, 2)
        gone = console_view.ConsoleView(store, 0, 0)
        assert [each.data or each.notice for view in (behind, behind, behind) for each in view.next_output()] == [
            b"ne",
            "boot 2 begins",
            b"two",
        ]
        assert ahead.next_output() == gone.next_output() == []
        hat.boot()
        hat.say(b"three")
        await until(lambda: hat.all_acknowledged)
        shown = [each.data or each.notice for view in (ahead, ahead) for each in view.next_output()]
        assert shown == [b"ree"]
        hat.boot()
        hat.boot()
        await until(lambda: hat.all_acknowledged)
        assert [each.notice for each in behind.next_output()] == ["boot 5 begins, and 2 before it are not shown"]


def test_only_so_many_callers_are_remembered() -> None:
    console = Console("node-1", lambda: None)
    for number in range(CALLERS_REMEMBERED + 1):
        console.leave(console.sit(Caller("", str(number)), 0, writes=False, input_offset=5))
    assert not console.sit(Caller("", "0"), 0, writes=False).is_resumed
    assert console.sit(Caller("", "2"), 0, writes=False).is_resumed
