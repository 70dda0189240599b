//! The largest quantity.

use std::collections::BTreeMap;

use vault_model::{Leg, OrderType, Product, Side};

use super::*;

/// At most 2 BTC at each of the markets.
fn limited() -> Bed {
    bed().scoped(|scope| {
        let limits =
            [SPOT, SWAP, INVERSE].map(|symbol| (symbol.parse().expect("a symbol"), money("2")));
        let limits = BTreeMap::from([(name(VENUE), BTreeMap::from(limits))]);
        scope.orders.max_quantity = Some(limits);
    })
}

fn code(leg: Leg) -> &'static str {
    limited().code(trade([leg]))
}

#[test]
fn the_limit_itself_is_allowed_and_one_unit_more_denied() {
    assert_eq!(code(limit(Side::Buy, "2", "1")), "ALLOW");
    assert_eq!(code(limit(Side::Buy, "2.000000000000000001", "1")), "QUANTITY_TOO_LARGE");
    // Contracts of 0.01.
    let swap = |quantity| at(SWAP, Product::Linear, limit(Side::Buy, quantity, "1"));
    assert_eq!(code(swap("200")), "ALLOW");
    assert_eq!(code(swap("201")), "QUANTITY_TOO_LARGE");
}

#[test]
fn each_order_has_its_own_limit() {
    let batch = |quantity| trade([limit(Side::Buy, "2", "1"), limit(Side::Buy, quantity, "1")]);
    assert_eq!(limited().code(batch("2")), "ALLOW");
    assert_eq!(limited().code(batch("3")), "QUANTITY_TOO_LARGE");
}

#[test]
fn a_symbol_that_is_not_listed_gets_none() {
    let cross = at(CROSS, Product::Spot, limit(Side::Buy, "0.1", "1"));
    assert_eq!(code(cross), "QUANTITY_TOO_LARGE");
    let elsewhere = bed().scoped(|scope| {
        let limits = BTreeMap::from([(SPOT.parse().expect("a symbol"), money("2"))]);
        scope.orders.max_quantity = Some(BTreeMap::from([(name("kraken"), limits)]));
    });
    assert_eq!(elsewhere.code(trade([limit(Side::Buy, "1", "1")])), "QUANTITY_TOO_LARGE");
}

#[test]
fn dollars_are_held_against_the_limit_at_the_reference_price() {
    // 2 BTC are 120000 USD, 1200 contracts.
    let inverse = |quantity| at(INVERSE, Product::Inverse, limit(Side::Buy, quantity, "60000"));
    assert_eq!(code(inverse("1200")), "ALLOW");
    assert_eq!(code(inverse("1201")), "QUANTITY_TOO_LARGE");
    let stale = limited().with(|bed| bed.market.forget_price(&pair("BTC/USD")));
    assert_eq!(stale.code(trade([inverse("1")])), "PRICE_STALE");
    // In the base asset no price is needed.
    assert_eq!(stale.code(trade([limit(Side::Buy, "2", "1")])), "ALLOW");
}

#[test]
fn a_quote_quantity_is_held_against_the_lower_price() {
    let quote = |quantity: &str, price: Option<&str>| Leg {
        quantity: None,
        quote_quantity: Some(quantity.to_owned()),
        price: price.map(str::to_owned),
        ..order(OrderType::Limit, Side::Buy, "1")
    };
    assert_eq!(code(quote("120000", None)), "ALLOW");
    assert_eq!(code(quote("120000.000000000000000001", None)), "QUANTITY_TOO_LARGE");
    assert_eq!(code(quote("120000", Some("70000"))), "ALLOW");
    assert_eq!(code(quote("100000", Some("50000"))), "ALLOW");
    assert_eq!(code(quote("100000.1", Some("50000"))), "QUANTITY_TOO_LARGE");
    let stale = limited().with(|bed| bed.market.forget_price(&pair("BTC/USD")));
    assert_eq!(stale.code(trade([quote("1", Some("1"))])), "PRICE_STALE");
    // Both stated: both are judged.
    let both = |quantity: &str, quote: &str| Leg {
        quote_quantity: Some(quote.to_owned()),
        ..order(OrderType::Market, Side::Buy, quantity)
    };
    assert_eq!(code(both("2", "120000")), "ALLOW");
    assert_eq!(code(both("3", "120000")), "QUANTITY_TOO_LARGE");
    assert_eq!(code(both("2", "120001")), "QUANTITY_TOO_LARGE");
}

