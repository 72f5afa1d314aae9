"""What the store tells its callers."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from racklet_link.events import StoredPositions

MIB = 1 << 20
MAX_UNIX_MS = 253_402_300_799_999  # the end of the year 9999, the last that a protobuf Timestamp can tell


@dataclass(frozen=True)
class StoreLimits:
    """How much is kept. What is beyond is thrown away, oldest first, and counted.

    Attributes:
        log_bytes_per_node: size of a node's segment files. The newest segment always stays.
        boots_per_node: number of a node's boots.
        log_days: days since the last byte of a boot, or of a segment of a longer one; 0 for no limit.
        events: number of events.
        audit_bytes: size of the audit log's files.
        free_bytes_kept: boot logs are not written when the disk has less left, so that events and counters still are.
        segment_bytes: size from which a segment file is followed by a new one; retention takes whole segments.
        journal_bytes: size from which the journal is emptied at once, and not only after a minute.
        plain_bytes: a segment file of this size or less is not compressed: there is next to nothing to be gained.
    """

    log_bytes_per_node: int = 256 * MIB
    boots_per_node: int = 1000
    log_days: int = 0
    events: int = 100_000
    audit_bytes: int = 16 * MIB
    free_bytes_kept: int = 16 * MIB
    segment_bytes: int = MIB
    journal_bytes: int = 64 * MIB
    plain_bytes: int = 1024


class BootCause(IntEnum):
    """Why a boot began. The numbers are those in the index, where 0 and 1 are older than the others."""

    FOUND_RUNNING = 0
    SUPPLY_ON = 1
    BREAK = 3
    BOOTLOADER = 4


@dataclass(frozen=True)
class BootSummary:
    """One boot, as a list shows it.

    Attributes:
        number: only grows; whole boots that were lost leave their numbers out.
        start_ms: unix time when it began.
        last_byte_ms: unix time when its last byte came; `start_ms` before the first.
        end: length of its log in bytes, gaps included.
        lost_bytes: bytes of its log that were lost on the way here; not what retention took.
        cause: why it began.
    """

    number: int
    start_ms: int
    last_byte_ms: int
    end: int
    lost_bytes: int
    cause: BootCause


class NodeTotals(NamedTuple):
    """Counters of a node over all sessions. They are durable, so a crash never takes one back.

    Attributes:
        energy_uj: energy the node took.
        boots: boots that were recorded.
        log_bytes: bytes that were stored, not counting gaps.
        log_lost_bytes: bytes that gaps stand for, and those of boots that were lost as a whole.
        retired_boots: boots thrown away by retention.
        retired_bytes: log bytes, gaps included, thrown away by retention.
        charge_uc: charge the node took.
    """

    energy_uj: int = 0
    boots: int = 0
    log_bytes: int = 0
    log_lost_bytes: int = 0
    retired_boots: int = 0
    retired_bytes: int = 0
    charge_uc: int = 0


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Attributes:
        sequence: only grows, also over a crash; numbers may be left out.
        node: the node's name; "" when it concerns the rack.
        at_ms: unix time when it happened.
        kind: such as "supply_state".
        message: the same as a sentence.
        lost_before: events of this node that were lost before this one.
        about: of a waveform, the number of the event it belongs to; 0 when that is not known.
        first_index: of a waveform, the index of its first sample.
        samples: of a waveform, as in Event.samples of the link, the oldest first.
    """

    sequence: int
    node: str
    at_ms: int
    kind: str
    message: str
    lost_before: int
    about: int = 0
    first_index: int = 0
    samples: bytes = b""


class Waveform(NamedTuple):
    """What a waveform event carries: see Event."""

    about: int
    first_index: int
    samples: bytes


@dataclass(frozen=True)
class LogFailure:
    """Bytes of a boot log that the disk did not take. They are dropped; a gap stands for them.

    Attributes:
        node: the node's name.
        boot: the boot's number.
        dropped_bytes: how many.
        reason: "disk_full" or "disk_error".
        problem: what the system said, for a person.
    """

    node: str
    boot: int
    dropped_bytes: int
    reason: str
    problem: str


@dataclass(frozen=True)
class SyncReport:
    """What one sync did.

    Attributes:
        positions: of each node that has a HAT session, what is durable now.
        failures: the boot logs whose bytes were dropped.
        index_problem: why events, counters and positions could not be committed, for a person; "" when they were.
            They are tried again with the next sync, and `positions` have not moved.
    """

    positions: Mapping[str, StoredPositions]
    failures: tuple[LogFailure, ...]
    index_problem: str


def bounded_ms(unix_ms: int) -> int:
    """Return `unix_ms`, or the nearest time that every caller can represent: a HAT's clock may say anything."""
    return min(max(unix_ms, 0), MAX_UNIX_MS)
