//! The database in one SQLite file.
//!
//! Rollback journal (`DELETE`) with `synchronous = EXTRA`, not WAL: at rest the vault is one file,
//! nothing is shared through memory, and admin acts are far too few to gain from a WAL. `EXTRA` is
//! `FULL` and also syncs the directory after the journal is gone; without that a power cut just
//! after a commit can bring the journal back and undo a revocation.
//! Source: `extraSync` in the bundled `sqlite3.c` (`sqlite3PagerSetFlags`, `pager_end_transaction`).
//!
//! The schema is compared with the one that the migrations make: a file with a trigger or a view
//! that somebody added is not opened.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params,
};
use serde::de::DeserializeOwned;
use vault_model::Timestamp;

use super::schema::{MIGRATIONS, expected_schema, migrate, schema};
use super::{
    CommandNonce, Commit, Genesis, Head, Instance, NONCE_KEPT, Op, Sealed, Snapshot, Store,
    StoreError, StoredRow, Table, meta,
};
use crate::seal::{KeyringRecord, SlotRecord};

/// A vault database in one file.
#[derive(Debug)]
pub struct Sqlite {
    connection: Connection,
}

impl Sqlite {
    /// Makes a new database file, mode 0600, with empty tables.
    ///
    /// # Errors
    ///
    /// [`StoreError::Exists`] for a file that is there, whatever is in it.
    pub fn create(path: &Path) -> Result<Self, StoreError> {
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(
            |error| match error.kind() {
                io::ErrorKind::AlreadyExists => StoreError::Exists,
                _ => StoreError::Backend(error.into()),
            },
        )?;
        let mut connection = connect(path)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        migrate(&transaction, 0)?;
        transaction.commit()?;

        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))
            .and_then(|directory| directory.sync_all())
            .map_err(|error| StoreError::Backend(error.into()))?;
        Ok(Self { connection })
    }

    /// Opens the database and brings its schema up to date.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`], [`StoreError::NotVault`], [`StoreError::NewerSchema`],
    /// [`StoreError::SchemaAltered`], [`StoreError::Corrupt`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        match path.try_exists() {
            Ok(true) => {}
            Ok(false) => return Err(StoreError::Missing),
            Err(error) => return Err(StoreError::Backend(error.into())),
        }
        let mut connection = connect(path)?;
        let pragma = |connection: &Connection, name| -> rusqlite::Result<i64> {
            connection.pragma_query_value(None, name, |row| row.get(0))
        };
        let application_id = pragma(&connection, "application_id")?;
        let version = pragma(&connection, "user_version")?;
        if application_id != i64::from(APPLICATION_ID) || version < 1 {
            return Err(StoreError::NotVault);
        }
        let known = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
        let found = u32::try_from(version).map_err(|_| StoreError::NotVault)?;
        if found > known {
            return Err(StoreError::NewerSchema { found, known });
        }

        // First of all: what somebody added to the schema would run with our statements.
        if schema(&connection)? != expected_schema(found)? {
            return Err(StoreError::SchemaAltered);
        }
        let intact: String =
            connection.pragma_query_value(None, "quick_check", |row| row.get(0))?;
        if intact != "ok" {
            return Err(StoreError::Corrupt("file structure"));
        }
        if found < known {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            migrate(&transaction, found)?;
            transaction.commit()?;
        }
        Ok(Self { connection })
    }
}

impl Store for Sqlite {
    fn initialise(&mut self, genesis: &Genesis) -> Result<(), StoreError> {
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let filled: bool =
            transaction.query_row("SELECT EXISTS (SELECT 1 FROM meta)", [], |row| row.get(0))?;
        if filled {
            return Err(StoreError::Exists);
        }
        put_meta(&transaction, meta::INSTANCE, &genesis.instance)?;
        put_meta(&transaction, meta::HEAD, &genesis.head)?;
        replace_keyring(&transaction, &genesis.keyring)?;
        replace_slots(&transaction, &genesis.slots)?;
        Ok(transaction.commit()?)
    }

    fn commit(&mut self, commit: &Commit) -> Result<(), StoreError> {
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let head: Head = read_meta(&transaction, meta::HEAD)?;
        if head.state_rev != commit.previous_rev {
            return Err(StoreError::Conflict);
        }

        let forgotten = commit.at.minus(NONCE_KEPT);
        transaction
            .execute("DELETE FROM command_nonce WHERE expires_at < ?1", [forgotten.micros()])?;
        for CommandNonce { expires_at, nonce } in &commit.nonces {
            let inserted = transaction.execute(
                "INSERT INTO command_nonce (nonce, expires_at) VALUES (?1, ?2) \
                 ON CONFLICT (nonce) DO NOTHING",
                params![nonce, expires_at.micros()],
            )?;
            if inserted == 0 {
                return Err(StoreError::NonceUsed);
            }
        }
        for op in &commit.ops {
            apply(&transaction, op)?;
        }
        if let Some(instance) = &commit.instance {
            put_meta(&transaction, meta::INSTANCE, instance)?;
        }
        if let Some(keyring) = &commit.keyring {
            replace_keyring(&transaction, keyring)?;
        }
        if let Some(slots) = &commit.slots {
            replace_slots(&transaction, slots)?;
        }
        put_meta(&transaction, meta::HEAD, &commit.head)?;
        Ok(transaction.commit()?)
    }

