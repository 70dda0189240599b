//! Requests that look harmless and are not, and harmless ones that look bad: read by the venue's
//! catalogue, judged by scopes.

use std::collections::BTreeSet;

use serde_json::Value;
use vault_model::{
    Class, ClockTime, Environment, Instrument, Mode, Money, Name, Pair, Product, SizeUnit,
    Timestamp, VenueRequest,
};
use vault_policy::{
    Decision, Grant, Halts, History, Market, Question, Scope, ScopeDocument, judge,
};
use vault_venue::{KeyType, Registry, Standing};

/// What the cases trade: venue, symbol, product, base, quote, size of one contract, and its unit.
const INSTRUMENTS: &[(&str, &str, Product, &str, &str, &str, SizeUnit)] = &[
    ("binance", "BTCUSDT", Product::Linear, "BTC", "USDT", "1", SizeUnit::Base),
    ("binance", "BTCUSDT", Product::Spot, "BTC", "USDT", "1", SizeUnit::Base),
    ("binance", "BTCUSD_PERP", Product::Inverse, "BTC", "USD", "100", SizeUnit::Quote),
    ("binance", "DOGEUSDT", Product::Linear, "DOGE", "USDT", "1", SizeUnit::Base),
    ("binance", "DOGEUSDT", Product::Spot, "DOGE", "USDT", "1", SizeUnit::Base),
    ("binance", "ETHUSDT", Product::Linear, "ETH", "USDT", "1", SizeUnit::Base),
    ("binance", "ETHUSDT", Product::Spot, "ETH", "USDT", "1", SizeUnit::Base),
    ("bybit", "BTCUSD", Product::Inverse, "BTC", "USD", "1", SizeUnit::Quote),
    ("bybit", "BTCUSDT", Product::Linear, "BTC", "USDT", "1", SizeUnit::Base),
    ("bybit", "BTCUSDT", Product::Spot, "BTC", "USDT", "1", SizeUnit::Base),
    ("coinbase", "BTC-USD", Product::Spot, "BTC", "USD", "1", SizeUnit::Base),
    ("kraken", "XBTUSD", Product::Spot, "BTC", "USD", "1", SizeUnit::Base),
    ("okx", "BTC-USDT", Product::Spot, "BTC", "USDT", "1", SizeUnit::Base),
    ("okx", "BTC-USDT-SWAP", Product::Linear, "BTC", "USDT", "0.01", SizeUnit::Base),
];
/// What it is worth in USD.
const PRICES: &[(&str, &str)] = &[("BTC/USD", "60000"), ("DOGE/USD", "0.1"), ("ETH/USD", "3000")];

fn market() -> Market {
    let mut market = Market::default();
    for &(venue, symbol, product, base, quote, contract_size, size_unit) in INSTRUMENTS {
        let base: vault_model::Asset = base.parse().expect("an asset");
        market.approve(Instrument {
            reference: Pair::new(base.clone(), vault_model::Asset::usd()),
            base,
            contract_size: contract_size.parse().expect("a decimal"),
            price_tick: None,
            product,
            quantity_step: None,
            quote: quote.parse().expect("an asset"),
            size_unit,
            symbol: symbol.to_owned(),
            venue: name(venue),
        });
    }
    for (pair, price) in PRICES {
        market.set_price(pair.parse().expect("a pair"), price.parse().expect("a decimal"));
    }
    market
}

fn texts(value: &Value) -> Vec<String> {
    let items = value.as_array().expect("a list");
    items.iter().map(|item| item.as_str().expect("a text").to_owned()).collect()
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn scope(case: &Value) -> Scope {
    let words = &case["scope"];
    let venue = name(case["venue"].as_str().expect("venue"));
    let mut scope = ScopeDocument::new(name("case"));
    scope.credentials = BTreeSet::from([name("credential")]);
    scope.modes = Mode::ALL.iter().copied().collect();
    scope.network.allow = BTreeSet::from(["127.0.0.1/32".parse().expect("a network")]);
    scope.classes = match words["classes"] {
        Value::Null => Class::ALL.iter().copied().collect(),
        _ => texts(&words["classes"]).iter().map(|word| word.parse().expect("class")).collect(),
    };
    scope.products = match words["products"] {
        Value::Null => Grant::Every,
        _ => {
            Grant::only(texts(&words["products"]).iter().map(|word| word.parse().expect("product")))
        }
    };
    let symbols = match words["symbols"] {
        Value::Null => Grant::Every,
        _ => Grant::only(texts(&words["symbols"]).iter().map(|word| word.parse().expect("symbol"))),
    };
    scope.symbols.insert(venue, symbols);
    scope.orders.types = words["order_types"].is_array().then(|| {
        texts(&words["order_types"]).iter().map(|word| word.parse().expect("a type")).collect()
    });
    scope.orders.max_notional_usd = words["max_notional_usd"].as_u64().map(Money::whole);
    scope.pricing.usd_par =
        ["USDC", "USDT"].map(|asset| asset.parse().expect("an asset")).into_iter().collect();
    Scope::compile(&scope)
}

fn request(case: &Value) -> VenueRequest {
    let request = &case["request"];
    let text = |field: &str| request[field].as_str().unwrap_or_default().to_owned();
    let headers = request["headers"].as_object().expect("headers").iter();
    VenueRequest {
        method: text("method"),
        scheme: text("scheme"),
        host: text("host"),
        path: text("path"),
        query: text("query"),
        body: text("body").into_bytes(),
        headers: headers
            .map(|(name, value)| (name.clone(), value.as_str().expect("a text").to_owned()))
            .collect(),
    }
}

/// The cases that the conformance test of `vault-tests` runs too.
fn cases() -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/confusion.json");
    let text = std::fs::read_to_string(path).expect("the cases are there");
    let file: Value = serde_json::from_str(&text).expect("JSON");
    let list = |name: &str| file[name].as_array().expect("a list").clone();
    [list("deny"), list("allow")].concat()
}

