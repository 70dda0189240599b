//! What adds up: notional and orders in windows, orders that rest.

use std::time::Duration;

use vault_model::{Class, Leg, OrderType, Side};
use vault_policy::{Denial, NotionalCap, OrderCap, Reached, Remedy, execute_remedy, hint};

use super::*;

fn notional(caps: &[(&str, &str)]) -> Bed {
    bed().scoped(|scope| {
        let caps =
            caps.iter().map(|(per, most)| NotionalCap { per: span(per), at_most: money(most) });
        scope.cumulative.notional_usd = caps.collect();
    })
}

fn orders(caps: &[(&str, u64)]) -> Bed {
    bed().scoped(|scope| {
        let caps = caps.iter().map(|&(per, at_most)| OrderCap { per: span(per), at_most });
        scope.cumulative.orders = caps.collect();
    })
}

fn buy(notional: &str) -> Member {
    trade([limit(Side::Buy, "1", notional)])
}

/// The same, with its end so many microseconds after the bed's time.
fn buy_until(notional: &str, micros: u64) -> Member {
    let deadline = Some(Timestamp(micros as i64));
    trade([Leg { deadline, ..limit(Side::Buy, "1", notional) }])
}

#[test]
fn the_cap_itself_is_allowed_and_one_unit_more_denied() {
    let bed = notional(&[("1d", "1000")]);
    assert_eq!(bed.code(buy("1000")), "ALLOW");
    assert_eq!(bed.code(buy("1000.000000000000000001")), "NOTIONAL_CAP_REACHED");
}

#[test]
fn a_cap_straddled_by_two_requests_stops_the_second() {
    let mut bed = notional(&[("1d", "1000")]);
    bed.spend(buy("600"));
    assert_eq!(bed.code(buy("400")), "ALLOW");
    assert_eq!(bed.code(buy("400.000000000000000001")), "NOTIONAL_CAP_REACHED");
    bed.spend(buy("400"));
    assert_eq!(bed.code(buy("0.01")), "NOTIONAL_CAP_REACHED");
}

#[test]
fn a_cap_straddled_by_two_orders_of_one_batch_stops_both() {
    let bed = notional(&[("1d", "1000")]);
    let batch =
        |one: &str, other: &str| trade([limit(Side::Buy, "1", one), limit(Side::Buy, "1", other)]);
    assert_eq!(bed.code(batch("600", "400")), "ALLOW");
    assert_eq!(bed.code(batch("600", "401")), "NOTIONAL_CAP_REACHED");
    let rates = orders(&[("1m", 1)]);
    assert_eq!(rates.code(batch("1", "1")), "ORDER_RATE_REACHED");
    assert_eq!(rates.code(buy("1")), "ALLOW");
}

#[test]
fn a_window_slides_exactly_at_its_border() {
    let mut bed = notional(&[("10s", "1000")]);
    bed.spend(buy("1000"));
    let at = |after: u64| bed.clone().with(|bed| bed.clock = ClockTime(CLOCK + after));
    assert_eq!(at(0).code(buy("1")), "NOTIONAL_CAP_REACHED");
    assert_eq!(at(10 * SECOND - 1).code(buy("1")), "NOTIONAL_CAP_REACHED");
    assert_eq!(at(10 * SECOND).code(buy("1000")), "ALLOW");

    let mut bed = orders(&[("10s", 1)]);
    bed.spend(buy("1"));
    let at = |after: u64| bed.clone().with(|bed| bed.clock = ClockTime(CLOCK + after));
    assert_eq!(at(10 * SECOND - 1).code(buy("1")), "ORDER_RATE_REACHED");
    assert_eq!(at(10 * SECOND).code(buy("1")), "ALLOW");
}

#[test]
fn the_wall_clock_changes_nothing() {
    let mut bed = orders(&[("10s", 1)]);
    bed.spend(buy("1"));
    for now in [i64::MIN, -1, 0, 86_400_000_000, i64::MAX] {
        let moved = bed.clone().with(|bed| bed.now = Timestamp(now));
        assert_eq!(moved.code(buy("1")), "ORDER_RATE_REACHED", "{now}");
    }
}

