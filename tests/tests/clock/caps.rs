//! What is counted is counted on the vault's own clock: caps, rates, duplicates, leases, ages of prices.
//! Weekly hours are times of the wall clock, by their nature.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, Datelike as _, TimeDelta, Timelike as _};
use vault_audit::EntryKind;
use vault_client::{Signed, v1};
use vault_tests::{KRAKEN_SCOPE, kraken_balance, kraken_order, kraken_order_until, kraken_post};

use crate::{DAY, HOUR, STEPS, World, nonces_rise, utc};

const ORDER: Duration = Duration::from_secs(1);

/// A vault with a key for Kraken, and a bot with this in its scope.
async fn with_bot(more: &str) -> World {
    let world = World::start().await;
    world.vault.import_kraken("kraken-main").await;
    world.vault.bot_identity("bot", &format!("{KRAKEN_SCOPE}\n{more}"), &[]).await;
    world
}

impl World {
    /// Buys with an order that is good for a second, as a cap wants it: by the earlier of the vault's
    /// clock and the true one, as a clock that was put forward is not followed.
    async fn buy(&self, bot: &str, volume: &str) -> Result<Signed, String> {
        let deadline = self.now().min(SystemTime::now()) + ORDER;
        self.sign(bot, "kraken-main", kraken_order_until("XBTUSD", volume, deadline)).await
    }
}