/// The code of whatever denies it, or `allow`.
fn answer(registry: &Registry, case: &Value) -> String {
    let venue = registry.venue(case["venue"].as_str().expect("venue")).expect("listed");
    let assumes = |word: &str| {
        case["assume"].as_array().is_some_and(|words| words.iter().any(|said| said == word))
    };
    let standing = Standing {
        environment: Environment::Live,
        sites: None,
        venue_checks: assumes("venue_checks"),
        rights: None,
        key_type: match case["key_type"].as_str() {
            Some(word) => word.parse().expect("a key type"),
            None => venue.key_types().first().copied().unwrap_or(KeyType::Hmac),
        },
    };
    let reading = match venue.read(&request(case), &standing) {
        Ok(reading) => reading,
        Err(error) => return error.code().to_owned(),
    };
    let question = Question {
        client: &name("client"),
        credential: &name("credential"),
        mode: case["mode"].as_str().expect("mode").parse().expect("mode"),
        address: "127.0.0.1".parse().expect("an address"),
        reading: &reading,
        scope: &scope(case),
        client_networks: &[],
        halts: &Halts::default(),
        market: &market(),
        history: &History::default(),
        withdrawn: &History::default(),
        now: Timestamp::from_millis(1_712_345_678_901),
        steady_now: Timestamp::from_millis(1_712_345_678_901),
        clock: ClockTime(0),
        country: None,
        takes_signatures_once: venue.takes_signatures_once(),
    };
    match judge(&question) {
        Decision::Allow(_) => "allow".to_owned(),
        Decision::Deny(denial) => denial.code().to_owned(),
    }
}

#[test]
fn every_case_gets_its_answer() {
    let registry = Registry::bundled().expect("sound");
    let cases = cases();
    assert_eq!(cases.len(), 46);

    for case in &cases {
        let id = case["id"].as_str().expect("id");
        let answer = answer(&registry, case);
        let expected = case["expected"].as_str().expect("expected");
        assert_eq!(if answer == "allow" { "allow" } else { "deny" }, expected, "{id}: {answer}");
    }
}

/// Denied, and for the reason that the case is about.
#[test]
fn cases_are_denied_for_the_right_reason() {
    let registry = Registry::bundled().expect("sound");
    let cases = cases();

    for (id, code) in [
        ("deny-22", "PATH_NOT_PLAIN"),
        ("deny-24", "PATH_NOT_PLAIN"),
        ("deny-29", "PATH_NOT_PLAIN"),
        ("deny-33", "HEADER_NOT_ALLOWED"),
        ("deny-35", "METHOD_NOT_PLAIN"),
        ("deny-58", "PARAMETER_RESERVED"),
        ("deny-67", "SYMBOL_NOT_GRANTED"),
        ("deny-69", "NOTIONAL_TOO_LARGE"),
        ("deny-70", "PARAMETER_UNKNOWN"),
        ("deny-71", "CLASS_NOT_GRANTED"),
        ("deny-77", "BODY_MALFORMED"),
        ("deny-81", "SCHEME_NOT_ALLOWED"),
    ] {
        let case = cases.iter().find(|case| case["id"] == id).expect(id);
        assert_eq!(answer(&registry, case), code, "{id}");
    }
}

/// The same attacks without the detail that a cruder check catches them by.
#[test]
fn the_rule_behind_the_first_check_denies_too() {
    let registry = Registry::bundled().expect("sound");
    let cases = cases();
    let case = |id: &str| cases.iter().find(|case| case["id"] == id).expect("there").clone();

    let mut leverage = case("deny-77");
    leverage["request"]["body"] =
        "pair=XBTUSD&type=buy&ordertype=limit&price=60000&volume=0.001&leverage=5".into();
    assert_eq!(answer(&registry, &leverage), "PRODUCT_NOT_GRANTED");

    let mut log_on = case("deny-81");
    log_on["request"]["scheme"] = "wss".into();
    assert_eq!(answer(&registry, &log_on), "CLASS_NOT_GRANTED");
}
