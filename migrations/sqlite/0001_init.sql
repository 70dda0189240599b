-- The database of one vault. Numbers and names are the same in every backend; frozen once released.
--
-- A policy row is its key, its document (RFC 8785 JSON) and HMAC-SHA256 over both (32 bytes).
-- Bytes are drawn in docs/reference/formats.md.

CREATE TABLE certificate (
    key TEXT NOT NULL PRIMARY KEY,
    doc TEXT NOT NULL,
    mac BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE client (
    key TEXT NOT NULL PRIMARY KEY,
    doc TEXT NOT NULL,
    mac BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE credential (
    key TEXT NOT NULL PRIMARY KEY,
    doc TEXT NOT NULL,
    mac BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE credential_version (
    key TEXT NOT NULL PRIMARY KEY,
    doc TEXT NOT NULL,
    mac BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE halt (
    key TEXT NOT NULL PRIMARY KEY,
    doc TEXT NOT NULL,
    mac BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE invite (
    key TEXT NOT NULL PRIMARY KEY,
    doc TEXT NOT NULL,
    mac BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE operator (
    key TEXT NOT NULL PRIMARY KEY,
    doc TEXT NOT NULL,
    mac BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE scope (
    key TEXT NOT NULL PRIMARY KEY,
    doc TEXT NOT NULL,
    mac BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Rows 'instance', 'instance_mac', 'head', 'head_mac'.
CREATE TABLE meta (
    key TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The root key, wrapped once for each way to unseal.
CREATE TABLE slot (
    id INTEGER NOT NULL PRIMARY KEY,
    doc TEXT NOT NULL
) STRICT;

-- The keys that the root key wraps (VE1). created_at in microseconds since the epoch.
CREATE TABLE keyring (
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    wrapped BLOB NOT NULL,
    PRIMARY KEY (name, version)
) STRICT, WITHOUT ROWID;

-- Nonces of signed commands until they expire (microseconds since the epoch).
CREATE TABLE command_nonce (
    nonce BLOB NOT NULL PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX command_nonce_expires_at ON command_nonce (expires_at);
