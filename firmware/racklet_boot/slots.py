"""The two slots for firmware in the file system: what they hold, whether that verifies, and which one runs.

slots/keys        the public keys that are trusted, in hex, a line each
slots/board       the board revision, such as hat-a
slots/state       which slot runs; replaced as a whole, so that a rename is all that counts
slots/a, slots/b  manifest.json, manifest.sig, and the files that the manifest names; nothing else
"""

import json
import os
import sys
from hashlib import sha256

from racklet_boot import lms
from racklet_boot.constant import const

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any  # noqa: TID251 - for type checkers only

API = const(1)  # what the firmware in a slot may use of this package

# Why a slot, or an update, is refused: numbers of UpdateRefusal in link.proto.
NONE = const(0)
NO_SLOTS = const(1)
KEY = const(2)  # no key that is trusted here
SIGNATURE = const(3)
MANIFEST = const(4)
OLDER = const(5)
BOARD = const(6)
PROTOCOL = const(7)
MPY = const(8)
SPACE = const(9)
CONTENT = const(10)  # a file is not what the manifest says
SIZE = const(11)
FLASH = const(12)
ORDER = const(13)
PROBATION = const(14)
BOOT = const(15)

MANIFEST_MAX = const(8192)
SIGNATURE_MAX = const(9000)
SIZE_MAX = const(163840)
_CHUNK = const(1024)
_BLOCK = const(4096)
_STATE_MAX = const(512)
_KEYS_MAX = const(4)
_MPY_BITS = const(0xFFFF)  # version and architecture; above them are flags of the architecture
_NAMES = ("", "a", "b")


class RefusedError(Exception):
    """A slot, or an update, is refused; `reason` is one of the numbers above."""

    def __init__(self, reason: int) -> None:
        self.reason = reason


def read_file(path: str, most: int) -> bytes:
    """Return a small file. Raises OSError, also when it is longer than `most`."""
    with open(path, "rb") as file:  # noqa: PTH123 - MicroPython has no pathlib
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError
    return content


def replace_file(path: str, content: bytes) -> None:
    """Replace a file as a whole: after a power cut it is the old one or the new one. Raises OSError."""
    new = path + ".new"
    with open(new, "wb") as file:  # noqa: PTH123 - likewise
        file.write(content)
    os.rename(new, path)  # noqa: PTH104 - likewise


class Slots:
    """What is kept in the folder `root`, read anew at each start. `root` is "" for the file system's own."""

    def __init__(self, root: str) -> None:
        self.folder = root + "/slots"
        self.active = ""  # the slot that was confirmed last; "" when nothing says so
        self.trial = ""  # the slot to be tried at the next start, once
        self.tried = ""  # the slot that was tried and not confirmed since
        self.floor = 0  # the lowest security version that may still come
        self.keys: "list[bytes]" = []
        self.board = ""
        self._read()

    def path(self, slot: str) -> str:
        """Return the folder of a slot."""
        return self.folder + "/" + slot

    def other(self, slot: str) -> str:
        """Return the slot that is not this one."""
        return "a" if slot == "b" else "b"

    def save(self, active: str, trial: str, tried: str, floor: int) -> None:
        """Keep a new state. Raises OSError; then the old one holds."""
        state = {"active": active, "trial": trial, "tried": tried, "floor": floor}
        replace_file(self.folder + "/state", json.dumps(state).encode())
        self.active, self.trial, self.tried, self.floor = active, trial, tried, floor

    def confirm(self, slot: str, manifest: "dict[str, Any]") -> None:
        """Keep to a slot from here on, and to nothing older. Raises OSError; to be called again then."""
        keys = manifest.get("keys")
        if keys:
            replace_file(self.folder + "/keys", "\n".join(keys).encode())
        self.save(slot, "", "", max(self.floor, manifest["security_version"]))

    def _read(self) -> None:
        """Take what is there and makes sense."""
        try:
            lines = read_file(self.folder + "/keys", _STATE_MAX).decode().split()
            self.keys = [bytes.fromhex(line) for line in lines[:_KEYS_MAX]]
            self.board = read_file(self.folder + "/board", _STATE_MAX).decode().strip()
        except (OSError, ValueError):
            self.keys = []  # nothing verifies then
        try:
            state = json.loads(read_file(self.folder + "/state", _STATE_MAX))
            names = [state[name] for name in ("active", "trial", "tried")]
            floor = state["floor"]
            if all(name in _NAMES for name in names) and isinstance(floor, int) and floor >= 0:
                self.active, self.trial, self.tried = names
                self.floor = floor
        except (OSError, ValueError, KeyError, TypeError):
            pass  # the slot that verifies is found without


