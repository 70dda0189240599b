//! What has been spent, in windows.

use proptest::prelude::*;
use vault_policy::{Spend, Withdrawn};

use super::*;

fn spend(at: u64, orders: u64, notional: &str) -> Spend {
    Spend {
        at: ClockTime(at),
        orders,
        resting: orders,
        notional_usd: Some(money(notional)),
        ..Spend::default()
    }
}

fn history(spends: impl IntoIterator<Item = Spend>) -> History {
    let mut history = History::default();
    spends.into_iter().for_each(|spend| history.add(&spend));
    history
}

/// Both sums in 10 s up to a second.
fn sums(history: &History, second: u64) -> (u64, String) {
    let (per, clock) = (span("10s"), ClockTime(second * SECOND));
    (history.orders_within(per, clock), history.notional_within(per, clock).to_string())
}

#[test]
fn sums_are_of_what_is_later_than_the_beginning() {
    let history = history([
        spend(SECOND, 1, "0.1"),
        spend(2 * SECOND, 2, "0.2"),
        spend(2 * SECOND, 4, "0.4"),
        spend(12 * SECOND, 8, "0.8"),
    ]);
    assert_eq!(sums(&history, 2), (15, "1.5".to_owned()));
    assert_eq!(sums(&history, 10), (15, "1.5".to_owned()));
    // The first is exactly one span ago.
    assert_eq!(sums(&history, 11), (14, "1.4".to_owned()));
    assert_eq!(sums(&history, 12), (8, "0.8".to_owned()));
    assert_eq!(sums(&history, 21), (8, "0.8".to_owned()));
    assert_eq!(sums(&history, 22), (0, "0".to_owned()));
    assert_eq!(sums(&History::default(), 1), (0, "0".to_owned()));
}

#[test]
fn what_was_spent_when_the_clock_began_is_in_the_first_window() {
    let history = history([spend(0, 1, "1")]);
    assert_eq!(sums(&history, 0), (1, "1".to_owned()));
    assert_eq!(sums(&history, 9), (1, "1".to_owned()));
    assert_eq!(sums(&history, 10), (0, "0".to_owned()));
}

#[test]
fn a_time_that_goes_back_counts_as_the_last() {
    let history = history([spend(20 * SECOND, 1, "1"), spend(5 * SECOND, 2, "2")]);
    assert_eq!(sums(&history, 29), (3, "3".to_owned()));
    // And a clock that goes back forgets nothing.
    assert_eq!(sums(&history, 1), (3, "3".to_owned()));
}

#[test]
fn a_sum_that_does_not_fit_is_more_than_any_cap() {
    let largest = "999999999999999999";
    let mut history = history((1..=200).map(|second| spend(second * SECOND, 1, largest)));
    let within = |history: &History, second| {
        history.notional_within(span("31d"), ClockTime(second * SECOND))
    };
    assert!(within(&history, 200) > money(largest));
    // What is later than the overflow is counted exactly.
    let last = history.notional_within(span("1s"), ClockTime(200 * SECOND));
    assert_eq!(last, money(largest));
    let two = history.notional_within(span("2s"), ClockTime(200 * SECOND));
    assert_eq!(two.to_string(), "1999999999999999998");
    history.add(&spend(10_000 * SECOND, 1, "5"));
    assert_eq!(sums(&history, 10_000), (1, "5".to_owned()));
    let many = history_of_orders(u64::MAX);
    assert_eq!(many.orders_within(span("1d"), ClockTime(2)), u64::MAX);
    assert_eq!(many.resting(), u64::MAX);
}

fn history_of_orders(orders: u64) -> History {
    history([spend(1, orders, "0"), spend(2, orders, "0")])
}

#[test]
fn what_has_no_price_counts_as_orders_alone() {
    let history = history([Spend { notional_usd: None, ..spend(SECOND, 3, "1") }]);
    assert_eq!(sums(&history, 1), (3, "0".to_owned()));
}

