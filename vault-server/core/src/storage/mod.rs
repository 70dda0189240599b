//! The database: what is kept between two starts. No SQL outside the backends, and none on the way
//! of a Sign: decisions read [`State`], the verified copy in memory.
//!
//! One thread uses a [`Store`], and not the one that decides.

pub mod change;
pub mod hex;
mod index;
pub mod meta;
pub mod row;
#[cfg(test)]
mod sample;
mod schema;
pub mod sqlite;
pub mod state;
#[cfg(test)]
pub mod suite;
pub mod table;
mod tree;

use std::error::Error;

use vault_model::Timestamp;

pub use change::{Applied, Changes, Stamp};
pub use hex::{Hex, HexBytes};
pub use index::Count;
pub use meta::{Head, Instance, Sealed};
pub use row::{
    CertificateRow, CertificateState, ClientRow, CredentialRow, CredentialState,
    CredentialVersionRow, FeedRow, HaltRow, Holder, HolderState, InstrumentRow, InviteRow,
    OperatorRow, ScopeRow,
};
pub use sqlite::Sqlite;
pub use state::{Hashed, Prepared, State, StateError, Tables};
pub use table::{Row, RowError, RowKey, Table};

use crate::seal::{KeyringRecord, SlotRecord};

/// Why the database did not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The backend's own error. What a commit did that ends so is unknown: the process must end,
    /// and read again what is there.
    #[error("database is unavailable")]
    Backend(#[source] Box<dyn Error + Send + Sync>),
    /// The database is not as the change expects it: somebody else wrote, or edited it.
    #[error("database has changed under a commit")]
    Conflict,
    /// A stored value that this program did not write.
    #[error("database is corrupt: {0}")]
    Corrupt(&'static str),
    /// There is a database already.
    #[error("database exists already")]
    Exists,
    /// There is none.
    #[error("database does not exist")]
    Missing,
    /// Made by a later version of this program.
    #[error("database schema {found} is newer than {known}")]
    NewerSchema {
        /// The schema's number.
        found: u32,
        /// The newest that is known here.
        known: u32,
    },
    /// The command was carried out before, or an approval was used before.
    #[error("command nonce was used before")]
    NonceUsed,
    /// A database, but not a vault's; or its making was cut short.
    #[error("not a vault database")]
    NotVault,
    /// The tables are not those that this program made.
    #[error("database schema has been altered")]
    SchemaAltered,
}

/// What `init` writes first, in one transaction.
#[derive(Clone, Debug)]
pub struct Genesis {
    /// Where the vault stands.
    pub head: Sealed,
    /// What it is.
    pub instance: Sealed,
    /// Every key, wrapped.
    pub keyring: Vec<KeyringRecord>,
    /// Every way to unseal.
    pub slots: Vec<SlotRecord>,
}

/// A policy row as it is stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredRow {
    /// RFC 8785 JSON.
    pub doc: String,
    /// [`RowKey::text`].
    pub key: String,
    /// HMAC-SHA256, 32 bytes.
    pub mac: Vec<u8>,
    /// Its table.
    pub table: Table,
}

/// One act on a policy table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Op {
    /// Removes a row that is there.
    Delete {
        /// [`RowKey::text`].
        key: String,
        /// Its table.
        table: Table,
    },
    /// Writes a row, new or not.
    Put(StoredRow),
}

/// What serves once: the nonce of a signed command, or the mark of an approval.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CommandNonce {
    /// When the command or approval expires; this is kept for [`NONCE_KEPT`] longer.
    pub expires_at: Timestamp,
    /// 16 bytes as the command has them, or 32 of an approval: they cannot meet.
    pub nonce: Vec<u8>,
}

/// How long a nonce or mark is kept beyond its end: a wall clock that is put back by less makes none
/// good again.
pub const NONCE_KEPT: std::time::Duration = std::time::Duration::from_secs(7 * 86_400);

/// One transaction: all of it is on disk afterwards, or nothing.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Now: nonces that ended more than [`NONCE_KEPT`] ago are forgotten.
    pub at: Timestamp,
    /// Where the vault stands afterwards.
    pub head: Sealed,
    /// What it is, if that changes.
    pub instance: Option<Sealed>,
    /// The whole keyring, if it changes.
    pub keyring: Option<Vec<KeyringRecord>>,
    /// What it uses up: the command that it carries out, and approvals.
    pub nonces: Vec<CommandNonce>,
    /// What changes in the policy tables.
    pub ops: Vec<Op>,
    /// The `state_rev` that this change was made upon.
    pub previous_rev: u64,
    /// All slots, if they change.
    pub slots: Option<Vec<SlotRecord>>,
}

/// Everything that [`State`] is made of, at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Where the vault stands.
    pub head: Sealed,
    /// What it is.
    pub instance: Sealed,
    /// Every row of every policy table, in no order.
    pub rows: Vec<StoredRow>,
}

/// A database. What it returns is checked by whoever has the keys, not here.
pub trait Store: Send {
    /// Writes the first content.
    ///
    /// # Errors
    ///
    /// [`StoreError::Exists`] if there is some.
    fn initialise(&mut self, genesis: &Genesis) -> Result<(), StoreError>;

    /// Writes one change durably: it survives a power cut once this returns.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] and [`StoreError::NonceUsed`] change nothing; after
    /// [`StoreError::Backend`] nobody knows.
    fn commit(&mut self, commit: &Commit) -> Result<(), StoreError>;

    /// What the vault says it is: not verified, for use while sealed.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotVault`] before [`Store::initialise`].
    fn instance(&self) -> Result<Instance, StoreError>;

    /// Where the vault says it stands: not verified, for use while sealed.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotVault`] before [`Store::initialise`].
    fn head(&self) -> Result<Head, StoreError>;

    /// The wrapped keyring.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`], [`StoreError::Backend`].
    fn keyring(&self) -> Result<Vec<KeyringRecord>, StoreError>;

    /// The slots, by id.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`], [`StoreError::Backend`].
    fn slots(&self) -> Result<Vec<SlotRecord>, StoreError>;

    /// Nonces and marks that are not forgotten.
    ///
    /// # Errors
    ///
    /// [`StoreError::Backend`].
    fn nonces(&self) -> Result<Vec<CommandNonce>, StoreError>;

    /// All policy rows with head and instance, as of one moment.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotVault`] before [`Store::initialise`].
    fn snapshot(&self) -> Result<Snapshot, StoreError>;
}
