//! Execute, from the call to the outcome.

pub(crate) mod bench;
mod budget;
mod lane;
mod site;

use std::time::Duration;

use prost::Message;
use vault_audit::{EntryKind, Outcome as Ending};
use vault_ipc::proto::v1;
use vault_ipc::{ExecuteCall, Kind, Outcome};
use vault_model::{Class, Mode, Name};
use vault_policy::{AmountCap, WithdrawalAddress, WithdrawalDocument};

use self::bench::{
    Bench, ONE, OTHER, answered, binance_account, binance_price, caller, execute, kraken_balance,
    okx_order, proxied, sign,
};
use super::VenueCall;
use super::outcome::{Execution, UNDER_WAY_MAX};
use crate::act::Asker;
use crate::caller::Origin;
use crate::journal::Channel;
use crate::lane::WAITING_MAX;
use crate::storage::{Changes, CredentialState};

#[test]
fn a_request_is_signed_logged_and_sent_and_its_caller_sees_no_signature() {
    let mut bench = Bench::new();
    let seen = bench.execute(40, execute("one", "okx-main", okx_order("0.5")));

    let (_, dispatch, execution) = seen.sent();
    assert_eq!(dispatch.front_correlation, 40);
    assert_eq!((dispatch.method.as_str(), dispatch.class.as_str()), ("POST", "trade"));
    assert_eq!(dispatch.url, "https://www.okx.com/api/v5/trade/order");
    assert_eq!(dispatch.body, okx_order("0.5").body);
    assert_eq!((dispatch.venue.as_str(), dispatch.credential.as_str()), ("okx", "okx-main"));
    assert!(!dispatch.repeatable);
    assert_eq!(dispatch.timeout_ms, 10_000);
    // The passphrase goes to the venue, though no bot may have it, and all that authorises is told.
    let header = |name: &str| {
        let mut headers = dispatch.headers.iter();
        headers.find(|header| header.name.eq_ignore_ascii_case(name)).map(|found| &found.value)
    };
    assert_eq!(header("ok-access-passphrase").map(String::as_str), Some("open-sesame"));
    let signature = header("ok-access-sign").expect("a signature");
    let api_key = header("ok-access-key").expect("a key");
    for secret in ["open-sesame", signature, api_key] {
        assert!(dispatch.secrets.iter().any(|text| text == secret));
        let found = seen.front_bytes.windows(secret.len()).any(|text| text == secret.as_bytes());
        assert!(!found, "the front is told nothing that authorises");
    }

    let [intent] = seen.entries.as_slice() else { panic!("one entry") };
    assert_eq!((intent.kind, intent.mode), (EntryKind::ExecuteIntent, Some(Mode::Execute)));
    assert_eq!(intent.operation.as_deref(), Some("POST /api/v5/trade/order"));
    assert_eq!(intent.legs.len(), 1);
    assert!(intent.sig_sha256.is_some() && intent.detail.contains_key("clock"));
    assert_eq!(execution.receipt.map(|receipt| receipt.index), Some(intent.idx));
    assert_eq!(Some(execution.seq), intent.seq);
    // No bot can use what it does not have.
    let outstanding = bench.vault.outstanding(crate::outstanding::Of::All);
    assert_eq!((outstanding.without_expiry, outstanding.usable_for_ms), (false, 0));
}

