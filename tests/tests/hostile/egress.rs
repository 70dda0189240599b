//! What an egress may try that somebody has broken into: outcomes and reports that are not true, and
//! frames that no egress sends.

use std::time::Duration;

use prost::Message;
use vault_audit::EntryKind;
use vault_client::v1;
use vault_ipc::{
    Barrier, BarrierDone, Dispatch, Frame, Health, HealthRow, HealthState, Kind, Outcome, Report,
    StreamEnd, body_bytes_max,
};
use vault_tests::{kraken_order, kraken_post, okx_order};

use crate::bed::{Bed, answered, decode};
use crate::core::{SOON, encoded};

const END: Duration = Duration::from_secs(20);

#[test]
fn an_outcome_of_nothing_ends_the_core() {
    let mut bed = Bed::new();
    let (id, _) = bed.execute("carol", okx_order("SOL-USDT", "1")).expect("sent");
    bed.settle(id);
    assert!(bed.is_serving());
    // Of nothing that was ever sent, of the future, and a second time.
    for number in [0, id + 1, id + 1_000, u64::MAX, id] {
        let (other, _) = bed.execute("carol", okx_order("SOL-USDT", "1")).expect("sent");
        let number = if number == id + 1 { other + 1 } else { number };
        if number == id {
            bed.settle(other);
        }
        let number = if number == id { other } else { number };
        bed.core.egress.send(Kind::Outcome, number, &answered()).expect("taken");
        let reason = bed.begin_if_ended(END).expect("it ends");
        assert!(reason.contains("egress sent an outcome of nothing that was sent"), "{reason}");
    }
    let verdict = bed.judge();
    assert_eq!((verdict.released, verdict.sent), (0, 6));
    // One for each that was answered, and none for others; the end may overtake the last.
    assert!((1..=2).contains(&verdict.count(EntryKind::ExecuteOutcome)));
}

#[test]
fn an_outcome_says_what_it_may_and_in_letters_of_its_own() {
    let mut bed = Bed::new();
    let texts = [
        "\"},{\"type\":\"seal\"}".to_owned(),
        "a\nb".to_owned(),
        "\u{0}".to_owned(),
        "é１\u{202e}".to_owned(),
        "x".repeat(65),
        "x".repeat(900_000),
        String::new(),
        " ".to_owned(),
        "SEALED seal admin.applied".to_owned(),
    ];
    let orders = texts.len();
    for text in &texts {
        let (id, _) = bed.execute("carol", okx_order("SOL-USDT", "1")).expect("sent");
        let outcome = Outcome {
            status: u32::MAX,
            problem: if text.len() < 66 { text.clone() } else { String::new() },
            sent: true,
            latency_us: u64::MAX,
            order_id: text.clone(),
            error_code: if text.len() < 66 { text.clone() } else { String::new() },
            attempts: u32::MAX,
            held: vec![text.chars().take(66).collect(); 1_000],
            report_cut: true,
            report: vec![
                Report {
                    at: u32::MAX,
                    row: u32::MAX,
                    value: text.chars().take(66).collect()
                };
                1_000
            ],
        };
        bed.core.egress.send(Kind::Outcome, id, &outcome).expect("taken");
    }
    assert!(bed.is_serving());
    let verdict = bed.judge();
    let outcomes: Vec<_> =
        verdict.entries.iter().filter(|one| one.kind == EntryKind::ExecuteOutcome).collect();
    assert_eq!(outcomes.len(), orders);
    for entry in outcomes {
        for (name, value) in &entry.detail {
            let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"_.:-".contains(&b);
            assert!(value.len() <= 64 && value.bytes().all(is_plain), "{name}: {value}");
        }
        assert!(!entry.detail.contains_key("status"), "no status of HTTP");
    }
    assert_eq!(verdict.sent, orders);
}

#[test]
fn outcomes_may_be_exchanged_and_nothing_comes_of_it() {
    let mut bed = Bed::new();
    let (first, _) = bed.execute("carol", okx_order("SOL-USDT", "1")).expect("sent");
    let (second, _) = bed.execute("bob", kraken_order("XBTUSD", "1")).expect("sent");
    // The next of the lane waits for the one before it: an outcome that is a lie lets it go.
    let call = bed.execute_call("bob", kraken_order("XBTUSD", "2"));
    let after = bed.core.egress.count();
    let id = bed.number();
    bed.core.front.send(Kind::Execute, id, &call).expect("taken");
    assert!(bed.is_serving());
    let is_dispatch = |frame: &Frame| frame.kind == Kind::Dispatch;
    assert_eq!(bed.core.egress.wait(after, Duration::from_millis(300), is_dispatch), None);
    for id in [second, first] {
        let outcome = Outcome { problem: "TIMEOUT".to_owned(), sent: false, ..Default::default() };
        bed.core.egress.send(Kind::Outcome, id, &outcome).expect("taken");
    }
    let third = bed.core.egress.wait(after, SOON, is_dispatch).expect("its turn");
    bed.settle(third.correlation);
    assert!(bed.is_serving());
    let verdict = bed.judge();
    assert_eq!((verdict.released, verdict.sent), (0, 3));
    assert_eq!(verdict.count(EntryKind::ExecuteOutcome), 3);
}

