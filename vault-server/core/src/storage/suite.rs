//! What every [`Store`] must do. Each backend's tests call [`run`].

use std::time::Duration;

use super::sample::{NOW, genesis, head, instance, rows, slot, stamp, state_mac};
use super::{Changes, CommandNonce, NONCE_KEPT, Op, RowKey, Stamp, State, Store, StoreError};

/// A place where a backend keeps one database.
pub trait Bed {
    /// Makes a new empty database, beside those made before.
    fn fresh(&mut self) -> Box<dyn Store>;

    /// Closes the database that was made last, and opens it again.
    fn reopen(&mut self, store: Box<dyn Store>) -> Box<dyn Store>;
}

/// Runs every case.
pub fn run(bed: &mut dyn Bed) {
    answers_nothing_before_it_is_initialised(bed);
    is_initialised_once(bed);
    keeps_what_is_committed(bed);
    replaces_and_deletes(bed);
    a_stale_commit_changes_nothing(bed);
    a_commit_is_whole_or_not_at_all(bed);
    a_nonce_serves_once_and_is_kept_beyond_its_end(bed);
    nonces_are_used_up_together_or_not_at_all(bed);
    replaces_slots_keyring_and_instance(bed);
}

fn filled(bed: &mut dyn Bed) -> (Box<dyn Store>, State) {
    let mut store = bed.fresh();
    store.initialise(&genesis()).expect("empty");
    let mut state = State::load(&*store, &state_mac()).expect("verifies");
    let mut changes = Changes::new();
    for row in rows() {
        changes.put(row);
    }
    let applied = state.apply(&changes, &state_mac()).expect("applies");
    store.commit(&applied.into_commit(stamp(), &state_mac()).expect("a commit")).expect("commits");
    (store, state)
}

/// The database holds exactly this state.
fn assert_holds(store: &dyn Store, state: &State) {
    let loaded = State::load(store, &state_mac()).expect("verifies");
    assert_eq!(loaded.tables(), state.tables());
    assert_eq!(loaded.state_rev(), state.state_rev());
    assert_eq!(loaded.state_root(), state.state_root());
}

fn answers_nothing_before_it_is_initialised(bed: &mut dyn Bed) {
    let store = bed.fresh();

    assert!(matches!(store.instance(), Err(StoreError::NotVault)));
    assert!(matches!(store.head(), Err(StoreError::NotVault)));
    assert!(matches!(store.snapshot(), Err(StoreError::NotVault)));
}

fn is_initialised_once(bed: &mut dyn Bed) {
    let mut store = bed.fresh();
    let genesis = genesis();

    store.initialise(&genesis).expect("empty");
    assert!(matches!(store.initialise(&super::sample::genesis()), Err(StoreError::Exists)));
    let store = bed.reopen(store);
    assert_eq!(store.instance().expect("instance"), instance());
    assert_eq!(store.head().expect("head"), head());
    assert_eq!(store.keyring().expect("keyring"), genesis.keyring);
    assert_eq!(store.slots().expect("slots"), genesis.slots);
    assert!(State::load(&*store, &state_mac()).expect("verifies").tables().clients.is_empty());
}

fn keeps_what_is_committed(bed: &mut dyn Bed) {
    let (store, state) = filled(bed);
    let store = bed.reopen(store);

    assert_holds(&*store, &state);
    assert_eq!(state.tables().clients.len(), 2);
    let head = store.head().expect("head");
    assert_eq!((head.state_rev, head.audit_size), (1, 12));
    assert_eq!(head.change_id.as_deref(), Some("chg-1"));
}

fn replaces_and_deletes(bed: &mut dyn Bed) {
    let (mut store, mut state) = filled(bed);
    let mut row = state.tables().clients["mm-1"].clone();
    row.networks.clear();
    let mut changes = Changes::new();
    changes.put(row).delete(RowKey::Client("mm-2".parse().expect("a name")));

    let applied = state.apply(&changes, &state_mac()).expect("applies");
    store.commit(&applied.into_commit(stamp(), &state_mac()).expect("a commit")).expect("commits");

    assert_holds(&*bed.reopen(store), &state);
    assert_eq!(state.tables().clients.len(), 1);
}

fn a_stale_commit_changes_nothing(bed: &mut dyn Bed) {
    let (mut store, state) = filled(bed);
    let mut ahead = State::load(&*store, &state_mac()).expect("verifies");
    let mut changes = Changes::new();
    changes.delete(RowKey::Client("mm-1".parse().expect("a name")));
    let first = ahead.apply(&changes, &state_mac()).expect("applies");
    let commit = first.into_commit(stamp(), &state_mac()).expect("a commit");
    let stale = super::Commit { previous_rev: 0, ..commit };

    assert!(matches!(store.commit(&stale), Err(StoreError::Conflict)));
    assert_holds(&*store, &state);
}