class HeadCheck:
    """Whether a manifest is signed by a key that is trusted here, and meant for this HAT. In steps: see `step`.

    A signature is the key's identity of 16 bytes, which says whose it is, and what LMS made.
    """

    def __init__(self, slots: Slots, manifest: bytes, signature: bytes) -> None:
        """Raises RefusedError."""
        self._slots = slots
        self._written = manifest
        self._key = b""
        self.manifest: "dict[str, Any]" = {}
        if not slots.keys:
            raise RefusedError(NO_SLOTS)
        for key in slots.keys:
            if lms.identity_of(key) == signature[: lms.IDENTITY_BYTES]:
                self._key = key
        if not self._key:
            raise RefusedError(KEY)
        try:
            self._verification = lms.Verification(self._key, manifest, signature[lms.IDENTITY_BYTES :])
        except lms.MalformedError:
            raise RefusedError(SIGNATURE)

    def step(self) -> bool:
        """Do some of the work; return True when `manifest` is verified. Raises RefusedError."""
        if not self._verification.step():
            return False
        if not self._verification.is_valid:
            raise RefusedError(SIGNATURE)
        # What is signed is what the tools write, so it may be read.
        try:
            self.manifest = json.loads(self._written)
            refusal = self._refusal(self.manifest)
        except (ValueError, KeyError, TypeError):
            refusal = MANIFEST
        if refusal:
            raise RefusedError(refusal)
        return True

    def _refusal(self, manifest: "dict[str, Any]") -> int:  # noqa: PLR0911 - a reason each
        if manifest["format"] != 1:
            return MANIFEST
        if manifest["boot"] > API:
            return BOOT
        if self._slots.board not in manifest["boards"]:
            return BOARD
        if (manifest["mpy"] ^ mpy_number()) & _MPY_BITS:
            return MPY
        if manifest["security_version"] < self._slots.floor:
            return OLDER
        if sum(file[1] for file in manifest["files"]) > SIZE_MAX:
            return SIZE
        keys = manifest.get("keys")
        return KEY if keys and self._key.hex() not in keys else NONE


def mpy_number() -> int:
    """Return what tells which .mpy files run here. Elsewhere than on MicroPython that is 0."""
    return getattr(sys.implementation, "_mpy", 0)


class SlotCheck:
    """Whether all that a slot holds is what is signed. In steps: see `step`."""

    def __init__(self, slots: Slots, slot: str) -> None:
        """Raises RefusedError."""
        self._folder = slots.path(slot)
        try:
            manifest = read_file(self._folder + "/manifest.json", MANIFEST_MAX)
            signature = read_file(self._folder + "/manifest.sig", SIGNATURE_MAX)
        except OSError:
            raise RefusedError(CONTENT)
        self.digest = lms.hash_of((manifest, signature)).digest()
        self._head: "HeadCheck | None" = HeadCheck(slots, manifest, signature)
        self.manifest: "dict[str, Any]" = {}
        self.checked = 0  # files
        self._file: "Any" = None
        self._hash: "Any" = None

    def step(self) -> bool:
        """Do some of the work; return True when all is verified. Raises RefusedError."""
        if self._head is not None:
            if self._head.step():
                self.manifest = self._head.manifest
                self._head = None
                self._check_names()
            return False
        try:
            return self._step_files()
        except OSError:
            raise RefusedError(CONTENT)

    def close(self) -> None:
        """Let go of the file that is being read."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _check_names(self) -> None:
        """MicroPython would import whatever lies there, so nothing may that is not signed."""
        wanted = {"manifest.json", "manifest.sig"}
        wanted.update(file[0] for file in self.manifest["files"])
        if set(names_in(self._folder)) != wanted:
            raise RefusedError(CONTENT)

    def _step_files(self) -> bool:
        files = self.manifest["files"]
        if self._file is None:
            if self.checked == len(files):
                return True
            self._file = open(self._folder + "/" + files[self.checked][0], "rb")  # noqa: PTH123, SIM115 - read step by step
            self._hash = sha256()
        chunk = self._file.read(_CHUNK)
        if chunk:
            self._hash.update(chunk)
            return False
        self.close()
        if self._hash.digest() != bytes.fromhex(files[self.checked][2]):
            raise RefusedError(CONTENT)
        self.checked += 1
        return False


def names_in(folder: str) -> "list[str]":
    """Return the paths of all files below a folder of a slot, which is two levels deep. Raises OSError."""
    names = []
    for name in os.listdir(folder):  # noqa: PTH208 - MicroPython has no pathlib
        if is_folder(folder + "/" + name):
            names += [name + "/" + below for below in os.listdir(folder + "/" + name)]  # noqa: PTH208 - likewise
        else:
            names.append(name)
    return names


def is_folder(path: str) -> bool:
    """Tell whether there is a folder."""
    try:
        return os.stat(path)[0] & 0x4000 != 0  # noqa: PTH116 - likewise
    except OSError:
        return False


def check(slots: Slots, slot: str) -> "dict[str, Any]":
    """Return the manifest of a slot that verifies. Raises RefusedError."""
    checking = SlotCheck(slots, slot)
    try:
        while not checking.step():
            pass
    finally:
        checking.close()
    return checking.manifest
