//! Price bands.

use vault_model::{Class, Leg, OrderType, Product, Side};

use super::*;

/// 5 % around 60000: from 57000 to 63000.
fn banded() -> Bed {
    bed().scoped(|scope| scope.orders.price_band = Some(money("0.05")))
}

fn code(leg: Leg) -> &'static str {
    banded().code(trade([leg]))
}

#[test]
fn limits_at_the_ends_are_inside() {
    for (price, expected) in [
        ("57000", "ALLOW"),
        ("60000", "ALLOW"),
        ("63000", "ALLOW"),
        ("56999.999999999999999999", "PRICE_OUTSIDE_BAND"),
        ("63000.000000000000000001", "PRICE_OUTSIDE_BAND"),
        ("0.01", "PRICE_OUTSIDE_BAND"),
        ("-60000", "PRICE_OUTSIDE_BAND"),
        ("dear", "PRICE_OUTSIDE_BAND"),
    ] {
        for side in [Side::Buy, Side::Sell] {
            assert_eq!(code(limit(side, "1", price)), expected, "{price}");
        }
    }
}

#[test]
fn triggers_are_judged_like_limits() {
    let with = |price: &str, trigger: &str| Leg {
        order_type: Some(OrderType::StopLimit),
        trigger_price: Some(trigger.to_owned()),
        ..limit(Side::Buy, "1", price)
    };
    assert_eq!(code(with("60000", "57000")), "ALLOW");
    assert_eq!(code(with("60000", "56999")), "PRICE_OUTSIDE_BAND");
    assert_eq!(code(with("56999", "60000")), "PRICE_OUTSIDE_BAND");
}

#[test]
fn only_a_limit_price_bounds_an_order() {
    use OrderType::*;
    for order_type in [Limit, LimitMaker, StopLimit, TakeProfitLimit] {
        let leg = Leg { order_type: Some(order_type), ..limit(Side::Buy, "1", "60000") };
        assert_eq!(code(leg.clone()), "ALLOW", "{order_type}");
        assert_eq!(code(Leg { price: None, ..leg }), "PRICE_BAND_UNBOUNDED", "{order_type}");
    }
    for order_type in [Market, Other, Stop, TakeProfit, TrailingStop] {
        // Whatever price it states beside its type.
        let leg = Leg { order_type: Some(order_type), ..limit(Side::Buy, "1", "60000") };
        assert_eq!(code(leg.clone()), "PRICE_BAND_UNBOUNDED", "{order_type}");
        let amends = Leg { amends: true, ..leg };
        assert_eq!(code(amends), "PRICE_BAND_UNBOUNDED", "{order_type}");
    }
    let untyped = Leg { order_type: None, ..limit(Side::Buy, "1", "60000") };
    assert_eq!(code(untyped), "PRICE_BAND_UNBOUNDED");
    let option = at(OPTION, Product::Option, limit(Side::Buy, "1", "60000"));
    assert_eq!(code(option), "PRICE_BAND_UNBOUNDED");
}

#[test]
fn amendments_keep_a_price_that_they_do_not_state() {
    assert_eq!(code(amendment(None, Some("2"))), "ALLOW");
    assert_eq!(code(amendment(Some("57000"), None)), "ALLOW");
    assert_eq!(code(amendment(Some("56999"), None)), "PRICE_OUTSIDE_BAND");
    let trigger =
        |price: &str| Leg { trigger_price: Some(price.to_owned()), ..amendment(None, Some("2")) };
    assert_eq!(code(trigger("63000")), "ALLOW");
    assert_eq!(code(trigger("63001")), "PRICE_OUTSIDE_BAND");
    let limit = Leg { order_type: Some(OrderType::Limit), ..amendment(None, Some("2")) };
    assert_eq!(code(limit), "ALLOW");
}

#[test]
fn a_band_needs_a_fresh_price_of_an_approved_instrument() {
    let leg = || limit(Side::Buy, "1", "60000");
    let stale = banded().with(|bed| bed.market.forget_price(&pair("BTC/USD")));
    assert_eq!(stale.code(trade([leg()])), "PRICE_STALE");
    assert_eq!(stale.code(trade([amendment(None, Some("2"))])), "ALLOW");
    assert_eq!(code(at("DOGE-USDT", Product::Spot, leg())), "INSTRUMENT_UNKNOWN");
    // Ends that would be rounded are none.
    let fine = banded().with(|bed| {
        bed.market.set_price(pair("BTC/USD"), money("0.000000000000000001"));
    });
    let tiny = limit(Side::Buy, "1", "0.000000000000000001");
    assert_eq!(fine.code(trade([tiny])), "PRICE_OUTSIDE_BAND");
}

#[test]
fn every_order_of_a_batch_is_in_the_band_and_settings_have_none() {
    let batch = trade([limit(Side::Buy, "1", "60000"), limit(Side::Buy, "1", "1")]);
    assert_eq!(banded().code(batch), "PRICE_OUTSIDE_BAND");
    for class in [Class::Account, Class::Cancel] {
        let other = Member { class, ..trade([limit(Side::Buy, "1", "1")]) };
        assert_eq!(banded().code(other), "ALLOW", "{class}");
    }
}
