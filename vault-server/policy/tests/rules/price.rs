//! What orders are worth at the worst price that they could fill at.

use vault_model::{Class, Leg, Money, OrderType, Product, Side, SizeUnit};
use vault_policy::Cost;

use super::*;

/// A bed with a cap on one request.
fn capped(most: &str) -> Bed {
    bed().scoped(|scope| scope.orders.max_notional_usd = Some(money(most)))
}

fn stop(order_type: OrderType, side: Side, trigger: &str, price: Option<&str>) -> Leg {
    Leg {
        trigger_price: Some(trigger.to_owned()),
        price: price.map(str::to_owned),
        ..order(order_type, side, "1")
    }
}

/// Fails unless a leg has no price, and a cap denies it with this code.
fn assert_unpriced(bed: &Bed, leg: &Leg, code: &str) {
    assert_eq!(bed.worth(leg.clone()), "-", "{leg:?}");
    let capped = bed.clone().scoped(|scope| {
        scope.orders.max_notional_usd = Some(money("999999999999999999"));
    });
    assert_eq!(capped.code(trade([leg.clone()])), code, "{leg:?}");
}

#[test]
fn a_buy_is_worth_its_limit() {
    assert_eq!(bed().worth(limit(Side::Buy, "0.5", "50000")), "25000");
    assert_eq!(bed().worth(limit(Side::Buy, "0.5", "90000")), "45000");
    // It needs no reference price.
    let stale = bed().with(|bed| bed.market.forget_price(&pair("BTC/USD")));
    assert_eq!(stale.worth(limit(Side::Buy, "0.5", "50000")), "25000");
}

#[test]
fn a_sell_at_limit_0_01_is_worth_the_market() {
    let sell = limit(Side::Sell, "1", "0.01");
    assert_eq!(bed().worth(sell.clone()), "63000");
    assert_eq!(
        capped("62999.999999999999999999").code(trade([sell.clone()])),
        "NOTIONAL_TOO_LARGE"
    );
    assert_eq!(capped("63000").code(trade([sell])), "ALLOW");
    // Above the market it is worth its limit.
    assert_eq!(bed().worth(limit(Side::Sell, "1", "63000.5")), "63000.5");
}

#[test]
fn the_cap_itself_is_allowed_and_one_unit_more_denied() {
    let bed = capped("60000");
    assert_eq!(bed.code(trade([limit(Side::Buy, "1", "60000")])), "ALLOW");
    let more = limit(Side::Buy, "1", "60000.000000000000000001");
    assert_eq!(bed.code(trade([more])), "NOTIONAL_TOO_LARGE");
}

#[test]
fn every_type_has_its_worst_price() {
    use OrderType::*;
    for (leg, worth) in [
        (order(Market, Side::Buy, "1"), "63000"),
        (order(Market, Side::Sell, "1"), "63000"),
        // A market order has no limit, whatever it says.
        (Leg { order_type: Some(Market), ..limit(Side::Buy, "1", "1") }, "63000"),
        (Leg { order_type: Some(LimitMaker), ..limit(Side::Buy, "1", "100") }, "100"),
        (Leg { order_type: Some(LimitMaker), ..limit(Side::Sell, "1", "100") }, "63000"),
        (stop(Stop, Side::Buy, "70000", None), "73500"),
        (stop(Stop, Side::Buy, "60000", None), "63000"),
        (stop(Stop, Side::Sell, "50000", None), "63000"),
        (stop(TakeProfit, Side::Sell, "80000", None), "84000"),
        (stop(TakeProfit, Side::Buy, "50000", None), "63000"),
        (stop(StopLimit, Side::Buy, "70000", Some("71000")), "71000"),
        (stop(TakeProfitLimit, Side::Buy, "50000", Some("49000")), "49000"),
        (stop(StopLimit, Side::Sell, "50000", Some("49000")), "63000"),
        (stop(StopLimit, Side::Sell, "65000", Some("64000")), "65000"),
        (stop(TakeProfitLimit, Side::Sell, "70000", Some("71000")), "71000"),
        (stop(TakeProfitLimit, Side::Sell, "72000", Some("71000")), "72000"),
    ] {
        assert_eq!(bed().worth(leg.clone()), worth, "{leg:?}");
    }
}