#[test]
fn what_no_window_reaches_is_forgotten_and_still_rests() {
    const DAY: u64 = 86_400 * SECOND;
    let keyed = |at: u64, key: u64| Spend {
        order_keys: vec![key],
        id_keys: vec![key + 100],
        withdrawn: vec![Withdrawn {
            venue: name(VENUE),
            asset: "BTC".to_owned(),
            amount: money("1"),
        }],
        ..spend(at * SECOND, 1, "1")
    };
    let mut history = history([keyed(1, 1), keyed(2, 2), keyed(3, 1), keyed(3, 3)]);
    // Two seconds, and they are not joined: the day is not over.
    history.tidy(ClockTime(4 * SECOND), span("2s"));
    let (per, clock) = (span("31d"), ClockTime(3 * SECOND));
    assert_eq!(history.orders_within(per, clock), 4);
    assert_eq!(history.orders_within(span("1s"), clock), 2);
    for key in [1, 2, 3] {
        assert!(history.has_order(key, per, clock) && history.has_id(key + 100, per, clock));
    }
    history.tidy(ClockTime(4 * SECOND + 1), span("2s"));
    assert!(!history.has_order(2, per, clock) && !history.has_id(102, per, clock));
    assert!(history.has_order(1, per, clock) && history.has_id(101, per, clock));
    history.tidy(ClockTime(6 * SECOND), span("2s"));
    assert!(!history.has_order(1, per, clock) && !history.has_id(103, per, clock));
    assert_eq!(history.notional_within(per, clock), money("4"));

    history.tidy(ClockTime(31 * DAY + 2 * SECOND), span("2s"));
    assert_eq!(history.orders_within(per, clock), 3);
    assert_eq!(history.notional_within(per, clock), money("3"));
    assert_eq!(history.withdrawn_within(VENUE, "BTC", per, clock), money("3"));
    history.tidy(ClockTime(31 * DAY + 4 * SECOND), span("2s"));
    assert_eq!(history.orders_within(per, clock), 0);
    assert_eq!(history.notional_within(per, clock), Money::ZERO);
    assert_eq!(history.withdrawn_within(VENUE, "BTC", per, clock), Money::ZERO);
    assert_eq!(history.resting(), 4);
    // It goes on as if nothing had been.
    history.add(&keyed(5, 9));
    assert_eq!(history.notional_within(per, ClockTime(5 * SECOND)), money("1"));
    assert_eq!(history.withdrawn_within(VENUE, "BTC", per, ClockTime(5 * SECOND)), money("1"));
}

#[test]
fn after_a_day_a_minute_is_one_and_counts_until_its_end() {
    const MINUTE: u64 = 60 * SECOND;
    const DAY: u64 = 86_400 * SECOND;
    let times = [10 * SECOND, 20 * SECOND, 59 * SECOND, MINUTE, MINUTE + 1, 5 * MINUTE];
    let plain = history(times.map(|at| spend(at, 1, "0.1")));
    let mut tidied = plain.clone();
    tidied.tidy(ClockTime(DAY + 5 * MINUTE), span("1s"));
    let two_days = span("2d");
    let sums_at = |history: &History, at: u64| {
        let clock = ClockTime(2 * DAY + at);
        (history.orders_within(two_days, clock), history.notional_within(two_days, clock))
    };
    // (a moment, what is counted from the points, what from the minutes)
    for (at, exact, joined) in [
        (9 * SECOND, 6, 6),
        (10 * SECOND, 5, 6),
        (59 * SECOND - 1, 4, 6),
        (59 * SECOND, 3, 3),
        (MINUTE, 2, 3),
        (MINUTE + 1, 1, 1),
        (5 * MINUTE - 1, 1, 1),
        (5 * MINUTE, 0, 0),
    ] {
        let sum = |orders: u64| (orders, money("0.1").checked_mul(Money::whole(orders)).unwrap());
        assert_eq!(sums_at(&plain, at), sum(exact), "{at}");
        assert_eq!(sums_at(&tidied, at), sum(joined), "{at}");
    }
    // What comes later is counted as ever, and joined when its day is over.
    tidied.add(&spend(DAY + 6 * MINUTE, 2, "5"));
    assert_eq!(sums_at(&tidied, 0), (8, money("5.6")));
    assert_eq!(sums_at(&tidied, 5 * MINUTE), (2, money("5")));
    tidied.tidy(ClockTime(3 * DAY), span("1s"));
    assert_eq!(sums_at(&tidied, 0), (8, money("5.6")));
}

#[test]
fn orders_rest_until_they_end() {
    let mut history = history([spend(1, 5, "1")]);
    history.ended(2);
    assert_eq!(history.resting(), 3);
    history.ended(9);
    assert_eq!(history.resting(), 0);
}

#[test]
fn keys_are_told_apart() {
    let history =
        history([Spend { order_keys: vec![1], id_keys: vec![2, 3], ..spend(10 * SECOND, 1, "1") }]);
    let (per, clock) = (span("10s"), |second| ClockTime(second * SECOND));
    assert!(history.has_order(1, per, clock(19)) && !history.has_order(1, per, clock(20)));
    assert!(history.has_id(3, per, clock(19)) && !history.has_id(3, per, clock(20)));
    assert!(!history.has_order(2, per, clock(11)) && !history.has_id(1, per, clock(11)));
}