#[test]
fn a_handle_that_egress_speaks_of_is_nobodys_but_its_clients() {
    let mut bed = Bed::new();
    let (id, dispatch) = bed.execute("bob", kraken_post("GetWebSocketsToken", "")).expect("sent");
    let [hold] = dispatch.holds.as_slice() else { panic!("one handle") };
    // Egress says that it holds what nobody asked for, and what others did.
    let invented = "A".repeat(64);
    let (other, _) = bed.execute("carol", okx_order("SOL-USDT", "1")).expect("sent");
    let outcome = |held: &[&str]| Outcome {
        held: held.iter().map(ToString::to_string).collect(),
        ..answered()
    };
    let lie = outcome(&[&invented, &hold.handle]);
    bed.core.egress.send(Kind::Outcome, other, &lie).expect("taken");
    bed.core.egress.send(Kind::Outcome, id, &outcome(&[&invented])).expect("taken");
    assert!(bed.is_serving());
    // Neither is good for anything: not for the one who asked, and not for another.
    let mut call = bed.stream_call("bob", "/v2");
    call.request.host = "ws-auth.kraken.com".to_owned();
    let front = bed.number();
    let reply = bed.core.front.call(Kind::Stream, front, &call).expect("an answer");
    assert_eq!(reply.failure, None);
    for handle in [&invented, &hold.handle] {
        let text = format!(
            r#"{{"method":"subscribe","params":{{"channel":"executions","token":"{handle}"}}}}"#
        );
        let message = vault_ipc::StreamMessage { bytes: text.into_bytes(), binary: false };
        let after = bed.core.front.count();
        bed.core.front.send(Kind::StreamMessage, front, &message).expect("taken");
        let refused = bed.core.front.wait(after, SOON, |frame| frame.kind == Kind::StreamRefusal);
        let refused: vault_ipc::StreamRefusal =
            refused.expect("refused").message().expect("a refusal");
        assert_eq!(refused.failure.reason, "HANDLE_UNKNOWN");
    }
    bed.judge();
}

/// Has an admin ask for something that the vault itself asks a venue for, and answers as egress every
/// request of it. Returns the admin's answer.
fn own_job<R: Message + Default>(
    bed: &mut Bed,
    method: &str,
    body: &impl Message,
    mut answer: impl FnMut(&Dispatch) -> Outcome,
) -> Result<R, vault_ipc::Failure> {
    let command = bed.signed("admin", method, body);
    let call = bed.command_call("admin", command);
    let id = bed.number();
    let (front_after, mut after) = (bed.core.front.count(), bed.core.egress.count());
    bed.core.front.send(Kind::Command, id, &call).expect("taken");
    let is_answer = |frame: &Frame| frame.kind == Kind::Reply && frame.correlation == id;
    loop {
        for frame in bed.core.egress.frames().iter().skip(after) {
            after += 1;
            if frame.kind == Kind::Dispatch {
                let dispatch: Dispatch = frame.message().expect("a dispatch");
                let outcome = answer(&dispatch);
                bed.core.egress.send(Kind::Outcome, frame.correlation, &outcome).expect("taken");
            }
        }
        let answered = bed.core.front.wait(front_after, Duration::from_millis(20), is_answer);
        if let Some(frame) = answered {
            return decode(frame.message().expect("a reply"));
        }
        assert!(bed.core.is_alive(), "it ended");
    }
}

/// Reports that are no answer to what was asked.
fn odd_reports(dispatch: &Dispatch) -> Vec<Report> {
    let ats = u32::try_from(dispatch.report_at.len()).expect("few");
    let values = [
        "true",
        "false",
        "",
        "withdraw",
        "Withdraw",
        "1e999",
        "-1",
        "18446744073709551616",
        "é",
        "\n",
        "SOL-USDT",
        "\"",
        "a,b,c",
        "{}",
        "null",
    ];
    let mut reports = Vec::new();
    for at in (0..ats + 2).chain([u32::MAX]) {
        for row in [0, 1, u32::MAX] {
            for value in values {
                reports.push(Report { at, row, value: value.to_owned() });
            }
        }
    }
    reports
}

