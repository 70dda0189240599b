//! Types, times in force, reduce-only, post-only, leverage, margin modes, log-ons.

use std::collections::BTreeSet;

use vault_model::{Class, Leg, MarginMode, OrderType, Product, Side, TimeInForce};
use vault_policy::{NotionalCap, OrderCap, WithdrawalDocument};

use super::*;

fn leg() -> Leg {
    limit(Side::Buy, "1", "100")
}

fn typed(order_type: Option<OrderType>) -> Leg {
    Leg { order_type, ..leg() }
}

#[test]
fn only_listed_types_pass() {
    let bed = bed().scoped(|scope| scope.orders.types = Some(BTreeSet::from([OrderType::Limit])));
    for order_type in OrderType::ALL {
        let expected =
            if *order_type == OrderType::Limit { "ALLOW" } else { "ORDER_TYPE_NOT_ALLOWED" };
        assert_eq!(bed.code(trade([typed(Some(*order_type))])), expected, "{order_type}");
    }
    assert_eq!(bed.code(trade([typed(None)])), "ORDER_TYPE_NOT_ALLOWED");
    // Every order of a batch.
    let batch = trade([leg(), typed(Some(OrderType::Market))]);
    assert_eq!(bed.code(batch), "ORDER_TYPE_NOT_ALLOWED");
    // An order that is there keeps its type, and says no other.
    assert_eq!(bed.code(trade([amendment(Some("1"), None)])), "ALLOW");
    let market = Leg { order_type: Some(OrderType::Market), ..amendment(None, None) };
    assert_eq!(bed.code(trade([market])), "ORDER_TYPE_NOT_ALLOWED");
    // Settings have none.
    assert_eq!(bed.code(setting(typed(Some(OrderType::Market)))), "ALLOW");
    let none = bed.clone().scoped(|scope| scope.orders.types = Some(BTreeSet::new()));
    assert_eq!(none.code(trade([leg()])), "ORDER_TYPE_NOT_ALLOWED");
    let other = bed.scoped(|scope| scope.orders.types = Some(BTreeSet::from([OrderType::Other])));
    assert_eq!(other.code(trade([typed(Some(OrderType::Other))])), "ALLOW");
}

#[test]
fn only_listed_times_in_force_pass_and_none_is_gtc() {
    let bed = |tif: TimeInForce| {
        bed().scoped(|scope| scope.orders.time_in_force = Some(BTreeSet::from([tif])))
    };
    let ioc = bed(TimeInForce::Ioc);
    for tif in TimeInForce::ALL {
        let expected = if *tif == TimeInForce::Ioc { "ALLOW" } else { "TIME_IN_FORCE_NOT_ALLOWED" };
        assert_eq!(ioc.code(trade([Leg { tif: Some(*tif), ..leg() }])), expected, "{tif}");
    }
    let gtc = bed(TimeInForce::Gtc);
    for order_type in OrderType::ALL.iter().copied().map(Some).chain([None]) {
        let expected = match order_type {
            Some(OrderType::Market) => "ALLOW",
            _ => "TIME_IN_FORCE_NOT_ALLOWED",
        };
        assert_eq!(ioc.code(trade([typed(order_type)])), expected, "{order_type:?}");
        assert_eq!(gtc.code(trade([typed(order_type)])), "ALLOW", "{order_type:?}");
    }
    assert_eq!(ioc.code(trade([amendment(Some("1"), None)])), "ALLOW");
    let amended = Leg { tif: Some(TimeInForce::Gtc), ..amendment(Some("1"), None) };
    assert_eq!(ioc.code(trade([amended])), "TIME_IN_FORCE_NOT_ALLOWED");
    let batch = trade([Leg { tif: Some(TimeInForce::Ioc), ..leg() }, leg()]);
    assert_eq!(ioc.code(batch), "TIME_IN_FORCE_NOT_ALLOWED");
}

