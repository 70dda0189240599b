//! The policy tables in memory, verified: every row by its MAC, all of them by one root.
//!
//! `state_root` is the RFC 6962 tree root over one leaf per row, sorted by table and key:
//! `table || 0x00 || key || 0x00 || mac`. A row that was edited fails its MAC; one that was added,
//! removed or set back fails the root; a whole older database fails against the log, which has
//! `state_rev` and `state_root` of every change.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use vault_model::{HaltTarget, Instrument, Name, Pair, Product, Serial};

use super::hex::Hex;
use super::meta::{self, Head, Instance};
use super::row::{
    CertificateRow, ClientRow, CredentialRow, CredentialVersionRow, FeedRow, HaltRow,
    InstrumentRow, InviteRow, OperatorRow, ScopeRow,
};
use super::table::{Row, RowError, RowKey, Table};
use super::{Applied, Changes, Op, Snapshot, Store, StoreError, StoredRow};
use crate::crypto::mac::StateMac;

/// Why the tables are not to be trusted, or a change does not fit them.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
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
}

impl Tables {
    /// The rows as they lie in the database, without a check of their MACs: good enough to ask who
    /// may try to unseal, and for nothing that grants anything. Rows that do not read are left out.
    pub fn unverified(snapshot: &Snapshot) -> Self {
        let mut tables = Self::default();
        for StoredRow { doc, key, table, .. } in &snapshot.rows {
            if let Ok(row) = Row::parse(*table, doc)
                && row.key().text() == *key
            {
                tables.put(row);
            }
        }
        tables
    }

    fn put(&mut self, row: Row) {
        match row {
            Row::Certificate(row) => drop(self.certificates.insert(row.serial, row)),
            Row::Client(row) => drop(self.clients.insert(row.name.clone(), row)),
            Row::Credential(row) => drop(self.credentials.insert(row.name.clone(), row)),
            Row::CredentialVersion(row) => {
                self.credential_versions.insert((row.credential.clone(), row.version), row);
            }
            Row::Feed(row) => drop(self.feeds.insert(row.pair.clone(), row)),
            Row::Halt(row) => drop(self.halts.insert(row.target.clone(), row)),
            Row::Instrument(row) => {
                let Instrument { venue, product, symbol, .. } = &row.instrument;
                let key = (venue.clone(), *product, symbol.clone());
                self.instruments.insert(key, row);
            }
            Row::Invite(row) => drop(self.invites.insert(row.token_id, row)),
            Row::Operator(row) => drop(self.operators.insert(row.name.clone(), row)),
            Row::Scope(row) => drop(self.scopes.insert(row.name.clone(), row)),
        }
    }

    fn delete(&mut self, key: &RowKey) {
        match key {
            RowKey::Certificate(serial) => drop(self.certificates.remove(serial)),
            RowKey::Client(name) => drop(self.clients.remove(name)),
            RowKey::Credential(name) => drop(self.credentials.remove(name)),
            RowKey::CredentialVersion(credential, version) => {
                self.credential_versions.remove(&(credential.clone(), *version));
            }
            RowKey::Feed(pair) => drop(self.feeds.remove(pair)),
            RowKey::Halt(target) => drop(self.halts.remove(target)),
            RowKey::Instrument(venue, product, symbol) => {
                self.instruments.remove(&(venue.clone(), *product, symbol.clone()));
            }
            RowKey::Invite(token_id) => drop(self.invites.remove(token_id)),
            RowKey::Operator(name) => drop(self.operators.remove(name)),
            RowKey::Scope(name) => drop(self.scopes.remove(name)),
        }
    }
}

