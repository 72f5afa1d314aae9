"""The microcontroller of one virtual HAT: a MicroPython process that starts again whenever it ends."""

from __future__ import annotations

import asyncio
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Protocol

from racklet_virtual.alarm import Alarm
from racklet_virtual.firmware_process import Firmware, FirmwareProcess
from racklet_virtual.machine_server import MachineServer

if TYPE_CHECKING:
    from pathlib import Path

    from racklet_virtual.hardware import HatHardware
    from racklet_virtual.usb_cable import UsbCable

_RESTART_S = 0.02
_MIN_LIFE_S = 0.5  # a process that ended sooner starts again only after this
_LAST_WORDS_BYTES = 4096
_CRASH_LOG_BYTES = 64 * 1024
_RAW_REPL = b"raw REPL; CTRL-B to exit"
_FRIENDLY_REPL = b'Type "help()"'
_PROMPT = b">>> "
_CTRL_A = b"\x01"


class ResetCause(IntEnum):
    """What `machine.reset_cause` tells."""

    POWER_ON = 1
    WATCHDOG = 3  # machine.reset() as well: the chip makes it with its watchdog
    SOFT = 5


class _Repl(Enum):
    """Where a soft reset leads: to the main script, or, from the raw REPL, to the raw REPL again."""

    MAIN = 1
    RAW = 2


class Board(Protocol):
    """What surrounds the chip."""

    hardware: HatHardware
    cable: UsbCable

    def now_us(self) -> int:
        """Return the world's time."""

    def look_again(self) -> None:
        """The hardware has moved: its next change may be earlier now."""

    def drop_usb(self) -> None:
        """A hard reset: the USB device is gone for a moment."""


