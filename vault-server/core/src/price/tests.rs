use std::collections::BTreeMap;

use serde_json::json;
use vault_model::{ClockTime, Money, Name, Pair, Timestamp};
use vault_policy::{Market, PriceRefused};

use super::{
    LOG_ELSEWHERE_EVERY_US, LOG_EVERY_US, LoggedPrice, LoggedPrices, Prices, feed_to_wire,
    model_feed,
};
use crate::error::VaultError;
use crate::storage::FeedRow;

const SECOND: u64 = 1_000_000;

fn pair(text: &str) -> Pair {
    text.parse().expect("a pair")
}

fn money(text: &str) -> Money {
    text.parse().expect("a decimal")
}

fn feed(pair_text: &str, max_age: &str, revision: u64) -> FeedRow {
    FeedRow {
        document: json!({
            "anchor": "100", "max_age": max_age, "max_step": "0.5", "pair": pair_text,
            "pricers": ["p"], "step_every": "1s",
        }),
        pair: pair(pair_text),
        revision,
        updated_at: Timestamp::default(),
    }
}

struct Bench {
    feeds: BTreeMap<Pair, FeedRow>,
    market: Market,
    prices: Prices,
}

impl Bench {
    fn new(logged: LoggedPrices, rows: impl IntoIterator<Item = FeedRow>) -> Self {
        let feeds = rows.into_iter().map(|row| (row.pair.clone(), row)).collect();
        let (market, prices) = (Market::default(), Prices::resume(logged));
        let mut bench = Self { feeds, market, prices };
        bench.compile().expect("feeds");
        bench
    }

    fn compile(&mut self) -> Result<(), VaultError> {
        self.market = Market::default();
        self.prices.compile(&self.feeds, &mut self.market)
    }

    fn put(&mut self, to: &str, price: &str, seconds: u64) -> Result<(), PriceRefused> {
        let (pricer, quote): (Name, _) = ("p".parse().expect("a name"), (&pair(to), money(price)));
        self.prices.put(&mut self.market, &pricer, quote, ClockTime(seconds * SECOND))
    }

    fn price(&mut self, of: &str, micros: u64) -> Option<String> {
        self.prices.refresh(&mut self.market, ClockTime(micros));
        self.market.price(&pair(of)).map(|price| price.to_string())
    }
}

#[test]
fn the_market_has_fresh_prices_only() {
    let feeds = [feed("BTC/USD", "10s", 1), feed("ETH/USD", "20s", 2)];
    let mut bench = Bench::new(LoggedPrices::new(), feeds);
    assert_eq!(bench.price("BTC/USD", SECOND), None);
    bench.put("BTC/USD", "101", 5).expect("a step");
    bench.put("ETH/USD", "102", 6).expect("a step");
    assert_eq!(bench.price("BTC/USD", 15 * SECOND - 1).as_deref(), Some("101"));
    assert_eq!(bench.price("BTC/USD", 15 * SECOND), None);
    assert_eq!(bench.price("ETH/USD", 26 * SECOND - 1).as_deref(), Some("102"));

    // A later price of one feed does not hide that another's is old.
    bench.put("BTC/USD", "103", 20).expect("a step");
    assert_eq!(bench.price("ETH/USD", 26 * SECOND), None);
    assert_eq!(bench.price("BTC/USD", 26 * SECOND).as_deref(), Some("103"));
    bench.put("BTC/USD", "104", 28).expect("a step");
    assert_eq!(bench.price("BTC/USD", 31 * SECOND).as_deref(), Some("104"));
    assert_eq!(bench.price("BTC/USD", 38 * SECOND), None);
    assert_eq!(bench.put("BTC/USD", "1000", 39), Err(PriceRefused::StepTooLarge));
    assert_eq!(bench.price("BTC/USD", 39 * SECOND), None);
}

#[test]
fn an_act_keeps_prices_of_feeds_that_stay_as_they_are() {
    let feeds = [feed("BTC/USD", "10s", 1), feed("ETH/USD", "20s", 2), feed("SOL/USD", "20s", 3)];
    let mut bench = Bench::new(LoggedPrices::new(), feeds);
    for to in ["BTC/USD", "ETH/USD", "SOL/USD"] {
        bench.put(to, "101", 5).expect("a step");
    }
    bench.feeds.remove(&pair("ETH/USD"));
    bench.feeds.insert(pair("SOL/USD"), feed("SOL/USD", "20s", 4));
    bench.compile().expect("feeds");
    assert_eq!(bench.price("BTC/USD", 6 * SECOND).as_deref(), Some("101"));
    assert_eq!(bench.price("ETH/USD", 6 * SECOND), None);
    assert_eq!(bench.price("SOL/USD", 6 * SECOND), None);
    assert_eq!(bench.price("BTC/USD", 15 * SECOND), None, "and it still ages");

    let mut broken = feed("XRP/USD", "20s", 5);
    broken.document["max_step"] = json!("5");
    bench.feeds.insert(pair("XRP/USD"), broken);
    assert!(bench.compile().is_err());
    bench.feeds.insert(pair("XRP/USD"), FeedRow { pair: pair("XRP/USD"), ..feed("A/B", "1s", 5) });
    assert!(bench.compile().is_err(), "another pair's document");
}

