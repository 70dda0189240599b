//! Scopes cross the wire unchanged, or not at all.

use proptest::prelude::*;
use vault_policy::{ScopeDocument, testing};
use vault_proto::v1;
use vault_wire::{scope_from_wire, scope_hash, scope_to_wire};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn scopes_cross_the_wire_unchanged(document in testing::document()) {
        prop_assert_eq!(scope_from_wire(&scope_to_wire(&document)), Ok(document));
    }

    #[test]
    fn different_scopes_have_different_hashes(
        one in testing::document(),
        other in testing::document(),
    ) {
        prop_assert_eq!(one == other, scope_hash(&one) == scope_hash(&other));
    }
}

const FULL: &str = r#"
    name = "a"
    classes = ["read", "withdraw"]
    operations = ["POST /x"]
    modes = ["sign"]
    products = ["spot"]
    shadow = "b"
    [symbols]
    okx = ["BTC-USDT"]
    [network]
    allow = ["10.0.0.0/8"]
    countries = ["DE"]
    [orders]
    types = ["LIMIT"]
    time_in_force = ["GTC"]
    max_notional_usd = "100"
    price_band = "0.1"
    max_leverage = "3"
    margin_modes = ["cross"]
    [orders.max_quantity.okx]
    BTC-USDT = "1"
    [pricing]
    usd_par = ["USDT"]
    slippage = "0.1"
    [cumulative]
    notional_usd = [{ per = "1d", at_most = "1" }]
    orders = [{ per = "1m", at_most = 1 }]
    open_orders = 1
    [hours]
    timezone = "UTC"
    windows = ["mon-fri 09:00-17:00"]
    [duplicates]
    client_order_id = "1d"
    order = "5s"
    [withdrawal]
    addresses = [{ venue = "kraken", asset = "XBT", address = "cold" }]
    per_day = [{ venue = "kraken", asset = "XBT", at_most = "1" }]
"#;

fn full() -> v1::Scope {
    scope_to_wire(&ScopeDocument::from_toml(FULL).expect("a scope"))
}

#[test]
fn what_is_wrong_is_named_by_its_dimension_and_never_repeated() {
    type Change = fn(&mut v1::Scope);
    const CANARY: &str = "!CANARY";
    let text = || CANARY.to_owned();
    assert!(scope_from_wire(&full()).is_ok());
    let cases: &[(&str, Change)] = &[
        ("name", |s| s.name = CANARY.into()),
        ("credentials", |s| s.credentials.push(CANARY.into())),
        ("classes", |s| s.classes.push(CANARY.into())),
        ("classes", |s| s.classes.push("keys".into())),
        ("classes", |s| s.classes.push("other".into())),
        ("classes", |s| s.withdrawal = None),
        ("operations", |s| s.operations.push(CANARY.into())),
        ("modes", |s| s.modes.push(CANARY.into())),
        ("products", |s| s.products.push(CANARY.into())),
        ("products", |s| s.products.push("*".into())),
        ("symbols", |s| s.symbols[0].symbols.push(CANARY.into())),
        ("symbols", |s| s.symbols[0].venue = CANARY.into()),
        ("symbols", |s| s.symbols.push(s.symbols[0].clone())),
        ("network.allow", |s| network(s).allow.push(CANARY.into())),
        ("network.allow", |s| network(s).allow.push("0.0.0.0/0".into())),
        ("network.deny", |s| network(s).deny.push("10.0.0.1/8".into())),
        ("network.countries", |s| list(&mut network(s).countries).push(CANARY.into())),
        ("orders.types", |s| list(&mut orders(s).types).push(CANARY.into())),
        ("orders.time_in_force", |s| list(&mut orders(s).time_in_force).push(CANARY.into())),
        ("orders.margin_modes", |s| list(&mut orders(s).margin_modes).push(CANARY.into())),
        ("orders.max_quantity", |s| limits(s)[0].venue = CANARY.into()),
        ("orders.max_quantity", |s| limits(s)[0].symbol = CANARY.into()),
        ("orders.max_quantity", |s| limits(s)[0].at_most = "-1".into()),
        ("orders.max_quantity", |s| limits(s)[0].at_most = String::new()),
        ("orders.max_quantity", |s| {
            let limit = limits(s)[0].clone();
            limits(s).push(limit);
        }),
        ("orders.max_notional_usd", |s| orders(s).max_notional_usd = CANARY.into()),
        ("orders.max_notional_usd", |s| orders(s).max_notional_usd = "-1".into()),
        ("orders.price_band", |s| orders(s).price_band = "1.01".into()),
        ("orders.price_band", |s| orders(s).price_band = "1e-1".into()),
        ("orders.max_leverage", |s| orders(s).max_leverage = "0.9".into()),
        ("pricing.usd_par", |s| pricing(s).usd_par.push(CANARY.into())),
        ("pricing.slippage", |s| pricing(s).slippage = "1.000000000000000001".into()),
        ("cumulative.notional_usd", |s| caps(s).notional_usd[0].per = CANARY.into()),
        ("cumulative.notional_usd", |s| caps(s).notional_usd[0].at_most = String::new()),
        ("cumulative.notional_usd", |s| {
            let cap = v1::NotionalCap { per: "24h".into(), at_most: "2".into() };
            caps(s).notional_usd.push(cap);
        }),
        ("cumulative.orders", |s| caps(s).orders[0].per = "32d".into()),
        ("cumulative.orders", |s| caps(s).orders[0].at_most = u64::MAX),
        ("cumulative.orders", |s| {
            caps(s).orders = (1..=17)
                .map(|seconds| v1::OrderCap { per: format!("{seconds}s"), at_most: 1 })
                .collect();
        }),
        ("cumulative.open_orders", |s| caps(s).open_orders = Some(u64::MAX)),
        ("hours.timezone", |s| hours(s).timezone = CANARY.into()),
        ("hours.windows", |s| hours(s).windows.push(CANARY.into())),
        ("duplicates.client_order_id", |s| {
            s.duplicates.as_mut().expect("duplicates").client_order_id = CANARY.into();
        }),
        ("duplicates.order", |s| s.duplicates.as_mut().expect("duplicates").order = "0s".into()),
        ("withdrawal.addresses", |s| withdrawal(s).addresses[0].venue = CANARY.into()),
        ("withdrawal.addresses", |s| withdrawal(s).addresses[0].asset = "a:b".into()),
        ("withdrawal.addresses", |s| withdrawal(s).addresses[0].address = " x".into()),
        ("withdrawal.addresses", |s| withdrawal(s).addresses[0].address = String::new()),
        ("withdrawal.per_day", |s| withdrawal(s).per_day[0].at_most = "-0.1".into()),
        ("withdrawal.per_day", |s| {
            let mut cap = withdrawal(s).per_day[0].clone();
            cap.at_most = "2".into();
            withdrawal(s).per_day.push(cap);
        }),
        ("shadow", |s| s.shadow = "a".into()),
        ("shadow", |s| s.shadow = CANARY.into()),
    ];
    for (number, (dimension, change)) in cases.iter().enumerate() {
        let mut scope = full();
        change(&mut scope);
        let error = scope_from_wire(&scope).expect_err(&format!("{dimension} ({number})"));
        assert_eq!(error.dimension, *dimension, "case {number}: {error}");
        assert!(!format!("{error} {error:?}").contains(&text()), "case {number}: {error}");
    }
}

