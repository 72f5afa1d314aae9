"""Answers the calls of one MicroPython process: the other end of `micropython/machine.py`."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import struct
import time
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

from racklet_virtual.hardware import HatHardware, NoAcknowledgeError
from racklet_virtual.receive_dma import DmaSetup, ReceiveDma

if TYPE_CHECKING:
    from collections.abc import Callable

_HEADER = struct.Struct("<BBHI")
_MAX_MESSAGE = _HEADER.size + 512
_CALLS_PER_TURN = 32  # then the other HATs have their turn
_TICKS_MASK = 0x3FFFFFFF
_MAX_LAG_US = 100_000  # a call that seems older than this comes from another clock
_FLOATING = 2


class Operation(IntEnum):
    """The calls, numbered as in machine.py and rp2.py."""

    IDENTITY = 0
    PIN_DRIVE = 1
    PIN_READ = 2
    I2C_READ = 3
    I2C_WRITE = 4
    ADC_READ = 5
    DMA_START = 6
    UART_WRITE = 7
    WDT_START = 8
    WDT_FEED = 9
    RESET = 10
    WDT_STOP = 11
    UART_OPEN = 12
    DMA_STOP = 13
    PIN_IRQ = 14
    SCRATCH_READ = 15
    SCRATCH_WRITE = 16
    UART_LOOP = 17


class Microcontroller(Protocol):
    """The chip that the process stands for: what outlives the process."""

    unique_id: bytes
    scratch: int

    @property
    def pid(self) -> int | None:
        """The process that runs now."""

    def reset_cause(self) -> int:
        """Return why it started, as `machine.reset_cause` does."""

    def start_watchdog(self, timeout_ms: int) -> None:
        """Arm the watchdog. It stays armed until a hard reset."""

    def feed_watchdog(self) -> None:
        """Start the watchdog's time again."""

    def stop_watchdog(self) -> None:
        """Disarm the watchdog."""

    def reset(self, *, hard: bool) -> None:
        """End the process and start it again."""

    def hardware_moved(self) -> None:
        """A call changed something outside: its next change may be earlier now."""