fn refused(reason: &str) -> Option<String> {
    Some(reason.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cap_on_orders_is_as_wide_whatever_the_wall_clock_says() {
    let world = with_bot("[[cumulative.orders]]\nper = \"6h\"\nat_most = 8\n").await;
    world.buy("bot", "1").await.expect("the first of 8");
    for (spent, offset_s) in (1..).zip(STEPS) {
        world.step(offset_s);
        let signed = world.buy("bot", "1").await;
        let signed = signed.unwrap_or_else(|reason| panic!("at {offset_s}: {reason}"));
        let left = (7 - spent).to_string();
        assert_eq!(signed.limits_left.get("orders/6h"), Some(&left), "at {offset_s}");
    }
    for offset_s in STEPS {
        world.step(offset_s);
        assert_eq!(
            world.buy("bot", "1").await.err(),
            refused("ORDER_RATE_REACHED"),
            "at {offset_s}"
        );
    }
    let entries = world.vault.log_entries();
    assert_eq!(nonces_rise(&entries).len(), 8);
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cap_on_notional_is_as_wide_whatever_the_wall_clock_says() {
    let world = with_bot("[[cumulative.notional_usd]]\nper = \"1d\"\nat_most = \"80000\"\n").await;
    let instrument = v1::Instrument {
        venue: "kraken".to_owned(),
        product: "spot".to_owned(),
        symbol: "XBTUSD".to_owned(),
        base: "BTC".to_owned(),
        quote: "USD".to_owned(),
        contract_size: "1".to_owned(),
        size_unit: "base".to_owned(),
        reference: "BTC/USD".to_owned(),
        ..v1::Instrument::default()
    };
    let import = v1::ImportInstrumentsCommand { instruments: vec![instrument] };
    world.vault.admin().await.import_instruments(import).await.expect("imported");
    for offset_s in [0].into_iter().chain(STEPS) {
        world.step(offset_s);
        // 10,000 USD by the limit of 60,000: what is spent never comes back.
        world.buy("bot", "0.1666").await.unwrap_or_else(|reason| panic!("{offset_s}: {reason}"));
    }
    for offset_s in STEPS {
        world.step(offset_s);
        let more = world.buy("bot", "0.01").await.err();
        assert_eq!(more, refused("NOTIONAL_CAP_REACHED"), "at {offset_s}");
    }
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_counts_seconds_that_have_passed() {
    let world = with_bot("[[cumulative.orders]]\nper = \"5s\"\nat_most = 2\n").await;
    for offset_s in [HOUR, -DAY] {
        world.step(0);
        for _ in 0..2 {
            world.buy("bot", "1").await.expect("two are free");
        }
        world.step(offset_s);
        assert_eq!(world.buy("bot", "1").await.err(), refused("ORDER_RATE_REACHED"));
        // An order counts until it is over, and from then on for 5 s.
        tokio::time::sleep(ORDER + Duration::from_millis(5_300)).await;
        world.buy("bot", "1").await.expect("the seconds have passed");
        tokio::time::sleep(ORDER + Duration::from_millis(5_300)).await;
    }
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_is_one_whatever_the_wall_clock_says() {
    let world = with_bot("[duplicates]\nclient_order_id = \"1h\"\norder = \"1h\"\n").await;
    let with_id = |volume: &str, id: &str| {
        let body = format!(
            "pair=XBTUSD&type=buy&ordertype=limit&price=60000&volume={volume}&cl_ord_id={id}"
        );
        kraken_post("AddOrder", body)
    };
    world.sign("bot", "kraken-main", with_id("1", "a")).await.expect("new");
    for offset_s in STEPS {
        world.step(offset_s);
        let same = world.sign("bot", "kraken-main", with_id("1", "b")).await.err();
        assert_eq!(same, refused("DUPLICATE_ORDER"), "at {offset_s}");
        let id = world.sign("bot", "kraken-main", with_id("2", "a")).await.err();
        assert_eq!(id, refused("DUPLICATE_CLIENT_ORDER_ID"), "at {offset_s}");
    }
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_is_leased_for_ten_seconds_that_have_passed() {
    let world = with_bot("").await;
    world.vault.bot_identity("other", KRAKEN_SCOPE, &[]).await;
    let read = async |bot: &str| world.sign(bot, "kraken-main", kraken_balance()).await.err();

    assert_eq!(read("bot").await, None);
    // A step forwards does not end a lease: the holder may have a nonce that it has not sent.
    world.step(HOUR);
    assert_eq!(read("other").await, refused("CREDENTIAL_LEASED"));
    // And a step back does not prolong it.
    world.step(-DAY);
    assert_eq!(read("other").await, refused("CREDENTIAL_LEASED"));
    tokio::time::sleep(Duration::from_millis(10_200)).await;
    assert_eq!(read("other").await, None);
    world.step(DAY);
    assert_eq!(read("bot").await, refused("CREDENTIAL_LEASED"));
    nonces_rise(&world.vault.log_entries());
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_grows_old_by_the_time_that_has_passed() {
    let world = with_bot("").await;
    let feed = v1::Feed {
        pair: "BTC/USD".to_owned(),
        pricers: vec!["pricer".to_owned()],
        max_age: "4s".to_owned(),
        max_step: "0.1".to_owned(),
        anchor: "60000".to_owned(),
        ..v1::Feed::default()
    };
    let put = v1::PutFeedCommand { feed: Some(feed) };
    let _: v1::PutFeedResponse =
        world.command("admin", "vault.v1.PriceService/PutFeed", &put).await.expect("a feed");
    world.vault.pricer("pricer").await;
    let quote = v1::Quote { pair: "BTC/USD".to_owned(), price: "60000".to_owned() };
    let quotes = v1::PutPricesCommand { quotes: vec![quote] };
    let listed = async || {
        let method = "vault.v1.PriceService/List";
        let list: v1::ListPricesResponse = world
            .command("admin", method, &v1::ListPricesCommand::default())
            .await
            .expect("a list");
        list.feeds[0].clone()
    };
    for offset_s in [HOUR, -HOUR, DAY, -DAY] {
        world.step(0);
        let put: v1::PutPricesResponse =
            world.command("pricer", "vault.v1.PriceService/Put", &quotes).await.expect("put");
        assert!(put.answers[0].accepted, "{put:?}");
        let begun = std::time::Instant::now();
        world.step(offset_s);
        let info = listed().await;
        if begun.elapsed() < Duration::from_secs(4) {
            assert_eq!(info.price, "60000", "fresh, at {offset_s}");
        }
        assert!(info.age_ms < Some(60_000), "{info:?}");
        tokio::time::sleep(Duration::from_millis(4_200).saturating_sub(begun.elapsed())).await;
        assert_eq!(listed().await.price, "", "old, at {offset_s}");
    }
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn weekly_hours_are_those_of_the_wall_clock() {
    // Noon of today, so that neither the test nor an hour more or less changes the day.
    let real = utc(SystemTime::now());
    let noon = real.with_hour(12).and_then(|at| at.with_minute(0)).expect("there is a noon");
    let to_noon = (noon - real).num_seconds();
    let day = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
        [usize::try_from(noon.weekday().num_days_from_monday()).expect("one of seven")];
    let hours = format!("[hours]\ntimezone = \"UTC\"\nwindows = [\"{day} 10:00-14:00\"]\n");
    let world = with_bot(&hours).await;
    let trade = async |offset_s: i64| {
        world.step(to_noon + offset_s);
        world.sign("bot", "kraken-main", kraken_order("XBTUSD", "1")).await.err()
    };
    for (offset_s, expected) in [
        (0, None),
        (HOUR, None),
        (-HOUR, None),
        (3 * HOUR, Some("HOURS_CLOSED")),
        (-3 * HOUR, Some("HOURS_CLOSED")),
        (DAY, Some("HOURS_CLOSED")),
        (-DAY, Some("HOURS_CLOSED")),
        (0, None),
    ] {
        assert_eq!(trade(offset_s).await.as_deref(), expected, "at {offset_s}");
    }
    for entry in world.entries(EntryKind::Sign) {
        let at = DateTime::from_timestamp_micros(entry.ts.micros()).expect("a moment");
        let off = at - noon;
        assert!(off.abs() < TimeDelta::hours(2), "{off}");
    }
    world.verify();
}