    fn instance(&self) -> Result<Instance, StoreError> {
        read_meta(&self.connection, meta::INSTANCE)
    }

    fn head(&self) -> Result<Head, StoreError> {
        read_meta(&self.connection, meta::HEAD)
    }

    fn keyring(&self) -> Result<Vec<KeyringRecord>, StoreError> {
        let mut statement = self.connection.prepare(
            "SELECT name, version, created_at, wrapped FROM keyring ORDER BY name, version",
        )?;
        let records = statement.query_map([], |row| {
            Ok(KeyringRecord {
                name: row.get(0)?,
                version: row.get(1)?,
                created_at: Timestamp(row.get(2)?),
                wrapped: row.get(3)?,
            })
        })?;
        Ok(records.collect::<rusqlite::Result<_>>()?)
    }

    fn slots(&self) -> Result<Vec<SlotRecord>, StoreError> {
        let mut statement = self.connection.prepare("SELECT id, doc FROM slot ORDER BY id")?;
        let stored = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<Vec<(u32, String)>>>()?;
        stored
            .iter()
            .map(|(id, doc)| {
                serde_json::from_str(doc)
                    .ok()
                    .filter(|slot: &SlotRecord| slot.id == *id)
                    .ok_or(StoreError::Corrupt("slot"))
            })
            .collect()
    }

    fn nonces(&self) -> Result<Vec<CommandNonce>, StoreError> {
        let mut statement = self
            .connection
            .prepare("SELECT nonce, expires_at FROM command_nonce ORDER BY nonce")?;
        let nonces = statement.query_map([], |row| {
            Ok(CommandNonce { nonce: row.get(0)?, expires_at: Timestamp(row.get(1)?) })
        })?;
        Ok(nonces.collect::<rusqlite::Result<_>>()?)
    }

    fn snapshot(&self) -> Result<Snapshot, StoreError> {
        // One read transaction: all tables as of one moment. It ends by being dropped.
        let transaction = self.connection.unchecked_transaction()?;
        let instance = read_sealed(&transaction, meta::INSTANCE)?;
        let head = read_sealed(&transaction, meta::HEAD)?;
        let mut rows = Vec::new();
        for &table in Table::ALL {
            let mut statement = transaction.prepare(select_rows(table))?;
            let stored = statement.query_map([], |row| {
                Ok(StoredRow { key: row.get(0)?, doc: row.get(1)?, mac: row.get(2)?, table })
            })?;
            for row in stored {
                rows.push(row?);
            }
        }
        Ok(Snapshot { head, instance, rows })
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt) => Self::Corrupt("file structure"),
            Some(ErrorCode::NotADatabase) => Self::NotVault,
            _ => Self::Backend(error.into()),
        }
    }
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "synchronous", "EXTRA")?;
    connection.pragma_update(None, "secure_delete", "ON")?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    let journal: String =
        connection.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get(0))?;
    if journal != "delete" {
        return Err(StoreError::Corrupt("journal mode"));
    }
    Ok(connection)
}

fn apply(transaction: &Transaction<'_>, op: &Op) -> Result<(), StoreError> {
    let changed = match op {
        Op::Delete { key, table } => transaction.execute(delete_row(*table), [key])?,
        Op::Put(row) => {
            transaction.execute(put_row(row.table), params![row.key, row.doc, row.mac])?
        }
    };
    if changed == 1 { Ok(()) } else { Err(StoreError::Conflict) }
}

fn put_meta(transaction: &Transaction<'_>, key: &str, sealed: &Sealed) -> Result<(), StoreError> {
    let values = [(key.to_owned(), sealed.doc.as_bytes()), (mac_key(key), &sealed.mac)];
    for (key, value) in values {
        transaction.execute(
            "INSERT INTO meta (key, value) VALUES (?1, ?2) \
             ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            params![key, value],
        )?;
    }
    Ok(())
}

