"""`rp2` for MicroPython's unix port: of the DMA, what Racklet's firmware does with it, and errors for all else.

The world is the DMA controller: it writes what the UART receives straight into this process's memory, to the ring and
to the channel's count, whether the firmware runs at the moment or not.
"""

import struct
from array import array

from micropython import const
from uctypes import addressof

import machine

_DMA_START = const(6)
_DMA_STOP = const(13)

_UART1_BASE = const(0x40038000)
_UART1_RX_DREQ = const(23)
_UNPACED = const(0x3F)
_COUNT = const(2)
_COUNT_AND_START = const(7)
_WORD = const(4)
_CHANNELS = const(12)

_channels = []


class DMA:
    """One channel receives from UART1 into a ring; a second, chained to it, does nothing but start it again."""

    def __init__(self):
        if len(_channels) == _CHANNELS:
            raise OSError(16)
        self.channel = len(_channels)
        _channels.append(self)
        self.registers = memoryview(array("I", bytes(64)))
        self._settings = {}
        self._ctrl = 0
        self._restarts = None

    @property
    def count(self):
        machine.run_handlers()
        return self.registers[_COUNT]

    @property
    def ctrl(self):
        return self._ctrl

    @ctrl.setter
    def ctrl(self, value):
        if value:
            raise ValueError("only switching a channel off is modelled")
        self._ctrl = 0

    def pack_ctrl(self, **settings):
        self._settings = settings
        return 1 + self.channel

    def config(self, *, read, write, count, ctrl, trigger=False):
        if ctrl != 1 + self.channel:
            raise ValueError("the control word of another channel")
        self._ctrl = ctrl
        if trigger:
            self._receive(read, write, count)
        else:
            self._restart(read, write, count)

    def _restart(self, read, write, count):
        wanted = {"inc_read": False, "inc_write": False}
        if self._settings != wanted or count != 1:
            raise ValueError("only a channel that starts another again is modelled")
        for other in _channels:
            if addressof(write) == addressof(other.registers) + _WORD * _COUNT_AND_START:
                self._restarts = (other, read[0])
                return
        raise ValueError("what it writes to is no channel's count and start")

    def _receive(self, read, write, count):
        chain = self._settings.pop("chain_to", self.channel)
        ring_bits = self._settings.pop("ring_size", 0)
        wanted = {"size": 1, "inc_read": False, "ring_sel": True, "treq_sel": _UART1_RX_DREQ}
        if self._settings != wanted or read != _UART1_BASE or chain == self.channel:
            raise ValueError("only receiving from UART1 for ever is modelled")
        if _channels[chain]._restarts != (self, count):
            raise ValueError("nothing starts it again with the same count")
        size = 1 << ring_bits
        if addressof(write) % size or len(write) * 2 != size or count % len(write):
            raise ValueError("the ring does not stand at a multiple of its size")
        self.registers[_COUNT] = count
        struct.pack_into("<QQII", machine._message, 8, addressof(write), addressof(self.registers) + 8, count, size)
        machine._ask(_DMA_START, 0, 0, 24, 0)

    def active(self, value=None):
        if value is not None:
            if value or self._ctrl:
                raise ValueError("only stopping a channel that is off is modelled")
            machine._ask(_DMA_STOP, 0, 0, 0, 0)
        return self._ctrl != 0