/// The verified copy of the policy tables.
#[derive(Clone, Debug)]
pub struct State {
    head: Head,
    instance: Instance,
    leaves: BTreeMap<(Table, String), Leaf>,
    state_rev: u64,
    state_root: Hex<32>,
    tables: Tables,
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
    /// [`StateError`] names the first row that does not verify.
    pub fn verify(snapshot: &Snapshot, state_mac: &StateMac) -> Result<Self, StateError> {
        let instance: Instance =
            snapshot.instance.open(meta::INSTANCE, state_mac).ok_or(StateError::Instance)?;
        let head: Head = snapshot.head.open(meta::HEAD, state_mac).ok_or(StateError::Head)?;

        let (mut leaves, mut tables) = (BTreeMap::new(), Tables::default());
        for StoredRow { doc, key, mac, table } in &snapshot.rows {
            let table = *table;
            let false_row = || StateError::Row { key: key.clone(), table };
            if !state_mac.verifies(table.as_str(), key, doc, mac) {
                return Err(false_row());
            }
            let row = Row::parse(table, doc).map_err(|_| false_row())?;
            let twice = leaves.insert((table, key.clone()), Leaf::new(table, key, doc, mac));
            if row.key().text() != *key || twice.is_some() {
                return Err(false_row());
            }
            tables.put(row);
        }

        let state_root = root(&leaves);
        if state_root != head.state_root {
            return Err(StateError::Root);
        }
        Ok(Self { state_rev: head.state_rev, head, instance, leaves, state_root, tables })
    }

    /// Carries out a change in memory and counts `state_rev` up by one. An error changes nothing.
    ///
    /// # Errors
    ///
    /// [`StateError::Missing`], [`StateError::Unstorable`].
    pub fn apply(
        &mut self,
        changes: &Changes,
        state_mac: &StateMac,
    ) -> Result<Applied, StateError> {
        let mut ops = Vec::with_capacity(changes.0.len());
        for (row_key, row) in &changes.0 {
            let (table, key) = (row_key.table(), row_key.text());
            ops.push(match row {
                Some(row) => {
                    let doc = row.doc()?;
                    let mac = state_mac.row(table.as_str(), &key, &doc).to_vec();
                    Op::Put(StoredRow { doc, key, mac, table })
                }
                None if self.leaves.contains_key(&(table, key.clone())) => {
                    Op::Delete { key, table }
                }
                None => return Err(StateError::Missing { table }),
            });
        }

        for (row_key, row) in &changes.0 {
            match row {
                Some(row) => self.tables.put(row.clone()),
                None => self.tables.delete(row_key),
            }
        }
        for op in &ops {
            match op {
                Op::Delete { key, table } => drop(self.leaves.remove(&(*table, key.clone()))),
                Op::Put(StoredRow { doc, key, mac, table }) => {
                    let leaf = Leaf::new(*table, key, doc, mac);
                    self.leaves.insert((*table, key.clone()), leaf);
                }
            }
        }
        let previous_rev = self.state_rev;
        self.state_rev += 1;
        self.state_root = root(&self.leaves);
        let (state_rev, state_root) = (self.state_rev, self.state_root);
        Ok(Applied { ops, previous_rev, state_rev, state_root })
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

    /// SHA-256 of a row's document, for the log's `hash_before` and `hash_after`.
    pub fn doc_hash(&self, key: &RowKey) -> Option<Hex<32>> {
        self.leaves.get(&(key.table(), key.text())).map(|leaf| leaf.doc_hash)
    }
}

/// The `state_root` of a vault without rows: SHA-256 of nothing.
pub fn empty_root() -> Hex<32> {
    root(&BTreeMap::new())
}

/// What is kept of a row for root and log.
#[derive(Clone, Copy, Debug)]
struct Leaf {
    doc_hash: Hex<32>,
    hash: [u8; 32],
}

impl Leaf {
    fn new(table: Table, key: &str, doc: &str, mac: &[u8]) -> Self {
        let hash = Sha256::new()
            .chain_update([LEAF])
            .chain_update(table.as_str())
            .chain_update([0])
            .chain_update(key)
            .chain_update([0])
            .chain_update(mac)
            .finalize();
        Self { doc_hash: Hex(Sha256::digest(doc).into()), hash: hash.into() }
    }
}

/// The RFC 6962 root. One hash per row: about a millisecond for 10,000 rows.
fn root(leaves: &BTreeMap<(Table, String), Leaf>) -> Hex<32> {
    // Roots of complete subtrees, each smaller than the one before: (leaves, hash).
    let mut subtrees: Vec<(u64, [u8; 32])> = Vec::new();
    for leaf in leaves.values() {
        let mut subtree = (1, leaf.hash);
        while let Some((_, left)) = subtrees.pop_if(|left| left.0 == subtree.0) {
            subtree = (2 * subtree.0, node(&left, &subtree.1));
        }
        subtrees.push(subtree);
    }
    let whole =
        subtrees.into_iter().map(|(_, hash)| hash).rev().reduce(|right, left| node(&left, &right));
    Hex(whole.unwrap_or_else(|| Sha256::digest([]).into()))
}

fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update([NODE]).chain_update(left).chain_update(right).finalize().into()
}

