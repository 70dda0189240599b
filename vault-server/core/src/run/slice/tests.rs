//! Calls whose signatures are computed before they are decided.

use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use prost::Message;
use vault_audit::EntryKind;
use vault_ipc::proto::v1;
use vault_ipc::{ExecuteCall, ForgetCall, Frame, Kind, Reply, SignCall};
use vault_model::{Class, Name};

use crate::ahead::{Ahead, Done, Pile};
use crate::clock::Clock;
use crate::dispatch::{Hands, Next};
use crate::execute::tests::bench::{
    Bench, ONE, OTHER, Seen, caller, execute, okx_order, request, sign,
};
use crate::grant::Read;
use crate::inbox::{Inbox, InputSender, inbox};
use crate::metric::monotonic_us;
use crate::run::{Input, Round};
use crate::storage::{Changes, HolderState};
use crate::turn::Turns;

/// An open vault with a credential of RSA, whose calls are decided in turns; what its workers would sign
/// is signed when a test says so.
struct Desk {
    bench: Bench,
    turns: Turns,
    pile: Pile,
    /// What the clock is put forward by.
    offset_s: i64,
    core: (InputSender, Inbox),
    librarian: (Sender<Read>, Receiver<Read>),
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

/// Two keys, made once: it takes long.
fn pair(which: usize) -> &'static RsaKeyPair {
    static PAIRS: OnceLock<[RsaKeyPair; 2]> = OnceLock::new();
    let make = || RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    &PAIRS.get_or_init(|| [make(), make()])[which]
}

impl Desk {
    fn new() -> Self {
        let mut bench = Bench::new();
        let (ahead, pile) = Ahead::onto_pile();
        bench.vault.ahead = ahead;
        let mut desk = Self {
            bench,
            turns: Turns::default(),
            pile,
            offset_s: 0,
            core: inbox().expect("an inbox"),
            librarian: channel(),
        };
        desk.import(0, 1);
        desk.bench.rescope(|scope| {
            scope.credentials.insert(name("binance-rsa"));
        });
        desk
    }

    /// Puts a key into the version of a credential.
    fn import(&mut self, which: usize, version: u32) {
        let der: Pkcs8V1Der<'_> = pair(which).as_der().expect("PKCS#8");
        let metadata = v1::CredentialMetadata {
            name: "binance-rsa".to_owned(),
            venue: "binance".to_owned(),
            environment: "live".to_owned(),
            assume: vec!["venue_checks".to_owned()],
            ..v1::CredentialMetadata::default()
        };
        let secret = v1::CredentialSecret {
            api_key: "binance-rsa-key".to_owned(),
            private_key_pem: crate::server::pem("PRIVATE KEY", der.as_ref()).as_str().into(),
            ..v1::CredentialSecret::default()
        };
        let vault = &self.bench.vault;
        let rows = vault.sample_version(&metadata, &secret, version, self.bench.now);
        let mut changes = Changes::new();
        changes.put(rows.0).put(rows.1);
        self.bench.change(&changes);
    }

    fn round<T>(&mut self, act: impl FnOnce(&mut Round<'_>, &mut Turns) -> T) -> T {
        let mut clock = Clock::new(self.offset_s);
        let hands = Hands { core: &self.core.0, librarian: &self.librarian.0 };
        let Bench { vault, .. } = &mut self.bench;
        let mut round = Round { clock: &mut clock, hands: &hands, inputs: 0, vault };
        act(&mut round, &mut self.turns)
    }

    fn put(&mut self, kind: Kind, correlation: u64, call: &impl Message) {
        let frame = Frame { kind, correlation, body: call.encode_to_vec() };
        let next = self.round(|round, turns| round.sort(frame, turns)).expect("sorted");
        assert_eq!(next, Next::Continue);
    }

    /// An order that is to be signed with RSA.
    fn order(&mut self, correlation: u64) {
        let id = format!("order-{correlation}");
        self.put(Kind::Sign, correlation, &sign(ONE, &id, "binance-rsa", order()));
    }

    /// Decides all that can be.
    fn slice(&mut self) -> Seen {
        while !self.turns.is_empty() {
            self.round(|round, turns| round.slice(turns)).expect("decided");
        }
        self.bench.look()
    }

    fn hear(&mut self, done: Done) {
        self.round(|round, turns| round.hear(Input::Signed(done), turns)).expect("heard");
    }

    /// All that was handed out comes back signed.
    fn all_signed(&mut self) -> Seen {
        for done in self.pile.sign() {
            self.hear(done);
        }
        self.slice()
    }
}

fn order() -> v1::VenueRequest {
    let query = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.001&price=60000";
    let query = query.to_owned();
    v1::VenueRequest { query, ..request("POST", "api.binance.com", "/api/v3/order") }
}

fn answered(seen: &Seen) -> Vec<u64> {
    seen.replies.iter().map(|(correlation, _)| *correlation).collect()
}

/// The time that an answer was signed at, in milliseconds; its signature is of this key.
fn signed_at(reply: &Reply, which: usize) -> i64 {
    assert!(reply.releases, "{reply:?}");
    let response = v1::SignResponse::decode(reply.response.as_slice()).expect("an answer");
    let url = response.request.expect("a request").url;
    let (head, signature) = url.split_once("&signature=").expect("signed");
    let text = head.split_once('?').expect("a query").1;
    let plain = signature.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
    let signature = BASE64_STANDARD.decode(plain).expect("base64");
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair(which).public_key().as_ref())
        .verify(text.as_bytes(), &signature)
        .expect("a signature of it");
    text.split_once("timestamp=").expect("a time").1.parse().expect("milliseconds")
}

