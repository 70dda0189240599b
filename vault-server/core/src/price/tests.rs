use std::collections::BTreeMap;

use serde_json::json;
use vault_model::{ClockTime, Money, Name, Pair, Timestamp};
use vault_policy::{Market, PriceRefused};

use super::{LOG_EVERY_US, LoggedPrice, LoggedPrices, Prices, model_feed, wire_feed};
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
        let price = LoggedPrice { at, price: money("300"), revision };
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

#[test]
fn few_prices_are_logged() {
    let mut bench = Bench::new(LoggedPrices::new(), [feed("BTC/USD", "10s", 7)]);
    let btc = pair("BTC/USD");
    let mut logs = |price: &str, at: u64| bench.prices.logs(&btc, money(price), ClockTime(at));
    assert_eq!(logs("100", 0), Some(7), "the first");
    assert_eq!(logs("110", 1), None);
    assert_eq!(logs("90", 1), None);
    assert_eq!(logs("110.01", 1), Some(7), "a tenth and more");
    assert_eq!(logs("99.1", 2), None);
    assert_eq!(logs("99", 2), Some(7));
    assert_eq!(logs("99", LOG_EVERY_US + 1), None);
    assert_eq!(logs("99", LOG_EVERY_US + 2), Some(7));
    assert_eq!(bench.prices.logs(&pair("ETH/USD"), money("1"), ClockTime(0)), None);

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
    assert_eq!(wire_feed(&model_feed(&wire).expect("a feed")), wire);
    let unstated = vault_ipc::proto::v1::Feed { step_every: String::new(), ..wire.clone() };
    assert_eq!(wire_feed(&model_feed(&unstated).expect("a feed")), wire);
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
