//! The policy tables in memory, verified: every row by its MAC, all of them by one root.
//!
//! `state_root` is the RFC 6962 tree root over one leaf per row, sorted by table and key:
//! `table || 0x00 || key || 0x00 || mac`. A row that was edited fails its MAC; one that was added,
//! removed or set back fails the root; a whole older database fails against the log, which has
//! `state_rev` and `state_root` of every change.

use std::collections::BTreeMap;
use std::sync::Arc;

use vault_model::{HaltTarget, Instrument, Name, Pair, Product, Serial};

use super::hex::Hex;
use super::index::Index;
use super::meta::{self, Head, Instance};
use super::row::{
    CertificateRow, ClientRow, CredentialRow, CredentialVersionRow, FeedRow, HaltRow,
    InstrumentRow, InviteRow, OperatorRow, ScopeRow,
};
use super::table::{Row, RowError, RowKey, Table};
use super::tree::{self, LeafChange, LeafHash, LeafKey, Tree};
use super::{Applied, Changes, Op, Snapshot, Store, StoreError, StoredRow};
use crate::crypto::mac::StateMac;
use crate::spread::spread;

/// Why the tables are not to be trusted, or a change does not fit them.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another change is under way.
    #[error("another change is under way")]
    Busy,
    /// The head's MAC does not hold.
    #[error("database head does not verify")]
    Head,
    /// The instance's MAC does not hold.
    #[error("database instance does not verify")]
    Instance,
    /// A change deletes a row that is not there.
    #[error("no such row in {table}")]
    Missing {
        /// Its table.
        table: Table,
    },
    /// Rows were added, removed or set back.
    #[error("database rows do not add up to the state root")]
    Root,
    /// A row's MAC does not hold, or its content is not what its key says.
    #[error("row {key} of table {table} does not verify")]
    Row {
        /// Its key.
        key: String,
        /// Its table.
        table: Table,
    },
    /// The database did not answer.
    #[error("database is unavailable")]
    Store(#[from] StoreError),
    /// A row of a change may not be stored.
    #[error("row cannot be stored")]
    Unstorable(#[from] RowError),
}

/// Every policy row by its key.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tables {
    /// Certificates by serial.
    pub certificates: BTreeMap<Serial, CertificateRow>,
    /// Clients by name.
    pub clients: BTreeMap<Name, ClientRow>,
    /// Versions by credential and number.
    pub credential_versions: BTreeMap<(Name, u32), CredentialVersionRow>,
    /// Credentials by name.
    pub credentials: BTreeMap<Name, CredentialRow>,
    /// Feeds by pair.
    pub feeds: BTreeMap<Pair, FeedRow>,
    /// Halts by target.
    pub halts: BTreeMap<HaltTarget, HaltRow>,
    /// Instruments by venue, product and symbol.
    pub instruments: BTreeMap<(Name, Product, String), InstrumentRow>,
    /// Invitations by token id.
    pub invites: BTreeMap<Hex<16>, InviteRow>,
    /// Operators by name.
    pub operators: BTreeMap<Name, OperatorRow>,
    /// Scopes by name.
    pub scopes: BTreeMap<Name, ScopeRow>,
    pub(super) index: Index,
}

impl Tables {
    /// The rows as they lie in the database, without a check of their MACs: good enough to ask who
    /// may try to unseal, and for nothing that grants anything. Rows that do not read are left out.
    pub fn unverified(snapshot: &Snapshot) -> Self {
        let mut tables = Self::default();
        for stored in &snapshot.rows {
            if let Some(row) = stored.row() {
                tables.put(row);
            }
        }
        tables
    }

    /// How many rows there are in all.
    fn len(&self) -> usize {
        self.certificates.len()
            + self.clients.len()
            + self.credential_versions.len()
            + self.credentials.len()
            + self.feeds.len()
            + self.halts.len()
            + self.instruments.len()
            + self.invites.len()
            + self.operators.len()
            + self.scopes.len()
    }