#[test]
fn what_is_not_stated_may_be_the_worst() {
    let unknown = Leg { side: None, order_type: None, ..limit(Side::Buy, "1", "100") };
    assert_eq!(bed().worth(unknown.clone()), "63000");
    assert_eq!(bed().worth(Leg { price: Some("64000".to_owned()), ..unknown.clone() }), "64000");
    let triggered = Leg { trigger_price: Some("62000".to_owned()), ..unknown.clone() };
    assert_eq!(bed().worth(triggered), "65100");
    // A side without type, a type without side.
    let buy = Leg { side: Some(Side::Buy), ..unknown.clone() };
    assert_eq!(bed().worth(buy), "63000");
    let limit = Leg { order_type: Some(OrderType::Limit), ..unknown.clone() };
    assert_eq!(bed().worth(limit), "63000");
    let market = Leg { order_type: Some(OrderType::Market), price: None, ..unknown };
    assert_eq!(bed().worth(market), "63000");
}

#[test]
fn what_cannot_be_priced_is_denied_under_a_cap() {
    use OrderType::*;
    for leg in [
        // The size of what it closes is the position's.
        Leg { quantity: None, ..order(Market, Side::Sell, "1") },
        order(TrailingStop, Side::Buy, "1"),
        Leg { order_type: Some(Other), ..limit(Side::Buy, "1", "100") },
        order(Limit, Side::Buy, "1"),
        order(Limit, Side::Sell, "1"),
        order(LimitMaker, Side::Buy, "1"),
        Leg { side: None, ..order(Limit, Side::Buy, "1") },
        Leg { side: None, ..order(Stop, Side::Buy, "1") },
        order(Stop, Side::Sell, "1"),
        order(TakeProfit, Side::Buy, "1"),
        stop(StopLimit, Side::Buy, "60000", None),
        Leg { order_type: Some(StopLimit), ..limit(Side::Sell, "1", "100") },
        limit(Side::Buy, "0", "100"),
        limit(Side::Buy, "-1", "100"),
        limit(Side::Buy, "1", "0"),
        limit(Side::Buy, "1", "-1"),
        limit(Side::Buy, "many", "100"),
        stop(Stop, Side::Buy, "0", None),
        // 10^-18 * 0.1 would be rounded, 10^36 is out of range.
        limit(Side::Buy, "0.000000000000000001", "0.1"),
        limit(Side::Buy, "999999999999999999", "999999999999999999"),
        Leg { quote_quantity: Some("0".to_owned()), ..limit(Side::Buy, "1", "100") },
        Leg { symbol: None, ..limit(Side::Buy, "1", "100") },
        Leg { product: None, ..limit(Side::Buy, "1", "100") },
        Leg { product: Some(Product::Spread), ..limit(Side::Buy, "1", "100") },
    ] {
        assert_unpriced(&bed(), &leg, "NOTIONAL_UNKNOWN");
    }
}

#[test]
fn a_reference_that_nobody_confirms_denies_what_needs_it() {
    let stale = bed().with(|bed| bed.market.forget_price(&pair("BTC/USD")));
    for leg in [
        limit(Side::Sell, "1", "70000"),
        order(OrderType::Market, Side::Buy, "1"),
        stop(OrderType::Stop, Side::Buy, "70000", None),
        at(OPTION, Product::Option, limit(Side::Buy, "1", "0.01")),
    ] {
        assert_unpriced(&stale, &leg, "PRICE_STALE");
    }
    // An amount in dollars needs none.
    assert_eq!(stale.worth(at(INVERSE, Product::Inverse, limit(Side::Sell, "3", "1"))), "300");
}

#[test]
fn an_instrument_that_nobody_approved_has_no_price() {
    for leg in [
        at("DOGE-USDT", Product::Spot, limit(Side::Buy, "1", "1")),
        // Its product is another's.
        at(SPOT, Product::Linear, limit(Side::Buy, "1", "1")),
        at(SWAP, Product::Spot, limit(Side::Buy, "1", "1")),
        at(INVERSE, Product::Linear, limit(Side::Buy, "1", "1")),
    ] {
        assert_unpriced(&bed(), &leg, "INSTRUMENT_UNKNOWN");
    }
    // What is traded on margin is the spot instrument.
    assert_eq!(bed().worth(at(SPOT, Product::Margin, limit(Side::Buy, "1", "1"))), "1");
}

#[test]
fn contracts_are_multiplied_by_their_size() {
    // 100 contracts of 0.01 BTC.
    assert_eq!(bed().worth(at(SWAP, Product::Linear, limit(Side::Buy, "100", "60000"))), "60000");
    let market = order(OrderType::Market, Side::Sell, "1");
    assert_eq!(bed().worth(at(SWAP, Product::Linear, market)), "630");
}

