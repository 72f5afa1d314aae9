"""The tables of the index. A change is one more version; a new index goes through all of them."""

_VERSION_1 = """
CREATE TABLE nodes (
    name TEXT PRIMARY KEY,
    next_boot INTEGER NOT NULL,
    energy_uj INTEGER NOT NULL,
    boots INTEGER NOT NULL,
    log_bytes INTEGER NOT NULL,
    log_lost_bytes INTEGER NOT NULL,
    retired_boots INTEGER NOT NULL,
    retired_bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE boots (
    node TEXT NOT NULL,
    number INTEGER NOT NULL,
    start_ms INTEGER NOT NULL,
    last_byte_ms INTEGER NOT NULL,
    end INTEGER NOT NULL,
    lost_bytes INTEGER NOT NULL,
    from_supply_on INTEGER NOT NULL, -- the number of a BootCause
    dropped TEXT NOT NULL, -- why what lies between its last segment and its end is lost
    PRIMARY KEY (node, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE segments (
    node TEXT NOT NULL,
    boot INTEGER NOT NULL,
    start INTEGER NOT NULL,
    end INTEGER NOT NULL,
    size INTEGER NOT NULL, -- of the file in bytes; what lies beyond is not valid
    seed INTEGER NOT NULL, -- of its records' checksums
    PRIMARY KEY (node, boot, start)
) STRICT, WITHOUT ROWID;
CREATE TABLE sessions (
    node TEXT NOT NULL,
    session INTEGER NOT NULL,
    used INTEGER NOT NULL, -- grows with every save, so that the oldest can go
    hat_id BLOB NOT NULL,
    log_boot INTEGER NOT NULL,
    log_offset INTEGER NOT NULL,
    event_sequence INTEGER NOT NULL,
    boot INTEGER NOT NULL, -- the number here of the boot that the HAT calls log_boot
    energy_uj INTEGER NOT NULL,
    PRIMARY KEY (node, session)
) STRICT, WITHOUT ROWID;
CREATE TABLE events (
    sequence INTEGER PRIMARY KEY,
    node TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    kind TEXT NOT NULL,
    message TEXT NOT NULL,
    lost_before INTEGER NOT NULL,
    hat_session INTEGER,
    hat_sequence INTEGER
) STRICT;
CREATE INDEX events_by_node ON events (node, sequence);
CREATE UNIQUE INDEX events_by_hat ON events (node, hat_session, hat_sequence) WHERE hat_sequence IS NOT NULL;
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
"""

_ENERGY_MARKS = """
CREATE TABLE energy_marks (
    node TEXT NOT NULL,
    boot INTEGER NOT NULL,
    offset INTEGER NOT NULL, -- of the byte in the boot's log at which a phase began; -1 when the boot did
    energy_uj INTEGER NOT NULL, -- the node's counter at that moment
    PRIMARY KEY (node, boot, offset)
) STRICT, WITHOUT ROWID;
"""

# Of a segment that was written before it is not known when its newest bytes came: as late as can be, so that a search
# looks into it.
_TIMES_AND_JOURNAL = """
ALTER TABLE segments ADD COLUMN latest_ms INTEGER NOT NULL DEFAULT 9223372036854775807;
ALTER TABLE segments ADD COLUMN frames BLOB; -- of a compressed file; NULL when it holds plain records
CREATE TABLE journal (
    sequence INTEGER PRIMARY KEY,
    rows TEXT NOT NULL, -- as JSON: what is not in the other tables yet
    bytes BLOB NOT NULL -- what is in the segment files, and perhaps not flushed
) STRICT;
"""

_CHARGE_AND_WAVEFORMS = """
ALTER TABLE nodes ADD COLUMN charge_uc INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN charge_uc INTEGER NOT NULL DEFAULT 0; -- -1 here and in energy_uj: not told yet
CREATE TABLE hats (hat_id BLOB PRIMARY KEY, node TEXT NOT NULL) STRICT; -- where each HAT was seen last
ALTER TABLE events ADD COLUMN about INTEGER NOT NULL DEFAULT 0; -- of a waveform: the event it belongs to
ALTER TABLE events ADD COLUMN first_index INTEGER NOT NULL DEFAULT 0;
ALTER TABLE events ADD COLUMN samples BLOB NOT NULL DEFAULT x'';
"""

_ADOPTIONS = """
CREATE TABLE adoptions (
    hat_id BLOB PRIMARY KEY,
    node TEXT NOT NULL UNIQUE,
    key BLOB NOT NULL, -- shared with the HAT, and with nobody else: this file is for its owner only
    at_ms INTEGER NOT NULL,
    who TEXT NOT NULL -- whoever adopted it
) STRICT;
"""

# The epoch of the journal's file. An earlier hostd knows nothing of that file, and must not take the folder.
_JOURNAL_FILE = """
INSERT INTO counters VALUES ('journal_epoch', 0);
"""

# Nothing here has changed, but what a compressed segment holds has: an earlier hostd would take it for damage.
_PACKED_FRAMES = "-- nothing to do\n"

# The way to each version from the one before. Append only: there are indexes of every version out there.
VERSIONS = (
    _VERSION_1,
    _ENERGY_MARKS,
    _TIMES_AND_JOURNAL,
    _CHARGE_AND_WAVEFORMS,
    _JOURNAL_FILE,
    _ADOPTIONS,
    _PACKED_FRAMES,
)
SCHEMA_VERSION = len(VERSIONS)