#[test]
fn reduce_only_wants_the_flag_where_it_binds() {
    let bed = bed().scoped(|scope| scope.orders.reduce_only = true);
    let reduce = |product: Option<Product>, flag| Leg { product, reduce_only: flag, ..leg() };
    for product in Product::ALL {
        let binds = matches!(product, Product::Inverse | Product::Linear | Product::Option);
        let expected = if binds { "ALLOW" } else { "REDUCE_ONLY_REQUIRED" };
        let leg = reduce(Some(*product), Some(true));
        assert_eq!(bed.code(trade([leg])), expected, "{product}");
    }
    for leg in [
        reduce(Some(Product::Linear), Some(false)),
        reduce(Some(Product::Linear), None),
        reduce(None, Some(true)),
        amendment(Some("1"), Some("1")),
    ] {
        assert_eq!(bed.code(trade([leg])), "REDUCE_ONLY_REQUIRED");
    }
    let reduces = || reduce(Some(Product::Linear), Some(true));
    assert_eq!(bed.code(trade([reduces(), leg()])), "REDUCE_ONLY_REQUIRED");
    assert_eq!(bed.code(setting(leg())), "ALLOW");
}

#[test]
fn post_only_wants_one_of_three_words() {
    let bed = bed().scoped(|scope| scope.orders.post_only = true);
    let code = |leg| bed.code(trade([leg]));
    assert_eq!(code(Leg { post_only: Some(true), ..leg() }), "ALLOW");
    assert_eq!(code(typed(Some(OrderType::LimitMaker))), "ALLOW");
    assert_eq!(code(Leg { tif: Some(TimeInForce::Gtx), ..leg() }), "ALLOW");
    assert_eq!(code(leg()), "POST_ONLY_REQUIRED");
    assert_eq!(code(Leg { post_only: Some(false), ..leg() }), "POST_ONLY_REQUIRED");
    assert_eq!(code(Leg { tif: Some(TimeInForce::Gtc), ..leg() }), "POST_ONLY_REQUIRED");
    // An order that is there stays what it was, unless it is told otherwise.
    assert_eq!(code(amendment(Some("1"), None)), "ALLOW");
    let taking = Leg { post_only: Some(false), ..amendment(Some("1"), None) };
    assert_eq!(code(taking), "POST_ONLY_REQUIRED");
    let batch = trade([Leg { post_only: Some(true), ..leg() }, leg()]);
    assert_eq!(bed.code(batch), "POST_ONLY_REQUIRED");
    assert_eq!(bed.code(setting(leg())), "ALLOW");
}

#[test]
fn leverage_is_judged_wherever_it_is_stated() {
    let bed = bed().scoped(|scope| scope.orders.max_leverage = Some(money("3")));
    let leverage = |text: &str| Leg { leverage: Some(text.to_owned()), ..leg() };
    for (text, expected) in [
        ("3", "ALLOW"),
        ("1", "ALLOW"),
        ("3.000000000000000001", "LEVERAGE_TOO_HIGH"),
        ("125", "LEVERAGE_TOO_HIGH"),
        ("much", "LEVERAGE_TOO_HIGH"),
    ] {
        assert_eq!(bed.code(trade([leverage(text)])), expected, "{text}");
        // Raised after the order.
        assert_eq!(bed.code(setting(leverage(text))), expected, "{text}");
    }
    assert_eq!(bed.code(trade([leg()])), "ALLOW");
    assert_eq!(bed.code(trade([leg(), leverage("4")])), "LEVERAGE_TOO_HIGH");
    let read = Member { class: Class::Read, ..setting(leverage("125")) };
    assert_eq!(bed.code(read), "ALLOW");
}

