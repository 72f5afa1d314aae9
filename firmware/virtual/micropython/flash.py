"""A NOR flash as a block device for MicroPython's file systems, whose power can be cut in the middle of any write.

As an RP2040's: sectors of 4 KiB that are erased as a whole, pages of 256 bytes whose bits can only be cleared.
"""

from micropython import const

SECTOR = const(4096)
PAGE = const(256)
_ERASED = b"\xff" * SECTOR
_COUNT = const(4)  # ioctl operations
_SIZE = const(5)
_ERASE = const(6)
_EIO = const(5)


class PowerCutError(BaseException):
    """The power is gone. No handler of errors is run then."""


class Flash:
    """`store` holds the bytes: what can be read and written by `store.read(at, buf)`, `store.write(at, data)`.

    `writes` counts the pages that are programmed and the sectors that are erased. The power goes with the one of number
    `cut_at`. That one is not done with `how` CLEAN, done in its first half with TORN, and with GARBLED some of its bits
    have changed and others have not. It raises PowerCutError; all that is asked for later fails.
    """

    CLEAN = const(0)
    TORN = const(1)
    GARBLED = const(2)

    def __init__(self, store, sectors, cut_at=-1, how=CLEAN):
        self._store = store
        self._sectors = sectors
        self._cut_at = cut_at
        self._how = how
        self.is_dead = False
        self.writes = 0

    def readblocks(self, block, buf, offset=0):
        if self.is_dead:
            return -_EIO
        self._store.read(block * SECTOR + offset, buf)
        return 0

    def writeblocks(self, block, buf, offset=None):
        if self.is_dead:
            return -_EIO
        if offset is None:  # as the file systems without erasing want it
            self.ioctl(_ERASE, block)
            offset = 0
        at = block * SECTOR + offset
        for start in range(0, len(buf), PAGE):
            self._change(at + start, self._programmed(at + start, bytes(buf[start : start + PAGE])))
        return 0

    def ioctl(self, operation, argument):
        if operation == _COUNT:
            return self._sectors
        if operation == _SIZE:
            return SECTOR
        if self.is_dead:
            return -_EIO
        if operation == _ERASE:
            self._change(argument * SECTOR, _ERASED)
        return 0

    def _programmed(self, at, data):
        """Return what programming makes of what is there."""
        there = bytearray(len(data))
        self._store.read(at, there)
        if there == _ERASED[: len(there)]:
            return data
        for index in range(len(there)):
            there[index] &= data[index]
        return there

    def _change(self, at, data):
        number = self.writes
        self.writes += 1
        if number != self._cut_at:
            self._store.write(at, data)
            return
        self.is_dead = True
        if self._how == self.TORN:
            self._store.write(at, data[: len(data) // 2])
        elif self._how == self.GARBLED:
            self._store.write(at, self._garbled(at, data))
        raise PowerCutError

    def _garbled(self, at, data):
        """Return bits of what was there and of what was to come."""
        mixed = bytearray(len(data))
        self._store.read(at, mixed)
        choice = number = 0x9E3779B9 ^ at
        for index in range(len(mixed)):
            number = (number * 1103515245 + 12345) & 0x7FFFFFFF
            choice = number >> 16 & 255
            mixed[index] = mixed[index] & choice | data[index] & ~choice
        return mixed


class MemoryStore:
    """Bytes in memory."""

    def __init__(self, data):
        self.data = data

    def read(self, at, buf):
        buf[:] = self.data[at : at + len(buf)]

    def write(self, at, data):
        self.data[at : at + len(data)] = data


class FileStore:
    """Bytes in a file that is open for reading and writing, of the flash's size."""

    def __init__(self, file):
        self._file = file

    def read(self, at, buf):
        self._file.seek(at)
        self._file.readinto(buf)

    def write(self, at, data):
        self._file.seek(at)
        self._file.write(data)
        self._file.flush()