#[test]
fn a_call_is_decided_when_its_signature_is_there_and_nothing_is_before() {
    let mut desk = Desk::new();
    desk.order(1);
    let seen = desk.slice();
    assert!(seen.replies.is_empty() && seen.entries.is_empty() && desk.turns.is_empty());
    let handed_out = desk.pile.sign();
    let [done] = handed_out.as_slice() else { panic!("one job") };
    let made = done.signature.as_ref().expect("signed").signed().signature.clone();

    desk.hear(handed_out.into_iter().next().expect("one job"));
    let seen = desk.slice();
    let [(1, reply)] = seen.replies.as_slice() else { panic!("one answer: {:?}", seen.replies) };
    signed_at(reply, 0);
    let [entry] = seen.entries.as_slice() else { panic!("one entry") };
    let hash: [u8; 32] = <sha2::Sha256 as sha2::Digest>::digest(&made).into();
    assert_eq!((entry.kind, entry.sig_sha256), (EntryKind::Sign, Some(hash)));
    assert!(desk.pile.sign().is_empty(), "it is signed once");
    assert_eq!(desk.bench.vault.ahead.end(), None);
}

#[test]
fn what_is_sent_waits_for_its_signature_as_well() {
    let mut desk = Desk::new();
    desk.put(Kind::Execute, 1, &execute("one", "binance-rsa", order()));
    assert!(desk.slice().dispatches.is_empty());
    let seen = desk.all_signed();
    assert_eq!(seen.sent().1.venue, "binance");
    assert_eq!(seen.entries.len(), 1);
}

#[test]
fn others_have_their_turns_meanwhile_and_ones_own_calls_keep_their_order() {
    let mut desk = Desk::new();
    desk.order(1);
    desk.put(Kind::Execute, 2, &execute("two", "okx-main", okx_order("1")));
    desk.order(3);
    let mut others = execute("other", "okx-main", okx_order("1"));
    others.caller = caller(OTHER);
    desk.put(Kind::Execute, 4, &others);
    assert_eq!(answered(&desk.slice()), [4]);
    // The third was not looked at: the second, which does not wait for a worker, is before it.
    assert_eq!(answered(&desk.all_signed()), [1, 2]);
    assert_eq!(answered(&desk.all_signed()), [3]);
}

#[test]
fn several_calls_of_one_client_wait_at_once_and_no_more_than_may() {
    let mut desk = Desk::new();
    for correlation in 1..=6 {
        desk.order(correlation);
    }
    desk.slice();
    let mut handed_out = desk.pile.sign();
    assert_eq!(handed_out.len(), 4);
    let first = handed_out.remove(0);
    for done in handed_out.into_iter().rev() {
        desk.hear(done);
    }
    assert!(desk.slice().replies.is_empty(), "the first is not there");
    desk.hear(first);
    assert_eq!(answered(&desk.slice()), [1, 2, 3, 4]);
    assert_eq!(answered(&desk.all_signed()), [5, 6]);
}

#[test]
fn how_a_call_came_is_counted_once_when_it_is_taken_up_behind_others_too() {
    let mut desk = Desk::new();
    let queued_us = monotonic_us();
    for correlation in 1..=6 {
        let id = format!("order-{correlation}");
        let call = sign(ONE, &id, "binance-rsa", order());
        desk.put(Kind::Sign, correlation, &SignCall { queued_us, traced: true, ..call });
    }
    desk.slice();
    let taken_up = |desk: &Desk| desk.bench.vault.counts.taken_up();
    // Four may wait at once; the others are not taken up yet.
    assert_eq!(taken_up(&desk), 4);
    let set_aside_us = monotonic_us();
    let mut seen = desk.all_signed();
    assert_eq!(taken_up(&desk), 6);
    seen.replies.extend(desk.all_signed().replies);
    assert_eq!((answered(&seen).as_slice(), taken_up(&desk)), (&[1, 2, 3, 4, 5, 6][..], 6));
    for (correlation, reply) in &seen.replies {
        let stages = reply.stages.as_ref().expect("traced");
        let is_of_the_first = stages.taken_us <= set_aside_us;
        assert_eq!(is_of_the_first, *correlation <= 4, "{correlation}: {stages:?}");
        assert!(stages.taken_us >= queued_us);
    }
}