#[test]
fn margin_modes_are_judged_wherever_they_are_stated() {
    let bed = bed().scoped(|scope| {
        scope.orders.margin_modes = Some(BTreeSet::from([MarginMode::Isolated]));
    });
    for mode in MarginMode::ALL {
        let leg = Leg { margin_mode: Some(*mode), ..leg() };
        let expected =
            if *mode == MarginMode::Isolated { "ALLOW" } else { "MARGIN_MODE_NOT_ALLOWED" };
        assert_eq!(bed.code(trade([leg.clone()])), expected, "{mode}");
        assert_eq!(bed.code(setting(leg.clone())), expected, "{mode}");
        let read = Member { class: Class::Read, ..setting(leg) };
        assert_eq!(bed.code(read), "ALLOW", "{mode}");
    }
    assert_eq!(bed.code(trade([leg()])), "ALLOW");
}

type Change = fn(&mut ScopeDocument);

/// Every rule on orders, alone.
const ORDER_RULES: &[Change] = &[
    |scope| scope.orders.types = Some(OrderType::ALL.iter().copied().collect()),
    |scope| scope.orders.time_in_force = Some(TimeInForce::ALL.iter().copied().collect()),
    |scope| scope.orders.reduce_only = true,
    |scope| scope.orders.post_only = true,
    |scope| scope.orders.max_quantity = Some(std::collections::BTreeMap::new()),
    |scope| scope.orders.max_notional_usd = Some(money("999999999999999999")),
    |scope| scope.orders.price_band = Some(money("1")),
    |scope| scope.orders.max_leverage = Some(money("1000")),
    |scope| scope.orders.margin_modes = Some(MarginMode::ALL.iter().copied().collect()),
    |scope| {
        scope.cumulative.notional_usd =
            vec![NotionalCap { per: span("1d"), at_most: money("999999999999999999") }];
    },
    |scope| scope.cumulative.orders = vec![OrderCap { per: span("1d"), at_most: u64::MAX }],
    |scope| scope.cumulative.open_orders = Some(u64::MAX),
];

#[test]
fn what_does_not_say_its_orders_is_denied_under_any_rule_on_them() {
    let mut unknown = trade([]);
    unknown.symbols = vault_model::Symbols::Every;
    assert_eq!(bed().code(unknown.clone()), "ALLOW");
    for change in ORDER_RULES {
        assert_eq!(bed().scoped(change).code(unknown.clone()), "ORDER_UNKNOWN");
        // What does not trade has none.
        assert_eq!(bed().scoped(change).code(member(Class::Account)), "ALLOW");
        assert_eq!(bed().scoped(change).code(member(Class::Cancel)), "ALLOW");
    }
    let duplicates = bed().scoped(|scope| scope.duplicates.order = Some(span("1s")));
    assert_eq!(duplicates.code(unknown.clone()), "ORDER_UNKNOWN");
    let ids = bed().scoped(|scope| scope.duplicates.client_order_id = Some(span("1s")));
    assert_eq!(ids.code(unknown), "ALLOW");
}

#[test]
fn a_log_on_is_denied_beside_any_rule_on_orders() {
    assert_eq!(bed().code(member(Class::Logon)), "ALLOW");
    for change in ORDER_RULES {
        let bed = bed().scoped(change);
        assert_eq!(bed.code(member(Class::Logon)), "LOGON_BYPASSES_CAPS");
        let sign = bed.with(|bed| (bed.mode, bed.once) = (Mode::Sign, true));
        let closure = vec![member(Class::Read), member(Class::Logon)];
        assert_eq!(sign.code_of_all(closure), "LOGON_BYPASSES_CAPS");
    }
    let withdrawal = bed().scoped(|scope| scope.withdrawal = Some(WithdrawalDocument::default()));
    assert_eq!(withdrawal.code(member(Class::Logon)), "LOGON_BYPASSES_CAPS");
    // Rules on anything else are no such rules.
    let pricing = bed().scoped(|scope| scope.pricing.slippage = Some(money("0.1")));
    assert_eq!(pricing.code(member(Class::Logon)), "ALLOW");
}