#[test]
fn all_of_several_windows_hold() {
    let mut bed = orders(&[("1s", 2), ("1m", 3)]);
    bed.spend(buy("1"));
    bed.spend(buy("1"));
    assert_eq!(bed.code(buy("1")), "ORDER_RATE_REACHED");
    bed.clock = ClockTime(CLOCK + SECOND);
    bed.spend(buy("1"));
    bed.clock = ClockTime(CLOCK + 2 * SECOND);
    assert_eq!(bed.code(buy("1")), "ORDER_RATE_REACHED");
    bed.clock = ClockTime(CLOCK + 60 * SECOND);
    assert_eq!(bed.code(buy("1")), "ALLOW");

    let mut bed = notional(&[("1s", "10"), ("1m", "15")]);
    bed.spend(buy("10"));
    bed.clock = ClockTime(CLOCK + SECOND);
    assert_eq!(bed.code(buy("5")), "ALLOW");
    assert_eq!(bed.code(buy("6")), "NOTIONAL_CAP_REACHED");
}

#[test]
fn what_orders_nothing_passes_a_cap_that_is_reached() {
    let mut bed = orders(&[("1d", 1)]).scoped(|scope| {
        scope.cumulative.notional_usd = vec![NotionalCap { per: span("1d"), at_most: money("1") }];
        scope.cumulative.open_orders = Some(1);
    });
    bed.spend(buy("1"));
    // Somebody has narrowed the scope since.
    bed.document.cumulative.orders = vec![OrderCap { per: span("1d"), at_most: 0 }];
    for class in [Class::Read, Class::Cancel, Class::Account] {
        assert_eq!(bed.code(member(class)), "ALLOW", "{class}");
    }
    assert_eq!(bed.code(buy("0.1")), "NOTIONAL_CAP_REACHED");
}

#[test]
fn amendments_count_as_orders_and_do_not_rest() {
    let mut bed = orders(&[("1d", 2)]).scoped(|scope| scope.cumulative.open_orders = Some(1));
    bed.spend(buy("1"));
    // Another order could rest beside the first.
    assert_eq!(bed.code(buy("1")), "OPEN_ORDERS_REACHED");
    bed.spend(trade([amendment(Some("1"), Some("1"))]));
    assert_eq!(bed.code(trade([amendment(Some("1"), Some("1"))])), "ORDER_RATE_REACHED");
}

#[test]
fn open_orders_are_those_that_have_not_ended() {
    let mut bed = bed().scoped(|scope| scope.cumulative.open_orders = Some(2));
    bed.spend(buy("1"));
    let two = || trade([limit(Side::Buy, "1", "1"), limit(Side::Buy, "1", "2")]);
    assert_eq!(bed.code(two()), "OPEN_ORDERS_REACHED");
    assert_eq!(bed.code(buy("1")), "ALLOW");
    // What cannot rest passes, also where no room is left.
    bed.document.cumulative.open_orders = Some(0);
    assert_eq!(bed.code(trade([order(OrderType::Market, Side::Buy, "1")])), "ALLOW");
    bed.document.cumulative.open_orders = Some(2);
    bed.history.ended(1);
    assert_eq!(bed.code(two()), "ALLOW");
}

#[test]
fn what_is_left_is_said_by_the_name_of_the_cap() {
    let mut bed = orders(&[("1s", 5), ("60s", 7)]).scoped(|scope| {
        scope.cumulative.notional_usd =
            vec![NotionalCap { per: span("24h"), at_most: money("1000") }];
        scope.cumulative.open_orders = Some(3);
    });
    bed.spend(buy("100.5"));
    let left = bed.cost(buy("100")).limits_left;
    let left: Vec<String> = left.iter().map(|(name, left)| format!("{name}={left}")).collect();
    assert_eq!(left, ["notional_usd/1d=799.5", "open_orders=1", "orders/1m=5", "orders/1s=3"]);
    assert!(bed.cost(member(Class::Read)).limits_left.is_empty());
    // The last of it.
    let left = bed.cost(buy("899.5")).limits_left;
    assert_eq!(left["notional_usd/1d"], "0");
}