#[test]
fn the_outcome_is_an_entry_and_egress_is_not_believed_every_word() {
    let mut bench = Bench::new();
    let seen = bench.execute(1, execute("one", "okx-main", okx_order("1")));
    let (id, intent) = (seen.sent().0, seen.entries[0].idx);
    let told = Outcome { order_id: "31.2:A_-".to_owned(), ..answered() };
    let seen = bench.outcome(id, &told);
    let [entry] = seen.entries.as_slice() else { panic!("one entry") };
    assert_eq!((entry.kind, entry.outcome), (EntryKind::ExecuteOutcome, Ending::Ok));
    assert_eq!(entry.request_id.as_ref().map(ToString::to_string).as_deref(), Some("one"));
    assert_eq!(entry.client.as_ref().map(|name| name.as_str()), Some("one"));
    let said = |name: &str| entry.detail.get(name).map(String::as_str);
    assert_eq!(said("intent"), Some(intent.to_string().as_str()));
    assert_eq!(
        (said("status"), said("sent"), said("attempts")),
        (Some("200"), Some("yes"), Some("1"))
    );
    assert_eq!((said("order_id"), said("latency_us")), (Some("31.2:A_-"), Some("1234")));
    assert_eq!((said("error_code"), said("problem"), &entry.reason), (None, None, &None));
    assert!(seen.replies.is_empty(), "nobody waits for it");

    let second = bench.execute(2, execute("two", "okx-main", okx_order("1")));
    let told = Outcome {
        status: 7,
        problem: "no connection".to_owned(),
        order_id: "a\"b".to_owned(),
        error_code: "x".repeat(65),
        ..Outcome::default()
    };
    let seen = bench.outcome(second.sent().0, &told);
    let entry = &seen.entries[0];
    assert_eq!(entry.outcome, Ending::Error);
    assert_eq!(entry.reason.as_deref(), Some("PROBLEM_UNREADABLE"));
    assert_eq!(entry.detail.get("sent").map(String::as_str), Some("no"));
    for name in ["status", "order_id", "error_code"] {
        assert_eq!(entry.detail.get(name), None, "{name}");
    }
    let third = bench.execute(3, execute("three", "okx-main", okx_order("1")));
    let told = Outcome { problem: "CONNECTION_LOST".to_owned(), sent: true, ..Outcome::default() };
    let entry = bench.outcome(third.sent().0, &told).entries.remove(0);
    assert_eq!(entry.reason.as_deref(), Some("CONNECTION_LOST"));
    assert_eq!(entry.detail.get("problem"), entry.reason.as_ref());

    // Each has one outcome.
    assert!(bench.vault.executed(&answered(), id, bench.now).is_err());
}

#[test]
fn the_same_id_is_never_sent_again() {
    let mut bench = Bench::new();
    let seen = bench.execute(1, execute("one", "okx-main", okx_order("1")));
    let (id, intent) = (seen.sent().0, seen.entries[0].idx);
    let again = bench.execute(2, execute("one", "okx-main", okx_order("1")));
    assert_eq!(again.reason(), "OUTCOME_UNKNOWN");
    let failure = again.replies[0].1.failure.as_ref().expect("a failure");
    assert_eq!(failure.entry_index, Some(intent));
    let other = bench.execute(3, execute("one", "okx-main", okx_order("2")));
    assert_eq!(other.reason(), "REQUEST_ID_REUSED");
    // Nor does a signature come of it, before the outcome or after.
    bench.outcome(id, &answered());
    let signed = bench.sign(4, &sign(ONE, "one", "okx-main", okx_order("1")));
    assert_eq!(signed.reason(), "REQUEST_ID_REUSED");
    bench.vault.replay.forget_answers();
    let again = bench.execute(5, execute("one", "okx-main", okx_order("2")));
    assert_eq!(again.reason(), "OUTCOME_UNKNOWN");
    let [denied] = again.entries.as_slice() else { panic!("one entry") };
    assert_eq!(denied.kind, EntryKind::ExecuteDenied);
}

#[test]
fn what_the_scope_does_not_grant_is_denied_by_the_stated_operation_alone() {
    let mut bench = Bench::new();
    bench.rescope(|scope| {
        scope.classes.remove(&Class::Trade);
    });
    let seen = bench.execute(1, execute("one", "okx-main", okx_order("1")));
    assert_eq!(seen.reason(), "CLASS_NOT_GRANTED");
    let [entry] = seen.entries.as_slice() else { panic!("one entry") };
    assert_eq!((entry.kind, entry.mode), (EntryKind::ExecuteDenied, Some(Mode::Execute)));
    assert_eq!(entry.outcome, Ending::Denied);
    // The signature of this one would be good for more than it says; sent, it says what it does.
    let read = execute("two", "binance-main", binance_account());
    assert_eq!(bench.execute(2, read).sent().1.class, "read");

    bench.rescope(|scope| {
        scope.modes.remove(&Mode::Execute);
    });
    let read = execute("three", "binance-main", binance_account());
    assert_eq!(bench.execute(3, read).reason(), "MODE_NOT_GRANTED");
    let foreign = execute("four", "nobodys", binance_account());
    assert_eq!(bench.execute(4, foreign).reason(), "NOT_FOUND");
    let mut socket = binance_account();
    socket.scheme = "wss".to_owned();
    let socket = execute("five", "binance-main", socket);
    assert_eq!(bench.execute(5, socket).reason(), "SCHEME_NOT_ALLOWED");
    let mut elsewhere = execute("six", "okx-main", okx_order("1"));
    elsewhere.caller.address = vec![192, 0, 2, 1];
    assert_eq!(bench.execute(6, elsewhere).reason(), "NETWORK_NOT_ALLOWED");
}

