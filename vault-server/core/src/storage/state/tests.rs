//! What verifies, what does not, and what a change leaves behind.

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

pub(in crate::storage) fn empty() -> State {
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
        "../../../../../tests/vectors/golden/envelope/state_root.json"
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
        assert!(state.has(&row.key()));
        changes.delete(row.key());
    }

    let _ = state.apply(&changes, &sample::state_mac()).expect("applies");
    assert_eq!(state.state_root(), empty_root());
    assert_eq!(state.tables(), &super::Tables::default());
    assert!(!state.has(&rows()[0].key()));
}
#[test]
fn a_change_that_came_to_nothing_leaves_no_trace_and_the_next_one_fits() {
    let mut state = filled();
    let (tables, root) = (state.tables().clone(), state.state_root());
    let mut changes = Changes::new();
    changes.delete(rows()[0].key());
    let hashed = state.prepare(&changes, &sample::state_mac()).expect("fits").hash();
    assert_ne!(state.applied(&hashed).state_root, root);
    let error = state.prepare(&changes, &sample::state_mac()).expect_err("one at a time");
    assert!(matches!(error, StateError::Busy));
    state.abandon(hashed);

    assert_eq!((state.tables(), state.state_rev(), state.state_root()), (&tables, 1, root));
    let applied = state.apply(&changes, &sample::state_mac()).expect("applies");
    let fewer = rows().len() - 1;
    let mut left = stored_rows();
    left.retain(|row| (row.table, &row.key) != (rows()[0].key().table(), &rows()[0].key().text()));
    assert_eq!(left.len(), fewer);
    let loaded = verify(&snapshot(left, applied.state_root)).expect("verifies");
    assert_eq!(loaded.tables(), state.tables());
}