#[test]
fn withdrawals_are_summed_by_venue_and_asset() {
    let withdrawn = |venue: &str, asset: &str, amount: &str| Withdrawn {
        venue: name(venue),
        asset: asset.to_owned(),
        amount: money(amount),
    };
    let history = history([Spend {
        at: ClockTime(SECOND),
        withdrawn: vec![
            withdrawn("okx", "BTC", "1"),
            withdrawn("okx", "ETH", "2"),
            withdrawn("kraken", "BTC", "4"),
            withdrawn("okx", "BTC", "8"),
        ],
        ..Spend::default()
    }]);
    let within = |venue, asset| {
        history.withdrawn_within(venue, asset, span("1d"), ClockTime(SECOND)).to_string()
    };
    assert_eq!(within("okx", "BTC"), "9");
    assert_eq!(within("okx", "ETH"), "2");
    assert_eq!(within("kraken", "BTC"), "4");
    assert_eq!(within("kraken", "ETH"), "0");
}

/// The same sums, counted one by one.
#[test]
fn sums_agree_with_counting() {
    let times: Vec<u64> = (0..400u64).map(|number| number * number % 97 + number).collect();
    let mut latest = 0;
    let spends: Vec<Spend> = times
        .iter()
        .map(|time| {
            latest = latest.max(*time);
            spend(latest * SECOND, time % 3, &(time % 7).to_string())
        })
        .collect();
    let history = history(spends.clone());
    for clock in latest..latest + 40 {
        for seconds in [1, 2, 10, 60, 300] {
            let per = Span::seconds(seconds).expect("a span");
            let inside = |spend: &&Spend| spend.at.0 + u64::from(seconds) * SECOND > clock * SECOND;
            let orders: u64 = spends.iter().filter(inside).map(|spend| spend.orders).sum();
            let notional = spends.iter().filter(inside).fold(Money::ZERO, |sum, spend| {
                sum.checked_add(spend.notional_usd.expect("priced")).expect("it fits")
            });
            let clock = ClockTime(clock * SECOND);
            assert_eq!(history.orders_within(per, clock), orders, "{clock:?} {per}");
            assert_eq!(history.notional_within(per, clock), notional, "{clock:?} {per}");
        }
    }
}

#[test]
fn after_an_hour_a_second_is_one_and_counts_until_its_end() {
    const HOUR: u64 = 3_600 * SECOND;
    let times = [0, 400_000, 900_000, SECOND, SECOND + 1];
    let plain = history(times.map(|at| spend(at, 1, "0.1")));
    let mut tidied = plain.clone();
    // All but the last are more than an hour old.
    tidied.tidy(ClockTime(HOUR + SECOND + 1), span("1s"));
    let within = |history: &History, at: u64| {
        let clock = ClockTime(2 * HOUR + at);
        (history.orders_within(span("2h"), clock), history.notional_within(span("2h"), clock))
    };
    // (a moment, what is counted from the points, what from the seconds)
    for (at, exact, joined) in
        [(0, 4, 5), (899_999, 3, 5), (900_000, 2, 2), (SECOND, 1, 1), (SECOND + 1, 0, 0)]
    {
        let sum = |orders: u64| (orders, money("0.1").checked_mul(Money::whole(orders)).unwrap());
        assert_eq!(within(&plain, at), sum(exact), "{at}");
        assert_eq!(within(&tidied, at), sum(joined), "{at}");
    }
    // Within the hour nothing is joined.
    let mut young = plain.clone();
    young.tidy(ClockTime(HOUR), span("1s"));
    assert_eq!(within(&young, 500_000), within(&plain, 500_000));
    // Later the next second is one as well.
    tidied.tidy(ClockTime(HOUR + 9 * SECOND), span("1s"));
    assert_eq!(within(&tidied, SECOND).0, 2);
}

#[test]
fn within_a_day_no_minute_is_one() {
    const DAY: u64 = 86_400 * SECOND;
    let mut history = history([0, 30].map(|second| spend(second * SECOND, 1, "1")));
    let clock = ClockTime(DAY + 20 * SECOND);
    history.tidy(clock, span("1s"));
    assert_eq!(history.orders_within(span("1d"), clock), 1);
    history.tidy(ClockTime(DAY + 31 * SECOND), span("1s"));
    assert_eq!(history.orders_within(span("1d"), clock), 2);
}