#[test]
fn a_restart_goes_on_from_the_log_with_a_stale_price() {
    let at = ClockTime(5 * SECOND);
    let logged = |revision| {
        let price = LoggedPrice { at, jumps: 0, price: money("300"), revision, window: None };
        LoggedPrices::from([(pair("BTC/USD"), price)])
    };
    let mut bench = Bench::new(logged(1), [feed("BTC/USD", "10s", 1)]);
    assert_eq!(bench.price("BTC/USD", 6 * SECOND), None);
    assert_eq!(bench.put("BTC/USD", "149", 6), Err(PriceRefused::StepTooLarge));
    assert_eq!(bench.put("BTC/USD", "150", 6), Ok(()));

    // The feed was put anew after that price: its anchor holds.
    let mut bench = Bench::new(logged(1), [feed("BTC/USD", "10s", 2)]);
    assert_eq!(bench.put("BTC/USD", "151", 6), Err(PriceRefused::StepTooLarge));
    assert_eq!(bench.put("BTC/USD", "150", 6), Ok(()));
}

/// A feed of one pricer who may move the price by 2 % in an hour, or further with another.
fn slow_feed() -> FeedRow {
    let mut feed = feed("BTC/USD", "1h", 1);
    feed.document["anchor"] = json!("60000");
    feed.document["max_step"] = json!("0.02");
    feed.document["step_every"] = json!("1h");
    feed
}

/// What a start finds in the log.
fn reread(logged: &LoggedPrices) -> LoggedPrices {
    let reread = |logged: &LoggedPrice| {
        let window = logged.window.as_ref().map(|window| window.to_string());
        let window = window.map(|window| window.parse().expect("a window"));
        LoggedPrice { jumps: 0, window, ..logged.clone() }
    };
    logged.iter().map(|(pair, logged)| (pair.clone(), reread(logged))).collect()
}

impl Bench {
    /// Puts a price, and writes down of it what the log would have.
    fn put_and_log(&mut self, price: &str, seconds: u64) -> Result<(), PriceRefused> {
        self.put("BTC/USD", price, seconds)?;
        self.prices.logs(&pair("BTC/USD"), money(price), ClockTime(seconds * SECOND));
        Ok(())
    }

    fn restart(&mut self) {
        let rows: Vec<FeedRow> = self.feeds.values().cloned().collect();
        *self = Self::new(reread(&self.prices.logged), rows);
    }
}

#[test]
fn restarts_give_a_pricer_no_step_more() {
    // Once as far as it goes at each restart, and once in many small steps.
    for per_minute in [1, 50] {
        let mut bench = Bench::new(LoggedPrices::new(), [slow_feed()]);
        bench.put_and_log("60000", 40_000).expect("the anchor");
        let (mut price, mut now, mut refused) = (60_000, 40_000, 0);
        for _restart in 0..5 {
            bench.restart();
            for _ in 0..per_minute {
                now += 60 / per_minute;
                let next = price + 1_200 / per_minute;
                match bench.put_and_log(&next.to_string(), now) {
                    Ok(()) => price = next,
                    Err(error) => {
                        assert_eq!(error, PriceRefused::StepTooLarge);
                        refused += 1;
                    }
                }
                assert!(price <= 61_200, "{price}");
            }
        }
        assert_eq!((price, refused), (61_200, 4 * per_minute));
    }

    let mut bench = Bench::new(LoggedPrices::new(), [slow_feed()]);
    bench.put_and_log("60000", 40_000).expect("the anchor");
    bench.put_and_log("61200", 40_060).expect("a step");
    bench.restart();
    assert_eq!(bench.put_and_log("59975", 40_061), Err(PriceRefused::StepTooLarge));
    assert_eq!(bench.put_and_log("61201", 40_061), Err(PriceRefused::StepTooLarge));
    // The next step is open when the base ended an hour ago, as it would be without a restart.
    let end = 40_060 + 3_600;
    assert_eq!(bench.put_and_log("61201", end - 1), Err(PriceRefused::StepTooLarge));
    assert_eq!(bench.put_and_log("62424", end), Ok(()));
}