class VirtualMicrocontroller:
    """Runs the firmware from `start` to `stop`.

    A crash log keeps the last words of every process that crashed or that the watchdog ended, 64 KiB at most.
    """

    def __init__(self, firmware: Firmware, board: Board, folder: Path, unique_id: bytes) -> None:
        self.unique_id = unique_id
        self.scratch = 0  # a register that only a loss of power clears
        self.starts = 0
        self.uart_lost_bytes = 0
        self.crash_log = folder / "crashes.log"
        self.flash = folder / "flash"
        self.flash.mkdir(parents=True, exist_ok=True)
        self._firmware = firmware
        self._board = board
        self._loop = asyncio.get_running_loop()
        self._process: FirmwareProcess | None = None
        self._server: MachineServer | None = None
        self._cause = self._hard_cause = ResetCause.POWER_ON
        self._ending: ResetCause | None = None  # why we kill the process
        self._dead_s = 0.0
        self._crashed = False
        self._last_words = bytearray()
        self._await_prompt = False
        self._started_s = 0.0
        self._fed_s = 0.0
        self._watchdog_s = 0.0
        self._watchdog = Alarm(self._check_watchdog)
        self._restart = Alarm(lambda: self._start(_Repl.MAIN))
        self._stopping = False
        self._stopped = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """The process that runs now."""
        return self._process.pid if self._process is not None else None

    @property
    def last_words(self) -> bytes:
        """The newest 4096 bytes that the process printed."""
        return bytes(self._last_words)

    def start(self) -> None:
        """Power it up."""
        self._start(_Repl.MAIN)

    async def stop(self) -> None:
        """Power it down for good. Returns when its process has gone."""
        self._stopping = True
        self._watchdog.cancel()
        self._restart.cancel()
        if self._process is not None:
            self._process.kill()
            await self._stopped.wait()

    def end(self, cause: ResetCause, dead_s: float = 0.0) -> None:
        """Reset it, for whatever cause; it stays dead for so long."""
        self._dead_s = dead_s
        self._ending = cause
        if self._process is not None:
            self._process.kill()

    def receive(self, entries: bytes) -> None:
        """Its UART has received something, 16 bits each. What nothing takes out of it is lost and counted."""
        if self._server is None or not self._server.receive(entries):
            self.uart_lost_bytes += len(entries) // 2

    def serve(self) -> None:
        """Answer the calls that wait: they happened before now."""
        if self._server is not None:
            self._server.serve()

    def reset_cause(self) -> int:
        """Return why it started; after a soft reset, as an RP2040 does, the cause of the hard one before."""
        return self._hard_cause

    def fall(self, pin: int) -> None:
        """A pin falls."""
        if self._server is not None:
            self._server.tell_edge(pin)

    def start_watchdog(self, timeout_ms: int) -> None:
        """Arm the watchdog, which a soft reset does not disarm."""
        self._watchdog_s = timeout_ms / 1000
        self._watchdog.set(self._watchdog_s)
        self.feed_watchdog()

    def feed_watchdog(self) -> None:
        """Start the watchdog's time again."""
        self._fed_s = self._loop.time()

    def hardware_moved(self) -> None:
        """A call of the firmware changed something outside."""
        self._board.look_again()

    def stop_watchdog(self) -> None:
        """Disarm the watchdog."""
        self._watchdog.cancel()

    def reset(self, *, hard: bool) -> None:
        """Reset it as `machine.reset` or `machine.soft_reset` does."""
        self.end(ResetCause.WATCHDOG if hard else ResetCause.SOFT)

    def _start(self, repl: _Repl) -> None:
        self.starts += 1
        self._server = MachineServer(self._board.hardware, self, self._board.now_us)
        self._process = FirmwareProcess(
            self._firmware,
            run_entry=repl is _Repl.MAIN,
            folder=self.flash,
            world=self._server.child_fds,
            on_end=self._process_ended,
        )
        self._await_prompt = repl is _Repl.RAW
        self._last_words.clear()
        self._started_s = self._loop.time()
        self._board.cable.connect_hat(self._process.terminal, self._watch, self._process.interrupt)

    def _process_ended(self) -> None:
        assert self._process is not None  # noqa: S101
        assert self._server is not None  # noqa: S101
        self._board.cable.disconnect_hat()
        self._server.close()
        self._process.close()
        repl = self._repl_after_soft_reset() if self._ending is None else _Repl.MAIN
        self._crashed |= self._ending is None and self._process.return_code != 0
        self._cause = self._ending or (ResetCause.WATCHDOG if self._crashed else ResetCause.SOFT)
        if self._cause is not ResetCause.SOFT:
            self._hard_cause = self._cause
        if self._cause is ResetCause.POWER_ON:
            self.scratch = 0
        self._process = self._server = self._ending = None
        self._board.hardware.release_pins(self._board.now_us())
        self._board.look_again()
        if self._stopping:
            self._stopped.set()
        else:
            self._come_back(repl)

    def _come_back(self, repl: _Repl) -> None:
        if self._crashed:
            self._crashed = False
            self._write_crash_log()
        if self._cause is ResetCause.SOFT:
            self._board.cable.say(b"MPY: soft reboot\r\n")
        else:
            self._watchdog.cancel()
            self._board.drop_usb()
        short_life = self._loop.time() - self._started_s < _MIN_LIFE_S
        if repl is _Repl.RAW:
            self._start(repl)
        else:
            self._restart.set(max(self._dead_s, _MIN_LIFE_S if short_life else _RESTART_S))
        self._dead_s = 0.0

    def _repl_after_soft_reset(self) -> _Repl:
        words = self._last_words
        return _Repl.RAW if words.rfind(_RAW_REPL) > words.rfind(_FRIENDLY_REPL) else _Repl.MAIN

    def _watch(self, data: bytes) -> None:
        self._last_words += data
        del self._last_words[:-_LAST_WORDS_BYTES]
        if self._await_prompt and _PROMPT in self._last_words and self._process is not None:
            self._await_prompt = False
            self._process.type(_CTRL_A)

    def _check_watchdog(self) -> None:
        left_s = self._fed_s + self._watchdog_s - self._loop.time()
        if left_s > 0:
            self._watchdog.set(left_s)
        elif self._process is None:  # between a soft reset and the next process
            self._watchdog.set(_RESTART_S)
        else:
            self._crashed = True
            self.end(ResetCause.WATCHDOG)

    def _write_crash_log(self) -> None:
        words = bytes(self._last_words).rpartition(b"\0")[2]  # frames of the link end in 0
        entry = f"--- start {self.starts} ended: {self._cause.name}\n".encode() + words + b"\n"
        kept = self.crash_log.read_bytes() if self.crash_log.exists() else b""
        self.crash_log.write_bytes((kept + entry)[-_CRASH_LOG_BYTES:])