#[test]
fn a_venue_gets_no_longer_than_anybody_waits() {
    let mut bench = Bench::new();
    let due = |bench: &Bench, in_us: i64| bench.now.micros() + in_us;
    let mut call = execute("one", "okx-main", okx_order("1"));
    call.deadline_us = due(&bench, 2_500_900);
    assert_eq!(bench.execute(1, call).sent().1.timeout_ms, 2_400);
    let mut call = execute("two", "okx-main", okx_order("1"));
    call.deadline_us = due(&bench, 3_600_000_000);
    assert_eq!(bench.execute(2, call).sent().1.timeout_ms, 10_000);
    let mut call = execute("three", "okx-main", okx_order("1"));
    call.deadline_us = due(&bench, 251_000);
    assert_eq!(bench.execute(3, call).sent().1.timeout_ms, 151);
    // For a venue that gets no time there would be an outcome that nobody knows.
    let mut call = execute("four", "okx-main", okx_order("1"));
    call.deadline_us = due(&bench, 250_000);
    let late = bench.execute(4, call);
    assert_eq!(late.reason(), "DEADLINE_EXCEEDED");
    assert!(late.entries.is_empty());
}

#[test]
fn where_nonces_go_in_order_one_request_is_on_its_way_at_a_time() {
    let mut bench = Bench::new();
    let call = |id: &str| execute(id, "kraken-main", kraken_balance());
    let first = bench.execute(1, call("one"));
    let (id, dispatch, _) = first.sent();
    assert!(!dispatch.repeatable, "a nonce is good once");
    let nonce = |seen: &bench::Seen| -> u64 {
        seen.entries[0].nonce.as_ref().and_then(|nonce| nonce.parse().ok()).expect("a nonce")
    };
    let first_nonce = nonce(&first);

    let mut other = call("two");
    other.caller = caller(OTHER);
    let mut impatient = call("three");
    impatient.deadline_us = bench.now.micros() + 251_000;
    for (correlation, waiting) in [(2, other), (3, impatient), (4, call("four"))] {
        let seen = bench.execute(correlation, waiting);
        assert!(seen.dispatches.is_empty() && seen.replies.is_empty() && seen.entries.is_empty());
    }
    // What is refused waits for nobody, and another credential is not concerned.
    let mut unread = kraken_balance();
    unread.path = "/0/private/Nonsense".to_owned();
    assert_eq!(
        bench.execute(5, execute("five", "kraken-main", unread)).reason(),
        "OPERATION_UNKNOWN"
    );
    bench.execute(6, execute("six", "okx-main", okx_order("1"))).sent();
    // A signature would be used in nobody knows which order.
    let signed = bench.sign(7, &sign(ONE, "seven", "kraken-main", kraken_balance()));
    assert_eq!(signed.reason(), "CREDENTIAL_LEASED");

    bench.wait(Duration::from_micros(5_000));
    let seen = bench.outcome(id, &answered());
    let kinds: Vec<EntryKind> = seen.entries.iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, [EntryKind::ExecuteOutcome, EntryKind::ExecuteIntent]);
    let [(second, dispatch)] = seen.dispatches.as_slice() else { panic!("one at a time") };
    assert_eq!(dispatch.front_correlation, 2);
    let second_nonce: u64 =
        seen.entries[1].nonce.as_ref().and_then(|nonce| nonce.parse().ok()).expect("a nonce");
    assert!(second_nonce > first_nonce);

    // Who does not wait any more is passed over.
    let seen = bench.outcome(*second, &answered());
    let answers: Vec<u64> = seen.replies.iter().map(|(correlation, _)| *correlation).collect();
    assert_eq!(answers, [3, 4]);
    let late = seen.replies[0].1.failure.as_ref().expect("a failure");
    assert_eq!(late.reason, "DEADLINE_EXCEEDED");
    let [(last, _)] = seen.dispatches.as_slice() else { panic!("one at a time") };
    bench.outcome(*last, &answered());
    let signed = sign(ONE, "eight", "kraken-main", kraken_balance());
    assert!(bench.sign(8, &signed).replies[0].1.failure.is_none(), "the lane is free");
}