#[test]
fn where_two_agree_is_where_a_restart_goes_on() {
    let mut feed = slow_feed();
    feed.document["pricers"] = json!(["p", "q"]);
    feed.document["agree_within"] = json!("0.001");
    let mut bench = Bench::new(LoggedPrices::new(), [feed]);
    bench.put_and_log("60000", 40_000).expect("the anchor");
    let agree = |bench: &mut Bench, price: &str, seconds: u64| {
        let (at, btc) = (ClockTime(seconds * SECOND), pair("BTC/USD"));
        let other: Name = "q".parse().expect("a name");
        let _ = bench.prices.put(&mut bench.market, &other, (&btc, money(price)), at);
        bench.put_and_log(price, seconds)
    };
    // Less than a tenth away, and within a minute: logged nevertheless.
    assert_eq!(agree(&mut bench, "63000", 40_002), Ok(()));
    bench.restart();
    assert_eq!(bench.put_and_log("60000", 40_003), Err(PriceRefused::NotConfirmed));
    assert_eq!(bench.put_and_log("64260", 40_003), Ok(()));
}

#[test]
fn few_prices_are_logged() {
    let mut bench = Bench::new(LoggedPrices::new(), [feed("BTC/USD", "10s", 7)]);
    let btc = pair("BTC/USD");
    let mut logs = |price: &str, at: u64| {
        let logged = bench.prices.logs(&btc, money(price), ClockTime(at));
        logged.map(|logged| logged.revision)
    };
    const FAR: u64 = LOG_ELSEWHERE_EVERY_US;
    assert_eq!(logs("100", 0), Some(7), "the first");
    assert_eq!(logs("110", FAR), None);
    assert_eq!(logs("90", FAR), None);
    assert_eq!(logs("110.01", FAR - 1), None, "once a second at most");
    assert_eq!(logs("110.01", FAR), Some(7), "a tenth and more");
    assert_eq!(logs("99.1", 2 * FAR), None);
    assert_eq!(logs("99", 2 * FAR), Some(7));
    assert_eq!(logs("99", 2 * FAR + LOG_EVERY_US - 1), None);
    assert_eq!(logs("99", 2 * FAR + LOG_EVERY_US), Some(7));
    // A pricer who leaps about all the time.
    let from = 2 * FAR + LOG_EVERY_US;
    let leaps = (1..=10_000).filter(|leap| {
        logs(if leap % 3 == 0 { "50" } else { "100" }, from + leap * 1_000).is_some()
    });
    assert!((5..=10).contains(&leaps.count()));
    assert!(bench.prices.logs(&pair("ETH/USD"), money("1"), ClockTime(0)).is_none());

    let prices = &mut bench.prices;
    assert!(prices.logs_refusal(&btc, ClockTime(0)));
    assert!(!prices.logs_refusal(&btc, ClockTime(LOG_EVERY_US - 1)));
    assert!(prices.logs_refusal(&btc, ClockTime(LOG_EVERY_US)));
    // Whoever makes pairs up does not fill the log.
    assert!(prices.logs_refusal(&pair("A/B"), ClockTime(0)));
    assert!(!prices.logs_refusal(&pair("C/D"), ClockTime(1)));
}

#[test]
fn feeds_cross_the_wire_unchanged() {
    let wire = vault_ipc::proto::v1::Feed {
        pair: "BTC/USD".to_owned(),
        pricers: vec!["a".to_owned(), "b".to_owned()],
        max_age: "10s".to_owned(),
        max_step: "0.02".to_owned(),
        step_every: "1m".to_owned(),
        agree_within: "0.005".to_owned(),
        anchor: "60000".to_owned(),
    };
    assert_eq!(feed_to_wire(&model_feed(&wire).expect("a feed")), wire);
    let unstated = vault_ipc::proto::v1::Feed { step_every: String::new(), ..wire.clone() };
    assert_eq!(feed_to_wire(&model_feed(&unstated).expect("a feed")), wire);
    let spoiled: [fn(&mut vault_ipc::proto::v1::Feed); 8] = [
        |wire| wire.pair = "BTC".to_owned(),
        |wire| wire.pricers = vec!["A b".to_owned()],
        |wire| wire.pricers.clear(),
        |wire| wire.max_age = String::new(),
        |wire| wire.max_step = "2%".to_owned(),
        |wire| wire.step_every = "soon".to_owned(),
        |wire| wire.agree_within = "1".to_owned(),
        |wire| wire.anchor = "-1".to_owned(),
    ];
    for spoil in spoiled {
        let mut wire = wire.clone();
        spoil(&mut wire);
        assert!(matches!(model_feed(&wire), Err(VaultError::Field(_))), "{wire:?}");
    }
}