#[test]
fn a_check_that_lies_stays_a_check() {
    let mut bed = Bed::new();
    for name in ["okx-main", "okx-sent", "kraken-main"] {
        for flavour in 0..4 {
            let check = v1::CheckCredentialCommand { name: name.to_owned() };
            let checked: Result<v1::CheckCredentialResponse, _> =
                own_job(&mut bed, "CredentialService/Check", &check, |dispatch| Outcome {
                    status: if flavour == 1 { 0 } else { 200 },
                    report: match flavour {
                        0 | 1 => odd_reports(dispatch),
                        2 => Vec::new(),
                        _ => many_reports(dispatch, 40_000),
                    },
                    report_cut: flavour == 3,
                    problem: String::new(),
                    ..answered()
                });
            // Whatever it says, it is an answer, in words of the vault's.
            if let Ok(checked) = checked {
                let check = checked.check.expect("a check");
                assert!(check.rights.len() <= 4_096);
            }
            assert!(bed.is_serving());
        }
    }
    let verdict = bed.judge();
    assert_eq!(verdict.released, 0);
}

fn many_reports(dispatch: &Dispatch, rows: u32) -> Vec<Report> {
    let ats = u32::try_from(dispatch.report_at.len()).expect("few").max(1);
    (0..rows).map(|row| Report { at: row % ats, row: row / ats, value: format!("{row}") }).collect()
}

#[test]
fn a_cancel_all_to_which_egress_lies_cancels_and_nothing_else() {
    let mut bed = Bed::new();
    let halt = v1::HaltCommand {
        level: v1::HaltLevel::Nothing.into(),
        target: "all".to_owned(),
        reason: "a test".to_owned(),
    };
    let _: v1::HaltResponse = bed.command("admin", "HaltService/Halt", &halt).expect("halted");
    let names = [
        "SOL-USDT",
        "BTC-USDT",
        "BTC-USDT\",\"x\":\"y",
        "../../asset/withdrawal",
        "a b",
        "é",
        "4711",
        "1&toAddr=mine",
        "",
    ];
    let mut dispatched = Vec::new();
    for target in ["credential:okx-sent", "credential:kraken-main"] {
        let cancel = v1::CancelAllCommand { target: target.to_owned() };
        let mut looks = 0;
        let done: v1::CancelAllResponse =
            own_job(&mut bed, "HaltService/CancelAll", &cancel, |dispatch| {
                dispatched.push(dispatch.clone());
                looks += 1;
                let ats = u32::try_from(dispatch.report_at.len()).expect("few");
                let rows = if looks > 6 { 0 } else { 300 };
                let name = |at: usize| names[at % names.len()].to_owned();
                let report = (0..rows)
                    .flat_map(|row| (0..ats).map(move |at| (row, at)))
                    .map(|(row, at)| Report { at, row, value: name((row * 3 + at) as usize) })
                    .collect();
                Outcome { report, ..answered() }
            })
            .expect("answered");
        assert!(!done.steps.is_empty());
    }
    for dispatch in &dispatched {
        let is_quiet = ["cancel", "read"].contains(&dispatch.class.as_str());
        assert!(is_quiet, "{} {}", dispatch.class, dispatch.url);
        assert!(!dispatch.url.contains("withdraw"), "{}", dispatch.url);
        let body = String::from_utf8_lossy(&dispatch.body);
        assert!(!body.contains("\"x\"") && !body.contains("toAddr"), "{body}");
    }
    assert!(bed.is_serving());
    let verdict = bed.judge();
    assert_eq!(verdict.sent, dispatched.len());
}

#[test]
fn an_end_of_a_websocket_that_is_none_ends_the_core() {
    let mut bed = Bed::new();
    let (_, first) = bed.open_stream("carol");
    for number in [0, first + 1, u64::MAX] {
        let (_, id) = bed.open_stream("carol");
        let number = if number == first + 1 { id + 1 } else { number };
        bed.core.egress.send(Kind::StreamEnd, number, &StreamEnd::default()).expect("taken");
        let reason = bed.begin_if_ended(END).expect("it ends");
        assert!(reason.contains("egress ended a stream that was not open"), "{reason}");
    }
    let (front, id) = bed.open_stream("carol");
    let end = StreamEnd { code: u32::MAX, problem: "\u{0}\"é".to_owned() };
    bed.core.egress.send(Kind::StreamEnd, id, &end).expect("taken");
    assert!(bed.is_serving());
    let message = vault_ipc::StreamMessage { bytes: b"ping".to_vec(), binary: false };
    bed.core.front.send(Kind::StreamMessage, front, &message).expect("taken");
    bed.core.egress.send(Kind::StreamEnd, id, &end).expect("taken");
    let reason = bed.begin_if_ended(END).expect("once is enough");
    assert!(reason.contains("egress ended a stream that was not open"), "{reason}");
    bed.judge();
}

