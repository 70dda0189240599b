//! Scope documents: what reads, what does not, and where the errors point.

use proptest::prelude::*;
use vault_model::{Class, MarginMode, Mode, Money, OrderType, Product, TimeInForce};
use vault_policy::{
    Fault, Grant, Misfit, NetworkError, NotADocument, NotionalCap, OrderCap, ScopeDocument, Span,
    testing,
};

const FULL: &str = r#"name = "mm-okx"
description = "market making on OKX"
credentials = ["okx-main", "kraken-main"]
classes = ["read", "trade", "cancel"]
operations = ["POST /0/private/DepositAddresses"]
modes = ["sign"]
products = ["spot"]
shadow = "mm-okx-next"

[symbols]
okx = ["BTC-USDT", "ETH-USDT"]
kraken = ["*"]

[network]
allow = ["10.0.0.0/8", "2001:db8::/32", "192.0.2.7"]
deny = ["10.9.0.0/16"]
countries = ["CH", "DE"]

[orders]
types = ["LIMIT", "LIMIT_MAKER"]
time_in_force = ["GTC", "IOC"]
reduce_only = false
post_only = true
max_notional_usd = "25000.5"
price_band = "0.02"
max_leverage = 3
margin_modes = ["isolated"]

[orders.max_quantity.okx]
BTC-USDT = "0.25"
ETH-USDT = 4

[orders.max_quantity.kraken]
"XBT/USD" = "0.1"

[pricing]
usd_par = ["USDT", "USDC"]
slippage = "0.1"

[cumulative]
notional_usd = [{ per = "24h", at_most = "100000" }, { per = "1h", at_most = 20000 }]
orders = [{ per = "1s", at_most = 5 }, { per = "1m", at_most = 60 }]
open_orders = 12

[hours]
timezone = "Europe/Berlin"
windows = ["mon-fri 09:00-17:30", "sun 22:00-24:00"]

[duplicates]
client_order_id = "24h"
order = "10s"

[withdrawal]
addresses = [{ venue = "kraken", asset = "XBT", address = "cold storage" }]
per_day = [{ venue = "kraken", asset = "XBT", at_most = "0.5" }]
"#;

fn money(text: &str) -> Money {
    text.parse().expect("a decimal")
}

fn span(text: &str) -> Span {
    text.parse().expect("a span")
}

