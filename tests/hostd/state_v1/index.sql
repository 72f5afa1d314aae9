PRAGMA application_id = 1918985067;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE boots (
    node TEXT NOT NULL,
    number INTEGER NOT NULL,
    start_ms INTEGER NOT NULL,
    last_byte_ms INTEGER NOT NULL,
    end INTEGER NOT NULL,
    lost_bytes INTEGER NOT NULL,
    from_supply_on INTEGER NOT NULL,
    dropped TEXT NOT NULL, -- why what lies between its last segment and its end is lost
    PRIMARY KEY (node, number)
) STRICT, WITHOUT ROWID;
INSERT INTO "boots" VALUES('node-1',1,1700000000000,1700000019000,1290,30,1,'');
INSERT INTO "boots" VALUES('node-1',2,1700000100000,1700000104000,85,0,0,'');
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO "counters" VALUES('event_ceiling',1);
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
INSERT INTO "events" VALUES(1,'node-1',1700000100000,'supply_state','The supply is on.',0,7,1);
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
INSERT INTO "nodes" VALUES('node-1',3,123456,2,1345,30,0,0);
CREATE TABLE segments (
    node TEXT NOT NULL,
    boot INTEGER NOT NULL,
    start INTEGER NOT NULL,
    end INTEGER NOT NULL,
    size INTEGER NOT NULL, -- of the file in bytes; what lies beyond is not valid
    seed INTEGER NOT NULL, -- of its records' checksums
    PRIMARY KEY (node, boot, start)
) STRICT, WITHOUT ROWID;
INSERT INTO "segments" VALUES('node-1',1,0,630,910,1761619822);
INSERT INTO "segments" VALUES('node-1',1,630,1290,955,4049499304);
INSERT INTO "segments" VALUES('node-1',2,0,85,225,1680334053);
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
INSERT INTO "sessions" VALUES('node-1',7,5,X'6861742D61',2,85,2,2,123456);
CREATE INDEX events_by_node ON events (node, sequence);
CREATE UNIQUE INDEX events_by_hat ON events (node, hat_session, hat_sequence) WHERE hat_sequence IS NOT NULL;
COMMIT;
