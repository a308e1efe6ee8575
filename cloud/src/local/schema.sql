-- One row a job: the whole of it as JSON. `number` is the order in which jobs were written; `seq` leads to the
-- job's line in `summaries`.
CREATE TABLE jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id     TEXT NOT NULL UNIQUE,
    seq    INTEGER NOT NULL,
    doc    TEXT NOT NULL
) STRICT;

-- What lists show of a job, in the order of the jobs' last changes: a page of changes is read from beginning to end
-- without touching a document.
CREATE TABLE summaries (
    seq        INTEGER PRIMARY KEY,
    id         TEXT NOT NULL,
    input      TEXT NOT NULL,
    tag        TEXT,
    state      INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    started_ms INTEGER,
    ended_ms   INTEGER,
    attempts   INTEGER NOT NULL,
    exit_code  INTEGER,
    reason     TEXT
) STRICT;

-- Jobs that are gone, so that a list can let them go.
CREATE TABLE removed (
    seq INTEGER PRIMARY KEY,
    id  TEXT NOT NULL UNIQUE
) STRICT;

-- The last change's number.
CREATE TABLE last_change (seq INTEGER NOT NULL) STRICT;
INSERT INTO last_change VALUES (0);

-- Jobs by state, kept by every change of the table.
CREATE TABLE counts (
    state INTEGER PRIMARY KEY,
    jobs  INTEGER NOT NULL
) STRICT;
INSERT INTO counts VALUES (0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0);

CREATE TABLE messages (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    body       TEXT NOT NULL,
    visible_ms INTEGER NOT NULL,
    deliveries INTEGER NOT NULL
) STRICT;
CREATE INDEX messages_visible ON messages (visible_ms, number);

CREATE TABLE dead_letters (
    number  INTEGER PRIMARY KEY AUTOINCREMENT,
    body    TEXT NOT NULL,
    dead_ms INTEGER NOT NULL
) STRICT;

-- States: 0 runnable, 1 starting, 2 running, 3 succeeded, 4 failed.
CREATE TABLE compute (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    name        TEXT NOT NULL,
    environment TEXT NOT NULL,
    state       INTEGER NOT NULL,
    attempts    INTEGER NOT NULL,
    pid         INTEGER,
    reason      TEXT,
    terminate   TEXT,
    ended_ms    INTEGER
) STRICT;
CREATE INDEX compute_name ON compute (name, number);
-- Only the jobs that have not ended, which are few beside those that have.
CREATE INDEX compute_live ON compute (state, number) WHERE state < 3;
CREATE INDEX compute_ended ON compute (ended_ms) WHERE ended_ms IS NOT NULL;

-- Inputs of which the queue has been told.
CREATE TABLE announced (
    key     TEXT NOT NULL,
    version TEXT NOT NULL,
    PRIMARY KEY (key, version)
) STRICT, WITHOUT ROWID;
