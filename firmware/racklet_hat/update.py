"""Takes new firmware over the link into the slot that does not run. Loaded when an update begins, and not before.

| state | what waits | what ends it |
|---|---|---|
| HEAD | manifest and signature come, into memory | they are complete |
| VERIFYING | the signature is checked, and whom it is for | it verifies: CLEARING, or FILES when it goes on |
| CLEARING | what the slot held goes, the head is written | it is done |
| FILES | the files come, and are written | all are there, and hostd asks for the end |
| CHECKING | all that was written is read again and checked | it verifies: the state file names the slot to be tried |
| READY | nothing: the HAT restarts | |
| REFUSED | nothing, until another update begins | |

Nothing in here touches the slot that runs, and nothing that was not verified is ever named in the state file.
"""

import os

from racklet_boot import slots as keeping
from racklet_boot.lms import hash_of
from racklet_boot.slots import HeadCheck, RefusedError, SlotCheck
from racklet_link.kernels import const

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any  # noqa: TID251 - for type checkers only

    from racklet_boot.selector import Start

_UPDATE_STATE_HEAD = const(1)
_UPDATE_STATE_VERIFYING = const(2)
_UPDATE_STATE_CLEARING = const(3)
_UPDATE_STATE_FILES = const(4)
_UPDATE_STATE_CHECKING = const(5)
_UPDATE_STATE_READY = const(6)
_UPDATE_STATE_REFUSED = const(7)
_UPDATE_REFUSAL_CURRENT = const(16)
_ROOM = const(2048)  # of what came and is not written: two frames of 448 bytes, and time for the erasing of a sector
_WRITE_MAX = const(512)  # in one turn: two pages of the flash, and at most a sector to erase
_BLOCK = const(4096)  # of the file system
_BLOCKS_SPARE = const(8)  # folders, head, and what littlefs moves
_STEPS = const(4)  # of a check in one turn: 60 hashes or 4 KiB, some 5 ms
_INLINE_MAX = const(1024)  # bytes of a file that littlefs may keep within the folder
_NO_SPACE = const(28)  # ENOSPC