#[test]
fn inverse_contracts_are_worth_their_dollars_at_any_price() {
    for leg in [
        limit(Side::Buy, "7", "1"),
        limit(Side::Sell, "7", "1000000"),
        order(OrderType::Market, Side::Buy, "7"),
    ] {
        assert_eq!(bed().worth(at(INVERSE, Product::Inverse, leg.clone())), "700", "{leg:?}");
    }
    let trailing = order(OrderType::TrailingStop, Side::Buy, "7");
    assert_unpriced(&bed(), &at(INVERSE, Product::Inverse, trailing), "NOTIONAL_UNKNOWN");
    // A coin-margined contract whose quote is no dollar.
    let euro = bed().with(|bed| {
        bed.market.approve(vault_model::Instrument {
            size_unit: SizeUnit::Quote,
            ..instrument("BTCEUR_PERP", Product::Inverse, ["BTC", "EUR", "BTC/USD"], "10")
        });
    });
    let order = at("BTCEUR_PERP", Product::Inverse, order(OrderType::Market, Side::Buy, "7"));
    assert_unpriced(&euro, &order, "PRICE_STALE");
    let priced = euro.with(|bed| bed.market.set_price(pair("EUR/USD"), money("1.1")));
    assert_eq!(priced.worth(order), "77");
}

#[test]
fn options_are_worth_what_they_are_on() {
    for leg in [
        limit(Side::Buy, "2", "0.0001"),
        limit(Side::Sell, "2", "5"),
        order(OrderType::Market, Side::Buy, "2"),
    ] {
        // 2 * 0.01 * 60000 * 1.05
        assert_eq!(bed().worth(at(OPTION, Product::Option, leg.clone())), "1260", "{leg:?}");
    }
    // So much premium buys who knows how many.
    let premium = Leg {
        quote_quantity: Some("1".to_owned()),
        quantity: None,
        ..limit(Side::Buy, "2", "0.0001")
    };
    assert_unpriced(&bed(), &at(OPTION, Product::Option, premium), "NOTIONAL_UNKNOWN");
    let in_quote = bed().with(|bed| {
        bed.market.approve(vault_model::Instrument {
            size_unit: SizeUnit::Quote,
            ..instrument(OPTION, Product::Option, ["BTC", "BTC", "BTC/USD"], "1")
        });
    });
    let leg = at(OPTION, Product::Option, limit(Side::Buy, "2", "0.0001"));
    assert_unpriced(&in_quote, &leg, "NOTIONAL_UNKNOWN");
}

/// A sale of 900 dollars' worth at 0.01 is one of 90000 bitcoin.
#[test]
fn a_quote_quantity_at_a_limit_is_a_size_in_the_base_asset() {
    let quote = |order_type, side: Option<Side>, price: Option<&str>| Leg {
        quantity: None,
        quote_quantity: Some("900".to_owned()),
        price: price.map(str::to_owned),
        side,
        ..order(order_type, Side::Sell, "1")
    };
    let (buy, sell) = (Some(Side::Buy), Some(Side::Sell));
    for (leg, expected) in [
        (quote(OrderType::Limit, sell, Some("0.01")), "-"),
        (quote(OrderType::LimitMaker, sell, Some("62999.99")), "-"),
        (quote(OrderType::Limit, sell, Some("63000")), "900"),
        (quote(OrderType::Limit, sell, None), "-"),
        (quote(OrderType::Limit, buy, Some("0.01")), "900"),
        (quote(OrderType::Limit, buy, None), "-"),
        (quote(OrderType::Limit, None, Some("0.01")), "-"),
        (quote(OrderType::Market, sell, Some("0.01")), "-"),
        (quote(OrderType::Market, sell, None), "900"),
        (quote(OrderType::Stop, sell, None), "900"),
        (Leg { amends: true, ..quote(OrderType::Market, sell, None) }, "-"),
        (Leg { order_type: None, ..quote(OrderType::Market, sell, None) }, "900"),
    ] {
        assert_eq!(bed().worth(leg.clone()), expected, "{leg:?}");
    }
}

#[test]
fn a_quote_quantity_is_the_notional() {
    let quote = |quantity: Option<&str>, quote: &str| Leg {
        quantity: quantity.map(str::to_owned),
        quote_quantity: Some(quote.to_owned()),
        ..order(OrderType::Market, Side::Buy, "1")
    };
    assert_eq!(bed().worth(quote(None, "999.99")), "999.99");
    // Both stated: the larger counts.
    assert_eq!(bed().worth(quote(Some("1"), "62999")), "63000");
    assert_eq!(bed().worth(quote(Some("1"), "63001")), "63001");
    // With one of them no number, there is no price.
    assert_unpriced(&bed(), &quote(Some("-1"), "5"), "NOTIONAL_UNKNOWN");
    assert_unpriced(&bed(), &quote(Some("1"), "-5"), "NOTIONAL_UNKNOWN");
}

