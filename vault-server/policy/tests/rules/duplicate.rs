//! Orders and client order ids that come again.

use vault_model::{Leg, MarginMode, OrderType, Product, Side, TimeInForce};
use vault_policy::{id_key, order_key};

use super::*;

fn ids(ids: &[&str]) -> Member {
    let ids: Vec<String> = ids.iter().map(|&id| id.to_owned()).collect();
    with(trade([limit(Side::Buy, "1", "100")]), |intent| intent.client_order_ids = ids)
}

#[test]
fn a_client_order_id_comes_once_in_its_span() {
    let mut bed = bed().scoped(|scope| scope.duplicates.client_order_id = Some(span("10s")));
    bed.spend(ids(&["a", "b"]));
    assert_eq!(bed.code(ids(&["a"])), "DUPLICATE_CLIENT_ORDER_ID");
    assert_eq!(bed.code(ids(&["c", "b"])), "DUPLICATE_CLIENT_ORDER_ID");
    assert_eq!(bed.code(ids(&["c"])), "ALLOW");
    // The same order with another id, or with none, is another matter.
    assert_eq!(bed.code(ids(&[])), "ALLOW");
    let at = |after: u64| bed.clone().with(|bed| bed.clock = ClockTime(CLOCK + after));
    assert_eq!(at(10 * SECOND - 1).code(ids(&["a"])), "DUPLICATE_CLIENT_ORDER_ID");
    assert_eq!(at(10 * SECOND).code(ids(&["a"])), "ALLOW");
}

#[test]
fn a_client_order_id_comes_once_in_a_request() {
    let bed = bed().scoped(|scope| scope.duplicates.client_order_id = Some(span("10s")));
    assert_eq!(bed.code(ids(&["a", "b", "a"])), "DUPLICATE_CLIENT_ORDER_ID");
    assert_eq!(bed.code(ids(&["a", "b"])), "ALLOW");
    // The same id in two readings of one request is one.
    let sign = bed.with(|bed| bed.mode = Mode::Sign);
    assert_eq!(sign.code_of_all(vec![ids(&["a"]), ids(&["a"])]), "ALLOW");
    assert_eq!(sign.cost_of_all(vec![ids(&["a"]), ids(&["a", "b"])]).id_keys.len(), 2);
}

#[test]
fn without_the_rule_everything_may_come_again() {
    let mut bed = bed();
    bed.spend(ids(&["a"]));
    assert_eq!(bed.code(ids(&["a"])), "ALLOW");
    assert_eq!(bed.code(ids(&["a", "a"])), "ALLOW");
}

#[test]
fn the_same_order_comes_once_in_its_span() {
    let mut bed = bed().scoped(|scope| scope.duplicates.order = Some(span("10s")));
    bed.spend(ids(&["a"]));
    assert_eq!(bed.code(ids(&["b"])), "DUPLICATE_ORDER");
    let larger = trade([limit(Side::Buy, "2", "100")]);
    assert_eq!(bed.code(larger), "ALLOW");
    let at = |after: u64| bed.clone().with(|bed| bed.clock = ClockTime(CLOCK + after));
    assert_eq!(at(10 * SECOND - 1).code(ids(&["a"])), "DUPLICATE_ORDER");
    assert_eq!(at(10 * SECOND).code(ids(&["a"])), "ALLOW");
    // What orders nothing is no order.
    let read = || member(vault_model::Class::Read);
    bed.spend(read());
    assert_eq!(bed.code(read()), "ALLOW");
    assert_eq!(bed.cost(read()).order_keys, Vec::<u64>::new());
}

#[test]
fn an_order_of_a_batch_is_the_same_order() {
    let bed = bed().scoped(|scope| scope.duplicates.order = Some(span("10s")));
    let one = || limit(Side::Buy, "1", "100");
    let other = || limit(Side::Buy, "2", "100");
    assert_eq!(bed.code(trade([one(), other()])), "ALLOW");
    assert_eq!(bed.code(trade([one(), other(), one()])), "DUPLICATE_ORDER");
    let mut alone_first = bed.clone();
    alone_first.spend(trade([one()]));
    assert_eq!(alone_first.code(trade([other(), one()])), "DUPLICATE_ORDER");
    let mut batch_first = bed;
    batch_first.spend(trade([one(), other()]));
    assert_eq!(batch_first.code(trade([other()])), "DUPLICATE_ORDER");
}

#[test]
fn amendments_are_no_new_orders() {
    let mut bed = bed().scoped(|scope| scope.duplicates.order = Some(span("10s")));
    // Of two orders, it may be: which one is amended is no part of what it is.
    let changed = || trade([amendment(Some("100"), Some("1"))]);
    bed.spend(changed());
    assert_eq!(bed.code(changed()), "ALLOW");
}

#[test]
fn a_key_is_of_all_that_an_order_says_and_nothing_else() {
    let credential = name("okx-main");
    let leg = || limit(Side::Buy, "1", "100");
    let key = |leg: Leg| order_key(&credential, &leg);
    let own = key(leg());
    let text = |text: &str| Some(text.to_owned());
    for other in [
        Leg { product: Some(Product::Linear), ..leg() },
        Leg { symbol: text("ETH-USDT"), ..leg() },
        Leg { side: Some(Side::Sell), ..leg() },
        Leg { order_type: Some(OrderType::LimitMaker), ..leg() },
        Leg { tif: Some(TimeInForce::Ioc), ..leg() },
        Leg { quantity: text("2"), ..leg() },
        Leg { quantity: None, quote_quantity: text("1"), ..leg() },
        Leg { price: text("101"), ..leg() },
        Leg { price: None, trigger_price: text("100"), ..leg() },
        Leg { reduce_only: Some(true), ..leg() },
        Leg { post_only: Some(true), ..leg() },
        Leg { leverage: text("1"), ..leg() },
    ] {
        assert_ne!(key(other.clone()), own, "{other:?}");
    }
    // The same number and the same stay, said otherwise.
    for same in [
        Leg { quantity: text("1.0"), ..leg() },
        Leg { price: text("100.000"), ..leg() },
        Leg { tif: Some(TimeInForce::Gtc), ..leg() },
    ] {
        assert_eq!(key(same.clone()), own, "{same:?}");
    }
    // What an entry of the log does not have beside its orders.
    let logged = Leg { margin_mode: Some(MarginMode::Cross), ..leg() };
    assert_eq!(key(logged), own);
    assert_ne!(order_key(&name("okx-two"), &leg()), own);
    let changed = amendment(Some("1"), Some("1"));
    let larger = limit(Side::Buy, "2", "100");
    let cost = bed().cost(trade([leg(), changed, larger.clone()]));
    assert_eq!(cost.order_keys, [own, key(larger)]);

    assert_eq!(bed().cost(ids(&["a"])).id_keys, [id_key(&credential, "a")]);
    assert_ne!(id_key(&credential, "a"), id_key(&credential, "b"));
    assert_ne!(id_key(&credential, "a"), id_key(&name("okx-two"), "a"));
}
