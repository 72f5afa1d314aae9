"""A signing key in a file. A leaf is marked as used on the disk before it signs, so none ever signs twice."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import stat
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO, Final

from racklet_boot import lms
from racklet_bundle.errors import SigningError
from racklet_bundle.lms_tree import LmsTree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# 1024 signatures, each of 2508 bytes, that a HAT verifies in some 500 hashes; the key is made in seconds.
LMS_SHA256_M32_H10: Final = 6
LMOTS_SHA256_N32_W4: Final = 3
_KIND = "racklet signing key, LMS (RFC 8554)"
_NOTE_BYTES = 10
_FILE_MAX = 4096  # bytes; one takes 400
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class KeyState:
    """What a key file holds. `next_leaf` is the lowest leaf that never signed."""

    tree: LmsTree
    next_leaf: int
    public_key: bytes

    @property
    def left(self) -> int:
        """How many signatures the key is still good for."""
        return self.tree.leaves - self.next_leaf


def create_key(path: Path, lms_type: int = LMS_SHA256_M32_H10, ots_type: int = LMOTS_SHA256_N32_W4) -> KeyState:
    """Make a key in a new file that only its owner may read. Raises SigningError; an old file is never replaced."""
    tree = LmsTree(lms_type, ots_type, secrets.token_bytes(16), secrets.token_bytes(lms.HASH_BYTES))
    state = KeyState(tree, 0, tree.public_key)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise SigningError(f"{path} is there already; a signing key is never overwritten") from error
    except OSError as error:
        raise SigningError(f"{path} cannot be written: {error.strerror}") from error
    with os.fdopen(descriptor, "wb") as file:
        _write_durably(file, state)
    _sync_folder(path.parent)
    return state


def read_key(path: Path) -> KeyState:
    """Return what a key file holds. Raises SigningError."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & _OTHERS:
                raise SigningError(f"{path} can be read by others; run `chmod 600 {path}`")
            return _parsed(path, file.read(_FILE_MAX))
    except OSError as error:
        raise SigningError(f"{path}: {error.strerror}") from error


def sign(path: Path, ledger: Path, message: bytes) -> bytes:
    """Sign with the next leaf of the key at `path`. Raises SigningError, and then the leaf may be lost, never reused.

    `ledger` is a folder of this computer that remembers which leaves signed here: a key file that was restored from a
    copy is behind it, and refused. Two processes sign one after the other, with copies of one key as well.
    """
    with _locked(ledger, read_key(path)) as known:
        state = read_key(path)
        _check(path, state, _leaves_in(known))
        leaf = state.next_leaf
        _replace_durably(path, replace(state, next_leaf=leaf + 1))
        _note(known, leaf + 1)
    signature = state.tree.sign(leaf, secrets.token_bytes(lms.HASH_BYTES), message)
    if not lms.verify(state.public_key, message, signature):
        raise SigningError(f"{path} gave a signature that does not verify: the file, or this computer, is damaged")
    return signature


def _parsed(path: Path, written: bytes) -> KeyState:
    try:
        content = json.loads(written)
        if content["kind"] != _KIND:
            raise ValueError  # noqa: TRY301 - as any other content
        tree = LmsTree(
            int(content["lms_type"]),
            int(content["ots_type"]),
            bytes.fromhex(content["identity"]),
            bytes.fromhex(content["seed"]),
        )
        state = KeyState(tree, int(content["next_leaf"]), bytes.fromhex(content["public_key"]))
        if not 0 <= state.next_leaf <= tree.leaves:
            raise ValueError  # noqa: TRY301 - likewise
    except (ValueError, KeyError, TypeError, lms.MalformedError) as error:
        raise SigningError(f"{path} is no signing key of Racklet") from error
    return state


def _content(state: KeyState) -> bytes:
    content = {
        "kind": _KIND,
        "warning": "Never sign with a copy of this file: a leaf that signs twice gives the key away.",
        "lms_type": state.tree.lms_type,
        "ots_type": state.tree.ots_type,
        "identity": state.tree.identity.hex(),
        "seed": state.tree.seed.hex(),
        "public_key": state.public_key.hex(),
        "next_leaf": state.next_leaf,
    }
    return json.dumps(content, indent=1).encode() + b"\n"


def _write_durably(file: BinaryIO, state: KeyState) -> None:
    file.write(_content(state))
    file.flush()
    os.fsync(file.fileno())


def _replace_durably(path: Path, state: KeyState) -> None:
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        _write_durably(file, state)
    new.replace(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _locked(ledger: Path, state: KeyState) -> Iterator[BinaryIO]:
    """Open what this computer knows of a key, alone."""
    try:
        ledger.mkdir(parents=True, exist_ok=True)
        path = ledger / f"{state.tree.identity.hex()}.leaves"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise SigningError(f"{ledger}: {error.strerror}; nothing is signed without it") from error
    with os.fdopen(descriptor, "r+b", buffering=0) as known:
        fcntl.flock(known, fcntl.LOCK_EX)
        yield known


def _leaves_in(known: BinaryIO) -> int:
    written = known.read(_NOTE_BYTES)
    if written and not written.isdigit():
        raise SigningError(f"{known.name} is damaged: what it says of used leaves cannot be read, so nothing is signed")
    return int(written or b"0")


def _check(path: Path, state: KeyState, known: int) -> None:
    if state.next_leaf < known:
        raise SigningError(
            f"{path} is an old copy: this computer has signed with its leaf {known - 1} already, and the file says that"
            f" leaf {state.next_leaf} is next; use the newest file, or make a new key"
        )
    if state.left <= 0:
        raise SigningError(f"{path} is used up: all its {state.tree.leaves} signatures are given; make a new key")


def _note(known: BinaryIO, next_leaf: int) -> None:
    """Write a number of fixed length in its place: one sector, so all of it or nothing."""
    known.seek(0)
    known.write(b"%0*d" % (_NOTE_BYTES, next_leaf))
    os.fsync(known.fileno())