/// At 600 a contract of 100 dollars is a hundred times what it is at 60000.
#[test]
fn a_low_limit_makes_more_of_inverse_contracts_and_of_quote_sizes() {
    let inverse = |quantity: &str, price: &str| {
        at(INVERSE, Product::Inverse, limit(Side::Buy, quantity, price))
    };
    let bed = bed().scoped(|scope| {
        let limits = [(INVERSE, "1"), (SPOT, "1")]
            .map(|(symbol, most)| (symbol.parse().expect("a symbol"), money(most)));
        scope.orders.max_quantity = Some([(name(VENUE), limits.into())].into());
    });
    assert_eq!(bed.code(trade([inverse("600", "60000")])), "ALLOW");
    assert_eq!(bed.code(trade([inverse("600", "59999")])), "QUANTITY_TOO_LARGE");
    assert_eq!(bed.code(trade([inverse("6", "600")])), "ALLOW");
    assert_eq!(bed.code(trade([inverse("600", "600")])), "QUANTITY_TOO_LARGE");
    // The same below a trigger, and for a size in the quote asset.
    let stop = |order_type| Leg {
        trigger_price: Some("600".to_owned()),
        ..at(INVERSE, Product::Inverse, order(order_type, Side::Sell, "600"))
    };
    assert_eq!(bed.code(trade([stop(OrderType::Stop)])), "QUANTITY_TOO_LARGE");
    let quote = |quantity: &str| Leg {
        quantity: None,
        quote_quantity: Some(quantity.to_owned()),
        trigger_price: Some("600".to_owned()),
        ..order(OrderType::Stop, Side::Sell, "1")
    };
    assert_eq!(bed.code(trade([quote("600")])), "ALLOW");
    assert_eq!(bed.code(trade([quote("601")])), "QUANTITY_TOO_LARGE");
    // An amendment keeps a price that nobody here knows.
    let amended = |price: Option<&str>| at(INVERSE, Product::Inverse, amendment(price, Some("6")));
    assert_eq!(bed.code(trade([amended(None)])), "QUANTITY_UNKNOWN");
    assert_eq!(bed.code(trade([amended(Some("600"))])), "ALLOW");
}

#[test]
fn an_unknown_size_is_denied() {
    for leg in [
        // Closes whatever the position is.
        Leg { quantity: None, ..order(OrderType::Market, Side::Sell, "1") },
        amendment(Some("60000"), None),
        limit(Side::Buy, "0", "1"),
        limit(Side::Buy, "-1", "1"),
        limit(Side::Buy, "many", "1"),
        Leg { quote_quantity: Some("-1".to_owned()), ..limit(Side::Buy, "1", "1") },
        Leg { product: None, ..limit(Side::Buy, "1", "1") },
        Leg { symbol: None, ..limit(Side::Buy, "1", "1") },
        // The limit in dollars would be rounded, or the amount.
        at(SWAP, Product::Linear, limit(Side::Buy, "0.000000000000000001", "1")),
        Leg {
            quote_quantity: Some("1".to_owned()),
            price: Some("-1".to_owned()),
            ..order(OrderType::Limit, Side::Buy, "1")
        },
    ] {
        assert_eq!(code(leg.clone()), "QUANTITY_UNKNOWN", "{leg:?}");
    }
    assert_eq!(code(amendment(None, Some("2"))), "ALLOW");
    assert_eq!(code(amendment(None, Some("2.1"))), "QUANTITY_TOO_LARGE");
    assert_eq!(code(at(SPOT, Product::Linear, limit(Side::Buy, "1", "1"))), "INSTRUMENT_UNKNOWN");
}

#[test]
fn settings_have_no_quantity() {
    assert_eq!(limited().code(setting(limit(Side::Buy, "3", "1"))), "ALLOW");
}