const LEAF: u8 = 0;
const NODE: u8 = 1;

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use vault_model::{Role, SecretBytes};

    use super::{State, StateError, empty_root};
    use crate::crypto::mac::StateMac;
    use crate::storage::sample::{INSTANCE, head, instance, rows, stored_rows};
    use crate::storage::{
        Changes, Head, Hex, Op, Row, RowError, RowKey, Sealed, Snapshot, StoredRow, Table, sample,
    };

    fn seal(head: &Head) -> Sealed {
        head.seal(&sample::state_mac()).expect("canonical")
    }

    fn snapshot(rows: Vec<StoredRow>, state_root: Hex<32>) -> Snapshot {
        Snapshot {
            head: seal(&Head { state_root, ..head() }),
            instance: instance().seal(&sample::state_mac()).expect("canonical"),
            rows,
        }
    }

    fn verify(snapshot: &Snapshot) -> Result<State, StateError> {
        State::verify(snapshot, &sample::state_mac())
    }

    fn empty() -> State {
        verify(&snapshot(Vec::new(), empty_root())).expect("verifies")
    }

    fn filled() -> State {
        let (mut state, mut changes) = (empty(), Changes::new());
        for row in rows() {
            changes.put(row);
        }
        let _ = state.apply(&changes, &sample::state_mac()).expect("applies");
        state
    }

    #[derive(Deserialize)]
    struct GoldenRoots {
        roots: Vec<GoldenRoot>,
    }

    #[derive(Deserialize)]
    struct GoldenRoot {
        rows: usize,
        root: Hex<32>,
    }

    #[test]
    fn golden_roots_hold_for_every_number_of_rows() {
        let golden: GoldenRoots = serde_json::from_str(include_str!(
            "../../../../tests/vectors/golden/envelope/state_root.json"
        ))
        .expect("golden file");

        assert_eq!(golden.roots.len(), stored_rows().len() + 1);
        for GoldenRoot { rows, root } in &golden.roots {
            let stored = stored_rows().into_iter().take(*rows).collect();
            let state = verify(&snapshot(stored, *root)).expect("verifies");
            assert_eq!(state.state_root(), *root);
        }
    }

    #[test]
    fn applying_makes_what_the_golden_files_have() {
        let (mut state, mut changes) = (empty(), Changes::new());
        for row in rows() {
            changes.put(row);
        }
        let applied = state.apply(&changes, &sample::state_mac()).expect("applies");

        assert_eq!((applied.previous_rev, applied.state_rev), (0, 1));
        assert_eq!(applied.state_root, state.state_root());
        let mut expected = stored_rows();
        expected.sort_by(|a, b| (a.table, &a.key).cmp(&(b.table, &b.key)));
        let put: Vec<Op> = expected.iter().cloned().map(Op::Put).collect();
        assert_eq!(applied.ops, put);
        let loaded = verify(&snapshot(expected, applied.state_root)).expect("verifies");
        assert_eq!(loaded.tables(), state.tables());
    }

    #[test]
    fn rows_that_were_removed_added_or_set_back_do_not_verify() {
        let root = filled().state_root();
        let all = stored_rows();
        assert!(verify(&snapshot(all.clone(), root)).is_ok());

        for at in 0..all.len() {
            let mut fewer = all.clone();
            let removed = fewer.remove(at);
            assert!(matches!(verify(&snapshot(fewer.clone(), root)), Err(StateError::Root)));

            // An older content with its own, valid MAC.
            let Ok(Row::Client(mut row)) = Row::parse(removed.table, &removed.doc) else {
                continue;
            };
            row.scope = Some("older".parse().expect("a name"));
            let (mut other, mut changes) = (empty(), Changes::new());
            changes.put(row);
            let applied = other.apply(&changes, &sample::state_mac()).expect("applies");
            if let Some(Op::Put(older)) = applied.ops.into_iter().next() {
                fewer.push(older);
            }
            assert_eq!(fewer.len(), all.len());
            assert!(matches!(verify(&snapshot(fewer, root)), Err(StateError::Root)));
        }
        let twice = [all.clone(), vec![all[0].clone()]].concat();
        assert!(matches!(verify(&snapshot(twice, root)), Err(StateError::Row { .. })));
    }

    #[test]
    fn an_edited_row_is_named() {
        let root = filled().state_root();
        let edits: [fn(&mut StoredRow); 4] = [
            |row| row.doc.insert(1, ' '),
            |row| row.key.push('x'),
            |row| row.mac[0] ^= 1,
            |row| row.mac.clear(),
        ];

        for at in 0..stored_rows().len() {
            for edit in edits {
                let mut rows = stored_rows();
                let before = rows[at].clone();
                edit(&mut rows[at]);
                assert_ne!(rows[at], before);
                let StoredRow { key, table, .. } = rows[at].clone();
                assert!(matches!(
                    verify(&snapshot(rows, root)),
                    Err(StateError::Row { key: k, table: t }) if (&k, t) == (&key, table)
                ));
            }
        }
    }

    #[test]
    fn another_key_or_vault_verifies_nothing() {
        let snapshot = snapshot(stored_rows(), filled().state_root());
        let other_key = StateMac::new(SecretBytes::new(vec![1; 32]), INSTANCE);

        assert!(matches!(State::verify(&snapshot, &other_key), Err(StateError::Instance)));
        let mut swapped = snapshot.clone();
        swapped.head = snapshot.instance.clone();
        assert!(matches!(verify(&swapped), Err(StateError::Head)));
    }

    #[test]
    fn a_change_that_does_not_fit_changes_nothing() {
        let mut state = filled();
        let before = (state.tables().clone(), state.state_rev(), state.state_root());
        let mut row = state.tables().clients["mm-1"].clone();
        row.networks.clear();

        let mut missing = Changes::new();
        missing.put(row.clone()).delete(RowKey::Scope("no-such".parse().expect("a name")));
        let error = state.apply(&missing, &sample::state_mac()).expect_err("missing");
        assert!(matches!(error, StateError::Missing { table: Table::Scope }));

        let mut unstorable = Changes::new();
        let mut pricer = state.tables().operators["alice"].clone();
        pricer.role = Role::Pricer;
        unstorable.put(row).put(pricer);
        let error = state.apply(&unstorable, &sample::state_mac()).expect_err("role");
        assert!(matches!(error, StateError::Unstorable(RowError::Role)));
        assert_eq!(before, (state.tables().clone(), state.state_rev(), state.state_root()));
    }

    #[test]
    fn of_two_acts_on_one_row_the_later_holds() {
        let mut state = filled();
        let row = state.tables().clients["mm-1"].clone();
        let mut changes = Changes::new();
        changes.put(row.clone()).delete(RowKey::Client(row.name.clone()));

        let applied = state.apply(&changes, &sample::state_mac()).expect("applies");
        assert_eq!(applied.ops, [Op::Delete { key: "mm-1".to_owned(), table: Table::Client }]);
        assert!(!state.tables().clients.contains_key(&row.name));
    }

    #[test]
    fn deleting_everything_comes_back_to_the_empty_root() {
        let mut state = filled();
        let mut changes = Changes::new();
        for row in rows() {
            assert!(state.doc_hash(&row.key()).is_some());
            changes.delete(row.key());
        }

        let _ = state.apply(&changes, &sample::state_mac()).expect("applies");
        assert_eq!(state.state_root(), empty_root());
        assert_eq!(state.tables(), &super::Tables::default());
        assert_eq!(state.doc_hash(&rows()[0].key()), None);
    }
}