class MachineServer:
    """Serves one process from its start to its end. Bad messages are ignored: they can only come from its REPL."""

    def __init__(self, hardware: HatHardware, chip: Microcontroller, now_us: Callable[[], int]) -> None:
        self._hardware = hardware
        self._chip = chip
        self._now_us = now_us
        self._calls, self._child_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._calls.settimeout(0)
        self._edges, self._edges_child = socket.socketpair()
        self._edges.settimeout(0)
        self._edges_child.settimeout(0)
        self._watched: set[int] = set()
        self._dma: ReceiveDma | None = None
        asyncio.get_running_loop().add_reader(self._calls.fileno(), self.serve)

    @property
    def child_fds(self) -> tuple[int, int]:
        """The descriptors that the process inherits: calls and edges."""
        return self._child_end.fileno(), self._edges_child.fileno()

    def tell_edge(self, pin: int) -> None:
        """A pin has fallen. When the process has not looked for long, it sees only some of many edges."""
        if pin in self._watched:
            with contextlib.suppress(OSError):
                self._edges.send(bytes([pin]))

    def close(self) -> None:
        """Stop serving."""
        asyncio.get_running_loop().remove_reader(self._calls.fileno())
        self._calls.close()
        self._child_end.close()
        self._edges.close()
        self._edges_child.close()
        self._stop_dma()

    def receive(self, entries: bytes) -> bool:
        """Give the UART's entries to the firmware; False when it has not asked for them."""
        if self._dma is not None:
            self._dma.move(entries)
        return self._dma is not None

    def serve(self) -> None:
        """Answer the calls that wait."""
        for _ in range(_CALLS_PER_TURN):
            try:
                message = self._calls.recv(_MAX_MESSAGE)
            except BlockingIOError:
                return
            if len(message) < _HEADER.size:
                return
            self._handle(message)
            if self._calls.fileno() < 0:  # the call was a reset
                return

    def _handle(self, message: bytes) -> None:
        operation, argument, number, ticks_us = _HEADER.unpack_from(message)
        payload = message[_HEADER.size :]
        at_us = self._time_of(ticks_us)
        match operation:
            case Operation.PIN_READ:
                self._reply(bytes([self._hardware.pin(argument, at_us)]))
            case Operation.I2C_READ | Operation.I2C_WRITE if payload:
                self._transfer(operation, argument, number, payload)
            case Operation.PIN_DRIVE:
                self._hardware.set_pin(argument, None if number == _FLOATING else number, at_us)
                self._chip.hardware_moved()
            case Operation.UART_WRITE if self._hardware.uart.loops:
                self.receive(self._hardware.uart.hear_itself(payload))
            case Operation.UART_WRITE:
                self._hardware.node.type(payload, at_us)
                self._chip.hardware_moved()
            case Operation.ADC_READ:
                self._reply(self._hardware.read_adc(argument, at_us).to_bytes(2, "little"))
            case _:
                self._handle_chip_call(operation, argument, number, payload)

    def _handle_chip_call(self, operation: int, argument: int, number: int, payload: bytes) -> None:
        match operation:
            case Operation.WDT_FEED:
                self._chip.feed_watchdog()
            case Operation.WDT_STOP:
                self._chip.stop_watchdog()
            case Operation.WDT_START:
                self._chip.start_watchdog(number)
            case Operation.IDENTITY:
                self._reply(self._chip.unique_id + bytes([self._chip.reset_cause()]))
            case Operation.UART_OPEN:
                self._hardware.uart.set_baud(int.from_bytes(payload, "little"))
                self._reply(b"")
            case Operation.DMA_START | Operation.DMA_STOP:
                self._run_dma(payload)
            case Operation.RESET:
                self._chip.reset(hard=bool(argument))
            case _:
                self._handle_register_call(operation, argument, payload)

    def _handle_register_call(self, operation: int, argument: int, payload: bytes) -> None:
        match operation:
            case Operation.PIN_IRQ:
                self._watched.add(argument)
            case Operation.UART_LOOP:
                self._hardware.uart.loops = bool(argument)
            case Operation.SCRATCH_READ:
                self._reply(self._chip.scratch.to_bytes(4, "little"))
            case Operation.SCRATCH_WRITE:
                self._chip.scratch = int.from_bytes(payload[:4], "little")
            case _:
                pass

    def _run_dma(self, payload: bytes) -> None:
        """Start with what `payload` says, or stop when it is empty."""
        self._stop_dma()
        try:
            if payload and (pid := self._chip.pid) is not None:
                self._dma = ReceiveDma(pid, DmaSetup.unpack(payload))
        except OSError as error:  # some kernels are set up so: kernel.yama.ptrace_scope
            self._reply(b"", status=error.errno or errno.EPERM)
        else:
            self._reply(b"")

    def _stop_dma(self) -> None:
        if self._dma is not None:
            self._dma.close()
            self._dma = None

    def _transfer(self, operation: int, address: int, count: int, payload: bytes) -> None:
        try:
            if operation == Operation.I2C_READ:
                data = self._hardware.read_i2c(address, payload[0], count, self._now_us())
            else:
                self._hardware.write_i2c(address, payload[0], payload[1:], self._now_us())
                data = b""
        except NoAcknowledgeError:
            self._reply(bytes(count), status=errno.EIO)  # what the RP2040 port raises
        else:
            self._reply(data)

    def _reply(self, data: bytes, status: int = 0) -> None:
        try:
            self._calls.send(bytes([status]) + data)
        except OSError:  # the process has just ended, which the board learns by itself
            return

    def _time_of(self, ticks_us: int) -> int:
        lag_us = (time.monotonic_ns() // 1000 - ticks_us) & _TICKS_MASK
        return self._now_us() - (lag_us if lag_us < _MAX_LAG_US else 0)
