//! The SQLite schema: migrations, forward only, and what they must have made.

use rusqlite::Connection;

use super::StoreError;

/// Runs the migrations after number `from`; `user_version` is the number of the last.
pub(super) fn migrate(connection: &Connection, from: u32) -> Result<(), StoreError> {
    for (version, sql) in (1u32..).zip(MIGRATIONS) {
        if version > from {
            connection.execute_batch(sql)?;
            connection.pragma_update(None, "user_version", version)?;
        }
    }
    Ok(())
}

/// Type, name and text of everything in the schema.
pub(super) fn schema(
    connection: &Connection,
) -> Result<Vec<(String, String, Option<String>)>, StoreError> {
    let mut statement =
        connection.prepare("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name")?;
    let objects = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(objects.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn expected_schema(
    version: u32,
) -> Result<Vec<(String, String, Option<String>)>, StoreError> {
    let connection = Connection::open_in_memory()?;
    for (_, sql) in (1..=version).zip(MIGRATIONS) {
        connection.execute_batch(sql)?;
    }
    schema(&connection)
}

/// Number one first.
pub(super) const MIGRATIONS: [&str; 2] = [
    include_str!("../../../../migrations/sqlite/0001_init.sql"),
    include_str!("../../../../migrations/sqlite/0002_market.sql"),
];