#[test]
fn what_waits_is_judged_when_it_is_its_turn() {
    let mut bench = Bench::new();
    let call = |id: &str| execute(id, "kraken-main", kraken_balance());
    let (id, _, _) = bench.execute(1, call("one")).sent();
    bench.execute(2, call("two"));
    // Its id is on its way.
    assert_eq!(bench.execute(3, call("one")).reason(), "OUTCOME_UNKNOWN");
    let tables = bench.vault.tables();
    let mut row = tables.credentials.values().find(|row| row.venue == "kraken").cloned();
    row.as_mut().expect("there").state = CredentialState::Disabled;
    let mut changes = Changes::new();
    changes.put(row.expect("there"));
    bench.change(&changes);
    let seen = bench.outcome(id, &answered());
    assert_eq!(seen.dispatches.len(), 0);
    let reasons: Vec<&str> = seen
        .replies
        .iter()
        .filter_map(|(_, reply)| reply.failure.as_ref().map(|failure| failure.reason.as_str()))
        .collect();
    assert_eq!(reasons, ["CREDENTIAL_DISABLED"]);
}

#[test]
fn who_waits_for_its_turn_is_answered_when_its_time_is_over() {
    let mut bench = Bench::new();
    let call = |id: &str| execute(id, "kraken-main", kraken_balance());
    let (id, _, _) = bench.execute(1, call("one")).sent();
    let mut impatient = call("two");
    impatient.deadline_us = bench.now.micros() + 251_000;
    bench.execute(2, impatient);
    bench.execute(3, call("three"));
    bench.vault.refuse_late();
    assert!(bench.look().replies.is_empty());
    bench.wait(Duration::from_micros(251_000));
    bench.vault.refuse_late();
    let seen = bench.look();
    assert_eq!(seen.reason(), "DEADLINE_EXCEEDED");
    assert_eq!(seen.replies[0].0, 2);
    let seen = bench.outcome(id, &answered());
    assert_eq!(seen.sent().1.front_correlation, 3);
}

#[test]
fn no_more_wait_than_there_is_room_for() {
    let mut bench = Bench::new();
    let call = |id: usize| execute(&format!("id-{id}"), "kraken-main", kraken_balance());
    bench.execute(1, call(0)).sent();
    for id in 0..WAITING_MAX {
        assert!(bench.execute(2, call(id + 1)).replies.is_empty());
    }
    let seen = bench.execute(3, call(9_999));
    assert_eq!(seen.reason(), "OVERLOADED");
    assert!(seen.entries.is_empty(), "nobody fills the disk with it");
    let failure = seen.replies[0].1.failure.as_ref().expect("a failure");
    assert!(failure.retry_after_ms > 0);
}

#[test]
fn no_more_is_on_its_way_than_there_is_room_for() {
    let mut bench = Bench::new();
    // The last eighth is kept for cancels.
    for number in 0..UNDER_WAY_MAX * 7 / 8 {
        let client = format!("other-{}", number % 50).parse().expect("a name");
        bench.vault.executions.begin(Execution { client, lane: None, intent: None });
    }
    for call in [execute("one", "okx-main", okx_order("1")), execute("two", "", binance_price())] {
        let seen = bench.execute(1, call);
        assert_eq!(seen.reason(), "OVERLOADED");
        assert!(seen.entries.is_empty());
    }
    bench.outcome(1, &answered());
    bench.execute(2, execute("one", "okx-main", okx_order("1"))).sent();
    assert_eq!(bench.execute(3, execute("two", "okx-main", okx_order("1"))).reason(), "OVERLOADED");
    let one: Name = "one".parse().expect("a name");
    assert!(bench.vault.executions.has_room(&one, Class::Cancel));
}

