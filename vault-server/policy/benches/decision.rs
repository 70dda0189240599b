//! How long a decision takes: reading, closure and all rules for one order at each venue, and the
//! rules alone.
//!
//! `cargo bench -p vault-policy --bench decision`

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;

use criterion::Criterion;
use vault_model::{
    Class, ClockTime, Environment, Instrument, Mode, Money, Name, OrderType, Pair, Product,
    Reading, Timestamp, VenueRequest,
};
use vault_policy::{
    Decision, Grant, Halts, History, Market, NotionalCap, OrderCap, Question, Scope, ScopeDocument,
    Span, Spend, judge,
};
use vault_venue::{KeyType, Registry, Standing};

/// Spends that the client's history has.
const SPENDS: u64 = 10_000;
/// Now, on the vault's own clock.
const CLOCK: ClockTime = ClockTime(40 * 86_400_000_000);

struct Case {
    venue: &'static str,
    mode: Mode,
    key_type: KeyType,
    symbol: &'static str,
    product: Product,
    host: &'static str,
    path: &'static str,
    body: &'static str,
}

const CASES: &[Case] = &[
    Case {
        venue: "binance",
        mode: Mode::Execute,
        key_type: KeyType::Hmac,
        symbol: "BTCUSDT",
        product: Product::Spot,
        host: "api.binance.com",
        path: "/api/v3/order",
        body: "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.001&price=60000&newClientOrderId=a1",
    },
    Case {
        venue: "bybit",
        mode: Mode::Execute,
        key_type: KeyType::Hmac,
        symbol: "BTCUSDT",
        product: Product::Linear,
        host: "api.bybit.com",
        path: "/v5/order/create",
        body: r#"{"category":"linear","symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"0.001","price":"60000","timeInForce":"GTC","orderLinkId":"a1"}"#,
    },
    Case {
        venue: "coinbase",
        mode: Mode::Execute,
        key_type: KeyType::Es256,
        symbol: "BTC-USD",
        product: Product::Spot,
        host: "api.coinbase.com",
        path: "/api/v3/brokerage/orders",
        body: r#"{"client_order_id":"a1","product_id":"BTC-USD","side":"BUY","order_configuration":{"limit_limit_gtc":{"base_size":"0.001","limit_price":"60000"}}}"#,
    },
    Case {
        venue: "kraken",
        mode: Mode::Sign,
        key_type: KeyType::Hmac,
        symbol: "XBTUSD",
        product: Product::Spot,
        host: "api.kraken.com",
        path: "/0/private/AddOrder",
        body: "ordertype=limit&pair=XBTUSD&price=60000&type=buy&volume=0.001&timeinforce=GTC&cl_ord_id=a1&deadline=2024-04-05T19:35:08Z",
    },
    Case {
        venue: "okx",
        mode: Mode::Execute,
        key_type: KeyType::Hmac,
        symbol: "BTC-USDT",
        product: Product::Spot,
        host: "www.okx.com",
        path: "/api/v5/trade/order",
        body: r#"{"instId":"BTC-USDT","tdMode":"cash","side":"buy","ordType":"limit","px":"60000","sz":"0.001","clOrdId":"a1"}"#,
    },
];

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn money(text: &str) -> Money {
    text.parse().expect("a decimal")
}

fn span(text: &str) -> Span {
    text.parse().expect("a span")
}

/// A scope with a rule of every kind that a bot's would have.
fn scope(case: &Case) -> Scope {
    let mut scope = ScopeDocument::new(name("bench"));
    let symbol = case.symbol.parse().expect("a symbol");
    scope.credentials = BTreeSet::from([name("credential")]);
    scope.classes = BTreeSet::from([Class::Cancel, Class::Read, Class::Trade]);
    scope.modes = BTreeSet::from([case.mode]);
    scope.products = Grant::Every;
    scope.symbols.insert(name(case.venue), Grant::Every);
    scope.network.allow = BTreeSet::from(["10.0.0.0/8".parse().expect("a network")]);
    scope.orders.types = Some(BTreeSet::from([OrderType::Limit, OrderType::LimitMaker]));
    scope.orders.max_quantity =
        Some(BTreeMap::from([(name(case.venue), BTreeMap::from([(symbol, money("0.5"))]))]));
    scope.orders.max_notional_usd = Some(money("1000"));
    scope.orders.price_band = Some(money("0.05"));
    scope.orders.max_leverage = Some(money("3"));
    scope.pricing.usd_par = ["USDC", "USDT"].map(|asset| asset.parse().expect("an asset")).into();
    scope.cumulative.notional_usd =
        vec![NotionalCap { per: span("1d"), at_most: money("100000000") }];
    scope.cumulative.orders =
        vec![OrderCap { per: span("1s"), at_most: 10 }, OrderCap { per: span("1m"), at_most: 100 }];
    scope.duplicates.client_order_id = Some(span("1d"));
    scope.duplicates.order = Some(span("2s"));
    Scope::compile(&scope)
}