#[test]
fn reads_every_dimension() {
    let scope = ScopeDocument::from_toml(FULL).expect("a scope");

    assert_eq!(scope.name.as_str(), "mm-okx");
    assert_eq!(scope.credentials.len(), 2);
    assert_eq!(scope.classes, [Class::Cancel, Class::Read, Class::Trade].into());
    assert_eq!(scope.modes, [Mode::Sign].into());
    assert_eq!(scope.products, Grant::only([Product::Spot]));
    assert_eq!(scope.symbols["kraken"], Grant::Every);
    assert_eq!(scope.network.allow.len(), 3);
    assert!(!scope.network.allow_any);
    let countries = scope.network.countries.expect("countries");
    assert_eq!(countries.iter().map(|c| c.as_str()).collect::<Vec<_>>(), ["CH", "DE"]);
    assert_eq!(scope.shadow.expect("a shadow").as_str(), "mm-okx-next");

    let orders = scope.orders;
    assert_eq!(orders.types, Some([OrderType::Limit, OrderType::LimitMaker].into()));
    assert_eq!(orders.time_in_force, Some([TimeInForce::Gtc, TimeInForce::Ioc].into()));
    assert!(orders.post_only && !orders.reduce_only);
    assert_eq!(orders.max_notional_usd, Some(money("25000.5")));
    assert_eq!(orders.price_band, Some(money("0.02")));
    assert_eq!(orders.max_leverage, Some(money("3")));
    assert_eq!(orders.margin_modes, Some([MarginMode::Isolated].into()));
    let limits = orders.max_quantity.expect("limits");
    assert_eq!(limits.len(), 2);
    assert_eq!(limits["okx"][&"BTC-USDT".parse().expect("a symbol")], money("0.25"));
    assert_eq!(limits["okx"][&"ETH-USDT".parse().expect("a symbol")], money("4"));
    assert_eq!(limits["kraken"][&"XBT/USD".parse().expect("a symbol")], money("0.1"));

    assert_eq!(scope.pricing.usd_par.len(), 2);
    assert_eq!(scope.pricing.slippage, Some(money("0.1")));
    let caps = scope.cumulative;
    assert_eq!(
        caps.notional_usd,
        [
            NotionalCap { per: span("1d"), at_most: money("100000") },
            NotionalCap { per: span("60m"), at_most: money("20000") },
        ]
    );
    assert_eq!(
        caps.orders,
        [OrderCap { per: span("1s"), at_most: 5 }, OrderCap { per: span("60s"), at_most: 60 },]
    );
    assert_eq!(caps.open_orders, Some(12));
    let hours = scope.hours.expect("hours");
    assert_eq!(hours.timezone.to_string(), "Europe/Berlin");
    let windows: Vec<_> = hours.windows.iter().map(ToString::to_string).collect();
    assert_eq!(windows, ["mon-fri 09:00-17:30", "sun 22:00-24:00"]);
    assert_eq!(scope.duplicates.client_order_id, Some(span("1d")));
    assert_eq!(scope.duplicates.order, Some(span("10s")));
    let withdrawal = scope.withdrawal.expect("a withdrawal table");
    let address = withdrawal.addresses.first().expect("an address");
    assert_eq!((address.asset.as_str(), address.address.as_str()), ("XBT", "cold storage"));
    let cap = withdrawal.per_day.first().expect("a cap");
    assert_eq!((cap.venue.as_str(), cap.at_most), ("kraken", money("0.5")));
}

#[test]
fn what_is_left_out_is_empty() {
    let scope = ScopeDocument::from_toml("name = \"a\"").expect("a scope");
    assert_eq!(scope, ScopeDocument::new("a".parse().expect("a name")));
}

#[test]
fn toml_and_json_read_back() {
    let scope = ScopeDocument::from_toml(FULL).expect("a scope");

    assert_eq!(ScopeDocument::from_toml(&scope.to_toml()), Ok(scope.clone()));
    let json = serde_json::to_string(&scope).expect("JSON");
    assert_eq!(serde_json::from_str::<ScopeDocument>(&json).expect("a scope"), scope);
}