#[test]
fn under_a_cap_what_cannot_be_priced_is_denied() {
    let bed = notional(&[("1d", "1000")]);
    let code = |leg| bed.code(trade([leg]));
    assert_eq!(code(order(OrderType::Limit, Side::Buy, "1")), "NOTIONAL_UNKNOWN");
    let doge = at("DOGE-USDT", vault_model::Product::Spot, limit(Side::Buy, "1", "1"));
    assert_eq!(code(doge), "INSTRUMENT_UNKNOWN");
    let stale = bed.clone().with(|bed| bed.market.forget_price(&pair("BTC/USD")));
    let market = trade([order(OrderType::Market, Side::Buy, "1")]);
    assert_eq!(stale.code(market), "PRICE_STALE");
}

#[test]
fn a_cap_that_is_reached_says_when_it_frees() {
    let mut bed = orders(&[("10s", 2)]);
    bed.spend(buy("1"));
    bed.clock = ClockTime(CLOCK + 3 * SECOND);
    bed.spend(buy("1"));
    bed.clock = ClockTime(CLOCK + 4 * SECOND + 1);
    let per = span("10s");
    let denial = bed.denial(buy("1"));
    let wait = Some(Duration::from_micros(6 * SECOND - 1));
    assert_eq!(denial, Denial::OrderRateReached(Reached { per, wait }));
    assert!(denial.advice().ends_with("(10s): wait 6 s"), "{}", denial.advice());
    assert_eq!(denial.retry_after(), wait);
    // Then there is room, and not a moment before.
    let at = |at: u64| bed.clone().with(|bed| bed.clock = ClockTime(CLOCK + at)).code(buy("1"));
    assert_eq!(at(10 * SECOND), "ALLOW");
    assert_eq!(at(10 * SECOND - 1), "ORDER_RATE_REACHED");
    // Two want both to be gone.
    let two = || trade([limit(Side::Buy, "1", "1"), limit(Side::Buy, "1", "2")]);
    let wait = bed.denial(two()).retry_after();
    assert_eq!(wait, Some(Duration::from_micros(9 * SECOND - 1)));
    // Three never fit.
    let three = trade((0..3).map(|_| limit(Side::Buy, "1", "1")));
    let denial = bed.denial(three);
    assert_eq!(denial, Denial::OrderRateReached(Reached { per, wait: None }));
    assert!(denial.advice().ends_with("this request alone is more"), "{}", denial.advice());

    let mut bed = notional(&[("10s", "100")]);
    bed.spend(buy("60"));
    bed.clock = ClockTime(CLOCK + SECOND);
    bed.spend(buy("40"));
    assert_eq!(bed.denial(buy("60")).retry_after(), Some(Duration::from_secs(9)));
    assert_eq!(bed.denial(buy("61")).retry_after(), Some(Duration::from_secs(10)));
    assert_eq!(bed.denial(buy("101")).retry_after(), None);
}

