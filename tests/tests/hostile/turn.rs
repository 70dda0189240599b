//! Who waits for whom in the core: everything is sent while it stands still, so that it finds all of it
//! at once, and the order in which it answers is the order in which it decided.

use prost::Message;
use vault_audit::EntryKind;
use vault_client::v1;
use vault_ipc::{ForgetCall, Kind, Reply, SignCall, WhoamiCall};
use vault_tests::okx_order;

use crate::bed::Bed;
use crate::core::encoded;

/// Fits a socket's buffer with all that is sent beside it.
const MANY: u64 = 150;

/// Sends frames at once to a core that stands still, and waits until there are answers to all of these.
/// Returns the answers in the order in which they came.
fn answers(bed: &Bed, frames: &[Vec<u8>], awaited: &[u64]) -> Vec<(u64, Reply)> {
    let after = bed.core.front.count();
    bed.core.freeze();
    bed.core.front.write(&frames.concat()).expect("room");
    bed.core.thaw();
    for id in awaited {
        bed.core.front.reply(after, *id).expect("an answer");
    }
    let frames = bed.core.front.frames();
    let replies = frames.iter().skip(after).filter(|frame| frame.kind == Kind::Reply);
    replies.map(|frame| (frame.correlation, frame.message().expect("a reply"))).collect()
}

fn reason(reply: &Reply) -> &str {
    reply.failure.as_ref().map_or("", |failure| failure.reason.as_str())
}

fn whoami(bed: &Bed, who: &str, id: u64) -> Vec<u8> {
    let call = WhoamiCall { caller: bed.person(who).caller() };
    encoded(Kind::Whoami, id, &call.encode_to_vec())
}

fn signs(bed: &Bed, who: &str, ids: impl Iterator<Item = u64>) -> Vec<(Vec<u8>, SignCall)> {
    ids.map(|id| {
        let call = bed.sign_call(who, okx_order("BTC-USDT", "1"));
        (encoded(Kind::Sign, id, &call.encode_to_vec()), call)
    })
    .collect()
}

#[test]
fn a_client_who_asks_for_much_keeps_no_other_and_no_halt_waiting() {
    let mut bed = Bed::new();
    let calls = signs(&bed, "alice", 10_000..10_000 + MANY);
    let mut frames: Vec<Vec<u8>> = calls.iter().map(|(frame, _)| frame.clone()).collect();
    frames.push(whoami(&bed, "carol", 20_000));
    frames.push(whoami(&bed, "bob", 20_001));
    let halt = v1::HaltCommand {
        level: v1::HaltLevel::Nothing.into(),
        target: "client:bob".to_owned(),
        reason: "a test".to_owned(),
    };
    let halt = bed.signed("guard", "HaltService/Halt", &halt);
    let halt = bed.command_call("guard", halt);
    // The very last, behind all of hers.
    frames.push(encoded(Kind::Command, 20_002, &halt.encode_to_vec()));
    let awaited: Vec<u64> = (10_000..10_000 + MANY).chain(20_000..=20_002).collect();
    let answers = answers(&bed, &frames, &awaited);

    let place = |id| answers.iter().position(|(of, _)| *of == id).expect("answered");
    for id in [20_000, 20_001] {
        assert!(place(id) <= 4, "{} were answered before {id}", place(id));
    }
    // Her own stay in their order.
    let hers: Vec<u64> = answers.iter().map(|(id, _)| *id).filter(|id| *id < 20_000).collect();
    assert!(hers.into_iter().eq(10_000..10_000 + MANY));
    assert!(answers.iter().all(|(_, reply)| reply.failure.is_none()));

    // And no call of hers was decided before the halt was.
    assert!(bed.is_serving());
    let verdict = bed.judge();
    assert_eq!(verdict.released, MANY as usize);
    let operation = Some("vault.v1.HaltService/Halt");
    let mut entries = verdict.entries.iter();
    let halt = entries.position(|entry| entry.operation.as_deref() == operation);
    let halt = halt.expect("the halt is in the log");
    let before = verdict.entries[..halt].iter();
    let before = before.filter(|entry| entry.kind == EntryKind::Sign).count();
    assert_eq!(before, 0, "signatures in the log before the halt");
}

#[test]
fn what_a_client_takes_back_is_answered_and_not_decided() {
    let mut bed = Bed::new();
    let calls = signs(&bed, "alice", 10_000..10_000 + MANY);
    let mut frames = Vec::new();
    for ((frame, _), id) in calls.iter().zip(10_000..) {
        frames.push(frame.clone());
        if id > 10_000 {
            // Reset as soon as it was sent.
            let forget = ForgetCall { caller: Some(bed.person("alice").caller()) };
            frames.push(encoded(Kind::Forget, id, &forget.encode_to_vec()));
        }
    }
    frames.push(whoami(&bed, "alice", 20_000));
    let awaited: Vec<u64> = (10_000..10_000 + MANY).chain([20_000]).collect();
    let answers = answers(&bed, &frames, &awaited);
    assert_eq!(answers.len(), awaited.len(), "one answer for each");
    let late = answers.iter().filter(|(_, reply)| reason(reply) == "DEADLINE_EXCEEDED").count();
    assert_eq!(late as u64, MANY - 1);
    let signed: Vec<u64> =
        answers.iter().filter(|(_, reply)| reply.releases).map(|(id, _)| *id).collect();
    assert_eq!(signed, [10_000]);
    // The request was never seen: it can be made again, under its id.
    let (_, again) = calls.last().expect("some");
    assert!(bed.send_call(Kind::Sign, again).releases);
    assert!(bed.is_serving());
    assert_eq!(bed.judge().count(EntryKind::Sign), 2);
}

#[test]
fn what_does_not_fit_a_clients_queue_is_refused_before_it_is_looked_at() {
    const QUEUE: u64 = 1_024;
    const TOO_MANY: u64 = 100;
    let mut bed = Bed::new();
    let calls = QUEUE + TOO_MANY;
    let mut frames: Vec<Vec<u8>> =
        (0..calls).map(|call| whoami(&bed, "pat", 10_000 + call)).collect();
    frames.push(whoami(&bed, "carol", 20_000));
    let awaited: Vec<u64> = (10_000..10_000 + calls).chain([20_000]).collect();
    let answers = answers(&bed, &frames, &awaited);
    let refused: Vec<u64> = answers
        .iter()
        .filter(|(_, reply)| reason(reply) == "OVERLOADED")
        .map(|(id, _)| *id)
        .collect();
    assert!(refused.into_iter().eq(10_000 + QUEUE..10_000 + calls));
    let (_, carol) = answers.iter().find(|(id, _)| *id == 20_000).expect("answered");
    assert_eq!(carol.failure, None, "others have room");
    assert!(bed.is_serving());
    bed.judge();
}
