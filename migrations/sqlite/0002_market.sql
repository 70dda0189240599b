-- Feeds of reference prices, and instruments: policy rows like those of 0001.

CREATE TABLE feed (
    key TEXT NOT NULL PRIMARY KEY,
    doc TEXT NOT NULL,
    mac BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE instrument (
    key TEXT NOT NULL PRIMARY KEY,
    doc TEXT NOT NULL,
    mac BLOB NOT NULL
) STRICT, WITHOUT ROWID;