/// Venues let a market order say that it never takes; it takes all the same.
#[test]
fn a_market_order_is_never_post_only() {
    let bed = bed().scoped(|scope| scope.orders.post_only = true);
    for order_type in [OrderType::Market, OrderType::Stop, OrderType::TakeProfit, OrderType::Other]
    {
        let flagged = Leg { post_only: Some(true), ..order(order_type, Side::Buy, "1") };
        assert_eq!(bed.code(trade([flagged])), "POST_ONLY_REQUIRED", "{order_type}");
        let timed = Leg { tif: Some(TimeInForce::Gtx), ..order(order_type, Side::Buy, "1") };
        assert_eq!(bed.code(trade([timed])), "POST_ONLY_REQUIRED", "{order_type}");
    }
    let untyped = Leg { order_type: None, post_only: Some(true), ..limit(Side::Buy, "1", "1") };
    assert_eq!(bed.code(trade([untyped])), "POST_ONLY_REQUIRED");
    let kept = Leg { post_only: Some(false), ..amendment(Some("1"), Some("1")) };
    assert_eq!(bed.code(trade([kept])), "POST_ONLY_REQUIRED");
}

#[test]
fn what_waits_for_a_trigger_rests_until_then() {
    let resting = |leg: Leg| bed().cost(trade([leg])).resting;
    let ioc = |order_type| Leg {
        tif: Some(TimeInForce::Ioc),
        price: Some("1".to_owned()),
        ..order(order_type, Side::Buy, "1")
    };
    assert_eq!(resting(ioc(OrderType::Limit)), 0);
    assert_eq!(resting(ioc(OrderType::StopLimit)), 1);
    let triggered = |leg: Leg| Leg { trigger_price: Some("1".to_owned()), ..leg };
    assert_eq!(resting(triggered(ioc(OrderType::Limit))), 1);
    assert_eq!(resting(triggered(order(OrderType::Market, Side::Buy, "1"))), 1);
    assert_eq!(resting(order(OrderType::Market, Side::Buy, "1")), 0);
    assert_eq!(resting(order(OrderType::Stop, Side::Buy, "1")), 1);
}

#[test]
fn what_is_bought_on_margin_is_on_cross_margin_unless_it_says_otherwise() {
    let bed = bed().scoped(|scope| {
        scope.orders.margin_modes = Some([vault_model::MarginMode::Isolated].into());
    });
    let margin = at(SPOT, Product::Margin, limit(Side::Buy, "1", "1"));
    assert_eq!(bed.code(trade([margin.clone()])), "MARGIN_MODE_NOT_ALLOWED");
    let isolated = Leg { margin_mode: Some(vault_model::MarginMode::Isolated), ..margin };
    assert_eq!(bed.code(trade([isolated])), "ALLOW");
    assert_eq!(bed.code(trade([limit(Side::Buy, "1", "1")])), "ALLOW");
}

/// What names symbols beside its orders, or has no orders, is judged by every one of them.
#[test]
fn every_symbol_that_is_named_is_asked_for() {
    let bed = bed().scoped(|scope| {
        let granted = [SPOT.parse().expect("a symbol")].into();
        scope.symbols.insert(name(VENUE), Grant::Only(granted));
    });
    let naming = |symbols: &[&str], member: Member| {
        let symbols = symbols.iter().map(|&symbol| symbol.to_owned()).collect();
        with(member, |intent| intent.symbols = Symbols::Named(symbols))
    };
    assert_eq!(bed.code(naming(&[SPOT], member(Class::Cancel))), "ALLOW");
    assert_eq!(bed.code(naming(&[SPOT, SWAP], member(Class::Cancel))), "SYMBOL_NOT_GRANTED");
    assert_eq!(bed.code(naming(&[SPOT, SWAP], trade([leg()]))), "SYMBOL_NOT_GRANTED");
    assert_eq!(
        bed.code(naming(&[SPOT], trade([leg(), at(SWAP, Product::Spot, leg())]))),
        "SYMBOL_NOT_GRANTED"
    );
}
