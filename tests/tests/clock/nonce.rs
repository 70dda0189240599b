//! Nonces rise through every step, and a request is signed once.

use std::time::{Duration, SystemTime};

use vault_audit::EntryKind;
use vault_client::{SignOrder, v1};
use vault_tests::{KRAKEN_SCOPE, kraken_balance, kraken_order, kraken_order_until, order};

use crate::{DAY, HOUR, STEPS, World, nonces_rise};

async fn with_bot(more: &str) -> World {
    let world = World::start().await;
    world.vault.import_kraken("kraken-main").await;
    world.vault.bot_identity("bot", &format!("{KRAKEN_SCOPE}\n{more}"), &[]).await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn nonces_rise_through_steps_restarts_and_kills() {
    let mut world = with_bot("").await;
    let read = async |world: &World| {
        for _ in 0..3 {
            world.sign("bot", "kraken-main", kraken_balance()).await.expect("signed");
        }
    };
    let mut signed = 0;
    for (round, offset_s) in STEPS.into_iter().enumerate() {
        world.step(offset_s);
        read(&world).await;
        signed += 3;
        // At this step's time, and at once on the other side of the next.
        match round % 3 {
            0 => world.vault.restart().await,
            1 => {
                world.vault.kill_core().await;
                world.vault.run_and_unseal().await;
            }
            _ => {}
        }
        read(&world).await;
        signed += 3;
    }
    let nonces = nonces_rise(&world.vault.log_entries());
    assert_eq!(nonces.len(), signed);
    let true_us = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    // Having been a day ahead, they go on from there.
    assert!(u128::from(*nonces.last().expect("some")) > true_us.as_micros());
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn nonces_rise_while_bots_sign_and_the_clock_jumps_about() {
    let world = with_bot("").await;
    let bot = std::sync::Arc::new(world.vault.connect_bot("bot").await);
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let bot = std::sync::Arc::clone(&bot);
            tokio::spawn(async move {
                let mut refused = Vec::new();
                for _ in 0..100 {
                    let wanted = order("kraken-main", kraken_balance());
                    if let Err(error) = bot.sign(wanted).await {
                        refused.push(error.refusal().map(|refusal| refusal.reason.clone()));
                    }
                }
                refused
            })
        })
        .collect();
    // Within the life of the bot's certificate.
    let mut dice = 7u64;
    while !tasks.iter().all(tokio::task::JoinHandle::is_finished) {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let span = 2 * 23 * HOUR.unsigned_abs();
        world.step(i64::try_from((dice >> 33) % span).expect("small") - 23 * HOUR);
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    let mut refused = Vec::new();
    for task in tasks {
        refused.extend(task.await.expect("no panic"));
    }
    // A call's deadline is told by the front by the wall clock: a step between front and core may end
    // one, with nothing signed.
    let unexpected = refused.iter().find(|reason| reason.as_deref() != Some("DEADLINE_EXCEEDED"));
    assert_eq!(unexpected, None);
    let nonces = nonces_rise(&world.vault.log_entries());
    assert_eq!(nonces.len() + refused.len(), 800);
    assert!(nonces.len() > 400, "{} of 800", nonces.len());
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_is_measured_by_a_clock_that_no_step_puts_forward() {
    let world = with_bot("[[cumulative.orders]]\nper = \"6h\"\nat_most = 100\n").await;
    let until = async |offset_s: i64, deadline: SystemTime| {
        world.step(offset_s);
        let request = kraken_order_until("XBTUSD", "1", deadline);
        world.sign("bot", "kraken-main", request).await.err()
    };
    let soon = Duration::from_secs(30);
    for ahead_s in [HOUR, DAY] {
        // Half a minute by a clock that is ahead: it could be kept for an hour, or a day.
        let ahead = Duration::from_secs(ahead_s.unsigned_abs());
        let kept = until(ahead_s, SystemTime::now() + ahead + soon).await;
        assert_eq!(kept.as_deref(), Some("CAP_NOT_ENFORCEABLE"), "{ahead_s}");
        assert_eq!(until(ahead_s, SystemTime::now() + soon).await, None, "{ahead_s}");
        // By a clock that is behind, what Kraken takes is further ahead than may be.
        let late = until(-ahead_s, SystemTime::now() + soon).await;
        assert_eq!(late.as_deref(), Some("CAP_NOT_ENFORCEABLE"), "-{ahead_s}");
        assert_eq!(until(-ahead_s, SystemTime::now() - ahead + soon).await, None, "-{ahead_s}");
    }
    assert_eq!(until(0, SystemTime::now() + soon).await, None);
    nonces_rise(&world.vault.log_entries());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_is_known_for_a_minute_that_has_passed_and_never_signed_again() {
    let world = with_bot("").await;
    let ask = |request: v1::VenueRequest| SignOrder {
        request_id: Some("once".to_owned()),
        ..order("kraken-main", request)
    };
    let first = world.ask("bot", ask(kraken_order("XBTUSD", "1"))).await.expect("signed");
    for offset_s in [HOUR, -HOUR, -DAY, 0] {
        world.step(offset_s);
        let again = world.ask("bot", ask(kraken_order("XBTUSD", "1"))).await.expect("known");
        assert_eq!(again.seq, first.seq, "at {offset_s}");
        let other = world.ask("bot", ask(kraken_order("XBTUSD", "2"))).await.err();
        assert_eq!(other.as_deref(), Some("REQUEST_ID_REUSED"), "at {offset_s}");
    }
    // And no longer, when the clock is put back meanwhile.
    world.step(-DAY);
    tokio::time::sleep(Duration::from_secs(61)).await;
    let late = world.ask("bot", ask(kraken_order("XBTUSD", "1"))).await.err();
    assert_eq!(late.as_deref(), Some("OUTCOME_UNKNOWN"));
    assert_eq!(world.entries(EntryKind::Sign).len(), 1);
    world.verify();
}