#[test]
fn a_request_has_128_headers_and_no_more() {
    let mut bench = Bench::new();
    let with = |count: usize| {
        let header =
            |number: usize| v1::Header { name: format!("x-{number}"), ..v1::Header::default() };
        v1::VenueRequest { headers: (0..count).map(header).collect(), ..kraken_balance() }
    };
    for (correlation, count, field) in [(1, 128, false), (2, 129, true)] {
        let of_sign = bench.sign(correlation, &sign(ONE, "one", "kraken-main", with(count)));
        let call = execute("two", "kraken-main", with(count));
        let of_execute = bench.execute(correlation, call);
        for seen in [of_sign, of_execute] {
            assert_eq!(seen.reason() == "BAD_FIELD", field, "{count}: {}", seen.reason());
        }
    }
}

#[test]
fn no_client_takes_all_places() {
    let mut bench = Bench::new();
    let (first, _, _) = bench.execute(1, execute("one", "okx-main", okx_order("1"))).sent();
    let client: Name = bench.vault.executions.client_of(first).expect("on its way").clone();
    while bench.vault.executions.has_room(&client, Class::Trade) {
        let client = client.clone();
        bench.vault.executions.begin(Execution { client, lane: None, intent: None });
    }
    assert_eq!(bench.execute(2, execute("two", "okx-main", okx_order("1"))).reason(), "OVERLOADED");
    assert!(bench.vault.executions.has_room(&client, Class::Cancel), "a reserve of its own");
    let mut other = execute("two", "okx-main", okx_order("1"));
    other.caller = caller(OTHER);
    bench.execute(3, other).sent();
    bench.outcome(first, &answered());
    bench.execute(4, execute("three", "okx-main", okx_order("1"))).sent();
}

#[test]
fn what_leaves_is_logged_with_where_it_goes() {
    let mut bench = Bench::new();
    bench.rescope(|scope| {
        scope.classes.extend([Class::Transfer, Class::Withdraw]);
        let (venue, asset): (Name, _) = ("okx".parse().expect("a name"), "BTC".to_owned());
        let address = "bc1q,ours".to_owned();
        let address = WithdrawalAddress { venue: venue.clone(), asset: asset.clone(), address };
        let at_most = "2".parse().expect("an amount");
        scope.withdrawal = Some(WithdrawalDocument {
            addresses: [address].into(),
            per_day: [AmountCap { venue, asset, at_most }].into(),
        });
    });
    let mut logged = |correlation: u64, path: &str, body: &str, word: &str| {
        let request = v1::VenueRequest {
            path: path.to_owned(),
            body: body.as_bytes().to_vec(),
            ..okx_order("1")
        };
        let call = execute(&format!("id-{correlation}"), "okx-main", request);
        let seen = bench.execute(correlation, call);
        let [intent] = seen.entries.as_slice() else { panic!("one entry") };
        assert_eq!(intent.kind, EntryKind::ExecuteIntent, "{:?}", intent.reason);
        let said = |name: &str| intent.detail.get(name).cloned().unwrap_or_default();
        (said(word), said(&format!("{word}_to")))
    };
    let body = r#"{"ccy":"BTC","amt":"0.5","dest":"4","toAddr":"bc1q,ours"}"#;
    let withdrawn = logged(1, "/api/v5/asset/withdrawal", body, "withdrawn");
    assert_eq!(withdrawn, ("okx:BTC:0.5".to_owned(), r"bc1q\,ours".to_owned()));
    let body = r#"{"ccy":"BTC","amt":"1.5","from":"6","to":"6","type":"1","subAcct":"bob"}"#;
    let moved = logged(2, "/api/v5/asset/transfer", body, "moved");
    assert_eq!(moved, ("BTC:1.5".to_owned(), "bob".to_owned()));
    let body = r#"{"ccy":"BTC","amt":"1.5","from":"6","to":"18"}"#;
    let moved = logged(3, "/api/v5/asset/transfer", body, "moved");
    assert_eq!(moved, ("BTC:1.5".to_owned(), String::new()));
}

