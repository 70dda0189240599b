//! What one client may ask for, and what its refusals cost.

use std::time::Duration;

use vault_audit::EntryKind;
use vault_ipc::proto::v1;
use vault_ipc::{ExecuteCall, Outcome};
use vault_model::Class;

use super::bench::{
    Bench, ONE, OTHER, answered, binance_price, caller, execute, kraken_balance, okx_order,
    request, sign,
};
use crate::config::RequestLimits;
use crate::denial_budget::BURST;
use crate::request_budget::RequestBudgets;

const LIMITS: RequestLimits = RequestLimits { burst: 5, per_second: 1 };

fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.rescope(|scope| {
        scope.classes.insert(Class::Cancel);
    });
    bench.vault.requests = RequestBudgets::new(LIMITS);
    bench
}

fn read(bot: u8, id: &str) -> ExecuteCall {
    let read = request("GET", "www.okx.com", "/api/v5/account/balance");
    ExecuteCall { caller: caller(bot), ..execute(id, "okx-main", read) }
}

fn cancel(id: &str) -> ExecuteCall {
    let body = br#"{"instId":"BTC-USDT","ordId":"1"}"#.to_vec();
    let cancel = request("POST", "www.okx.com", "/api/v5/trade/cancel-order");
    execute(id, "okx-main", v1::VenueRequest { body, ..cancel })
}

/// It is sent, and the venue answers.
fn goes(bench: &mut Bench, call: ExecuteCall) {
    let seen = bench.execute(1, call);
    let (id, ..) = seen.sent();
    bench.outcome(id, &answered());
}

#[test]
fn reads_have_a_budget_and_orders_and_cancels_do_not() {
    let mut bench = bench();
    // By Sign and by Execute, from one budget.
    let signed = bench.sign(1, &sign(ONE, "signed", "kraken-main", kraken_balance()));
    assert!(signed.replies[0].1.releases);
    for number in 1..LIMITS.burst {
        goes(&mut bench, read(ONE, &format!("read-{number}")));
    }
    let refused = bench.sign(2, &sign(ONE, "too-many", "kraken-main", kraken_balance()));
    assert_eq!(refused.reason(), "REQUESTS_EXHAUSTED");
    let failure = refused.replies[0].1.failure.as_ref().expect("refused");
    assert_eq!(failure.code(), vault_ipc::Code::Exhausted);
    assert_eq!(failure.retry_after_ms, 1_000);
    let [entry] = refused.entries.as_slice() else { panic!("one entry") };
    assert_eq!(entry.kind, EntryKind::SignDenied);
    assert_eq!(entry.operation.as_deref(), Some("POST /0/private/Balance"));
    let refused = bench.execute(3, read(ONE, "sent"));
    assert_eq!(refused.reason(), "REQUESTS_EXHAUSTED");
    assert!(refused.dispatches.is_empty());

    for number in 0..2 * LIMITS.burst {
        goes(&mut bench, execute(&format!("order-{number}"), "okx-main", okx_order("0.5")));
        goes(&mut bench, cancel(&format!("cancel-{number}")));
    }
    // What is public has no signature and no entry.
    let public = bench.execute(4, execute("public", "", binance_price()));
    assert_eq!((public.dispatches.len(), public.entries.len()), (1, 0));
    goes(&mut bench, read(OTHER, "another-s"));

    bench.wait(Duration::from_secs(1));
    goes(&mut bench, read(ONE, "later"));
    assert_eq!(bench.execute(5, read(ONE, "again")).reason(), "REQUESTS_EXHAUSTED");
    // A retry of what was signed is no new request.
    let again = bench.sign(6, &sign(ONE, "signed", "kraken-main", kraken_balance()));
    assert_eq!(again.replies[0].1.response, signed.replies[0].1.response);
}

#[test]
fn what_a_paused_venue_refuses_is_not_logged_without_end() {
    let mut bench = bench();
    let paused = Outcome { problem: "VENUE_PAUSED".to_owned(), ..Outcome::default() };
    let (mut entries, mut sent) = (0, 0);
    for number in 0..2 * BURST {
        let order = execute(&format!("order-{number}"), "okx-main", okx_order("0.5"));
        let seen = bench.execute(number, order);
        entries += seen.entries.len() as u64;
        let Some((id, _)) = seen.dispatches.first() else {
            assert_eq!(seen.reason(), "REQUESTS_EXHAUSTED");
            continue;
        };
        sent += 1;
        entries += bench.outcome(*id, &paused).entries.len() as u64;
    }
    // One that is owed, and an intent and an outcome of each; then what denials may take.
    assert_eq!(sent, u64::from(LIMITS.burst) + 1);
    assert_eq!(entries, 2 * sent + BURST);
    // What the venue answers costs nothing.
    bench.wait(Duration::from_secs(2));
    for number in 0..10 {
        goes(&mut bench, execute(&format!("sent-{number}"), "okx-main", okx_order("0.5")));
    }
}

#[test]
fn what_would_help_is_looked_for_within_the_budget_for_denials_alone() {
    let mut bench = Bench::new();
    // Its signature would cancel too, which the scope does not grant.
    let open_orders = request("GET", "api.binance.com", "/api/v3/openOrders");
    let query = "symbol=BTCUSDT".to_owned();
    let open_orders = v1::VenueRequest { query, ..open_orders };
    for number in 0..BURST + 10 {
        let id = format!("read-{number}");
        let seen = bench.sign(number, &sign(ONE, &id, "binance-main", open_orders.clone()));
        assert_eq!(seen.reason(), "CLASS_NOT_GRANTED");
        let failure = seen.replies[0].1.failure.as_ref().expect("refused");
        let is_within = number < BURST;
        assert_eq!(failure.entry_index.is_some(), is_within, "{number}");
        assert_eq!(seen.entries.len(), usize::from(is_within));
        assert_eq!(failure.remedies.contains(&"execute".to_owned()), is_within, "{failure:?}");
        assert!(is_within || failure.remedies.is_empty());
        // What costs nothing to say is said.
        assert!(!failure.operation.is_empty() && !failure.class.is_empty());
    }
}

#[test]
fn who_does_not_wait_any_more_is_refused_before_anything_is_looked_at() {
    let mut bench = bench();
    let mut late = sign(9, "late", "kraken-main", kraken_balance());
    late.deadline_us = bench.now.micros();
    // Not even whose it is.
    let seen = bench.sign(1, &late);
    assert_eq!(seen.reason(), "DEADLINE_EXCEEDED");
    assert!(seen.entries.is_empty() && bench.vault.used_serials.is_empty());
    late.deadline_us += 1;
    assert_eq!(bench.sign(2, &late).reason(), "CERTIFICATE_UNKNOWN");
    // A venue needs time to answer.
    let mut order = execute("late", "okx-main", okx_order("0.5"));
    order.deadline_us = bench.now.micros() + 250_000;
    assert_eq!(bench.execute(3, order.clone()).reason(), "DEADLINE_EXCEEDED");
    order.deadline_us += 1;
    bench.execute(4, order).sent();
}
