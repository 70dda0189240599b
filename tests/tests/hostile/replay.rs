//! Frames that an honest front and an honest egress have sent, played again: as they were, after a
//! restart, and put together otherwise.

use std::time::Duration;

use prost::Message;
use vault_audit::EntryKind;
use vault_client::v1;
use vault_ipc::{
    CommandCall, EnrollCall, ExecuteCall, Frame, Kind, ProxyCall, SignCall, StreamCall,
};
use vault_tests::{kraken_order, okx_balance, okx_cancel, okx_order};

use crate::bed::{Bed, Recorded, Way};
use crate::core::encoded;
use crate::mutate::Random;

/// How long a core may take to end after a frame that is none.
const END: Duration = Duration::from_secs(20);

/// A bed with a day of honest work behind it, all of it recorded.
fn with_a_day() -> Bed {
    let mut bed = Bed::new();
    for _ in 0..3 {
        for order in [okx_order("BTC-USDT", "1"), okx_order("ETH-USDT", "2"), okx_balance()] {
            bed.sign("alice", order).expect("signed");
        }
        bed.sign("alice", okx_order("SOL-USDT", "1")).expect_err("not hers");
        let sent = [
            bed.execute("carol", okx_order("SOL-USDT", "1")),
            bed.execute("carol", okx_cancel("SOL-USDT", "4711")),
            bed.execute("bob", kraken_order("XBTUSD", "1")),
        ];
        for one in sent {
            bed.settle(one.expect("sent").0);
        }
        let call = bed.proxy_call("carol", okx_order("SOL-USDT", "3"));
        let after = bed.core.egress.count();
        assert_eq!(bed.send_call(Kind::Proxy, &call).failure, None);
        let sent = bed.core.egress.wait(after, END, |frame| frame.kind == Kind::Dispatch);
        bed.settle(sent.expect("sent").correlation);
    }
    let disable = v1::DisableCredentialCommand { name: "kraken-main".to_owned() };
    let _: v1::DisableCredentialResponse =
        bed.command("admin", "CredentialService/Disable", &disable).expect("disabled");
    let enable = v1::EnableCredentialCommand { name: "kraken-main".to_owned() };
    let _: v1::EnableCredentialResponse =
        bed.command("admin", "CredentialService/Enable", &enable).expect("enabled");
    let grant = bed.export();
    bed.pull(grant, 0);
    assert!(bed.is_serving());
    bed
}

/// Sends frames the way they went; says how often the core had to be started again.
fn play(bed: &mut Bed, frames: &[Recorded]) -> usize {
    let mut ends = 0;
    for chunk in frames.chunks(64) {
        for Recorded { way, frame } in chunk {
            let bytes = encoded(frame.kind, frame.correlation, &frame.body);
            let wire = match way {
                Way::FrontToCore | Way::CoreToEgress => &bed.core.front,
                Way::EgressToCore | Way::CoreToFront => &bed.core.egress,
            };
            // What ends the core is looked at below.
            if wire.write(&bytes).is_err() {
                break;
            }
        }
        if !bed.is_serving() {
            bed.begin_if_ended(END).expect("it lives or it ends");
            ends += 1;
        }
    }
    ends
}

/// Entries that a frame of the front cannot make: acts of people, and what went out.
fn counts(entries: &[vault_audit::Entry]) -> [usize; 5] {
    [
        EntryKind::AdminApplied,
        EntryKind::Sign,
        EntryKind::ExecuteIntent,
        EntryKind::ExecuteOutcome,
        EntryKind::Export,
    ]
    .map(|kind| entries.iter().filter(|entry| entry.kind == kind).count())
}

/// What [`with_a_day`] leaves in the log: the vault's making, acts and enrolments, and three rounds of
/// orders.
const DAY: [usize; 5] = [1 + ACTS + ENROLMENTS, 9, 12, 12, 1];
const ACTS: usize = 16;
const ENROLMENTS: usize = 8;