#[test]
fn another_quote_asset_is_converted() {
    let buy = at(CROSS, Product::Spot, limit(Side::Buy, "2", "0.04"));
    assert_eq!(bed().worth(buy.clone()), "4800");
    // 2 * 0.05 * 1.05 * 60000
    let market = order(OrderType::Market, Side::Sell, "2");
    assert_eq!(bed().worth(at(CROSS, Product::Spot, market)), "6300");
    let stale = bed().with(|bed| bed.market.forget_price(&pair("BTC/USD")));
    assert_unpriced(&stale, &buy, "PRICE_STALE");
    // A dollar only where the scope says so.
    let dear = bed().scoped(|scope| scope.pricing.usd_par.clear());
    assert_unpriced(&dear, &limit(Side::Buy, "1", "100"), "PRICE_STALE");
    let priced = dear.with(|bed| bed.market.set_price(pair("USDT/USD"), money("0.99")));
    assert_eq!(priced.worth(limit(Side::Buy, "1", "100")), "99");
    // USD is one anyway.
    assert_eq!(priced.worth(at(INVERSE, Product::Inverse, limit(Side::Buy, "1", "1"))), "100");
}

#[test]
fn slippage_is_the_scopes_own() {
    let market = || order(OrderType::Market, Side::Buy, "1");
    let slippage = |text: &str| {
        bed().scoped(|scope| scope.pricing.slippage = Some(money(text))).worth(market())
    };
    assert_eq!(slippage("0"), "60000");
    assert_eq!(slippage("0.1"), "66000");
    assert_eq!(slippage("1"), "120000");
    // What no document may say prices nothing.
    assert_eq!(slippage("-0.1"), "-");
}

#[test]
fn amendments_state_price_and_size_to_have_a_price() {
    assert_eq!(bed().worth(amendment(Some("70000"), Some("2"))), "140000");
    assert_eq!(bed().worth(amendment(Some("100"), Some("2"))), "126000");
    assert_unpriced(&bed(), &amendment(None, Some("2")), "NOTIONAL_UNKNOWN");
    assert_unpriced(&bed(), &amendment(Some("70000"), None), "NOTIONAL_UNKNOWN");
    assert_unpriced(&bed(), &amendment(None, None), "NOTIONAL_UNKNOWN");
    let market = Leg { amends: true, ..order(OrderType::Market, Side::Buy, "1") };
    assert_unpriced(&bed(), &market, "NOTIONAL_UNKNOWN");
    let buy = Leg { amends: true, ..limit(Side::Buy, "2", "100") };
    assert_eq!(bed().worth(buy), "200");
}

#[test]
fn an_amendment_that_raises_a_size_is_held_against_the_cap() {
    let bed = capped("126000");
    assert_eq!(bed.code(trade([amendment(Some("100"), Some("2"))])), "ALLOW");
    let raised = amendment(Some("100"), Some("2.000000000000000001"));
    assert_eq!(bed.code(trade([raised])), "NOTIONAL_TOO_LARGE");
}

#[test]
fn a_batch_is_the_sum_of_its_orders() {
    let batch = || trade([limit(Side::Buy, "1", "500"), limit(Side::Buy, "2", "250")]);
    assert_eq!(bed().cost(batch()).notional_usd, Some(money("1000")));
    assert_eq!(capped("1000").code(batch()), "ALLOW");
    assert_eq!(capped("999.999999999999999999").code(batch()), "NOTIONAL_TOO_LARGE");
    // One that cannot be priced spoils them all.
    let spoiled = trade([limit(Side::Buy, "1", "500"), order(OrderType::Limit, Side::Buy, "1")]);
    assert_eq!(capped("1000").code(spoiled.clone()), "NOTIONAL_UNKNOWN");
    assert_eq!(bed().cost(spoiled).notional_usd, None);
    // The sum may be what does not fit.
    let largest = "999999999999999999";
    let many = (0..200).map(|_| limit(Side::Buy, largest, "1"));
    assert_eq!(bed().cost(trade(many)).notional_usd, None);
}