fn a_commit_is_whole_or_not_at_all(bed: &mut dyn Bed) {
    let (mut store, state) = filled(bed);
    let mut ahead = State::load(&*store, &state_mac()).expect("verifies");
    let mut row = state.tables().clients["mm-1"].clone();
    row.networks.clear();
    let mut changes = Changes::new();
    changes.put(row);
    let nonce = CommandNonce { expires_at: NOW, nonce: vec![1; 16] };
    let stamp = Stamp { nonces: vec![nonce], ..stamp() };
    let applied = ahead.apply(&changes, &state_mac()).expect("applies");
    let mut commit = applied.into_commit(stamp, &state_mac()).expect("a commit");
    let slots = store.slots().expect("slots");
    commit.slots = Some(vec![slot(5)]);
    // The last act fails, after the first has been carried out.
    let table = super::Table::Scope;
    commit.ops.push(Op::Delete { key: "no-such-scope".to_owned(), table });

    assert!(matches!(store.commit(&commit), Err(StoreError::Conflict)));
    assert_holds(&*store, &state);
    assert_eq!(store.nonces().expect("nonces"), []);
    assert_eq!(store.slots().expect("slots"), slots);
    commit.ops.pop();
    store.commit(&commit).expect("commits without it");
    assert_holds(&*bed.reopen(store), &ahead);
}

fn a_nonce_serves_once_and_is_kept_beyond_its_end(bed: &mut dyn Bed) {
    let (mut store, state) = filled(bed);
    let nonce = |byte, seconds| CommandNonce {
        expires_at: NOW.plus(Duration::from_secs(seconds)),
        nonce: vec![byte; 16],
    };
    let commit = |nonce: CommandNonce, seconds| {
        let at = NOW.plus(Duration::from_secs(seconds));
        let stamp = Stamp { at, nonces: vec![nonce], ..stamp() };
        state.unchanged().into_commit(stamp, &state_mac()).expect("a commit")
    };

    store.commit(&commit(nonce(1, 60), 0)).expect("the first time");
    let mut store = bed.reopen(store);
    assert!(matches!(store.commit(&commit(nonce(1, 60), 60)), Err(StoreError::NonceUsed)));
    store.commit(&commit(nonce(2, 90), 30)).expect("another nonce");
    assert_eq!(store.nonces().expect("nonces"), [nonce(1, 60), nonce(2, 90)]);
    // A day ahead, and back again: what was used stays used.
    store.commit(&commit(nonce(3, 86_460), 86_400)).expect("a third");
    assert!(matches!(store.commit(&commit(nonce(1, 60), 31)), Err(StoreError::NonceUsed)));
    let forgotten = 60 + NONCE_KEPT.as_secs();
    let kept = [nonce(1, 60), nonce(2, 90), nonce(3, 86_460), nonce(4, 60 + forgotten)];
    store.commit(&commit(kept[3].clone(), forgotten)).expect("a fourth");
    assert_eq!(store.nonces().expect("nonces"), kept);
    store.commit(&commit(nonce(5, 60 + forgotten), forgotten + 1)).expect("a fifth");
    assert_eq!(store.nonces().expect("nonces")[0], nonce(2, 90));
    assert_holds(&*store, &state);
}

fn nonces_are_used_up_together_or_not_at_all(bed: &mut dyn Bed) {
    let (mut store, state) = filled(bed);
    let command = |byte| CommandNonce { expires_at: NOW, nonce: vec![byte; 16] };
    let approval = |byte| CommandNonce { expires_at: NOW, nonce: vec![byte; 32] };
    let commit = |nonces: &[CommandNonce]| {
        let stamp = Stamp { nonces: nonces.to_vec(), ..stamp() };
        state.unchanged().into_commit(stamp, &state_mac()).expect("a commit")
    };

    // A command and an approval of the same first bytes are two.
    store.commit(&commit(&[command(1), approval(1)])).expect("the first time");
    let mut store = bed.reopen(store);
    let again = store.commit(&commit(&[command(2), approval(2), approval(1)]));
    assert!(matches!(again, Err(StoreError::NonceUsed)));
    assert_eq!(store.nonces().expect("nonces"), [command(1), approval(1)]);
    store.commit(&commit(&[command(2), approval(2)])).expect("nothing of it was used up");
    let used = [command(1), approval(1), command(2), approval(2)];
    assert_eq!(store.nonces().expect("nonces"), used);
    assert_holds(&*store, &state);
}

fn replaces_slots_keyring_and_instance(bed: &mut dyn Bed) {
    let (mut store, state) = filled(bed);
    let mut commit = state.unchanged().into_commit(stamp(), &state_mac()).expect("a commit");
    let restored = super::Instance { epoch: 2, ..instance() };
    let (keyring, slots) = (genesis().keyring, vec![slot(2), slot(7)]);
    commit.instance = Some(restored.seal(&state_mac()).expect("canonical"));
    commit.keyring = Some(keyring.clone());
    commit.slots = Some(slots.clone());

    store.commit(&commit).expect("commits");
    let store = bed.reopen(store);
    assert_eq!(store.instance().expect("instance"), restored);
    assert_eq!(store.keyring().expect("keyring"), keyring);
    assert_eq!(store.slots().expect("slots"), slots);
    assert_holds(&*store, &state);
}