    /// Writes a row, new or not.
    pub(crate) fn put(&mut self, row: Row) {
        match row {
            Row::Certificate(row) => {
                self.index.certificate(self.certificates.get(&row.serial), Some(&row));
                self.certificates.insert(row.serial, row);
            }
            Row::Client(row) => {
                self.index.client(self.clients.get(&row.name), Some(&row));
                self.clients.insert(row.name.clone(), row);
            }
            Row::Credential(row) => {
                self.index.credential(self.credentials.get(&row.name), Some(&row));
                self.credentials.insert(row.name.clone(), row);
            }
            Row::CredentialVersion(row) => {
                self.credential_versions.insert((row.credential.clone(), row.version), row);
            }
            Row::Feed(row) => drop(self.feeds.insert(row.pair.clone(), row)),
            Row::Halt(row) => {
                self.index.halt(self.halts.get(&row.target), Some(&row));
                self.halts.insert(row.target.clone(), row);
            }
            Row::Instrument(row) => {
                let Instrument { venue, product, symbol, .. } = &row.instrument;
                let key = (venue.clone(), *product, symbol.clone());
                self.instruments.insert(key, row);
            }
            Row::Invite(row) => {
                self.index.invite(self.invites.get(&row.token_id), Some(&row));
                self.invites.insert(row.token_id, row);
            }
            Row::Operator(row) => drop(self.operators.insert(row.name.clone(), row)),
            Row::Scope(row) => drop(self.scopes.insert(row.name.clone(), row)),
        }
    }

    fn delete(&mut self, key: &RowKey) {
        match key {
            RowKey::Certificate(serial) => {
                self.index.certificate(self.certificates.remove(serial).as_ref(), None);
            }
            RowKey::Client(name) => self.index.client(self.clients.remove(name).as_ref(), None),
            RowKey::Credential(name) => {
                self.index.credential(self.credentials.remove(name).as_ref(), None);
            }
            RowKey::CredentialVersion(credential, version) => {
                self.credential_versions.remove(&(credential.clone(), *version));
            }
            RowKey::Feed(pair) => drop(self.feeds.remove(pair)),
            RowKey::Halt(target) => self.index.halt(self.halts.remove(target).as_ref(), None),
            RowKey::Instrument(venue, product, symbol) => {
                self.instruments.remove(&(venue.clone(), *product, symbol.clone()));
            }
            RowKey::Invite(token_id) => {
                self.index.invite(self.invites.remove(token_id).as_ref(), None);
            }
            RowKey::Operator(name) => drop(self.operators.remove(name)),
            RowKey::Scope(name) => drop(self.scopes.remove(name)),
        }
    }
}

/// The verified copy of the policy tables.
#[derive(Debug)]
pub struct State {
    head: Head,
    instance: Instance,
    state_rev: u64,
    state_root: Hex<32>,
    tables: Arc<Tables>,
    /// Over the rows of `tables`; absent while a change is being hashed.
    tree: Option<Tree>,
}

/// A change that is found good and has its MACs. Nothing is changed yet: its root is to be computed,
/// here or on another thread.
#[derive(Debug)]
pub struct Prepared {
    leaves: Vec<LeafChange>,
    ops: Vec<Op>,
    tree: Tree,
}

/// A change with its root, to be carried out once it is in the database.
#[must_use = "without the tree in it the state takes no further change"]
#[derive(Debug)]
pub struct Hashed {
    ops: Vec<Op>,
    state_root: Hex<32>,
    tree: Tree,
    undo: Vec<LeafChange>,
}

impl Prepared {
    /// How many hashes it takes to find its root, about.
    pub fn cost(&self) -> usize {
        self.tree.cost(&self.leaves)
    }

    /// Computes its root.
    pub fn hash(self) -> Hashed {
        let Self { leaves, ops, mut tree } = self;
        let undo = tree.change(leaves);
        Hashed { ops, state_root: tree.root(), tree, undo }
    }
}

