"""What came is made durable: of everything in turns, of what is urgent at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from racklet_hostd.config import StoreConfig
from racklet_hostd.daemon import Daemon
from racklet_hostd.disk_thread import DiskThread
from racklet_hostd.store import BootCause, NodeStore, Store, StoreLimits
from racklet_hostd.syncing import next_sync_s
from racklet_hostd.urgent import UrgentNodes
from racklet_link.events import StoredPositions
from tests.hostd.pty_hat import PtyHat
from tests.hostd.rig import config_for, running_daemon, until

HOUR_MS = 3_600_000


@asynccontextmanager
async def disk() -> AsyncIterator[DiskThread]:
    with DiskThread("test") as disk:
        yield disk


async def test_work_is_done_in_another_thread_and_in_order() -> None:
    done: list[int] = []

    def work(number: int) -> str:
        done.append(number)
        return threading.current_thread().name

    async with disk() as thread:
        calls = [thread.call(partial(work, number)) for number in range(5)]
        assert await asyncio.gather(*calls) == ["test"] * 5
    assert done == [0, 1, 2, 3, 4]


async def test_whoever_calls_gets_what_went_wrong() -> None:
    async with disk() as thread:
        with pytest.raises(ZeroDivisionError):
            await thread.call(lambda: 1 // 0)
        assert await thread.call(lambda: 1) == 1


async def test_what_was_begun_is_done_although_nobody_waits_for_it() -> None:
    may_end, done = threading.Event(), []

    def work() -> None:
        may_end.wait()
        done.append(True)

    async with disk() as thread:
        call = thread.call(work)
        call.cancel()
        may_end.set()
    assert done == [True]
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_urgent_nodes_are_taken_once() -> None:
    urgent = UrgentNodes()
    urgent.add("node-1")
    urgent.add("node-2")
    urgent.add("node-1")
    await urgent.wait()
    assert urgent.take() == {"node-1", "node-2"}
    assert urgent.take() == set()


async def test_a_wake_up_ends_the_wait_for_urgent_nodes() -> None:
    urgent = UrgentNodes()
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(urgent.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        urgent.wake()
        urgent.wake()


def begun(store: Store, name: str) -> NodeStore:
    node = store.node(name)
    node.attach(1, name.encode(), boot_continues=False)
    node.begin_boot(1, 0, cause=BootCause.SUPPLY_ON, lost_boots=0).append(0, 1, b"said")
    return node


def test_a_sync_of_some_nodes_leaves_the_others_to_the_next(tmp_path: Path) -> None:
    with ExitStack() as opened:
        store = Store.open(tmp_path, StoreLimits())
        opened.callback(store.close)
        one, two = begun(store, "node-1"), begun(store, "node-2")
        assert store.sync(names={"node-1"}).positions == {"node-1": StoredPositions(1, 4, 1)}
        assert (one.totals.log_bytes, two.totals.log_bytes) == (4, 0)
        store.sync()
        assert two.positions() == StoredPositions(1, 4, 1)


def test_an_event_that_a_sync_stores_counts_as_stored_of_whatever_node_it_is(tmp_path: Path) -> None:
    with ExitStack() as opened:
        store = Store.open(tmp_path, StoreLimits())
        opened.callback(store.close)
        begun(store, "node-1")
        two = begun(store, "node-2")
        store.events.append("node-2", 1, "supply_state", "It is on.", hat_sequence=1, hat_session=1)
        store.sync(names={"node-1"})
        assert two.positions() == StoredPositions(1, 4, 2)


@asynccontextmanager
async def syncing_seldom(folder: Path) -> AsyncIterator[tuple[Daemon, PtyHat]]:
    """Run hostd with two nodes; node-2 has said 6 bytes that wait for a sync. The HAT is node-1's."""
    seldom = StoreConfig.model_construct(sync_period_ms=HOUR_MS)
    config = config_for(folder, ("node-1", "node-2")).model_copy(update={"store": seldom})
    with PtyHat(folder / "ports" / "node-1") as fast, PtyHat(folder / "ports" / "node-2") as slow:
        async with running_daemon(config) as (hostd, _):
            for hat in (fast, slow):
                hat.boot()
            slow.say(b"little")
            await until(lambda: (log := hostd.rack.node("node-2").store.newest) and log.end == 6)
            yield hostd, fast


async def test_what_is_urgent_of_one_node_is_stored_before_what_is_not_of_another(tmp_path: Path) -> None:
    async with syncing_seldom(tmp_path) as (hostd, fast):
        fast.say(bytes(30_000))
        await until(lambda: hostd.rack.node("node-1").store.totals.log_bytes >= 10_000)
        assert hostd.rack.node("node-2").store.totals.log_bytes == 0
    assert hostd.rack.node("node-2").store.totals.log_bytes == 6


@pytest.mark.parametrize(
    ("last_s", "period_s", "now_s", "next_s"),
    [(40.0, 1.0, 40.01, 41.0), (40.81, 1.0, 40.82, 41.75), (40.0, 1.0, 43.3, 44.25), (40.0, 0.1, 40.01, 40.1)],
    ids=["as a rule", "after an urgent one that took all along", "after a slow disk", "more often than looks"],
)
def test_everything_is_synced_at_the_last_look_at_the_ports_before_a_period_has_passed(
    last_s: float, period_s: float, now_s: float, next_s: float
) -> None:
    assert next_sync_s(last_s, period_s, now_s) == pytest.approx(next_s)


async def test_an_urgent_sync_late_in_the_period_takes_everything_along(tmp_path: Path) -> None:
    async with syncing_seldom(tmp_path) as (hostd, fast):
        hostd._syncing._late_s = 0.0
        fast.say(bytes(30_000))
        await until(lambda: hostd.rack.node("node-2").store.totals.log_bytes == 6)
        assert hostd.rack.node("node-1").store.totals.log_bytes >= 10_000
