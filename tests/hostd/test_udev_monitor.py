"""udev's word: each burst of events makes hostd look once, and a computer without udev is looked at every second."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from racklet_hostd import slots as slots_module
from racklet_hostd.udev_monitor import UdevMonitor
from tests.hostd.pty_hat import PtyHat
from tests.hostd.rig import running_rack, until


class WordOfUdev:
    """udev's monitor, but for where its events come from: a socket that a test writes to, one byte an event."""

    def __init__(self) -> None:
        self._ours, self.events = socket.socketpair()
        self._ours.setblocking(False)
        self.is_started = False

    def start(self) -> None:
        self.is_started = True

    def fileno(self) -> int:
        return self._ours.fileno()

    def poll(self, timeout: float) -> bytes | None:
        assert timeout == 0
        try:
            return self._ours.recv(1)
        except BlockingIOError:
            return None

    def close(self) -> None:
        self._ours.close()
        self.events.close()


@pytest.fixture
def word() -> Iterator[WordOfUdev]:
    word = WordOfUdev()
    yield word
    word.close()


async def test_a_burst_of_events_is_one_change(word: WordOfUdev) -> None:
    changes: list[int] = []
    monitor = UdevMonitor(lambda: changes.append(1), word)
    assert monitor.start()
    word.events.send(b"+++")
    await until(lambda: changes)
    assert changes == [1]
    word.events.send(b"-")
    await until(lambda: len(changes) == 2)
    monitor.stop()
    monitor.stop()
    word.events.send(b"+")
    assert changes == [1, 1]


async def test_without_udev_it_says_so(word: WordOfUdev, caplog: pytest.LogCaptureFixture) -> None:
    def refuse() -> None:
        raise OSError("no netlink here")

    word.start = refuse  # type: ignore[method-assign]
    assert not UdevMonitor(lambda: None, word).start()
    assert "no word from udev" in caplog.text


async def test_udevs_own_monitor_starts_here() -> None:
    monitor = UdevMonitor(lambda: None)
    assert monitor.start()
    monitor.stop()


@pytest.mark.parametrize("slot", ["node-1", "a-slot-that-no-config-names"])
async def test_a_hat_is_served_by_udevs_word_long_before_it_is_looked_for(
    tmp_path: Path, word: WordOfUdev, monkeypatch: pytest.MonkeyPatch, slot: str
) -> None:
    monkeypatch.setattr(slots_module, "LOOK_EVERY_S", 3600)
    monkeypatch.setattr("racklet_hostd.slot.BACKOFF_MS", (3_600_000,))
    monkeypatch.setattr(slots_module, "UdevMonitor", lambda changed: UdevMonitor(changed, word))
    hat = PtyHat(tmp_path / "ports" / "node-1")
    hat.port = tmp_path / "ports" / slot
    sections = {"rack": {"ports": [str(tmp_path / "ports" / "*")]}}
    async with running_rack(tmp_path, hats={}, **sections) as rig:
        await until(lambda: word.is_started)
        with hat:
            word.events.send(b"+")
            await until(lambda: any(seen.hat_id == hat.hat_id.hex() for seen in rig.daemon.rack.hats.seen()))


async def test_a_hat_is_served_without_a_word_as_well(
    tmp_path: Path, word: WordOfUdev, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots_module, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(slots_module, "UdevMonitor", lambda changed: UdevMonitor(changed, word))
    sections = {"rack": {"ports": [str(tmp_path / "ports" / "*")]}}
    async with running_rack(tmp_path, hats={}, **sections) as rig:
        with PtyHat(tmp_path / "ports" / "anywhere") as hat:
            await until(lambda: any(seen.hat_id == hat.hat_id.hex() for seen in rig.daemon.rack.hats.seen()))