fn list(words: &mut Option<v1::Words>) -> &mut Vec<String> {
    &mut words.as_mut().expect("words").words
}

fn network(scope: &mut v1::Scope) -> &mut v1::Network {
    scope.network.as_mut().expect("a network")
}

fn orders(scope: &mut v1::Scope) -> &mut v1::OrderRules {
    scope.orders.as_mut().expect("orders")
}

fn limits(scope: &mut v1::Scope) -> &mut Vec<v1::QuantityLimit> {
    &mut orders(scope).max_quantity.as_mut().expect("limits").limits
}

fn pricing(scope: &mut v1::Scope) -> &mut v1::Pricing {
    scope.pricing.as_mut().expect("pricing")
}

fn caps(scope: &mut v1::Scope) -> &mut v1::Cumulative {
    scope.cumulative.as_mut().expect("caps")
}

fn hours(scope: &mut v1::Scope) -> &mut v1::Hours {
    scope.hours.as_mut().expect("hours")
}

fn withdrawal(scope: &mut v1::Scope) -> &mut v1::Withdrawal {
    scope.withdrawal.as_mut().expect("withdrawal")
}

#[test]
fn what_is_absent_and_what_is_empty_differ() {
    let mut wire = full();
    orders(&mut wire).types = None;
    orders(&mut wire).margin_modes = Some(v1::Words::default());
    orders(&mut wire).max_quantity = Some(v1::QuantityLimits::default());
    let scope = scope_from_wire(&wire).expect("a scope");

    assert_eq!(scope.orders.types, None);
    assert_eq!(scope.orders.margin_modes, Some([].into()));
    assert_eq!(scope.orders.max_quantity, Some([].into()));
    assert_eq!(scope_to_wire(&scope), wire);
}

#[test]
fn the_hash_is_over_canonical_json() {
    let scope = ScopeDocument::from_toml("name = \"a\"\nshadow = \"b\"").expect("a scope");
    // printf '%s' '{"classes":[],"credentials":[],"modes":[],"name":"a","network":{"allow":[],
    // "allow_any":false,"deny":[]},"operations":[],"products":[],"shadow":"b","symbols":{}}' (in one
    // line, no space) | sha256sum
    let expected = "714e2685f9a08362a4a91ee980d90957826f7d9efafe93821239c785355f9611";
    assert_eq!(scope_hash(&scope).map(hex::encode).as_deref(), Some(expected));
}
