"""What hostd keeps on disk: boot logs, events, counters."""

from racklet_hostd.store.adoptions import Adoption, Adoptions
from racklet_hostd.store.audit import AuditLog
from racklet_hostd.store.audit_chain import AuditEntry
from racklet_hostd.store.boot_log import BootLog
from racklet_hostd.store.energy_marks import BEFORE_LOG, EnergyMark, EnergyMarks
from racklet_hostd.store.events import EventStore
from racklet_hostd.store.model import (
    MAX_UNIX_MS,
    BootCause,
    BootSummary,
    Event,
    LogFailure,
    NodeTotals,
    StoreLimits,
    SyncReport,
    Waveform,
)
from racklet_hostd.store.node_store import NodeStore
from racklet_hostd.store.records import Chunk, GapPiece, Piece
from racklet_hostd.store.store import Store
from racklet_link.events import StoredPositions

__all__ = [
    "BEFORE_LOG",
    "MAX_UNIX_MS",
    "Adoption",
    "Adoptions",
    "AuditEntry",
    "AuditLog",
    "BootCause",
    "BootLog",
    "BootSummary",
    "Chunk",
    "EnergyMark",
    "EnergyMarks",
    "Event",
    "EventStore",
    "GapPiece",
    "LogFailure",
    "NodeStore",
    "NodeTotals",
    "Piece",
    "Store",
    "StoreLimits",
    "StoredPositions",
    "SyncReport",
    "Waveform",
]