#[test]
fn a_lease_of_sign_keeps_the_executes_of_others_out() {
    let mut bench = Bench::new();
    let signed = bench.sign(1, &sign(ONE, "one", "kraken-main", kraken_balance()));
    assert!(signed.replies[0].1.failure.is_none());
    let mut other = execute("two", "kraken-main", kraken_balance());
    other.caller = caller(OTHER);
    assert_eq!(bench.execute(2, other).reason(), "CREDENTIAL_LEASED");
    let (id, _, _) = bench.execute(3, execute("two", "kraken-main", kraken_balance())).sent();
    bench.outcome(id, &answered());
    // Then it is the turn of whoever was refused.
    bench.wait(Duration::from_micros(11_000_000));
    let early = bench.execute(4, execute("three", "kraken-main", kraken_balance()));
    assert_eq!(early.reason(), "CREDENTIAL_LEASED");
    let mut other = execute("four", "kraken-main", kraken_balance());
    other.caller = caller(OTHER);
    let (id, _, _) = bench.execute(5, other.clone()).sent();
    bench.outcome(id, &answered());
    // An Execute leaves no lease behind.
    let (id, _, _) = bench.execute(6, execute("five", "kraken-main", kraken_balance())).sent();
    bench.outcome(id, &answered());
    other.request.request_id = "six".to_owned();
    bench.execute(7, other).sent();
}

#[test]
fn a_request_of_a_library_is_judged_and_sent_without_its_placeholders() {
    let mut bench = Bench::new();
    let dressed = |key: &str| {
        let mut request = okx_order("1");
        for (name, value) in [
            ("ok-access-key", key),
            ("ok-access-sign", "bm90aGluZw=="),
            ("ok-access-timestamp", "2026-11-22T00:00:00.000Z"),
            ("ok-access-passphrase", "none"),
            ("user-agent", "python-requests/2.32"),
        ] {
            let header = v1::Header { name: name.to_owned(), value: value.to_owned() };
            request.headers.push(header);
        }
        request
    };
    let seen = bench.call(1, proxied("px-1", dressed("countersign:okx-main")));
    let (_, dispatch, execution) = seen.sent();
    assert_eq!(dispatch.body, okx_order("1").body);
    assert_eq!(dispatch.credential, "okx-main");
    let text = format!("{:?}", dispatch.headers);
    for placeholder in ["countersign:", "bm90aGluZw==", "2026-11-22T00:00:00.000Z", "requests"] {
        assert!(!text.contains(placeholder), "{placeholder}");
    }
    assert!(execution.receipt.is_some());
    assert_eq!(seen.entries[0].kind, EntryKind::ExecuteIntent);
    let id = &seen.entries[0].request_id;
    assert_eq!(id.as_ref().map(ToString::to_string).as_deref(), Some("px-1"));

    for (number, (key, reason)) in [
        ("countersign:nobodys", "NOT_FOUND"),
        ("countersign:NoName!", "NOT_FOUND"),
        ("a real key by mistake", "KEY_NOT_PLACEHOLDER"),
    ]
    .into_iter()
    .enumerate()
    {
        let seen = bench.call(2, proxied(&format!("px-2{number}"), dressed(key)));
        assert_eq!(seen.reason(), reason);
        assert_eq!(seen.entries[0].kind, EntryKind::ExecuteDenied);
        assert!(seen.entries[0].request_id.is_some());
        let failure = seen.replies[0].1.failure.as_ref().expect("a failure");
        assert!(!format!("{failure:?}").contains("real key"), "no input in an answer");
    }
    let bare = proxied("px-3", okx_order("1"));
    assert_eq!(bench.call(3, bare).reason(), "CREDENTIAL_MISSING");
    let mut elsewhere = okx_order("1");
    elsewhere.host = "example.com".to_owned();
    assert_eq!(bench.call(4, proxied("px-4", elsewhere)).reason(), "HOST_UNKNOWN");
    assert_eq!(bench.call(5, proxied("p x", okx_order("1"))).reason(), "BAD_FIELD");

    // An address that the client may not have learns no more than that.
    let mut call = proxied("px-6", dressed("a real key by mistake"));
    if let VenueCall::Proxy(call) = &mut call {
        call.caller.address = vec![192, 0, 2, 1];
    }
    assert_eq!(bench.call(6, call).reason(), "NETWORK_NOT_ALLOWED");
}