class Updater:
    """One update after the other, as hostd brings them. `turn` does the work, a little each time."""

    def __init__(self, start: "Start", protocol_version: int) -> None:
        self.state = 0
        self.offset = 0  # of the stream: what lies before it was taken
        self.refusal = 0
        self._slots = start.slots
        self._running = start.slot
        self._slot = start.slots.other(start.slot)
        self._folder = start.slots.path(self._slot)
        self._start = start
        self._protocol_version = protocol_version
        self._digest = b""
        self._head = bytearray()
        self._head_bytes = 0
        self._manifest_bytes = 0
        self._size = 0
        self._files: "list[Any]" = []
        self._index = 0  # of the file that is being written
        self._written = 0  # bytes of it
        self._file: "Any" = None
        self._check: "Any" = None
        self._names: "list[str]" = []
        self._waiting = bytearray(_ROOM)
        self._held = 0
        self._resumes = False

    def begin(self, manifest_bytes: int, signature_bytes: int, size: int, digest: bytes) -> int:
        """Take up an update, anew or where it stopped; return 0, or why not. The same one again changes nothing."""
        if self._start.on_probation:
            return keeping.PROBATION
        if self._digest == digest and _UPDATE_STATE_HEAD <= self.state <= _UPDATE_STATE_READY:
            return 0
        self.abort()
        if self._head_in(self._slots.path(self._running), digest):
            return _UPDATE_REFUSAL_CURRENT
        sizes_fit = 0 < manifest_bytes <= keeping.MANIFEST_MAX and 0 < signature_bytes <= keeping.SIGNATURE_MAX
        if not sizes_fit or not 0 < size <= keeping.SIZE_MAX:
            return keeping.SIZE
        self._digest = digest
        self._manifest_bytes = manifest_bytes
        self._size = size
        self.refusal = 0
        self._head = self._head_in(self._folder, digest)
        self._resumes = len(self._head) == manifest_bytes + signature_bytes
        if not self._resumes:
            self._head = bytearray(manifest_bytes + signature_bytes)
        self.offset = len(self._head) if self._resumes else 0
        self.state = _UPDATE_STATE_VERIFYING if self._resumes else _UPDATE_STATE_HEAD
        return 0

    @property
    def done(self) -> int:
        """How much of the stream was taken and, of the files, written: so more than that is never on its way."""
        return self.offset - self._held

    def take(self, offset: int, buf: bytearray, start: int, size: int) -> None:
        """Take of `buf[start:start + size]`, which is the stream from `offset` on, what comes next and has room."""
        known = self.offset - offset
        if not 0 <= known < size:
            return
        start += known
        size -= known
        if self.state == _UPDATE_STATE_HEAD:
            size = min(size, len(self._head) - self.offset)
            self._head[self.offset : self.offset + size] = buf[start : start + size]
            self.offset += size
            if self.offset == len(self._head):
                self.state = _UPDATE_STATE_VERIFYING
        elif self.state == _UPDATE_STATE_FILES:
            left = self._size - (self.offset - self._head_bytes)
            size = min(size, left, _ROOM - self._held)
            self._waiting[self._held : self._held + size] = buf[start : start + size]
            self._held += size
            self.offset += size

    def finish(self) -> int:
        """Begin the last check; return 0, or why not. Asked again it goes on."""
        if self.state in (_UPDATE_STATE_CHECKING, _UPDATE_STATE_READY):
            return 0
        if self.state == _UPDATE_STATE_REFUSED:
            return self.refusal
        if self.state != _UPDATE_STATE_FILES or self._held or self._index < len(self._files):
            return keeping.ORDER
        self.state = _UPDATE_STATE_CHECKING
        return 0

    def abort(self) -> None:
        """Forget the update. What is written already stays, for it is the other slot's; it can be taken up again."""
        self._close()
        self._check = None
        self.state = 0
        self.offset = 0
        self._digest = b""
        self._head = bytearray()
        self._held = 0
        self._index = 0

    def turn(self) -> None:
        """Do the next little of what is to be done. What fails refuses the update."""
        try:
            if self.state == _UPDATE_STATE_VERIFYING:
                self._verify()
            elif self.state == _UPDATE_STATE_CLEARING:
                self._clear()
            elif self.state == _UPDATE_STATE_FILES:
                self._write()
            elif self.state == _UPDATE_STATE_CHECKING:
                self._finish_check()
        except RefusedError as error:
            self._refuse(error.reason)
        except OSError as error:
            self._refuse(keeping.SPACE if error.errno == _NO_SPACE else keeping.FLASH)

    def _head_in(self, folder: str, digest: bytes) -> bytearray:
        """Return the head of this update, if that is what a slot holds; else nothing."""
        try:
            manifest = keeping.read_file(folder + "/manifest.json", keeping.MANIFEST_MAX)
            signature = keeping.read_file(folder + "/manifest.sig", keeping.SIGNATURE_MAX)
        except OSError:
            return bytearray()
        if hash_of((manifest, signature)).digest() != digest:
            return bytearray()
        head = bytearray(manifest)
        head.extend(signature)
        return head

    def _verify(self) -> None:
        if self._check is None:
            signature_at = self._manifest_bytes
            self._check = HeadCheck(self._slots, bytes(self._head[:signature_at]), bytes(self._head[signature_at:]))
        for _ in range(_STEPS):
            if self._check.step():
                self._take_manifest(self._check.manifest)
                self._check = None
                return

    def _take_manifest(self, manifest: "dict[str, Any]") -> None:
        lowest, highest = manifest["protocol"]
        if not lowest <= self._protocol_version <= highest:
            raise RefusedError(keeping.PROTOCOL)
        self._files = manifest["files"]
        self._head_bytes = len(self._head)
        if sum(file[1] for file in self._files) != self._size:
            raise RefusedError(keeping.SIZE)
        self._names = keeping.names_in(self._folder) if keeping.is_folder(self._folder) else []
        wanted = ["manifest.json", "manifest.sig"]
        wanted += [file[0] for file in self._files]
        if self._resumes and all(name in wanted for name in self._names):
            self._continue()
            return
        self._check_space()
        self.state = _UPDATE_STATE_CLEARING

    def _check_space(self) -> None:
        """Refuse what will not fit once the slot is empty, before anything of it goes."""
        needed = _BLOCKS_SPARE
        for file in self._files:
            needed += (file[1] + _BLOCK - 1) // _BLOCK
        for name in self._names:
            size = os.stat(self._folder + "/" + name)[6]  # noqa: PTH116 - MicroPython has no pathlib
            needed -= (size + _BLOCK - 1) // _BLOCK if size > _INLINE_MAX else 0
        about = os.statvfs(self._folder if keeping.is_folder(self._folder) else self._slots.folder)
        if needed * _BLOCK > about[0] * about[3]:  # pyright: ignore[reportIndexIssue] - a tuple there
            raise RefusedError(keeping.SPACE)

    def _clear(self) -> None:
        """Remove one file of what the slot held, the manifest first; write the head when all are gone."""
        if self._names:
            name = "manifest.json" if "manifest.json" in self._names else self._names[-1]
            self._names.remove(name)
            os.remove(self._folder + "/" + name)  # noqa: PTH107 - MicroPython has no pathlib
            return
        for folder in self._folders():
            if not keeping.is_folder(folder):
                os.mkdir(folder)  # noqa: PTH102 - likewise
                return
        signature_at = self._manifest_bytes
        for name, content in (("sig", self._head[signature_at:]), ("json", self._head[:signature_at])):
            with open(self._folder + "/manifest." + name, "wb") as file:  # noqa: PTH123 - likewise
                file.write(content)
        self._index = self._written = 0
        self._head = bytearray()
        self.state = _UPDATE_STATE_FILES

    def _folders(self) -> "list[str]":
        folders = [self._folder]
        for name, _, _ in self._files:
            folder = self._folder + "/" + name.split("/")[0]
            if "/" in name and folder not in folders:
                folders.append(folder)
        return folders

    def _continue(self) -> None:
        """Go on behind the last file that is complete, by its length; the last check reads its content."""
        self._index = self._written = 0
        for name, length, _ in self._files:
            if name not in self._names or os.stat(self._folder + "/" + name)[6] != length:  # noqa: PTH116 - likewise
                break
            self.offset += length
            self._index += 1
        self._head = bytearray()
        self.state = _UPDATE_STATE_FILES

    def _write(self) -> None:
        """Write some of what waits; files of no length as they come."""
        if self._index == len(self._files):
            return
        name, length, _ = self._files[self._index]
        if self._file is None:
            if length and not self._held:
                return
            self._file = open(self._folder + "/" + name, "wb")  # noqa: PTH123, SIM115 - written turn by turn
            self._written = 0
        size = min(self._held, length - self._written, _WRITE_MAX)
        if size:
            self._file.write(self._waiting[:size])
            self._held -= size
            self._waiting[: self._held] = self._waiting[size : size + self._held]
            self._written += size
        if self._written == length:
            self._close()
            self._index += 1

    def _finish_check(self) -> None:
        if self._check is None:
            self._check = SlotCheck(self._slots, self._slot)
        for _ in range(_STEPS):
            if self._check.step():
                self._check = None
                self._slots.save(self._running, self._slot, "", self._slots.floor)
                self.state = _UPDATE_STATE_READY
                return

    def _refuse(self, reason: int) -> None:
        """Refuse; what a check found damaged is not taken up again."""
        was_written = self.state == _UPDATE_STATE_CHECKING
        self._close()
        self._check = None
        self._head = bytearray()
        self._held = 0
        self.refusal = reason
        self.state = _UPDATE_STATE_REFUSED
        if was_written:
            try:
                os.remove(self._folder + "/manifest.json")  # noqa: PTH107 - MicroPython has no pathlib
            except OSError:
                return  # it is not there, or the next update clears it

    def _close(self) -> None:
        if self._check is not None and isinstance(self._check, SlotCheck):
            self._check.close()
        if self._file is not None:
            file, self._file = self._file, None
            file.close()