#[test]
fn what_is_sent_is_traced_from_when_it_is_taken_up_behind_others() {
    let mut desk = Desk::new();
    for (correlation, id) in [(1, "one"), (2, "two")] {
        let call = execute(id, "binance-rsa", order());
        desk.put(Kind::Execute, correlation, &ExecuteCall { traced: true, ..call });
    }
    desk.slice();
    let set_aside_us = monotonic_us();
    let seen = desk.all_signed();
    assert_eq!(answered(&seen), [1, 2]);
    for (_, reply) in &seen.replies {
        assert!(reply.stages.as_ref().expect("traced").taken_us <= set_aside_us);
    }
}

#[test]
fn who_is_revoked_meanwhile_gets_nothing() {
    let mut desk = Desk::new();
    desk.order(1);
    desk.slice();
    let mut row = desk.bench.vault.tables().clients[&name("one")].clone();
    row.state = HolderState::Revoked;
    let mut changes = Changes::new();
    changes.put(row);
    desk.bench.change(&changes);
    let seen = desk.all_signed();
    let [(1, reply)] = seen.replies.as_slice() else { panic!("one answer") };
    assert!(reply.failure.is_some() && reply.response.is_empty() && !reply.releases);
    assert!(seen.entries.iter().all(|entry| entry.kind != EntryKind::Sign));
}

#[test]
fn what_the_scope_grants_no_more_is_denied_though_it_is_signed() {
    let mut desk = Desk::new();
    desk.order(1);
    desk.slice();
    desk.bench.rescope(|scope| {
        scope.classes.remove(&Class::Trade);
    });
    let seen = desk.all_signed();
    assert_eq!(seen.reason(), "CLASS_NOT_GRANTED");
    let [entry] = seen.entries.as_slice() else { panic!("one entry") };
    assert_eq!((entry.kind, entry.sig_sha256), (EntryKind::SignDenied, None));
}

#[test]
fn a_sealed_vault_decides_nothing_that_was_signed_before() {
    let mut desk = Desk::new();
    desk.order(1);
    desk.slice();
    desk.bench.vault.open = None;
    assert_eq!(desk.all_signed().reason(), "SEALED");
}

#[test]
fn a_call_is_taken_back_while_it_is_signed() {
    let mut desk = Desk::new();
    desk.order(1);
    desk.order(2);
    desk.slice();
    let handed_out = desk.pile.sign();
    desk.put(Kind::Forget, 1, &ForgetCall { caller: Some(caller(ONE)) });
    let seen = desk.slice();
    assert_eq!((answered(&seen), seen.reason()), (vec![1], "DEADLINE_EXCEEDED"));
    assert!(seen.entries.is_empty());
    for done in handed_out {
        desk.hear(done);
    }
    assert_eq!(answered(&desk.slice()), [2]);
}

#[test]
fn a_deadline_that_passes_while_it_is_signed_has_passed() {
    let mut desk = Desk::new();
    let mut call = sign(ONE, "one", "binance-rsa", order());
    call.deadline_us = desk.bench.now.plus(Duration::from_secs(1_000)).micros();
    desk.put(Kind::Sign, 1, &call);
    desk.slice();
    desk.offset_s = 1_001;
    let seen = desk.all_signed();
    assert_eq!(seen.reason(), "DEADLINE_EXCEEDED");
    assert!(seen.entries.is_empty());
}

#[test]
fn an_old_signature_and_one_of_a_time_to_come_are_not_given_out() {
    for offset_s in [10, -10] {
        let mut desk = Desk::new();
        let then_ms = desk.bench.now.millis();
        desk.order(1);
        desk.slice();
        desk.offset_s = offset_s;
        let seen = desk.all_signed();
        let [(1, reply)] = seen.replies.as_slice() else { panic!("one answer") };
        let moved_ms = signed_at(reply, 0) - then_ms;
        assert_eq!(moved_ms.signum(), offset_s.signum());
        assert!(moved_ms.abs() > 5_000, "signed anew: {moved_ms}");
    }
}

#[test]
fn the_signature_of_a_key_that_was_replaced_is_not_given_out() {
    let mut desk = Desk::new();
    desk.order(1);
    desk.slice();
    desk.import(1, 2);
    let seen = desk.all_signed();
    let [(1, reply)] = seen.replies.as_slice() else { panic!("one answer") };
    signed_at(reply, 1);
}

#[test]
fn a_worker_that_cannot_sign_leaves_it_to_whoever_decides() {
    let mut desk = Desk::new();
    desk.order(1);
    desk.slice();
    for Done { job, .. } in desk.pile.sign() {
        desk.hear(Done { job, signature: None });
    }
    let seen = desk.slice();
    let [(1, reply)] = seen.replies.as_slice() else { panic!("one answer") };
    signed_at(reply, 0);
}

#[test]
fn what_would_be_denied_is_not_signed() {
    let mut desk = Desk::new();
    desk.bench.rescope(|scope| {
        scope.classes.remove(&Class::Trade);
    });
    desk.order(1);
    assert_eq!(desk.slice().reason(), "CLASS_NOT_GRANTED");
    assert!(desk.pile.sign().is_empty());
}
