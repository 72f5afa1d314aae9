"""The entries of the audit log as lines that hold each other. Pure.

A line is a JSON object. Its `hash` is the SHA-256 over the hash of the line before it and the canonical JSON of its
other fields; `previous` repeats the hash before. So a line that is changed, removed or put in shows.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

FIRST_HASH = "0" * 64  # before the first line
NOTE = "note"
ROTATED = "rotated"


class BrokenLineError(ValueError):
    """A line of the audit log is not what was written."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Something that was asked or done, or a note about the log itself.

    Attributes:
        sequence: counts the entries from 1.
        unix_ms: when.
        kind: "asked", "ended", "late" or "note".
        asked: the sequence of the "asked" that this ends; 0 for none.
        who: who wanted it.
        peer: from where.
        method: what.
        node: of which node; "" for none.
        arguments: with what.
        outcome: what came of it; "" when that is not known yet.
        duration_ms: how long it took.
    """

    sequence: int
    unix_ms: int
    kind: str
    asked: int = 0
    who: str = ""
    peer: str = ""
    method: str = ""
    node: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    outcome: str = ""
    duration_ms: int = 0


@dataclass(frozen=True, slots=True)
class Sealed:
    """An entry with its place in the chain."""

    entry: AuditEntry
    previous: str
    hash: str

    @classmethod
    def seal(cls, entry: AuditEntry, previous: str) -> Self:
        """Put an entry behind the one with the hash `previous`."""
        return cls(entry, previous, _hash(entry, previous))

    @classmethod
    def parse(cls, line: bytes) -> Self:
        """Return what a line holds. Raises BrokenLineError when it does not hold together by itself."""
        try:
            values = json.loads(line)
            previous, own = values.pop("previous"), values.pop("hash")
            sealed = cls(AuditEntry(**values), previous, own)
            expected = _hash(sealed.entry, previous)
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise BrokenLineError("it is no entry") from error
        if own != expected:
            raise BrokenLineError("it was changed, for its hash is another")
        return sealed

    def line(self) -> bytes:
        """Return the line, with its end."""
        return _canonical({**asdict(self.entry), "previous": self.previous, "hash": self.hash}) + b"\n"


class ChainCheck:
    """Reads a log line by line, the oldest first, and finds the first thing that is wrong.

    A log that lost its oldest files to rotation begins in the middle; that is right when a later entry tells of it.
    `problem` is "" as long as all is well, `last` the newest entry that was.
    """

    def __init__(self) -> None:
        self.problem = ""
        self.first: Sealed | None = None
        self.last: Sealed | None = None
        self._rotated = {(0, FIRST_HASH)}

    def feed(self, line: bytes, place: str) -> None:
        """Take the next line; `place` says where it stands."""
        if self.problem:
            return
        try:
            sealed = Sealed.parse(line)
        except BrokenLineError as error:
            self.problem = f"{place}: {error}"
            return
        if self.last is not None:
            self._follow(self.last, sealed, place)
        if not self.problem:
            self.first, self.last = self.first or sealed, sealed
            if sealed.entry.kind == NOTE and sealed.entry.method == ROTATED:
                arguments = sealed.entry.arguments
                self._rotated.add((arguments.get("last_sequence", 0), str(arguments.get("last_hash"))))

    def end(self, sequence: int, own_hash: str) -> None:
        """No more lines come; the newest should be the one of these."""
        if self.problem:
            return
        if self.first is not None and (self.first.entry.sequence - 1, self.first.previous) not in self._rotated:
            self.problem = f"entry {self.first.entry.sequence} is the first, and nothing tells where those before went"
        reached = (self.last.entry.sequence, self.last.hash) if self.last else (0, FIRST_HASH)
        if not self.problem and reached != (sequence, own_hash):
            self.problem = f"the log ends with entry {reached[0]}, and entry {sequence} was written"

    def _follow(self, before: Sealed, sealed: Sealed, place: str) -> None:
        expected = before.entry.sequence + 1
        if sealed.entry.sequence != expected:
            self.problem = f"{place}: entry {sealed.entry.sequence} stands where entry {expected} should"
        elif sealed.previous != before.hash:
            self.problem = f"{place}: entry {sealed.entry.sequence} does not follow what stands before it"


def _hash(entry: AuditEntry, previous: str) -> str:
    return hashlib.sha256(bytes.fromhex(previous) + _canonical(asdict(entry))).hexdigest()


def _canonical(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, sort_keys=True, separators=(",", ":")).encode()