#[test]
fn a_day_that_is_played_again_signs_nothing_and_changes_nothing() {
    let mut bed = with_a_day();
    let recorded: Vec<Recorded> =
        bed.sent.iter().filter(|one| one.frame.kind != Kind::Enroll).cloned().collect();
    let calls: Vec<Recorded> =
        recorded.iter().filter(|one| one.way == Way::FrontToCore).cloned().collect();
    assert_eq!(play(&mut bed, &calls), 0, "each is a frame that a front sends");
    bed.restart();
    assert_eq!(play(&mut bed, &calls), 0);
    // The outcomes too, of which none is awaited now: each ends it.
    let outcomes: Vec<Recorded> =
        recorded.iter().filter(|one| one.way == Way::EgressToCore).take(3).cloned().collect();
    for outcome in outcomes {
        assert_eq!(play(&mut bed, &[outcome]), 1);
    }
    let verdict = bed.judge();
    assert_eq!(counts(&verdict.entries), DAY);
}

#[test]
fn an_enrolment_that_is_played_again_is_for_the_same_key() {
    let mut bed = with_a_day();
    let enrolments: Vec<Recorded> =
        bed.sent.iter().filter(|one| one.frame.kind == Kind::Enroll).cloned().collect();
    assert_eq!(enrolments.len(), ENROLMENTS);
    for one in &enrolments {
        let call: EnrollCall = one.frame.message().expect("an enrolment");
        let reply = bed.send_call(Kind::Enroll, &call);
        if let Ok(answer) = crate::bed::decode::<v1::EnrollResponse>(reply) {
            let key = &bed.person(&answer.name).key;
            let spki = rcgen::PublicKeyData::subject_public_key_info(key);
            let has = answer.certificate.windows(spki.len()).any(|window| window == spki);
            assert!(has, "a certificate for another key");
        }
    }
    // Who uses a certificate keeps it, whatever is played.
    bed.sign("alice", okx_order("BTC-USDT", "7")).expect("signed");
    assert!(bed.is_serving());
    bed.judge();
}

/// A recorded call, as of another caller.
fn with_caller(frame: &Frame, caller: &vault_ipc::Caller) -> Option<Frame> {
    macro_rules! exchanged {
        ($call:ty) => {{
            let mut call: $call = frame.message().ok()?;
            call.caller = caller.clone();
            call.encode_to_vec()
        }};
    }
    let body = match frame.kind {
        Kind::Sign => exchanged!(SignCall),
        Kind::Execute => exchanged!(ExecuteCall),
        Kind::Proxy => exchanged!(ProxyCall),
        Kind::Stream => exchanged!(StreamCall),
        Kind::Command => exchanged!(CommandCall),
        _ => return None,
    };
    Some(Frame { kind: frame.kind, correlation: frame.correlation, body })
}

#[test]
fn callers_may_be_exchanged_among_recorded_calls() {
    let mut bed = with_a_day();
    let calls: Vec<Frame> = bed.sent.iter().map(|one| one.frame.clone()).collect();
    let people = ["alice", "bob", "carol", "dave", "pat", "admin", "guard", "auditor"];
    let callers = people.map(|name| bed.person(name).caller());
    let mut spliced = Vec::new();
    for frame in &calls {
        for (serial, fingerprint, address) in
            (0..callers.len()).map(|at| (at, at, (at * 5 + 3) % callers.len())).chain([(0, 1, 2)])
        {
            let caller = vault_ipc::Caller {
                serial: callers[serial].serial.clone(),
                fingerprint: callers[fingerprint].fingerprint.clone(),
                address: callers[address].address.clone(),
                ..callers[serial].clone()
            };
            let frame = with_caller(frame, &caller);
            spliced.extend(frame.map(|frame| Recorded { way: Way::FrontToCore, frame }));
        }
    }
    assert!(spliced.len() > 300, "{}", spliced.len());
    assert_eq!(play(&mut bed, &spliced), 0);
    let verdict = bed.judge();
    let [acts, ..] = counts(&verdict.entries);
    assert_eq!(acts, DAY[0]);
}