#[test]
fn errors_point_at_the_place() {
    for (from, to, place, fault) in [
        ("modes", "mode", (6, 1), "unknown key"),
        ("deny =", "denied =", (16, 1), "unknown key; expected one of: allow, deny, allow_any"),
        ("\"trade\"", "\"trading\"", (4, 20), "expected one of: public, read, cancel"),
        ("\"trade\"", "\"keys\"", (4, 20), "class keys cannot be granted"),
        ("\"trade\"", "\"other\"", (4, 20), "under operations"),
        ("[\"sign\"]", "[\"Sign\"]", (6, 10), "expected one of: execute, sign"),
        ("[\"sign\"]", "\"sign\"", (6, 9), "expected a list"),
        ("[\"spot\"]", "[\"spot\", \"*\"]", (7, 21), "stands alone"),
        ("\"mm-okx-next\"", "\"mm-okx\"", (8, 10), "its own shadow"),
        ("\"mm-okx-next\"", "\"\"", (8, 10), "a name is"),
        ("\"ETH-USDT\"", "\"ETH USDT\"", (11, 20), "a symbol is"),
        ("\"okx-main\"", "\"OKX\"", (3, 16), "a name is"),
        ("\"POST /0", "\"/0", (5, 15), "METHOD /path"),
        ("10.0.0.0/8", "0.0.0.0/0", (15, 10), "allow_any"),
        ("10.0.0.0/8", "10.0.0.1/8", (15, 10), "behind its prefix"),
        ("10.0.0.0/8", "::ffff:10.0.0.0/104", (15, 10), "not mapped"),
        ("10.0.0.0/8", "fe80::1%eth0", (15, 10), "without zone"),
        ("\"DE\"", "\"de\"", (17, 20), "two capital letters"),
        ("\"DE\"", "\"DEU\"", (17, 20), "two capital letters"),
        ("types =", "type =", (20, 1), "expected one of: types, time_in_force"),
        ("\"LIMIT\",", "\"limit\",", (20, 10), "expected one of: LIMIT, LIMIT_MAKER"),
        ("\"IOC\"", "\"XYZ\"", (21, 25), "expected one of: DAY"),
        ("false", "\"no\"", (22, 15), "true or false"),
        ("\"25000.5\"", "25000.5", (24, 20), "write the decimal in quotes"),
        ("\"25000.5\"", "\"25,000.5\"", (24, 20), "expected a decimal in quotes"),
        ("\"25000.5\"", "\"-1\"", (24, 20), "0 or more"),
        ("\"25000.5\"", "-1", (24, 20), "0 or more"),
        ("\"25000.5\"", "0x10", (24, 20), "expected a decimal in quotes"),
        ("\"25000.5\"", "true", (24, 20), "expected a decimal in quotes"),
        ("\"25000.5\"", "nan", (24, 20), "write the decimal in quotes"),
        ("\"0.02\"", "\"1.01\"", (25, 14), "between 0 and 1"),
        ("\"0.02\"", "\"-0.02\"", (25, 14), "between 0 and 1"),
        ("max_leverage = 3", "max_leverage = \"0.99\"", (26, 16), "1 or more"),
        ("\"isolated\"", "\"both\"", (27, 17), "expected one of: cash, cross, isolated"),
        ("BTC-USDT =", "\"BTC USDT\" =", (30, 1), "a symbol is"),
        ("\"0.25\"", "\"-0.25\"", (30, 12), "0 or more"),
        ("\"0.25\"", "0.25", (30, 12), "write the decimal in quotes"),
        ("max_quantity.okx", "max_quantity.OKX", (29, 22), "a name is"),
        (
            "[orders.max_quantity.kraken]\n\"XBT/USD\" = \"0.1\"",
            "[orders.max_quantity.kraken]",
            (33, 1),
            "leave it out",
        ),
        ("\"USDC\"", "\"US DC\"", (37, 20), "an asset is"),
        ("slippage = \"0.1\"", "slippage = \"1.000000000000000001\"", (38, 12), "between 0 and 1"),
        ("slippage", "slip", (38, 1), "unknown key; expected one of: usd_par, slippage"),
        ("per = \"24h\", at_most = \"100000\"", "per = \"24h\"", (41, 17), "at_most is missing"),
        ("per = \"24h\",", "", (41, 17), "per is missing"),
        ("per = \"24h\"", "each = \"24h\"", (41, 19), "expected one of: per, at_most"),
        ("per = \"24h\"", "per = \"24 h\"", (41, 25), "a span of time"),
        ("per = \"24h\"", "per = \"32d\"", (41, 25), "a span of time"),
        ("per = \"24h\"", "per = \"3600s\"", (41, 56), "two caps on the same window"),
        ("id = \"24h\"", "id = \"25h\"", (50, 19), "for 24h at most"),
        ("at_most = 20000 ", "at_most = \"-1\" ", (41, 78), "0 or more"),
        ("at_most = 5 ", "at_most = \"5\" ", (42, 35), "a whole number"),
        ("at_most = 5 ", "at_most = -5 ", (42, 35), "at most 1000000000"),
        ("at_most = 60 ", "at_most = 1000000001 ", (42, 64), "at most 1000000000"),
        ("\"1m\"", "\"1s\"", (42, 40), "two caps on the same window"),
        ("open_orders = 12", "open_orders = 1.5", (43, 15), "a whole number"),
        ("open_orders = 12", "open_orders = 1000000001", (43, 15), "at most 1000000000"),
        ("timezone = \"Europe/Berlin\"\n", "", (45, 1), "timezone is missing"),
        ("\"Europe/Berlin\"", "\"Berlin\"", (46, 12), "IANA"),
        ("\"sun 22:00-24:00\"", "\"sun 22:00-02:00\"", (47, 35), "a window is written"),
        ("\"10s\"", "\"0s\"", (51, 9), "a span of time"),
        ("client_order_id", "client_id", (50, 1), "expected one of: client_order_id, order"),
        ("addresses = [{ venue", "addresses = [{ at", (54, 16), "venue, asset, address"),
        (", address = \"cold storage\"", "", (54, 14), "address is missing"),
        ("asset = \"XBT\", address", "asset = \"X:T\", address", (54, 13), "an asset is"),
        ("\"cold storage\"", "\" cold\"", (54, 13), "an address is"),
        ("\"cold storage\"", "\"\"", (54, 13), "an address is"),
        ("\"0.5\"", "\"-0.5\"", (55, 11), "0 or more"),
        (
            "\"0.5\" }",
            "\"0.5\" }, { venue = \"kraken\", asset = \"XBT\", at_most = 1 }",
            (55, 11),
            "two caps",
        ),
        ("name = \"mm-okx\"", "title = \"mm-okx\"", (1, 1), "name is missing"),
        ("modes =", "modes = [", (7, 1), "not valid TOML"),
    ] {
        assert!(FULL.contains(from), "{from}");
        let error = ScopeDocument::from_toml(&FULL.replacen(from, to, 1)).expect_err(to);
        assert!(error.to_string().contains(fault), "{to}: {error}");
        if error.fault != Fault::Syntax {
            assert_eq!((error.line, error.column), place, "{to}: {error}");
        }
    }
}

