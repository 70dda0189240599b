//! A leap second, as a kernel does it and as a smear does it. There may be one at the end of any day in
//! UTC: the wall clock of this test stands at the nearest midnight.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Datelike as _, TimeDelta, Utc};
use vault_audit::{Entry, EntryKind};
use vault_tests::{KRAKEN_SCOPE, kraken_order_until, order};

use crate::{World, nonces_rise, utc};

/// Orders in any second.
const RATE: usize = 5;
/// How long before midnight a test begins, and how long after it it ends.
const AROUND: Duration = Duration::from_secs(6);

/// A vault whose wall clock is [`AROUND`] before midnight, and whose hours end there.
async fn before_midnight() -> (World, DateTime<Utc>) {
    let real = utc(SystemTime::now());
    let today = real.date_naive().and_hms_opt(0, 0, 0).expect("midnight").and_utc();
    let midnights = [today, today + TimeDelta::days(1)];
    let midnight = midnights.into_iter().min_by_key(|at| (*at - real).abs()).expect("two");
    let eve = midnight - TimeDelta::hours(1);
    let day = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
        [usize::try_from(eve.weekday().num_days_from_monday()).expect("one of seven")];

    let world = World::start().await;
    world.vault.import_kraken("kraken-main").await;
    let scope = format!(
        "{KRAKEN_SCOPE}\n[hours]\ntimezone = \"UTC\"\nwindows = [\"{day} 00:00-24:00\"]\n\
         [[cumulative.orders]]\nper = \"1s\"\nat_most = {RATE}\n"
    );
    world.vault.bot_identity("bot", &scope, &[]).await;
    let offset = midnight - AROUND - utc(SystemTime::now());
    world.wall.set_us(offset.num_microseconds().expect("less than a day"));
    (world, midnight)
}

/// Buys again and again until [`AROUND`] after midnight. `steer` moves the clock meanwhile.
async fn trade(world: &World, midnight: DateTime<Utc>, mut steer: impl FnMut(&World)) {
    let bot = world.vault.connect_bot("bot").await;
    let end = midnight + AROUND;
    let mut reasons = BTreeSet::new();
    while utc(world.now()) < end {
        steer(world);
        // No later than the clock of the vault's beginning has it: what is put ahead is not followed.
        let deadline = world.now().min(SystemTime::now()) + Duration::from_millis(300);
        let request = kraken_order_until("XBTUSD", "1", deadline);
        if let Err(error) = bot.sign(order("kraken-main", request)).await {
            reasons.insert(error.refusal().expect("refused").reason.clone());
        }
        // So few that the log has every denial in full.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let expected = ["HOURS_CLOSED", "ORDER_RATE_REACHED"].map(str::to_owned);
    assert_eq!(reasons, BTreeSet::from(expected));
}

fn check(world: &World, midnight: DateTime<Utc>) -> Vec<Entry> {
    let entries = world.vault.log_entries();
    nonces_rise(&entries);
    let before = |entry: &Entry| entry.ts.micros() < midnight.timestamp_micros();
    let signed: Vec<&Entry> = entries.iter().filter(|it| it.kind == EntryKind::Sign).collect();
    assert!(signed.len() >= RATE && signed.iter().all(|entry| before(entry)), "{}", signed.len());
    let closed = entries.iter().filter(|it| it.reason.as_deref() == Some("HOURS_CLOSED"));
    assert!(closed.clone().count() > 0 && closed.clone().all(|entry| !before(entry)));
    // The rate holds in every second that has passed.
    let clocks: Vec<u64> =
        signed.iter().map(|it| it.detail["clock"].parse().expect("a number")).collect();
    assert!(clocks.is_sorted());
    for window in clocks.windows(RATE + 1) {
        assert!(window[RATE] - window[0] >= 1_000_000, "{window:?}");
    }
    world.verify();
    entries
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_that_comes_twice_repeats_no_nonce_and_widens_no_rate() {
    let (world, midnight) = before_midnight().await;
    let mut is_inserted = false;
    trade(&world, midnight, |world| {
        if !is_inserted && utc(world.now()) >= midnight {
            // What Linux does at 23:59:60: the last second of the day again.
            world.wall.set_us(world.wall.offset_us() - 1_000_000);
            is_inserted = true;
        }
    })
    .await;
    let entries = check(&world, midnight);
    let went_back = entries.windows(2).any(|pair| pair[1].ts < pair[0].ts);
    assert!(is_inserted && went_back, "the log has the wall clock's times as they were");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_that_is_left_out_or_smeared_is_nothing_special() {
    for smeared_us in [1_000_000, -1_000_000] {
        let (world, midnight) = before_midnight().await;
        let begin_us = world.wall.offset_us();
        let begun = std::time::Instant::now();
        trade(&world, midnight, |world| {
            // Over the two seconds around midnight, a little at a time.
            let since = begun.elapsed().saturating_sub(AROUND - Duration::from_secs(1));
            let part = since.min(Duration::from_secs(2)).as_millis();
            let part = i64::try_from(part).expect("2,000 at most");
            world.wall.set_us(begin_us + smeared_us * part / 2_000);
        })
        .await;
        let entries = check(&world, midnight);
        let jumps = entries.iter().filter(|entry| entry.kind == EntryKind::ClockJump);
        // The one by which this test went to midnight.
        assert!(jumps.count() <= 1);
    }
}