#[test]
fn parts_of_recorded_calls_may_be_exchanged() {
    let mut bed = with_a_day();
    let calls: Vec<Frame> = bed
        .sent
        .iter()
        .filter(|one| one.way == Way::FrontToCore && one.frame.kind != Kind::Enroll)
        .map(|one| one.frame.clone())
        .collect();
    let commands: Vec<CommandCall> = calls
        .iter()
        .filter(|frame| frame.kind == Kind::Command)
        .map(|frame| frame.message().expect("a command"))
        .collect();
    let mut spliced: Vec<Frame> = Vec::new();
    // Each command with one part of each other.
    for one in &commands {
        for other in &commands {
            let parts: [&dyn Fn(&mut CommandCall); 6] = [
                &|call| call.command.body.clone_from(&other.command.body),
                &|call| call.command.nonce.clone_from(&other.command.nonce),
                &|call| call.command.signature.clone_from(&other.command.signature),
                &|call| call.command.expires_at_ms = other.command.expires_at_ms,
                &|call| call.method.clone_from(&other.method),
                &|call| call.command.method.clone_from(&other.command.method),
            ];
            for part in parts {
                let mut call = one.clone();
                part(&mut call);
                spliced.push(Frame {
                    kind: Kind::Command,
                    correlation: 3,
                    body: call.encode_to_vec(),
                });
            }
        }
    }
    // Requests of one in calls of another, by their fields: of a SignCall and of an ExecuteCall they
    // have the same numbers.
    let venue_calls = calls.iter().filter(|frame| matches!(frame.kind, Kind::Sign | Kind::Execute));
    let venue_calls: Vec<&Frame> = venue_calls.collect();
    for one in &venue_calls {
        for other in &venue_calls {
            let mut call: SignCall = one.message().expect("a call");
            let theirs: SignCall = other.message().expect("a call");
            call.request = theirs.request;
            call.request.request_id = crate::bed::request_id();
            for kind in [Kind::Sign, Kind::Execute] {
                spliced.push(Frame { kind, correlation: 4, body: call.encode_to_vec() });
            }
        }
    }
    let spliced: Vec<Recorded> =
        spliced.into_iter().map(|frame| Recorded { way: Way::FrontToCore, frame }).collect();
    assert!(spliced.len() > 2_000, "{}", spliced.len());
    assert_eq!(play(&mut bed, &spliced), 0);
    let verdict = bed.judge();
    let [acts, _, _, _, exports] = counts(&verdict.entries);
    assert_eq!((acts, exports), (DAY[0], DAY[4]));
}

#[test]
fn recorded_frames_may_be_cut_doubled_exchanged_and_turned_round() {
    let mut bed = with_a_day();
    let mut random = Random(11);
    let mut all: Vec<Recorded> =
        bed.sent.iter().filter(|one| one.frame.kind != Kind::Enroll).cloned().collect();
    let written = [(Way::CoreToFront, &bed.core.front), (Way::CoreToEgress, &bed.core.egress)];
    for (way, wire) in written {
        all.extend(wire.frames().into_iter().map(|frame| Recorded { way, frame }));
    }
    let kinds: Vec<Kind> = (0..=u8::MAX).filter_map(Kind::from_code).collect();
    let ways = [Way::FrontToCore, Way::EgressToCore];
    let mut ends = 0;
    for _ in 0..30 {
        let mut one = random.pick(&all).expect("some").clone();
        match random.below(6) {
            0 => one.frame.body.truncate(random.below(one.frame.body.len().max(1))),
            1 => one.frame.kind = *random.pick(&kinds).expect("some"),
            2 => one.way = *random.pick(&ways).expect("two"),
            3 => one.frame.correlation = random.next(),
            4 => {
                let other = random.pick(&all).expect("some").frame.body.clone();
                one.frame.body = other;
            }
            _ => one.frame.body.extend_from_within(..),
        }
        // The supervisor's, which no front or egress can send as anything but an end.
        ends += play(&mut bed, &[one.clone(), one]);
    }
    assert!(ends > 4, "{ends}");
    let verdict = bed.judge();
    let [acts, ..] = counts(&verdict.entries);
    assert_eq!(acts, DAY[0]);
}