#[test]
fn a_cap_that_counts_holds_over_signatures_only_where_they_are_taken_once() {
    let sign = |bed: Bed, once| bed.with(|bed| (bed.mode, bed.once) = (Mode::Sign, once));
    for bed in [orders(&[("1d", 9)]), notional(&[("1d", "1000")])] {
        assert_eq!(sign(bed.clone(), false).code(buy("1")), "CAP_NOT_ENFORCEABLE");
        assert_eq!(sign(bed.clone(), true).code(buy_until("1", 60 * SECOND)), "ALLOW");
        assert_eq!(bed.code(buy("1")), "ALLOW");
        // What does not trade passes, alone.
        assert_eq!(sign(bed.clone(), false).code(member(Class::Read)), "ALLOW");
        assert_eq!(sign(bed.clone(), false).code(member(Class::Cancel)), "ALLOW");
        let both = vec![member(Class::Read), buy("1")];
        assert_eq!(sign(bed, false).code_of_all(both), "CAP_NOT_ENFORCEABLE");
    }
    let open = bed().scoped(|scope| scope.cumulative.open_orders = Some(9));
    for once in [false, true] {
        let own = sign(open.clone(), once);
        assert_eq!(own.code(buy_until("1", SECOND)), "CAP_NOT_ENFORCEABLE");
        assert_eq!(sign(open.clone(), once).code(member(Class::Read)), "ALLOW");
    }
    assert_eq!(sign(bed(), false).code(buy("1")), "ALLOW");
}

#[test]
fn it_holds_over_signatures_only_for_orders_that_end_soon() {
    let sign = |bed: Bed| bed.with(|bed| (bed.mode, bed.once) = (Mode::Sign, true));
    for bed in [orders(&[("1d", 9)]), notional(&[("1d", "1000")])].map(sign) {
        assert_eq!(bed.code(buy("1")), "CAP_NOT_ENFORCEABLE");
        assert_eq!(bed.code(buy_until("1", 60 * SECOND)), "ALLOW");
        assert_eq!(bed.code(buy_until("1", 60 * SECOND + 1)), "CAP_NOT_ENFORCEABLE");
        // Over before it is signed, by the vault's clock: the venue's may be behind.
        assert_eq!(bed.code(buy_until("1", 0)), "CAP_NOT_ENFORCEABLE");
        assert_eq!(bed.code(buy_until("1", 1)), "ALLOW");
        // Each of a batch, and of all that the signature would authorise.
        let [one] = &buy_until("1", SECOND).legs[..] else { panic!("one order") };
        let kept = limit(Side::Buy, "1", "1");
        assert_eq!(bed.code(trade([one.clone(), kept.clone()])), "CAP_NOT_ENFORCEABLE");
        let closure = vec![buy_until("1", SECOND), trade([kept])];
        assert_eq!(bed.code_of_all(closure), "CAP_NOT_ENFORCEABLE");
        assert_eq!(bed.code(trade([])), "ORDER_UNKNOWN");
    }
}

/// A clock that somebody puts forward by a day would make of a minute a day.
#[test]
fn a_wall_clock_that_was_put_forward_says_nothing_of_what_is_soon() {
    let day = 86_400 * SECOND;
    let bed = orders(&[("1d", 9)]).with(|bed| (bed.mode, bed.once) = (Mode::Sign, true));
    let forward = bed.with(|bed| bed.now = Timestamp(day as i64));
    assert_eq!(forward.code(buy_until("1", day + SECOND)), "CAP_NOT_ENFORCEABLE");
    assert_eq!(forward.code(buy_until("1", SECOND)), "ALLOW");
}

#[test]
fn a_signature_counts_until_its_orders_end() {
    let mut bed = orders(&[("10s", 1)]).with(|bed| (bed.mode, bed.once) = (Mode::Sign, true));
    assert_eq!(bed.cost(buy_until("1", 5 * SECOND)).lasts, Duration::from_secs(5));
    bed.spend(buy_until("1", 5 * SECOND));
    let at = |after: u64| bed.clone().with(|bed| bed.clock = ClockTime(CLOCK + after));
    assert_eq!(at(15 * SECOND - 1).code(buy_until("1", SECOND)), "ORDER_RATE_REACHED");
    assert_eq!(at(15 * SECOND).code(buy_until("1", SECOND)), "ALLOW");
    assert_eq!(bed.denial(buy_until("1", SECOND)).retry_after(), Some(Duration::from_secs(15)));
    // What the vault sends itself happens at once, and what is kept for long is under no cap.
    bed.mode = Mode::Execute;
    bed.clock = ClockTime(CLOCK + 15 * SECOND);
    assert_eq!(bed.cost(buy_until("1", 5 * SECOND)).lasts, Duration::ZERO);
    let free = self::bed().with(|bed| bed.mode = Mode::Sign);
    assert_eq!(free.cost(buy_until("1", 61 * SECOND)).lasts, Duration::ZERO);
    let both = trade(
        [buy_until("1", SECOND), buy_until("1", 2 * SECOND)].map(|member| member.legs[0].clone()),
    );
    assert_eq!(free.cost(both).lasts, Duration::from_secs(2));
}