#[test]
fn withdraw_is_granted_only_with_its_table() {
    let paying = FULL.replacen("\"trade\"", "\"withdraw\"", 1);
    assert!(ScopeDocument::from_toml(&paying).is_ok());
    let (before, _) = paying.split_once("[withdrawal]").expect("a table");
    let error = ScopeDocument::from_toml(before).expect_err("no table");
    assert_eq!(error.fault, Fault::Value(NotADocument::ClassWithdraw));
    assert_eq!((error.line, error.column), (4, 20));
    // An empty table says nothing about where to: nothing can be withdrawn, and it may stand there.
    assert!(ScopeDocument::from_toml(&format!("{before}[withdrawal]\n")).is_ok());
}

#[test]
fn caps_are_sixteen_of_a_kind() {
    let scope = |count: u32| {
        let caps: Vec<_> =
            (1..=count).map(|seconds| format!("{{ per = \"{seconds}s\", at_most = 0 }}")).collect();
        let text = format!("name = \"a\"\n[cumulative]\norders = [{}]\n", caps.join(", "));
        ScopeDocument::from_toml(&text).map_err(|error| error.fault)
    };
    assert!(scope(16).is_ok());
    assert_eq!(scope(17), Err(Fault::Value(NotADocument::CapsTooMany)));
}

