//! Venues that fail in every way: no order is sent twice, nothing hangs, and the log tells the truth.

use std::time::{Duration, Instant};

use vault_audit::{Entry, EntryKind};
use vault_mock_venue::Fault;
use vault_tests::{okx_balance, okx_order, reason};

use crate::bed::{BINANCE_SECRET, Bed, TRADER, Wishes, execute};

async fn bed() -> Bed {
    Bed::with(TRADER, Wishes { timeout_ms: Some(1_500), ..Default::default() }).await
}

/// What the log says became of the last request.
async fn last_outcome(bed: &Bed, count: usize) -> Entry {
    bed.logged(EntryKind::ExecuteOutcome, count).await.pop().expect("one")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_is_an_outcome_that_nobody_knows() {
    let bed = bed().await;
    let bot = bed.bot().await;
    let cases = [
        (Fault::ResetUnread, &["CONNECTION_LOST"][..]),
        (Fault::ResetUnanswered, &["CONNECTION_LOST"]),
        (Fault::Silence, &["TIMEOUT"]),
        (Fault::Garbage, &["CONNECTION_LOST", "RESPONSE_MALFORMED"]),
        (Fault::Late(Duration::from_secs(4)), &["TIMEOUT"]),
    ];
    for (number, (fault, problems)) in cases.into_iter().enumerate() {
        let arrived = bed.mocks.arrived();
        bed.mocks.fault(fault.clone());
        let start = Instant::now();
        let error = reason(bot.execute(execute("okx-main", okx_order("BTC-USDT", "1"))).await);
        assert_eq!(error, "OUTCOME_UNKNOWN", "{fault:?}");
        assert!(start.elapsed() < Duration::from_secs(10), "{fault:?}: no end");
        assert_eq!(bed.mocks.arrived(), arrived + 1, "{fault:?}: sent once");
        let outcome = last_outcome(&bed, number + 1).await;
        assert!(problems.contains(&outcome.detail["problem"].as_str()), "{fault:?}: {outcome:?}");
        assert_eq!(outcome.detail["sent"], "yes", "{fault:?}");
        bed.mocks.clear_faults();
    }
    // The last fault's answer is still being waited for at the mock; nothing else hangs.
    bot.execute(execute("okx-main", okx_balance())).await.expect("goes on");
    bed.vault.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_whose_answer_is_lost_is_asked_again() {
    let bed = bed().await;
    let bot = bed.bot().await;
    bot.execute(execute("okx-main", okx_balance())).await.expect("a warm connection");
    bed.mocks.fault(Fault::ResetUnanswered);
    let executed = bot.execute(execute("okx-main", okx_balance())).await.expect("asked again");
    assert_eq!(executed.status, 200);
    assert_eq!(bed.mocks.arrived(), 3);
    assert_eq!(last_outcome(&bed, 2).await.detail["attempts"], "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_of_venues_are_passed_on_as_they_are() {
    let bed = bed().await;
    let bot = bed.bot().await;
    let faults = [
        Fault::Status(500),
        Fault::StatusAfter(504),
        Fault::Redirect { status: 307, location: "https://evil.example/".to_owned() },
    ];
    for (number, fault) in faults.into_iter().enumerate() {
        bed.mocks.fault(fault.clone());
        let executed = bot.execute(execute("okx-main", okx_order("BTC-USDT", "1"))).await;
        let executed = executed.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        assert_eq!(bed.mocks.arrived(), number + 1, "{fault:?}: sent once");
        let outcome = last_outcome(&bed, number + 1).await;
        assert_eq!(outcome.detail["status"], executed.status.to_string());
        assert!(executed.status >= 300);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_cut_is_not_passed_off_as_whole() {
    let bed = bed().await;
    let bot = bed.bot().await;
    for fault in [Fault::ResetInBody, Fault::LengthTooLong] {
        bed.mocks.fault(fault.clone());
        let outcome = bot.execute(execute("okx-main", okx_order("BTC-USDT", "1"))).await;
        assert_eq!(reason(outcome), "OUTCOME_UNKNOWN", "{fault:?}");
    }
    bed.mocks.fault(Fault::Gzip);
    let outcome = bot.execute(execute("okx-main", okx_balance())).await;
    assert!(outcome.is_err(), "what cannot be looked into is not passed on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_venue_that_bans_is_left_alone() {
    let bed = bed().await;
    let bot = bed.bot().await;
    bed.mocks.fault(Fault::Banned { status: 429, retry_after_s: 30 });
    let executed = bot.execute(execute("okx-main", okx_balance())).await.expect("the venue's word");
    assert_eq!(executed.status, 429);
    let arrived = bed.mocks.arrived();
    let paused = bot.execute(execute("okx-main", okx_balance())).await.expect_err("paused");
    let refusal = paused.refusal().expect("the vault's own word");
    assert_eq!(refusal.reason, "NOT_SENT");
    assert!(refusal.message.contains("VENUE_PAUSED"), "{refusal}");
    assert!(refusal.retry_after.is_some());
    assert_eq!(bed.mocks.arrived(), arrived, "reads wait");
    let cancel = execute("okx-main", vault_tests::okx_cancel("BTC-USDT", "1"));
    bot.execute(cancel).await.expect("cancels pass");
    assert_eq!(bed.mocks.arrived(), arrived + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_authorises_does_not_come_back() {
    let bed = bed().await;
    let bot = bed.bot().await;
    bed.mocks.fault(Fault::Echo);
    let order = execute("binance-main", crate::bed::binance_order("BTCUSDT", "1"));
    let executed = bot.execute(order).await.expect("executed");
    let accepted = bed.mocks.accepted();
    let sent = &accepted.last().expect("one").target;
    let signature = sent
        .split("signature=")
        .nth(1)
        .or_else(|| accepted.last().and_then(|arrived| arrived.body.split("signature=").nth(1)));
    let signature = signature.expect("signed");
    let said = format!("{:?} {}", executed.headers, String::from_utf8_lossy(&executed.body));
    assert!(said.contains("echo"), "the mock echoes: {said}");
    assert!(!said.contains(signature), "{said}");
    assert!(!said.contains(BINANCE_SECRET));

    bed.mocks.fault(Fault::Echo);
    let executed = bot.execute(execute("okx-main", okx_balance())).await.expect("executed");
    let said = format!("{:?} {}", executed.headers, String::from_utf8_lossy(&executed.body));
    let arrived = bed.mocks.accepted().pop().expect("one");
    for header in ["ok-access-sign", "ok-access-passphrase"] {
        let value = arrived.header(header).next().expect("sent").to_owned();
        assert!(!said.contains(&value), "{header}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_takes_all_with_it_and_nothing_is_sent_again() {
    for pick in ["egress", "core", "front"] {
        let mut bed = bed().await;
        let bot = bed.bot().await;
        bed.mocks.fault(Fault::Late(Duration::from_millis(700)));
        let order = tokio::spawn(async move {
            bot.execute(execute("okx-main", okx_order("BTC-USDT", "1"))).await
        });
        while bed.mocks.arrived() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let ready = bed.vault.ready();
        let pid = match pick {
            "egress" => ready.pid_egress,
            "core" => ready.pid_core,
            _ => ready.pid_front,
        };
        bed.vault.kill(pid);
        bed.vault.ended().await;
        assert!(order.await.expect("no panic").is_err(), "{pick}: not passed off as done");
        bed.vault.run_and_unseal().await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(bed.mocks.arrived(), 1, "{pick}: sent once");
        assert_eq!(bed.entries(EntryKind::ExecuteIntent).len(), 1, "{pick}: on disk before");
        bed.vault.verify();
    }
}