impl State {
    /// Reads the database and verifies all of it.
    ///
    /// The caller still compares [`State::state_rev`] and [`State::state_root`] with the log's last.
    ///
    /// # Errors
    ///
    /// [`StateError`] names the first row that does not verify.
    pub fn load(store: &dyn Store, state_mac: &StateMac) -> Result<Self, StateError> {
        Self::verify(&store.snapshot()?, state_mac)
    }

    /// Verifies what a database returned.
    ///
    /// # Errors
    ///
    /// [`StateError`] names a row that does not verify.
    pub fn verify(snapshot: &Snapshot, state_mac: &StateMac) -> Result<Self, StateError> {
        Self::verify_read(snapshot, &Arc::new(Tables::unverified(snapshot)), state_mac)
    }

    /// As [`State::verify`], where the rows were read before, by [`Tables::unverified`] of the same
    /// snapshot.
    ///
    /// # Errors
    ///
    /// As for [`State::verify`].
    pub fn verify_read(
        snapshot: &Snapshot,
        tables: &Arc<Tables>,
        state_mac: &StateMac,
    ) -> Result<Self, StateError> {
        let instance: Instance =
            snapshot.instance.open(meta::INSTANCE, state_mac).ok_or(StateError::Instance)?;
        let head: Head = snapshot.head.open(meta::HEAD, state_mac).ok_or(StateError::Head)?;
        let tree = verified_tree(&snapshot.rows, state_mac)?;
        // A row that was left out then is not what its key says, or is there twice.
        if tables.len() != snapshot.rows.len() {
            let left_out = snapshot.rows.iter().find(|row| !row.reads());
            return Err(left_out.map_or(StateError::Root, false_row));
        }
        let state_root = tree.root();
        if state_root != head.state_root {
            return Err(StateError::Root);
        }
        let (state_rev, tables) = (head.state_rev, Arc::clone(tables));
        Ok(Self { head, instance, state_rev, state_root, tables, tree: Some(tree) })
    }

    /// Finds out whether a change fits, and makes its MACs. No other can be prepared until this one
    /// has come back by [`State::carry_out`] or [`State::abandon`]; an error leaves all as it is.
    ///
    /// # Errors
    ///
    /// [`StateError::Busy`], [`StateError::Missing`], [`StateError::Unstorable`].
    pub fn prepare(
        &mut self,
        changes: &Changes,
        state_mac: &StateMac,
    ) -> Result<Prepared, StateError> {
        let tree = self.tree.as_ref().ok_or(StateError::Busy)?;
        let mut ops = Vec::with_capacity(changes.0.len());
        let mut leaves = Vec::with_capacity(changes.0.len());
        for (row_key, row) in &changes.0 {
            let (table, key) = (row_key.table(), row_key.text());
            let leaf_key: LeafKey = (table, key.as_str().into());
            match row {
                Some(row) => {
                    let doc = row.doc()?;
                    let mac = state_mac.row(table.as_str(), &key, &doc).to_vec();
                    leaves.push((leaf_key, Some(tree::leaf(table, &key, &mac))));
                    ops.push(Op::Put(StoredRow { doc, key, mac, table }));
                }
                None if tree.has(&leaf_key) => {
                    leaves.push((leaf_key, None));
                    ops.push(Op::Delete { key, table });
                }
                None => return Err(StateError::Missing { table }),
            }
        }
        // Keys as texts, where the changes are in the order of the rows.
        leaves.sort_unstable();
        let tree = self.tree.take().ok_or(StateError::Busy)?;
        Ok(Prepared { leaves, ops, tree })
    }

    /// What is to be committed for a change.
    pub fn applied(&self, hashed: &Hashed) -> Applied {
        Applied {
            ops: hashed.ops.clone(),
            previous_rev: self.state_rev,
            state_rev: self.state_rev + 1,
            state_root: hashed.state_root,
        }
    }