#[test]
fn lists_are_as_long_as_people_need_them() {
    let texts = |count: usize, item: fn(usize) -> String| -> String {
        let items: Vec<String> = (0..count).map(|number| format!("{:?}", item(number))).collect();
        format!("[{}]", items.join(", "))
    };
    let table = |count: usize, head: &str, item: fn(usize) -> String| -> String {
        let lines: Vec<String> = (0..count).map(item).collect();
        format!("{head}\n{}", lines.join("\n"))
    };
    let network = |number: usize| format!("10.{}.{}.0/24", number / 256, number % 256);
    type Make<'a> = &'a dyn Fn(usize) -> String;
    let lists: [(&str, usize, Make<'_>); 12] = [
        ("credentials", 1_000, &|n| format!("credentials = {}", texts(n, |i| format!("c{i}")))),
        ("operations", 500, &|n| format!("operations = {}", texts(n, |i| format!("GET /{i}")))),
        ("symbols", 1_000, &|n| table(n, "[symbols]", |i| format!("v{i} = [\"*\"]"))),
        ("symbols", 10_000, &|n| format!("[symbols]\nokx = {}", texts(n, |i| format!("A{i}")))),
        ("network.allow", 1_000, &|n| format!("[network]\nallow = {}", texts(n, network))),
        ("network.deny", 1_000, &|n| format!("[network]\ndeny = {}", texts(n, network))),
        ("orders.max_quantity", 1_000, &|n| {
            table(n, "[orders.max_quantity]", |i| format!("v{i} = {{ A = 1 }}"))
        }),
        ("orders.max_quantity", 10_000, &|n| {
            table(n, "[orders.max_quantity.okx]", |i| format!("A{i} = 1"))
        }),
        ("pricing.usd_par", 1_000, &|n| {
            format!("[pricing]\nusd_par = {}", texts(n, |i| format!("A{i}")))
        }),
        ("hours.windows", 100, &|n| {
            let windows = texts(n, |i| format!("mon 0{}:{:02}-23:00", i / 60, i % 60));
            format!("[hours]\ntimezone = \"UTC\"\nwindows = {windows}")
        }),
        ("withdrawal.addresses", 1_000, &|n| {
            table(n, "", |i| {
                format!(
                    "[[withdrawal.addresses]]\nvenue = \"kraken\"\nasset = \"XBT\"\naddress = \"a{i}\""
                )
            })
        }),
        ("withdrawal.per_day", 1_000, &|n| {
            table(n, "", |i| {
                format!("[[withdrawal.per_day]]\nvenue = \"kraken\"\nasset = \"A{i}\"\nat_most = 1")
            })
        }),
    ];
    for (dimension, at_most, make) in lists {
        let read = |count| ScopeDocument::from_toml(&format!("name = \"a\"\n{}", make(count)));
        let longest = read(at_most).unwrap_or_else(|error| panic!("{dimension}: {error}"));
        assert_eq!(longest.check(), Ok(()), "{dimension}");
        let error = read(at_most + 1).expect_err(dimension);
        assert_eq!(error.fault, Fault::Value(NotADocument::TooMany { at_most }), "{dimension}");
        assert!(error.to_string().contains(&format!("at most {at_most} in this list")), "{error}");
        assert!(error.line > 0, "{dimension}: {error}");
    }
}

/// A vault that was given more by an older version must open with it.
#[test]
fn a_stored_scope_may_have_longer_lists() {
    let credentials: Vec<String> = (0..1_001).map(|number| format!("c{number}")).collect();
    let stored = serde_json::json!({ "name": "a", "credentials": credentials });
    let scope: ScopeDocument = serde_json::from_value(stored).expect("it reads");
    let fault = NotADocument::TooMany { at_most: 1_000 };
    assert_eq!(scope.check(), Err(Misfit { dimension: "credentials", fault }));
}

#[test]
fn the_ends_of_every_range_belong_to_it() {
    for line in [
        "[orders]\nprice_band = 0",
        "[orders]\nprice_band = \"1\"",
        "[orders]\nmax_leverage = 1",
        "[orders]\nmax_notional_usd = 0",
        "[orders.max_quantity]",
        "[pricing]\nslippage = 0",
        "[pricing]\nslippage = 1",
        "[cumulative]\nopen_orders = 0",
        "[cumulative]\nopen_orders = 1_000_000_000",
        "[hours]\ntimezone = \"UTC\"\nwindows = []",
        "[duplicates]\norder = \"24h\"",
        "[network]\ncountries = []",
    ] {
        let text = format!("name = \"a\"\n{line}\n");
        assert!(ScopeDocument::from_toml(&text).is_ok(), "{line}");
    }
}

#[test]
fn a_document_made_by_hand_is_checked_too() {
    let mut scope = ScopeDocument::from_toml(FULL).expect("a scope");
    assert_eq!(scope.check(), Ok(()));
    scope.orders.price_band = Some(money("1.5"));
    let misfit = Misfit { dimension: "orders.price_band", fault: NotADocument::Fraction };
    assert_eq!(scope.check(), Err(misfit.clone()));
    assert_eq!(misfit.to_string(), "orders.price_band: a fraction is between 0 and 1");
}

/// What scopes without the dimensions of later versions have always looked like in the database, and
/// in the hashes of approvals: they must not change by being read and written again.
#[test]
fn scopes_of_older_versions_read_and_stay_as_they_are() {
    let stored = concat!(
        r#"{"name":"mm","description":"market making","credentials":["okx-main"],"#,
        r#""classes":["read","cancel","trade"],"operations":["POST /x"],"modes":["sign"],"#,
        r#""products":["*"],"symbols":{"okx":["BTC-USDT"]},"#,
        r#""network":{"allow":["10.0.0.0/8"],"deny":[],"allow_any":false}}"#,
    );
    let scope: ScopeDocument = serde_json::from_str(stored).expect("a scope");
    assert_eq!(serde_json::to_string(&scope).expect("JSON"), stored);

    let bare = r#"{"name":"a","credentials":[],"classes":[],"operations":[],"modes":[],"products":[],"symbols":{},"network":{"allow":[],"deny":[],"allow_any":false}}"#;
    let scope = ScopeDocument::new("a".parse().expect("a name"));
    assert_eq!(serde_json::to_string(&scope).expect("JSON"), bare);
    assert_eq!(serde_json::from_str::<ScopeDocument>(r#"{"name":"a"}"#).expect("a scope"), scope);
}

#[test]
fn errors_quote_nothing_of_the_file() {
    for text in [
        "name = \"CANARY\"",
        "name = \"a\"\nCANARY = 1",
        "name = \"a\"\nmodes = [\"CANARY\"]",
        "name = \"a\"\noperations = [\"CANARY\"]",
        "name = \"a\"\n[orders]\nprice_band = \"CANARY\"",
        "name = \"a\"\n[orders.max_quantity.canary]\nCANARY = -1",
        "name = \"a\"\n[hours]\ntimezone = \"CANARY\"",
        "name = \"a\"\n[withdrawal]\naddresses = [{ CANARY = 1 }]",
        "CANARY",
    ] {
        let error = ScopeDocument::from_toml(text).expect_err("broken");
        assert!(!format!("{error:?} {error}").contains("CANARY"), "{error}");
    }
}

#[test]
fn every_address_wants_to_be_asked_for() {
    let text = "name = \"a\"\n[network]\nallow = [\"0.0.0.0/0\", \"::/0\"]\n";
    let error = ScopeDocument::from_toml(text).expect_err("every address");
    assert_eq!(error.fault, Fault::Value(NotADocument::Network(NetworkError::Any)));
    assert!(ScopeDocument::from_toml(&format!("{text}allow_any = true\n")).is_ok());
    // Denying everything widens nothing.
    assert!(ScopeDocument::from_toml("name = \"a\"\n[network]\ndeny = [\"0.0.0.0/0\"]\n").is_ok());
}

#[test]
fn stored_documents_are_checked_like_written_ones() {
    let json = |from: &str, to: &str| {
        let scope = ScopeDocument::from_toml(FULL).expect("a scope");
        let text = serde_json::to_string(&scope).expect("JSON");
        assert!(text.contains(from), "{from} in {text}");
        serde_json::from_str::<ScopeDocument>(&text.replacen(from, to, 1))
    };
    for (from, to) in [
        ("\"trade\"", "\"keys\""),
        ("\"trade\"", "\"other\""),
        ("\"modes\"", "\"colour\":1,\"modes\""),
        ("\"deny\"", "\"colour\":1,\"deny\""),
        ("10.0.0.0/8", "10.0.0.1/8"),
        ("10.0.0.0/8", "0.0.0.0/0"),
        ("[\"*\"]", "[\"*\",\"BTC\"]"),
        ("BTC-USDT", "BTC USDT"),
        ("POST /0", "/0"),
        ("\"price_band\":\"0.02\"", "\"price_band\":\"1.02\""),
        ("\"price_band\":\"0.02\"", "\"price_band\":0.02"),
        ("\"price_band\"", "\"price_bend\""),
        ("\"slippage\"", "\"slip\""),
        ("\"slippage\":\"0.1\"", "\"slippage\":\"2\""),
        ("\"max_leverage\":\"3\"", "\"max_leverage\":\"0\""),
        ("\"LIMIT\"", "\"LIMITED\""),
        ("\"per\":\"1h\"", "\"per\":\"1d\""),
        ("\"at_most\":60", "\"at_most\":1000000001"),
        ("\"at_most\":60", "\"at_most\":-1"),
        ("\"Europe/Berlin\"", "\"Europe/Bern\""),
        ("sun 22:00-24:00", "sun 22:00-24:01"),
        ("\"client_order_id\":\"1d\"", "\"client_order_id\":\"1w\""),
        ("cold storage", "cold\\nstorage"),
        ("\"countries\":[\"CH\"", "\"countries\":[\"ch\""),
        ("\"shadow\":\"mm-okx-next\"", "\"shadow\":\"mm-okx\""),
    ] {
        assert!(json(from, to).is_err(), "{to}");
    }
}

proptest! {
    #[test]
    fn scopes_read_back_from_toml_and_json(scope in testing::document()) {
        prop_assert_eq!(scope.check(), Ok(()));
        let toml = scope.to_toml();
        prop_assert_eq!(ScopeDocument::from_toml(&toml), Ok(scope.clone()), "{}", toml);
        let json = serde_json::to_string(&scope).expect("JSON");
        prop_assert_eq!(serde_json::from_str::<ScopeDocument>(&json).expect("a scope"), scope);
    }

    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        let _ = ScopeDocument::from_toml(&text);
    }

    #[test]
    fn mangled_scopes_never_panic(at in 0..FULL.len(), with in "[\\[\\]{}\"=,.a-z0-9*\n]{0,3}") {
        let mut text = FULL.to_owned();
        text.replace_range(at..=at, &with);
        if let Ok(scope) = ScopeDocument::from_toml(&text) {
            prop_assert_eq!(ScopeDocument::from_toml(&scope.to_toml()), Ok(scope));
        }
    }
}

#[test]
fn the_reference_is_read_as_it_is_written() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/scopes.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let examples = page.split("```toml\n").skip(1).filter_map(|rest| rest.split_once("```"));
    let scopes: Vec<_> = examples
        .map(|(text, _)| ScopeDocument::from_toml(text).unwrap_or_else(|e| panic!("{e}\n{text}")))
        .collect();
    assert_eq!(scopes.len(), 3);
    // Every key that a scope has is in its tables.
    let mut keys = Vec::new();
    let full = serde_json::to_value(ScopeDocument::from_toml(FULL).expect("a scope"));
    for (key, value) in full.expect("JSON").as_object().expect("an object") {
        keys.push(key.clone());
        if let (Some(table), false) = (value.as_object(), key == "symbols") {
            keys.extend(table.keys().cloned());
        }
    }
    for key in keys {
        let is_there =
            page.contains(&format!("| `{key}` |")) || page.contains(&format!("### {key}\n"));
        assert!(is_there, "{key}");
    }
}