#[test]
fn a_barrier_that_egress_does_not_keep_ends_the_core() {
    let mut bed = Bed::new();
    bed.core.egress.keep_silent(true);
    for id in (0..10_000).chain([u64::MAX]) {
        bed.core.egress.send(Kind::BarrierDone, id, &BarrierDone { id }).expect("taken");
    }
    let revoke = v1::RevokeClientCommand { name: "alice".to_owned(), reason: "a test".to_owned() };
    let command = bed.signed("admin", "ClientService/Revoke", &revoke);
    let call = bed.command_call("admin", command);
    let id = bed.number();
    bed.core.front.send(Kind::Command, id, &call).expect("taken");
    let barrier = bed.core.egress.wait(0, SOON, |frame| {
        frame.kind == Kind::Barrier && frame.message().is_ok_and(|barrier: Barrier| barrier.id > 1)
    });
    assert!(barrier.is_some());
    // That of the front is not egress's to confirm: one of both is missing.
    let is_answer = |frame: &Frame| frame.kind == Kind::Reply && frame.correlation == id;
    assert_eq!(bed.core.front.wait(0, Duration::from_secs(1), is_answer), None);
    let reason = bed.begin_if_ended(END).expect("it ends");
    assert!(reason.contains("egress did not confirm a barrier in time"), "{reason}");
    assert!(bed.is_serving());
    bed.judge();
}

#[test]
fn health_of_many_hosts_is_a_picture_of_a_few() {
    let mut bed = Bed::new();
    let row = |number: usize| HealthRow {
        venue: "okx".to_owned(),
        host: format!("host-{number}.example"),
        source: String::new(),
        state: HealthState::Banned.into(),
        until_us: i64::MAX,
        used_weight: u64::MAX,
        weight_limit: u64::MAX,
        in_flight: u32::MAX,
        streams: u32::MAX,
        last_problem: "TIMEOUT".to_owned(),
    };
    let many = Health { rows: (0..900).map(row).collect() };
    for _ in 0..50 {
        bed.core.egress.send(Kind::Health, 0, &many).expect("taken");
    }
    // As many rows as a frame can hold: each is two bytes there.
    let empty = [0x0a, 0].repeat(body_bytes_max(Kind::Health) / 2);
    let empty = encoded(Kind::Health, 0, &empty);
    for _ in 0..200 {
        bed.core.egress.write(&empty).expect("taken");
    }
    let odd = ["é", "a b", "\n", "x\u{0}", &"x".repeat(254)];
    let mut rows: Vec<HealthRow> = odd
        .iter()
        .flat_map(|text| {
            let text = (*text).to_owned();
            [
                HealthRow { venue: text.clone(), ..row(1) },
                HealthRow { host: text.clone(), ..row(1) },
                HealthRow { source: text.clone(), ..row(1) },
                HealthRow { last_problem: text, ..row(1) },
                HealthRow { state: -1, ..row(1) },
            ]
        })
        .collect();
    rows.push(row(7));
    bed.core.egress.send(Kind::Health, u64::MAX, &Health { rows }).expect("taken");
    assert!(bed.is_serving());
    let status: v1::StatusResponse =
        bed.command("guard", "SealService/Status", &v1::StatusCommand {}).expect("a status");
    let hosts: Vec<&str> = status.venues.iter().map(|venue| venue.host.as_str()).collect();
    assert_eq!(hosts, ["host-7.example"]);
    bed.core.egress.send(Kind::Health, 0, &many).expect("taken");
    assert!(bed.is_serving());
    let status: v1::StatusResponse =
        bed.command("guard", "SealService/Status", &v1::StatusCommand {}).expect("a status");
    assert_eq!(status.venues.len(), 256);
    let resident = bed.core.resident_bytes_max();
    assert!(resident < crate::judge::RESIDENT_BYTES_MAX, "{resident}");
    let before = bed.honest.len();
    let verdict = bed.judge();
    assert_eq!((verdict.released, verdict.sent), (0, 0));
    assert!(before > 0);
}