/// Who has to forget much does it little by little, and until then nothing else is found.
#[test]
fn no_more_keys_are_forgotten_at_once_than_there_is_room_for() {
    let spends = (0..300u64).map(|second| Spend {
        order_keys: vec![second],
        id_keys: vec![second % 100],
        ..spend(second * SECOND, 1, "1")
    });
    let mut history = self::history(spends);
    let (clock, per) = (ClockTime(300 * SECOND), span("200s"));
    let mut left = Vec::new();
    for _ in 0..5 {
        let mut room = 128;
        history.forget_keys(clock, &mut room);
        left.push(128 - room);
        for second in 0..300 {
            let is_inside = second > 100 && second >= left.iter().sum::<usize>() as u64;
            let found = history.has_order(second, per, clock);
            assert_eq!(found, is_inside, "{second} after {left:?}");
        }
    }
    assert_eq!(left, [128, 128, 128, 128, 88], "600 sights");
    assert!((0..100).all(|key| !history.has_id(key, per, clock)));
    let mut other = History::default();
    (0..300u64).for_each(|second| other.add(&spend(second * SECOND, 1, "1")));
    assert_eq!(history, other, "nothing is left of them");
    // Of one moment all or none.
    let batch = Spend { order_keys: vec![7; 20], ..spend(SECOND, 20, "1") };
    let other = Spend { order_keys: vec![8; 20], ..spend(2 * SECOND, 20, "1") };
    let mut batches = self::history([batch, other]);
    let found = |batches: &History| [7, 8].map(|key| batches.has_order(key, span("31d"), clock));
    batches.forget_keys(clock, &mut 8);
    assert_eq!(found(&batches), [false, true]);
    batches.forget_keys(clock, &mut 1);
    assert_eq!(found(&batches), [false, false]);
}

#[test]
fn a_spend_that_is_moved_lasts_as_long() {
    let spend = Spend { at: ClockTime(5), until: ClockTime(7), orders: 3, ..Spend::default() };
    let moved = spend.clone().moved_to(ClockTime(100));
    assert_eq!(moved, Spend { at: ClockTime(100), until: ClockTime(102), ..spend });
}

#[test]
fn what_lasts_is_in_the_window_until_it_ends() {
    let signed = Spend { until: ClockTime(CLOCK + 5 * SECOND), ..spend(CLOCK, 1, "10") };
    let history = history([signed]);
    let within = |after: u64| {
        let at = ClockTime(CLOCK + after);
        (history.orders_within(span("10s"), at), history.notional_within(span("10s"), at))
    };
    assert_eq!(within(15 * SECOND - 1), (1, money("10")));
    assert_eq!(within(15 * SECOND), (0, Money::ZERO));
}

/// Of one kind, nothing leaves a window before what came earlier; of another, it may.
#[test]
fn what_is_counted_for_nothing_holds_nothing_in_a_window() {
    let lasting = Spend { until: ClockTime(CLOCK + 100 * SECOND), ..spend(CLOCK, 0, "10") };
    let history = history([lasting, spend(CLOCK + SECOND, 1, "1")]);
    let at = ClockTime(CLOCK + 50 * SECOND);
    assert_eq!(history.orders_within(span("10s"), at), 0);
    assert_eq!(history.notional_within(span("10s"), at), money("11"));
}

/// Spends so close together that there are more of them than are kept exactly: times and orders.
fn dense() -> impl Strategy<Value = Vec<(u64, u64)>> {
    let step = prop_oneof![80 => 0..1_000u64, 1 => 0..400_000u64, 1 => Just(SECOND)];
    proptest::collection::vec((step, 1..3u64), 0..14_000).prop_map(|steps| {
        let mut at = CLOCK;
        let mut add = |after| {
            at += after;
            at
        };
        steps.into_iter().map(|(after, orders)| (add(after), orders)).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// A cap of at most 8,000 orders is judged as if every time were known; a larger sum holds what was
    /// spent for a second longer at most, and never for less.
    #[test]
    fn however_much_is_spent_small_caps_are_exact_and_no_window_is_shorter(
        spends in dense(), per_s in 1u32..20, later in 0..5 * SECOND, tidies in any::<bool>(),
    ) {
        let mut history = History::default();
        for (at, orders) in &spends {
            history.add(&spend(*at, *orders, "0.5"));
            if tidies && at.is_multiple_of(97) {
                history.tidy(ClockTime(*at), span("1s"));
            }
        }
        let counted = |from: u64| -> u64 {
            spends.iter().filter(|(at, _)| *at > from).map(|(_, orders)| orders).sum()
        };
        let last = spends.last().map_or(CLOCK, |(at, _)| *at);
        let (per, clock) = (Span::seconds(per_s).expect("a span"), last + later);
        let begin = clock - u64::from(per_s) * SECOND;
        let (exact, a_second_longer) = (counted(begin), counted(begin - SECOND));
        let found = history.orders_within(per, ClockTime(clock));
        prop_assert!((exact..=a_second_longer).contains(&found), "{exact} {found} {a_second_longer}");
        prop_assert_eq!(found.min(8_000), exact.min(8_000));
        let priced = |from: u64| {
            let points = spends.iter().filter(|(at, _)| *at > from).count() as u64;
            money("0.5").checked_mul(Money::whole(points)).expect("it fits")
        };
        let notional = history.notional_within(per, ClockTime(clock));
        prop_assert!(notional >= priced(begin) && notional <= priced(begin - SECOND));
    }
}