#[test]
fn public_endpoints_take_no_credential_and_leave_no_entry() {
    let mut bench = Bench::new();
    let seen = bench.execute(1, execute("one", "", binance_price()));
    let (id, dispatch, execution) = seen.sent();
    assert_eq!((dispatch.credential.as_str(), dispatch.class.as_str()), ("", "public"));
    assert_eq!(dispatch.url, "https://api.binance.com/api/v3/avgPrice?symbol=BTCUSDT");
    assert!(dispatch.repeatable && dispatch.secrets.is_empty());
    assert!(dispatch.headers.iter().all(|header| !header.value.contains("api-key")));
    assert_eq!(execution, v1::Execution::default());
    assert!(seen.entries.is_empty());
    assert!(bench.outcome(id, &answered()).entries.is_empty());
    bench.call(2, proxied("px-1", binance_price())).sent();

    let missing = execute("two", "", binance_account());
    assert_eq!(bench.execute(3, missing).reason(), "CREDENTIAL_MISSING");
    let mut unknown = binance_price();
    unknown.query = "symbol=BTCUSDT&x=1".to_owned();
    assert_eq!(bench.execute(4, execute("three", "", unknown)).reason(), "PARAMETER_UNKNOWN");
    bench.rescope(|scope| {
        scope.classes.remove(&Class::Public);
    });
    let seen = bench.execute(5, execute("four", "", binance_price()));
    assert_eq!(seen.reason(), "CLASS_NOT_GRANTED");
    let [entry] = seen.entries.as_slice() else { panic!("one entry") };
    assert_eq!((entry.kind, entry.credential.is_none()), (EntryKind::ExecuteDenied, true));
    assert_eq!(entry.venue.as_deref(), Some("binance"));
    assert_eq!(entry.operation.as_deref(), Some("GET /api/v3/avgPrice"));
}

#[test]
fn nothing_is_sent_sealed_by_strangers_or_with_a_full_disk() {
    let mut bench = Bench::new();
    let call =
        |bot| ExecuteCall { caller: caller(bot), ..execute("one", "okx-main", okx_order("1")) };
    assert_eq!(bench.execute(1, call(9)).reason(), "CERTIFICATE_UNKNOWN");
    bench.vault.disk_full = true;
    let seen = bench.execute(2, call(ONE));
    assert_eq!(seen.reason(), "AUDIT_DISK_FULL");
    assert!(seen.entries.is_empty());
    bench.vault.disk_full = false;
    bench.vault.open = None;
    assert_eq!(bench.execute(3, call(ONE)).reason(), "SEALED");
}

#[test]
fn an_act_that_forbids_waits_for_front_and_egress() {
    let mut bench = Bench::new();
    bench.execute(1, execute("one", "okx-main", okx_order("1"))).sent();
    let command = v1::HaltCommand {
        target: "venue:okx".to_owned(),
        level: v1::HaltLevel::Nothing.into(),
        reason: "test".to_owned(),
    };
    let command = v1::SignedCommand { body: command.encode_to_vec(), ..Default::default() };
    let asker = Asker {
        channel: Channel::Front,
        correlation: 70,
        caller: None,
        origin: Origin::local(),
        nonce: None,
        signature_hash: None,
    };
    let now = bench.now;
    bench.vault.halt(&command, asker, now).expect("begins");
    bench.look();
    bench.vault.act_committed(Ok(()), now).expect("applied");
    let seen = bench.look();
    assert_eq!((seen.egress, seen.front), (vec![Kind::Barrier], vec![Kind::Barrier]));
    // It holds from here on, though it is not answered yet.
    let call = execute("two", "okx-main", okx_order("1"));
    assert_eq!(bench.execute(2, call).reason(), "HALT_NOTHING");

    for (id, by, answers) in [
        (1, Channel::Front, 0),
        (1, Channel::Front, 0),
        (7, Channel::Egress, 0),
        (1, Channel::Egress, 1),
        (1, Channel::Egress, 0),
    ] {
        bench.vault.barrier_done(id, by);
        assert_eq!(bench.look().replies.len(), answers, "{id} {by:?}");
    }
}
