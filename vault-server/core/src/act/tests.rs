use vault_audit::EntryKind;
use vault_model::{Name, Serial, Timestamp};

use super::{Asker, Plan};
use crate::caller::Origin;
use crate::execute::tests::bench::Bench;
use crate::journal::Channel;
use crate::run::Input;
use crate::storage::{
    CertificateRow, CertificateState, Changes, HaltRow, Hex, HexBytes, Holder, StoreError,
};

const MANY: u32 = 1_200;

fn certificate(number: u32) -> CertificateRow {
    let mut serial = [0; 16];
    serial[..4].copy_from_slice(&number.to_be_bytes());
    CertificateRow {
        fingerprint: Hex([1; 32]),
        holder: Holder::Client(format!("client-{number}").parse().expect("a name")),
        issued_at: Timestamp(0),
        not_after: Timestamp(4_000_000_000_000_000),
        parent: None,
        public_key: HexBytes(vec![1]),
        serial: Serial(serial),
        state: CertificateState::Active,
    }
}

/// A vault with many rows.
fn grown() -> Bench {
    let mut bench = Bench::new();
    let mut changes = Changes::new();
    for number in 1..=MANY {
        changes.put(certificate(number));
    }
    bench.change(&changes);
    bench.look();
    bench
}

fn begin(bench: &mut Bench, changes: &Changes) {
    let plan = Plan::new("test", changes.clone(), |_, _| Vec::new());
    bench.vault.begin_act(plan, asker(), bench.now).expect("begins");
}

fn asker() -> Asker {
    Asker {
        channel: Channel::Front,
        correlation: 7,
        caller: None,
        origin: Origin::local(),
        nonce: None,
        signature_hash: None,
    }
}

fn kinds(bench: &mut Bench) -> Vec<EntryKind> {
    bench.look().entries.iter().map(|entry| entry.kind).collect()
}

fn hashed(bench: &mut Bench) {
    match bench.input() {
        Input::Hashed(hashed) => bench.vault.act_hashed(*hashed, bench.now).expect("hashed"),
        _ => panic!("the root is what comes"),
    }
}

#[test]
fn a_row_before_many_others_is_hashed_apart_and_nothing_is_said_until_it_is() {
    let mut bench = grown();
    let mut changes = Changes::new();
    changes.put(certificate(0));
    let (before, mut wanted) = (bench.vault.tables().clone(), grown());

    begin(&mut bench, &changes);
    assert!(bench.vault.acts.is_busy());
    assert_eq!(kinds(&mut bench), []);
    assert_eq!(*bench.vault.tables(), before);
    hashed(&mut bench);
    assert_eq!(kinds(&mut bench), [EntryKind::AdminIntent]);
    bench.vault.act_committed(Ok(()), bench.now).expect("committed");
    assert_eq!(kinds(&mut bench), [EntryKind::AdminApplied]);
    assert!(!bench.vault.acts.is_busy());

    wanted.change(&changes);
    let state = |bench: &Bench| {
        let state = &bench.vault.open.as_ref().expect("open").state;
        state.tables().certificates.keys().copied().collect::<Vec<_>>()
    };
    assert_eq!(state(&bench), state(&wanted));
}

#[test]
fn what_the_database_refuses_leaves_the_state_as_it_was() {
    let mut bench = grown();
    let root = |bench: &Bench| bench.vault.open.as_ref().expect("open").state.state_root();
    let (tables, before) = (bench.vault.tables().clone(), root(&bench));
    let mut changes = Changes::new();
    changes.put(certificate(0));

    begin(&mut bench, &changes);
    hashed(&mut bench);
    let refused = Err(StoreError::NonceUsed);
    bench.vault.act_committed(refused, bench.now).expect("no defect");
    assert_eq!(kinds(&mut bench), [EntryKind::AdminIntent, EntryKind::AdminAborted]);
    assert_eq!((bench.vault.tables(), root(&bench)), (&tables, before));

    // The next one finds all in order.
    begin(&mut bench, &changes);
    hashed(&mut bench);
    bench.vault.act_committed(Ok(()), bench.now).expect("committed");
    assert!(bench.vault.tables().certificates.contains_key(&Serial([0; 16])));
}

#[test]
fn what_forbids_waits_for_no_other_thread_however_much_is_hashed() {
    let mut bench = grown();
    let mut changes = Changes::new();
    changes.put(certificate(0));
    let mut plan = Plan::new("test", changes, |_, _| Vec::new());
    plan.barrier = Some(Vec::new());
    bench.vault.begin_act(plan, asker(), bench.now).expect("begins");
    assert_eq!(kinds(&mut bench), [EntryKind::AdminIntent]);
}

#[test]
fn a_halt_waits_for_no_other_thread() {
    let mut bench = grown();
    let client: Name = "client-1".parse().expect("a name");
    let row = HaltRow {
        at: bench.now,
        by: "admin".to_owned(),
        level: vault_model::HaltLevel::Nothing,
        reason: String::new(),
        target: vault_model::HaltTarget::Client(client),
    };
    let mut changes = Changes::new();
    changes.put(row);

    begin(&mut bench, &changes);
    assert_eq!(kinds(&mut bench), [EntryKind::AdminIntent]);
}
