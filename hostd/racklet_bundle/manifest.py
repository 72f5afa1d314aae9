"""The manifest of a bundle: what is signed. JSON with one way to write it, so that bytes and content are one."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from racklet_boot import lms
from racklet_bundle.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable

FORMAT: Final = 1
BOOT_API: Final = 1  # of racklet_boot, which runs the firmware and is not updated with it
# What a HAT takes; it holds manifest and signature in memory until they are verified.
MANIFEST_MAX: Final = 8192
FILES_MAX: Final = 64
SIZE_MAX: Final = 160 * 1024  # bytes of all files; a whole bundle fits into one call of the API
_NAME = re.compile(r"(?:[a-z][a-z0-9_]{0,31}/)?[a-z_][a-z0-9_]{0,31}\.(?:mpy|py)")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+-]{0,31}")
_BOARD = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_HASH = re.compile(r"[0-9a-f]{64}")
_BOARDS_MAX = 16
_KEYS_MAX = 4
_NUMBER_MAX = (1 << 30) - 1  # a small integer on the HAT


@dataclass(frozen=True, slots=True)
class BundledFile:
    """A file of the firmware: its path below the slot, its length and the SHA-256 of its content, in hex."""

    name: str
    length: int
    sha256: str

    @classmethod
    def of(cls, name: str, content: bytes) -> BundledFile:
        """Return the entry of a file."""
        return cls(name, len(content), hashlib.sha256(content).hexdigest())


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a bundle is.

    Attributes:
        version: of the firmware, for people.
        security_version: grows when an older firmware must not come back; a HAT never takes a lower one.
        boards: the board revisions it runs on.
        protocol: the oldest and the newest link protocol it speaks.
        mpy: what `sys.implementation._mpy` must be: the version of .mpy files and the architecture.
        files: in the order in which they are sent.
        keys: the public keys that the HAT trusts from the confirmation on, the signer's among them; none changes none.
    """

    version: str
    security_version: int
    boards: tuple[str, ...]
    protocol: tuple[int, int]
    mpy: int
    files: tuple[BundledFile, ...]
    keys: tuple[bytes, ...] = ()

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(file.length for file in self.files)

    def encode(self) -> bytes:
        """Return the bytes that are signed. Raises BundleError when a value is out of its range."""
        content: dict[str, Any] = {
            "format": FORMAT,
            "boot": BOOT_API,
            "version": self.version,
            "security_version": self.security_version,
            "boards": list(self.boards),
            "protocol": list(self.protocol),
            "mpy": self.mpy,
            "files": [[file.name, file.length, file.sha256] for file in self.files],
        }
        if self.keys:
            content["keys"] = [key.hex() for key in self.keys]
        _check(content)
        written = _canonical(content)
        if len(written) > MANIFEST_MAX:
            raise BundleError(f"the manifest takes {len(written)} bytes, and a HAT takes {MANIFEST_MAX}")
        return written

    @classmethod
    def decode(cls, written: bytes) -> Manifest:
        """Return what `encode` gave. Raises BundleError for anything else."""
        if len(written) > MANIFEST_MAX:
            raise BundleError(f"the manifest takes {len(written)} bytes, and at most {MANIFEST_MAX} are allowed")
        try:
            content = json.loads(written)
        except (ValueError, RecursionError) as error:
            raise BundleError("the manifest is no JSON") from error
        if not isinstance(content, dict):
            raise BundleError("the manifest is no object")
        _check(content)
        if _canonical(content) != written:
            raise BundleError("the manifest is not written the one way in which it may be")
        return cls(
            version=content["version"],
            security_version=content["security_version"],
            boards=tuple(content["boards"]),
            protocol=(content["protocol"][0], content["protocol"][1]),
            mpy=content["mpy"],
            files=tuple(BundledFile(*file) for file in content["files"]),
            keys=tuple(bytes.fromhex(key) for key in content.get("keys", ())),
        )


def _canonical(content: dict[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def _is_number(value: object) -> bool:
    return type(value) is int and 0 <= value <= _NUMBER_MAX


def _is_text(value: object, pattern: re.Pattern[str]) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_list(value: object, most: int) -> bool:
    return isinstance(value, list) and 0 < len(value) <= most


def _is_key(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(rf"[0-9a-f]{{{2 * lms.KEY_BYTES}}}", value) is not None


def _is_file(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 3  # noqa: PLR2004 - name, length, hash
        and _is_text(value[0], _NAME)
        and _is_number(value[1])
        and _is_text(value[2], _HASH)
    )


def _is_protocol(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_number, value)) and value[0] <= value[1]  # noqa: PLR2004


_RULES: dict[str, Callable[[Any], bool]] = {
    "format": lambda value: value == FORMAT and _is_number(value),
    "boot": lambda value: value == BOOT_API and _is_number(value),
    "version": lambda value: _is_text(value, _VERSION),
    "security_version": _is_number,
    "boards": lambda value: _is_list(value, _BOARDS_MAX) and all(_is_text(board, _BOARD) for board in value),
    "protocol": _is_protocol,
    "mpy": _is_number,
    "files": lambda value: _is_list(value, FILES_MAX) and all(map(_is_file, value)),
    "keys": lambda value: _is_list(value, _KEYS_MAX) and all(map(_is_key, value)),
}


def _check(content: dict[str, Any]) -> None:
    unknown, missing = sorted(content.keys() - _RULES.keys()), sorted(_RULES.keys() - {"keys"} - content.keys())
    if unknown or missing:
        raise BundleError(f"the manifest has wrong keys: {', '.join([*unknown, *missing])[:200]}")
    for key, value in content.items():
        if not _RULES[key](value):
            raise BundleError(f"{key} of the manifest is not what it may be: {str(value)[:100]}")
    names = [file[0] for file in content["files"]]
    if len(set(names)) < len(names):
        raise BundleError("the manifest names a file twice")
    if sum(file[1] for file in content["files"]) > SIZE_MAX:
        raise BundleError(f"the files take more than the {SIZE_MAX} bytes that a HAT takes")
