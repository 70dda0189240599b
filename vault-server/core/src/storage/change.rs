//! Changes to the policy tables: asked for, applied, committed.

use std::collections::BTreeMap;

use vault_model::Timestamp;

use super::hex::Hex;
use super::meta::Head;
use super::{CommandNonce, Commit, Op, Row, RowError, RowKey};
use crate::crypto::mac::StateMac;

/// Rows to put and to delete together. Of two acts on one row the later holds.
#[derive(Clone, Debug, Default)]
pub struct Changes(pub(super) BTreeMap<RowKey, Option<Row>>);

impl Changes {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a row, new or not.
    pub fn put(&mut self, row: impl Into<Row>) -> &mut Self {
        let row = row.into();
        self.0.insert(row.key(), Some(row));
        self
    }

    /// Removes a row.
    pub fn delete(&mut self, key: RowKey) -> &mut Self {
        self.0.insert(key, None);
        self
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The rows concerned.
    pub fn keys(&self) -> impl Iterator<Item = &RowKey> {
        self.0.keys()
    }
}

/// What [`State::apply`](super::State::apply) did, to be committed.
#[must_use = "a change that is not committed is lost at the next start"]
#[derive(Clone, Debug)]
pub struct Applied {
    /// The acts, with the rows' MACs.
    pub ops: Vec<Op>,
    /// `state_rev` before.
    pub previous_rev: u64,
    /// `state_rev` after.
    pub state_rev: u64,
    /// `state_root` after.
    pub state_root: Hex<32>,
}

/// What a commit says beside the rows.
#[derive(Clone, Debug)]
pub struct Stamp {
    /// Now.
    pub at: Timestamp,
    /// Root of the log's tree at `audit_size`.
    pub audit_root: Hex<32>,
    /// Entries in the log.
    pub audit_size: u64,
    /// The change's id.
    pub change_id: Option<String>,
    /// What the commit uses up: the command that it carries out, and approvals.
    pub nonces: Vec<CommandNonce>,
}

impl Applied {
    /// Makes the commit of this change.
    ///
    /// # Errors
    ///
    /// [`RowError`] if the stamp has a number beyond 2^53.
    pub fn into_commit(self, stamp: Stamp, state_mac: &StateMac) -> Result<Commit, RowError> {
        let head = Head {
            audit_root: stamp.audit_root,
            audit_size: stamp.audit_size,
            change_id: stamp.change_id,
            state_rev: self.state_rev,
            state_root: self.state_root,
        };
        Ok(Commit {
            at: stamp.at,
            head: head.seal(state_mac)?,
            instance: None,
            keyring: None,
            nonces: stamp.nonces,
            ops: self.ops,
            previous_rev: self.previous_rev,
            slots: None,
        })
    }
}