/// A take-profit that hangs on an order is an order of its own.
#[test]
fn nested_orders_count_like_others() {
    let nested = trade([
        limit(Side::Buy, "1", "500"),
        stop(OrderType::TakeProfit, Side::Sell, "70000", None),
    ]);
    let cost = bed().cost(nested.clone());
    assert_eq!((cost.orders, cost.notional_usd), (2, Some(money("74000"))));
    assert_eq!(capped("73999").code(nested), "NOTIONAL_TOO_LARGE");
}

#[test]
fn only_trades_are_worth_something() {
    let leg = || limit(Side::Buy, "1", "500");
    for class in [Class::Account, Class::Cancel, Class::Read] {
        let cost = capped("1").cost(Member { class, ..trade([leg()]) });
        let nothing = Cost { notional_usd: Some(Money::ZERO), ..Cost::default() };
        assert_eq!(cost, nothing, "{class}");
    }
}

#[test]
fn the_most_that_a_signature_is_good_for_counts() {
    let sign = bed().with(|bed| bed.mode = Mode::Sign);
    let small = trade([limit(Side::Buy, "1", "500"), limit(Side::Buy, "1", "100")]);
    let large =
        trade([Leg { tif: Some(vault_model::TimeInForce::Ioc), ..limit(Side::Buy, "1", "900") }]);
    for closure in [vec![small.clone(), large.clone()], vec![large.clone(), small.clone()]] {
        let cost = sign.cost_of_all(closure);
        assert_eq!((cost.orders, cost.resting), (2, 2));
        assert_eq!(cost.notional_usd, Some(money("900")));
    }
    // What the vault sends is what is stated.
    let cost = bed().cost_of_all(vec![small.clone(), large.clone()]);
    assert_eq!(cost.notional_usd, Some(money("600")));
    // Each is held against the cap.
    let capped = sign.clone().scoped(|scope| scope.orders.max_notional_usd = Some(money("899")));
    assert_eq!(capped.code_of_all(vec![small.clone(), large.clone()]), "NOTIONAL_TOO_LARGE");
    // One of them without a price: no price.
    let spoiled = trade([order(OrderType::Limit, Side::Buy, "1")]);
    assert_eq!(sign.cost_of_all(vec![small.clone(), spoiled.clone()]).notional_usd, None);
    assert_eq!(sign.cost_of_all(vec![spoiled, small.clone()]).notional_usd, None);
    // What does not trade beside it changes nothing.
    let cost = sign.cost_of_all(vec![small, member(Class::Read)]);
    assert_eq!(cost.notional_usd, Some(money("600")));
}

#[test]
fn orders_that_may_rest_are_counted() {
    use vault_model::TimeInForce::*;
    let limit = || limit(Side::Buy, "1", "500");
    let tif = |tif| Leg { tif: Some(tif), ..limit() };
    for (leg, resting) in [
        (limit(), 1),
        (tif(Gtc), 1),
        (tif(Gtx), 1),
        (tif(Gtd), 1),
        (tif(Day), 1),
        (tif(Fok), 0),
        (tif(Ioc), 0),
        (order(OrderType::Market, Side::Buy, "1"), 0),
        (stop(OrderType::Stop, Side::Buy, "70000", None), 1),
        (amendment(Some("1"), Some("1")), 0),
    ] {
        let cost = bed().cost(trade([leg.clone()]));
        assert_eq!((cost.orders, cost.resting), (1, resting), "{leg:?}");
    }
}

#[test]
fn the_prices_of_its_instruments_are_noted() {
    let prices = |leg: Leg| {
        let prices = bed().cost(trade([leg])).prices;
        prices.iter().map(|(pair, price)| format!("{pair}={price}")).collect::<Vec<_>>()
    };
    assert_eq!(prices(limit(Side::Buy, "1", "500")), ["BTC/USD=60000"]);
    let cross = at(CROSS, Product::Spot, limit(Side::Buy, "1", "1"));
    assert_eq!(prices(cross), ["BTC/USD=60000", "ETH/BTC=0.05"]);
    assert!(prices(at("DOGE-USDT", Product::Spot, limit(Side::Buy, "1", "1"))).is_empty());
}

/// Binance takes a limit beside the trigger of a take-profit order.
#[test]
fn a_limit_beside_a_trigger_counts() {
    let take_profit = |price: Option<&str>| Leg {
        price: price.map(str::to_owned),
        trigger_price: Some("60000".to_owned()),
        ..order(OrderType::TakeProfit, Side::Sell, "1")
    };
    assert_eq!(bed().worth(take_profit(None)), "63000");
    assert_eq!(bed().worth(take_profit(Some("600000"))), "600000");
    assert_eq!(bed().worth(take_profit(Some("1"))), "63000");
}