fn market(case: &Case) -> Market {
    let mut market = Market::default();
    let (base, quote) = ("BTC", if case.symbol.contains("USDT") { "USDT" } else { "USD" });
    let reference: Pair = "BTC/USD".parse().expect("a pair");
    market.approve(Instrument {
        base: base.parse().expect("an asset"),
        contract_size: Money::ONE,
        price_tick: None,
        product: case.product,
        quantity_step: None,
        quote: quote.parse().expect("an asset"),
        reference: reference.clone(),
        size_unit: vault_model::SizeUnit::Base,
        symbol: case.symbol.to_owned(),
        venue: name(case.venue),
    });
    market.set_price(reference, money("60123.45"));
    market
}

/// Orders of the last 24 hours, the last of them a minute ago.
fn history() -> History {
    let mut history = History::default();
    for number in 0..SPENDS {
        let before = 60_000_000 + (SPENDS - number) * 8_000_000;
        history.add(&Spend {
            at: ClockTime(CLOCK.0 - before),
            until: ClockTime(CLOCK.0 - before),
            orders: 1,
            resting: 1,
            notional_usd: Some(money("60.12345")),
            order_keys: vec![number],
            id_keys: vec![number],
            withdrawn: Vec::new(),
        });
    }
    history
}

fn decisions(bench: &mut Criterion) {
    let registry = Registry::bundled().expect("bundled catalogues are sound");
    let (halts, history) = (Halts::default(), history());
    let (client, credential) = (name("client"), name("credential"));
    for case in CASES {
        let venue = registry.venue(case.venue).expect("listed");
        let (scope, market) = (scope(case), market(case));
        let request = VenueRequest {
            method: "POST".to_owned(),
            scheme: "https".to_owned(),
            host: case.host.to_owned(),
            path: case.path.to_owned(),
            body: case.body.as_bytes().to_vec(),
            ..VenueRequest::default()
        };
        let standing = Standing {
            environment: Environment::Live,
            sites: None,
            venue_checks: true,
            rights: None,
            key_type: case.key_type,
        };
        let read = || venue.read(black_box(&request), &standing).expect("it can be read");
        let decide = |reading: &Reading| {
            judge(&Question {
                client: &client,
                credential: &credential,
                mode: case.mode,
                address: "10.1.2.3".parse().expect("an address"),
                reading: black_box(reading),
                scope: &scope,
                client_networks: &[],
                halts: &halts,
                market: &market,
                history: &history,
                withdrawn: &history,
                now: Timestamp(1_712_345_678_901_000),
                steady_now: Timestamp(1_712_345_678_901_000),
                clock: CLOCK,
                country: None,
                takes_signatures_once: venue.takes_signatures_once(),
            })
        };
        let reading = read();
        // What is measured is an order that passes every rule.
        let decision = decide(&reading);
        assert!(decision.is_allowed(), "{}: {decision:?}", case.venue);
        let Decision::Allow(cost) = decision else { unreachable!("it is allowed") };
        assert_eq!(cost.notional_usd, Some(money("60")), "{}", case.venue);

        bench.bench_function(&format!("rules/{}", case.venue), |bench| {
            bench.iter(|| decide(&reading));
        });
        bench.bench_function(&format!("reading and rules/{}", case.venue), |bench| {
            bench.iter(|| decide(&read()));
        });
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    decisions(&mut criterion);
    criterion.final_summary();
}