#[test]
fn frames_of_others_do_nothing_for_egress() {
    let mut bed = Bed::new();
    // Calls that the front may make, and what the core and the supervisor say.
    let sign = bed.sign_call("alice", okx_order("BTC-USDT", "1")).encode_to_vec();
    let execute = bed.execute_call("carol", okx_order("SOL-USDT", "1")).encode_to_vec();
    let revoke = v1::RevokeClientCommand { name: "alice".to_owned(), reason: "a test".to_owned() };
    let command = bed.person("admin").command("vault.v1.ClientService/Revoke", &revoke);
    let command = bed.command_call("admin", command).encode_to_vec();
    let frames = [
        (Kind::Sign, sign),
        (Kind::Execute, execute.clone()),
        (Kind::Proxy, execute),
        (Kind::Command, command),
        (Kind::Enroll, vec![]),
        (Kind::Pull, vec![]),
        (Kind::Local, vec![8, 3]),
        (Kind::Shutdown, vec![]),
        (Kind::Forget, vec![]),
        (Kind::Hardening, vec![]),
        (Kind::Whoami, vec![]),
        (Kind::Stream, vec![]),
        (Kind::StreamMessage, vec![]),
        (Kind::StreamReady, vec![]),
        (Kind::VenueHead, vec![]),
        (Kind::VenueBody, vec![]),
        (Kind::VenueEnd, vec![]),
        (Kind::Reply, vec![]),
        (Kind::Barrier, vec![8, 1]),
        (Kind::Restart, vec![]),
        (Kind::Dispatch, vec![]),
        (Kind::StreamSend, vec![]),
        (Kind::StreamCut, vec![]),
        (Kind::MetricsCall, vec![]),
        (Kind::Metrics, vec![]),
        // Its own, with bodies that are none.
        (Kind::Outcome, vec![0xff]),
        (Kind::Health, vec![0x0a, 0x7f]),
        (Kind::Usage, vec![0x0a, 0x7f]),
        (Kind::BarrierDone, vec![0x08]),
        (Kind::StreamEnd, vec![0x12, 1, 0xff]),
    ];
    for (kind, body) in &frames {
        bed.core.egress.write(&encoded(*kind, 1_001, body)).expect("taken");
        let reason = bed.begin_if_ended(END).expect("it ends");
        assert!(reason.contains("egress sent a frame"), "{kind:?}: {reason}");
    }
    let garbage: Vec<u8> = (0..4_096_u32).map(|at| (at * 31 + 7) as u8).collect();
    let too_long = |kind: Kind| {
        let length = u32::try_from(body_bytes_max(kind) + 1).expect("32 bits");
        [&length.to_le_bytes()[..], &[1, kind.code(), 0, 0], &[0; 8]].concat()
    };
    for bytes in [garbage, vec![0; 16], too_long(Kind::Outcome), too_long(Kind::Health)] {
        // It may have ended before all of it is written.
        let _ = bed.core.egress.write(&bytes);
        assert!(bed.begin_if_ended(END).is_some_and(|reason| !reason.is_empty()));
    }
    let (id, _) = bed.execute("carol", okx_order("SOL-USDT", "1")).expect("sent");
    let half = encoded(Kind::Outcome, id, &answered().encode_to_vec());
    bed.core.egress.write(&half[..half.len() - 1]).expect("taken");
    assert!(bed.is_serving(), "half a frame waits for its other half");
    bed.core.egress.close();
    assert!(bed.begin_if_ended(END).is_some());
    let verdict = bed.judge();
    assert_eq!((verdict.released, verdict.sent), (0, 1));
    assert_eq!(verdict.count(EntryKind::ExecuteOutcome), 0);
}

#[test]
fn an_egress_that_answers_nothing_holds_back_what_it_has_and_no_more() {
    let mut bed = Bed::new();
    // As many as one client may have on their way, and one more.
    let mut sent = 0;
    let mut reason = String::new();
    for _ in 0..600 {
        match bed.execute("carol", okx_order("SOL-USDT", "1")) {
            Ok(_) => sent += 1,
            Err(failure) => {
                reason = failure.reason;
                break;
            }
        }
    }
    assert_eq!(reason, "OVERLOADED");
    assert!(sent < 513, "{sent}");
    bed.sign("alice", okx_order("BTC-USDT", "1")).expect("others are served");
    assert!(bed.is_serving());
    let verdict = bed.judge();
    assert_eq!((verdict.released, verdict.sent), (1, sent));
}