    /// Carries out a change in memory and counts `state_rev` up by one.
    pub fn carry_out(&mut self, changes: Changes, hashed: Hashed) {
        // Nobody else has them by now.
        let tables = Arc::make_mut(&mut self.tables);
        for (row_key, row) in changes.0 {
            match row {
                Some(row) => tables.put(row),
                None => tables.delete(&row_key),
            }
        }
        self.state_rev += 1;
        self.state_root = hashed.state_root;
        self.tree = Some(hashed.tree);
    }

    /// Takes back a change that came to nothing.
    pub fn abandon(&mut self, hashed: Hashed) {
        let Hashed { mut tree, undo, .. } = hashed;
        tree.change(undo);
        self.tree = Some(tree);
    }

    /// Carries out a change in memory at once. An error changes nothing.
    ///
    /// # Errors
    ///
    /// As for [`State::prepare`].
    pub fn apply(
        &mut self,
        changes: &Changes,
        state_mac: &StateMac,
    ) -> Result<Applied, StateError> {
        let hashed = self.prepare(changes, state_mac)?.hash();
        let applied = self.applied(&hashed);
        self.carry_out(changes.clone(), hashed);
        Ok(applied)
    }

    /// A commit that changes no row (a nonce, say) still has to name where the vault stands.
    pub fn unchanged(&self) -> Applied {
        Applied {
            ops: Vec::new(),
            previous_rev: self.state_rev,
            state_rev: self.state_rev,
            state_root: self.state_root,
        }
    }

    /// The rows.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// What the vault is, verified.
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// Where the vault stood when it was loaded, verified.
    pub fn loaded_head(&self) -> &Head {
        &self.head
    }

    /// Counts changes.
    pub fn state_rev(&self) -> u64 {
        self.state_rev
    }

    /// Root over all rows.
    pub fn state_root(&self) -> Hex<32> {
        self.state_root
    }

    #[cfg(test)]
    pub(super) fn has(&self, key: &RowKey) -> bool {
        let key = (key.table(), key.text().into());
        self.tree.as_ref().is_some_and(|tree| tree.has(&key))
    }
}

impl StoredRow {
    /// What it says, if its key says so too.
    fn row(&self) -> Option<Row> {
        Row::parse(self.table, &self.doc).ok().filter(|row| row.key().text() == self.key)
    }

    fn reads(&self) -> bool {
        self.row().is_some()
    }
}

fn false_row(row: &StoredRow) -> StateError {
    StateError::Row { key: row.key.clone(), table: row.table }
}

/// The tree over rows whose MACs hold. Where there are many, several threads look at them.
fn verified_tree(rows: &[StoredRow], state_mac: &StateMac) -> Result<Tree, StateError> {
    let parts: Vec<&[StoredRow]> = rows.chunks(ROWS_OF_A_PART).collect();
    let mut leaves = Vec::with_capacity(rows.len());
    for part in spread(&parts, "rows", |part| verified_leaves(part, state_mac)) {
        leaves.append(&mut part?);
    }
    leaves.sort_unstable();
    if let Some([((table, key), _), _]) = leaves.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(StateError::Row { key: key.to_string(), table: *table });
    }
    let (keys, leaves) = leaves.into_iter().unzip();
    Tree::new(keys, leaves).ok_or(StateError::Root)
}

fn verified_leaves(
    rows: &[StoredRow],
    state_mac: &StateMac,
) -> Result<Vec<(LeafKey, LeafHash)>, StateError> {
    let leaf = |row: &StoredRow| {
        let StoredRow { doc, key, mac, table } = row;
        if !state_mac.verifies(table.as_str(), key, doc, mac) {
            return Err(false_row(row));
        }
        Ok(((*table, key.as_str().into()), tree::leaf(*table, key, mac)))
    };
    rows.iter().map(leaf).collect()
}

/// Fewer rows are no work for another thread.
const ROWS_OF_A_PART: usize = 4_096;

/// The `state_root` of a vault without rows: SHA-256 of nothing.
pub fn empty_root() -> Hex<32> {
    Tree::default().root()
}

#[cfg(test)]
pub(super) mod tests;