fn read_sealed(connection: &Connection, key: &str) -> Result<Sealed, StoreError> {
    let value = |key: &str| -> Result<Vec<u8>, StoreError> {
        connection
            .query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0))
            .optional()?
            .ok_or(StoreError::NotVault)
    };
    let doc = String::from_utf8(value(key)?).map_err(|_| StoreError::Corrupt("meta"))?;
    Ok(Sealed { doc, mac: value(&mac_key(key))? })
}

fn read_meta<T: DeserializeOwned>(connection: &Connection, key: &str) -> Result<T, StoreError> {
    serde_json::from_str(&read_sealed(connection, key)?.doc)
        .map_err(|_| StoreError::Corrupt("meta"))
}

fn replace_keyring(
    transaction: &Transaction<'_>,
    keyring: &[KeyringRecord],
) -> Result<(), StoreError> {
    transaction.execute("DELETE FROM keyring", [])?;
    for record in keyring {
        transaction.execute(
            "INSERT INTO keyring (name, version, created_at, wrapped) VALUES (?1, ?2, ?3, ?4)",
            params![record.name, record.version, record.created_at.micros(), record.wrapped],
        )?;
    }
    Ok(())
}

fn replace_slots(transaction: &Transaction<'_>, slots: &[SlotRecord]) -> Result<(), StoreError> {
    transaction.execute("DELETE FROM slot", [])?;
    for slot in slots {
        let doc = serde_jcs::to_string(slot).map_err(|error| StoreError::Backend(error.into()))?;
        transaction.execute("INSERT INTO slot (id, doc) VALUES (?1, ?2)", params![slot.id, doc])?;
    }
    Ok(())
}

fn mac_key(key: &str) -> String {
    format!("{key}_mac")
}

fn select_rows(table: Table) -> &'static str {
    match table {
        Table::Certificate => "SELECT key, doc, mac FROM certificate",
        Table::Client => "SELECT key, doc, mac FROM client",
        Table::Credential => "SELECT key, doc, mac FROM credential",
        Table::CredentialVersion => "SELECT key, doc, mac FROM credential_version",
        Table::Feed => "SELECT key, doc, mac FROM feed",
        Table::Halt => "SELECT key, doc, mac FROM halt",
        Table::Instrument => "SELECT key, doc, mac FROM instrument",
        Table::Invite => "SELECT key, doc, mac FROM invite",
        Table::Operator => "SELECT key, doc, mac FROM operator",
        Table::Scope => "SELECT key, doc, mac FROM scope",
    }
}

fn delete_row(table: Table) -> &'static str {
    match table {
        Table::Certificate => "DELETE FROM certificate WHERE key = ?1",
        Table::Client => "DELETE FROM client WHERE key = ?1",
        Table::Credential => "DELETE FROM credential WHERE key = ?1",
        Table::CredentialVersion => "DELETE FROM credential_version WHERE key = ?1",
        Table::Feed => "DELETE FROM feed WHERE key = ?1",
        Table::Halt => "DELETE FROM halt WHERE key = ?1",
        Table::Instrument => "DELETE FROM instrument WHERE key = ?1",
        Table::Invite => "DELETE FROM invite WHERE key = ?1",
        Table::Operator => "DELETE FROM operator WHERE key = ?1",
        Table::Scope => "DELETE FROM scope WHERE key = ?1",
    }
}

fn put_row(table: Table) -> &'static str {
    match table {
        Table::Certificate => {
            "INSERT OR REPLACE INTO certificate (key, doc, mac) VALUES (?1, ?2, ?3)"
        }
        Table::Client => "INSERT OR REPLACE INTO client (key, doc, mac) VALUES (?1, ?2, ?3)",
        Table::Credential => {
            "INSERT OR REPLACE INTO credential (key, doc, mac) VALUES (?1, ?2, ?3)"
        }
        Table::CredentialVersion => {
            "INSERT OR REPLACE INTO credential_version (key, doc, mac) VALUES (?1, ?2, ?3)"
        }
        Table::Feed => "INSERT OR REPLACE INTO feed (key, doc, mac) VALUES (?1, ?2, ?3)",
        Table::Halt => "INSERT OR REPLACE INTO halt (key, doc, mac) VALUES (?1, ?2, ?3)",
        Table::Instrument => {
            "INSERT OR REPLACE INTO instrument (key, doc, mac) VALUES (?1, ?2, ?3)"
        }
        Table::Invite => "INSERT OR REPLACE INTO invite (key, doc, mac) VALUES (?1, ?2, ?3)",
        Table::Operator => "INSERT OR REPLACE INTO operator (key, doc, mac) VALUES (?1, ?2, ?3)",
        Table::Scope => "INSERT OR REPLACE INTO scope (key, doc, mac) VALUES (?1, ?2, ?3)",
    }
}

/// "CSGN".
const APPLICATION_ID: i32 = 0x4353_474e;

#[cfg(test)]
mod tests;