#[test]
fn execute_is_the_remedy_for_a_cap_that_signatures_would_pass() {
    let bed = orders(&[("1d", 1)]).with(|bed| bed.mode = Mode::Sign);
    let remedy = |bed: &Bed| bed.ask(vec![buy("1"), member(Class::Read)], execute_remedy);
    assert_eq!(remedy(&bed), Some(Remedy::Execute { granted: true }));
    let denial = bed.denial(buy("1"));
    let words = hint(&denial, &[Remedy::Execute { granted: true }]);
    assert!(words.starts_with("a cap that counts holds over a signature only"), "{words}");
    assert!(words.ends_with("Execute may serve the request"), "{words}");
    // It is not where Execute would be denied for the cap, or for what it costs.
    let mut reached = bed.clone().with(|bed| bed.mode = Mode::Execute);
    reached.spend(buy("1"));
    reached.mode = Mode::Sign;
    assert_eq!(remedy(&reached), None);
    let dear = bed.scoped(|scope| scope.orders.max_notional_usd = Some(money("0.5")));
    assert_eq!(remedy(&dear), None);
}

/// Held against a cap is what is stated, where the vault sends; the rest of the closure is not.
#[test]
fn execute_counts_what_is_stated_alone() {
    let bed = notional(&[("1d", "1000")]);
    assert_eq!(bed.code_of_all(vec![buy("1000"), buy("5000")]), "ALLOW");
    let sign = bed.with(|bed| (bed.mode, bed.once) = (Mode::Sign, true));
    let signed = vec![buy_until("1000", SECOND), buy_until("5000", SECOND)];
    assert_eq!(sign.code_of_all(signed), "NOTIONAL_CAP_REACHED");
}

/// For people who ask what an order that is denied would have been.
#[test]
fn a_denied_order_has_a_cost_too() {
    let bed = notional(&[("1d", "1000")]);
    assert_eq!(bed.code(buy("1001")), "NOTIONAL_CAP_REACHED");
    let cost = bed.ask(vec![buy("1001")], vault_policy::cost);
    assert_eq!((cost.orders, cost.notional_usd), (1, Some(money("1001"))));
    assert_eq!(cost.order_keys.len(), 1);
    assert!(cost.limits_left.is_empty());
}

/// Of many orders, the wait is for the last that has to leave the window.
#[test]
fn how_long_to_wait_is_exact_among_many() {
    let mut bed = orders(&[("10s", 8)]);
    for second in 0..8 {
        bed.clock = ClockTime(CLOCK + second * SECOND);
        bed.spend(buy("1"));
    }
    for count in 1..=8u64 {
        let many = trade((0..count).map(|_| limit(Side::Buy, "1", "1")));
        // The first leaves 10 s after it came, 3 s from now; the others a second later each.
        let wait = Duration::from_secs(3 + count - 1);
        assert_eq!(bed.denial(many).retry_after(), Some(wait), "{count}");
    }
}

/// A read is not kept in any history: it says nothing that counts.
#[test]
fn what_orders_nothing_spends_nothing() {
    let spend = bed().cost(member(Class::Read)).spend(ClockTime(CLOCK));
    let at = ClockTime(CLOCK);
    assert_eq!(spend, vault_policy::Spend { at, until: at, ..Default::default() });
}
