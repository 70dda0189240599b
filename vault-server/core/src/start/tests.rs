//! What a start reads in the log is what was counted when it was written.

use std::time::Duration;

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use vault_audit::{Entry, EntryKind};
use vault_model::{
    Class, ClockTime, Intent, Leg, MarginMode, Member, Mode, Money, Name, OrderType, Reading, Side,
    Symbols, Timestamp,
};
use vault_policy::{Cost, DuplicatesDocument, Span, Spend, Withdrawn};

use super::Past;
use crate::checked::Checked;
use crate::clock::{FIRST, Machine, VaultClock};
use crate::history::{self, Histories, keys_asked};
use crate::replay::{Known, Replay};

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn money(text: &str) -> Money {
    text.parse().expect("an amount")
}

/// One signature: whose, what was read, what it counted for, how long after the one before.
#[derive(Clone, Debug)]
struct Signature {
    client: &'static str,
    reading: Reading,
    cost: Cost,
    after_us: u64,
}

/// A stated operation, and another in its closure that has only client order ids.
fn reading(
    class: Class,
    operation: &str,
    legs: Vec<Leg>,
    ids: Vec<String>,
    others: Vec<String>,
) -> Reading {
    let member = |operation: &str, legs, ids: Vec<String>| Member {
        operation: operation.into(),
        class,
        schema_sourced: true,
        intent: Intent {
            products: None,
            symbols: Symbols::Every,
            legs,
            client_order_id: (ids.len() == 1).then(|| ids[0].clone()),
            client_order_ids: ids,
            transfers: Vec::new(),
        }
        .into(),
    };
    let stated = member(operation, legs, ids);
    Reading {
        venue: "kraken",
        closure: vec![stated.clone(), member("POST /other", Vec::new(), others)],
        stated,
        closure_hash: [0; 32],
        catalog_hash: [0; 32],
    }
}

prop_compose! {
    fn leg()(
        symbol in select(vec!["XBTUSD", "ETHUSD"]),
        side in select(Side::ALL),
        order_type in of(select(OrderType::ALL)),
        quantity in of(select(vec!["1", "0.001", "2"])),
        leverage in of(select(vec!["2", "5"])),
        margin_mode in of(select(MarginMode::ALL)),
        amends in any::<bool>(),
    ) -> Leg {
        Leg {
            symbol: Some(symbol.to_owned()),
            side: Some(side),
            order_type,
            quantity: quantity.map(str::to_owned),
            leverage: leverage.map(str::to_owned),
            margin_mode,
            amends,
            ..Leg::default()
        }
    }
}

prop_compose! {
    fn signature()(
        client in select(vec!["one", "two"]),
        class in select(vec![Class::Trade, Class::Trade, Class::Account, Class::Withdraw]),
        operation in select(vec!["POST /0/private/AddOrder", "POST /0/private/AddOrderBatch"]),
        legs in vec(leg(), 0..4),
        // Of the stated operation, and of another that the signature authorises.
        (ids, others) in (vec("[a-z,\\\\\"]{0,4}", 0..4), vec("[a-c]", 0..2)),
        (orders, resting) in (0u64..5, 0u64..5),
        notional in of((0u64..1 << 40, 0u64..1_000)),
        huge in any::<bool>(),
        withdrawn in vec((select(vec!["BTC", "USD.M"]), 1u64..100), 0..3),
        lasts_us in select(vec![0u64, 1, 60_000_000]),
        after_us in select(vec![0u64, 1, 999_999, 1_000_000, 3_600_000_000, 86_400_000_000]),
    ) -> Signature {
        let credential = name("main");
        let mut id_keys = Vec::new();
        for id in ids.iter().chain(&others) {
            let key = vault_policy::id_key(&credential, id);
            if !id_keys.contains(&key) {
                id_keys.push(key);
            }
        }
        let notional_usd = notional.map(|(whole, part)| {
            let sum = Money::whole(whole).checked_add(money(&format!("0.{part:03}")));
            // Products may have more digits before the point than a venue's decimals.
            let times = Money::whole(if huge { 100_000_000 } else { 1 });
            sum.and_then(|sum| sum.checked_mul(times)).expect("fits")
        });
        let withdrawn = withdrawn.into_iter().map(|(asset, amount)| Withdrawn {
            venue: name("kraken"),
            asset: asset.to_owned(),
            amount: Money::whole(amount),
        });
        // An entry has the notional of orders alone.
        let orders = if notional_usd.is_some() { orders.max(1) } else { orders };
        let placed = legs.iter().filter(|leg| orders > 0 && !leg.amends);
        let order_keys = placed.map(|leg| vault_policy::order_key(&credential, leg)).collect();
        Signature {
            client,
            cost: Cost {
                orders,
                resting,
                notional_usd,
                order_keys,
                id_keys,
                withdrawn: withdrawn.collect(),
                lasts: Duration::from_micros(lasts_us),
                ..Cost::default()
            },
            reading: reading(class, operation, legs, ids, others),
            after_us,
        }
    }
}

/// The line of a signature's entry, as Sign makes it.
fn line(signature: &Signature, at: Option<ClockTime>) -> Vec<u8> {
    let Signature { client, reading, cost, .. } = signature;
    let stated = &reading.stated;
    let mut entry = Entry::new(EntryKind::Sign, 0, Timestamp(0), "n1", 0, "test");
    entry.client = Some(name(client));
    entry.credential = Some(name("main"));
    entry.class = Some(stated.class);
    entry.operation = Some(stated.operation.to_string());
    entry.legs = stated.legs.clone();
    entry.client_order_id = stated.client_order_id.clone();
    history::write_legs(&mut entry);
    history::write(&mut entry, reading, cost, at.unwrap_or_default());
    if at.is_none() {
        entry.detail.remove("clock");
    }
    entry.to_line().expect("short enough")
}

fn started(at: ClockTime, boot: &str, boottime_us: u64) -> Vec<u8> {
    let mut entry = Entry::new(EntryKind::LogStarted, 0, Timestamp(0), "n1", 0, "test");
    for (name, value) in [
        ("boot", boot.to_owned()),
        ("boottime", boottime_us.to_string()),
        ("clock", at.0.to_string()),
        ("development", "false".to_owned()),
    ] {
        entry.detail.insert(name.to_owned(), value);
    }
    entry.to_line().expect("short enough")
}

fn read<'l>(lines: impl IntoIterator<Item = &'l Vec<u8>>) -> Past {
    let mut past = Past::new(Span::MAX);
    for (index, line) in lines.into_iter().enumerate() {
        past.visit(index as u64, line).expect("an entry of ours");
    }
    past
}

/// All that rules can ask of a client's history.
fn asked(histories: &Histories, client: &str, of: &[Signature], at: ClockTime) -> Vec<String> {
    let history = histories.of(&name(client));
    let mut answers = vec![format!("resting {}", history.resting())];
    for span in ["1s", "1h", "2d", "31d"] {
        let per: Span = span.parse().expect("a span");
        answers.push(format!(
            "{span}: {} orders, {} USD, {} BTC",
            history.orders_within(per, at),
            history.notional_within(per, at),
            history.withdrawn_within("kraken", "BTC", per, at),
        ));
        let keys = of.iter().map(|signature| &signature.cost);
        answers.extend(keys.flat_map(|cost| {
            let orders = cost.order_keys.iter().map(|key| history.has_order(*key, per, at));
            let ids = cost.id_keys.iter().map(|key| history.has_id(*key, per, at));
            orders.chain(ids).map(|has| has.to_string()).collect::<Vec<_>>()
        }));
    }
    answers
}

#[test]
fn what_was_to_be_sent_is_read_again_as_what_was_signed_is() {
    let leg = Leg { symbol: Some("XBTUSD".to_owned()), ..Leg::default() };
    let (own, other) = ("own".to_owned(), "other".to_owned());
    let reading = reading(Class::Trade, "POST /order", vec![leg], vec![own], vec![other]);
    let cost = Cost { orders: 1, notional_usd: Some(money("5")), ..Cost::default() };
    let at = ClockTime(FIRST.0 + 7);
    let mut entry = Entry::new(EntryKind::ExecuteIntent, 0, Timestamp(0), "n1", 0, "test");
    entry.client = Some(name("one"));
    entry.credential = Some(name("main"));
    entry.venue = Some("kraken".to_owned());
    entry.mode = Some(Mode::Execute);
    entry.nonce = Some("77".to_owned());
    entry.request_id = Some("id".parse().expect("an id"));
    entry.legs = reading.stated.legs.clone();
    entry.client_order_id = reading.stated.client_order_id.clone();
    history::write(&mut entry, &reading, &cost, at);
    assert_eq!(entry.detail.get("client_order_ids"), None, "of the stated operation alone");

    let mut past = read(&[started(FIRST, "a", 0), entry.to_line().expect("short enough")]);
    let day: Span = "1d".parse().expect("a span");
    let history = past.histories.of(&name("one"));
    assert_eq!(history.notional_within(day, at), money("5"));
    let has = |id: &str| history.has_id(vault_policy::id_key(&name("main"), id), day, at);
    assert!(has("own") && !has("other"));
    assert_eq!(past.nonces.next(&name("main"), 0, Timestamp(0)).expect("a nonce"), 78);
    let key = Replay::key(&name("one"), &"id".parse().expect("an id"));
    assert_eq!(past.replay.look(&key, &[0; 32], ClockTime(0)), Known::Signed(1));
    // No signature was given out, and nobody holds the credential.
    assert!(past.signed.is_empty() && past.held.is_empty());
}

#[test]
fn drift_is_read_again_and_what_was_said_of_another_key_is_not_taken_for_it() {
    let said = |imported_at: Timestamp, drifted: bool| {
        let mut entry = Entry::new(EntryKind::CredentialCheck, 0, Timestamp(9), "n1", 0, "test");
        entry.credential = Some(name("main"));
        let facts = Some(vault_venue::KeyFacts::default());
        let checked = Checked { at: Timestamp(9), facts, drifted, problem: None };
        entry.detail = checked.detail(imported_at, "schedule", &[]);
        entry.to_line().expect("short enough")
    };
    let own = vec![started(FIRST, "a", 0), said(Timestamp(1), true)];
    let is_drifted = |past: &Past| {
        let checked = past.checks.of(&name("main"), Timestamp(1));
        checked.map(|checked| checked.drifted)
    };
    assert_eq!(is_drifted(&read(&own)), Some(true));
    let other = [own.as_slice(), &[said(Timestamp(2), false)]].concat();
    assert_eq!(is_drifted(&read(&other)), Some(true), "of a key that was refused, say");
    let cleared = [own.as_slice(), &[said(Timestamp(1), false)]].concat();
    assert_eq!(is_drifted(&read(&cleared)), Some(false));
}

proptest! {
    #[test]
    fn a_history_read_again_is_the_one_that_was_counted(signatures in vec(signature(), 0..12)) {
        let mut live = Histories::default();
        let (mut lines, mut at) = (vec![started(FIRST, "a", 0)], FIRST);
        for signature in &signatures {
            at = ClockTime(at.0 + signature.after_us);
            live.add(&name(signature.client), None, &signature.cost.spend(at));
            lines.push(line(signature, Some(at)));
        }
        // A start in the middle changes nothing.
        lines.insert(lines.len() / 2 + 1, started(FIRST, "a", 0));

        let past = read(&lines);
        prop_assert_eq!(past.clock.newest, Some(at));
        for client in ["one", "two", "three"] {
            prop_assert_eq!(
                asked(&past.histories, client, &signatures, at),
                asked(&live, client, &signatures, at)
            );
        }
    }
}

fn order(client: &'static str, usd: &str) -> Signature {
    let leg = Leg { symbol: Some("XBTUSD".to_owned()), ..Leg::default() };
    let key = vault_policy::order_key(&name("main"), &leg);
    Signature {
        client,
        cost: Cost {
            orders: 1,
            resting: 1,
            notional_usd: Some(money(usd)),
            order_keys: vec![key],
            ..Cost::default()
        },
        reading: reading(Class::Trade, "POST /order", vec![leg], Vec::new(), Vec::new()),
        after_us: 0,
    }
}

#[test]
fn what_was_signed_without_a_clock_counts_from_the_first_start_that_has_one() {
    let day: Span = "1d".parse().expect("a span");
    let old = [line(&order("one", "5"), None), line(&order("one", "7"), None)];
    // Nothing of the log has a clock: it begins now, and so do they.
    let mut past = read(&old);
    let machine = Machine { boot: None, boottime_us: 0 };
    let begun = VaultClock::resume(&past.clock, &machine, Timestamp(0)).time();
    past.date(begun);
    assert_eq!(begun, FIRST);
    assert_eq!(past.histories.of(&name("one")).notional_within(day, begun), money("12"));

    // They began at a start that is in the log: a day later they are out of the window.
    let later = ClockTime(FIRST.0 + 86_400_000_000);
    let new = line(&order("one", "1"), Some(later));
    let past = read(old.iter().chain([&started(FIRST, "a", 0), &new]));
    let history = past.histories.of(&name("one"));
    // A window has no end: with the newest, it is all three.
    assert_eq!(history.notional_within(day, ClockTime(later.0 - 1)), money("13"));
    assert_eq!(history.notional_within(day, later), money("1"));
    assert_eq!(history.orders_within("2d".parse().expect("a span"), later), 3);
}

#[test]
fn the_clock_goes_on_from_the_newest_start_and_the_largest_entry() {
    let at = |seconds: u64| ClockTime(FIRST.0 + seconds * 1_000_000);
    let lines = [
        started(at(0), "a", 100_000_000),
        line(&order("one", "1"), Some(at(50))),
        started(at(60), "b", 5_000_000),
        line(&order("one", "1"), Some(at(65))),
    ];
    let resumed = |boot: &str, boottime_us| {
        let machine = Machine { boot: Some(boot.to_owned()), boottime_us };
        VaultClock::resume(&read(&lines).clock, &machine, Timestamp(0)).time()
    };
    assert_eq!(resumed("b", 35_000_000), at(90));
    assert_eq!(resumed("c", 35_000_000), at(65));
    // An earlier boot can only be a trick.
    assert_eq!(resumed("a", 900_000_000), at(65));
}

#[test]
fn an_aborted_signature_counts_for_nothing() {
    let mut entry = Entry::from_line(&line(&order("one", "5"), Some(FIRST))).expect("an entry");
    entry.kind = EntryKind::SignAborted;
    let past = read([&entry.to_line().expect("short enough")]);
    assert_eq!(past.histories.of(&name("one")).resting(), 0);
}

#[test]
fn what_cannot_be_read_is_not_taken_as_nothing() {
    for (field, value) in [
        ("clock", "soon"),
        ("orders", "-1"),
        ("resting", ""),
        ("amends", "odd"),
        ("until", "never"),
        ("withdrawn", "kraken:1"),
    ] {
        let mut entry = Entry::from_line(&line(&order("one", "5"), Some(FIRST))).expect("an entry");
        entry.detail.insert(field.to_owned(), value.to_owned());
        let line = entry.to_line().expect("short enough");
        assert!(Past::new(Span::MAX).visit(0, &line).is_err(), "{field}");
    }
}

#[test]
fn prices_are_remembered_with_their_time() {
    let price = |pair: &str, price: &str, at: u64| {
        let mut entry = Entry::new(EntryKind::PriceAccepted, 0, Timestamp(0), "n1", 0, "test");
        for (name, value) in [
            ("pair", pair),
            ("price", price),
            ("clock", &at.to_string()),
            ("revision", &(at + 1).to_string()),
        ] {
            entry.detail.insert(name.to_owned(), value.to_owned());
        }
        entry.to_line().expect("short enough")
    };
    let past =
        read(&[price("BTC/USD", "1", 5), price("ETH/USD", "2", 6), price("BTC/USD", "3", 7)]);
    let of = |pair: &str| {
        let logged = &past.prices[&pair.parse().expect("a pair")];
        (logged.price, logged.at, logged.revision)
    };
    assert_eq!(of("BTC/USD"), (money("3"), ClockTime(7), 8));
    assert_eq!(of("ETH/USD"), (money("2"), ClockTime(6), 7));
    assert_eq!(past.clock.newest, Some(ClockTime(7)));
    assert!(past.prices.values().all(|logged| logged.window.is_none()));

    let mut entry = Entry::from_line(&price("BTC/USD", "3", 8)).expect("an entry");
    let mut with = |window: &str| {
        entry.detail.insert("window".to_owned(), window.to_owned());
        entry.to_line().expect("short enough")
    };
    let past = read(&[with("0:2:2:2:0,8:3:3:3:8")]);
    let logged = &past.prices[&"BTC/USD".parse().expect("a pair")];
    let window = logged.window.as_ref().map(ToString::to_string);
    assert_eq!(window.as_deref(), Some("0:2:2:2:0,8:3:3:3:8"));
    assert!(Past::new(Span::MAX).visit(0, &with("8")).is_err());
}

#[test]
fn a_signature_counts_for_nothing_only_if_it_moves_nothing() {
    let mut histories = Histories::default();
    histories.add(&name("one"), None, &Spend { at: FIRST, resting: 1, ..Spend::default() });
    assert_eq!(histories.of(&name("one")).resting(), 1);
}

#[test]
fn keys_are_kept_for_as_long_as_a_scope_asks_for_them() {
    let asked = |client_order_id: Option<&str>, order: Option<&str>| DuplicatesDocument {
        client_order_id: client_order_id.map(|span| span.parse().expect("a span")),
        order: order.map(|span| span.parse().expect("a span")),
    };
    let kept = |scopes: Vec<DuplicatesDocument>| keys_asked(scopes.into_iter()).to_string();
    assert_eq!(kept(vec![asked(None, Some("5m")), asked(Some("2h"), None)]), "2h");
    assert_eq!(kept(vec![asked(None, None)]), "1s");

    let hour: Span = "1h".parse().expect("a span");
    let order = order("one", "5");
    let key = order.cost.order_keys[0];
    let mut histories = Histories::new(hour);
    histories.add(&name("one"), None, &order.cost.spend(FIRST));
    let has = |histories: &Histories, at| histories.of(&name("one")).has_order(key, hour, at);
    let almost = ClockTime(FIRST.0 + 3_599_999_999);
    histories.tidy(almost);
    assert!(has(&histories, almost));
    histories.tidy(ClockTime(FIRST.0 + 3_600_000_001));
    assert!(!has(&histories, FIRST), "nobody can ask for it any more");
    // What was spent is kept whatever becomes of keys.
    assert_eq!(histories.of(&name("one")).notional_within(Span::MAX, almost), money("5"));
}

#[test]
fn keys_are_forgotten_little_by_little_and_no_client_waits_for_another() {
    let (hour, day): (Span, Span) = ("1h".parse().expect("a span"), "1d".parse().expect("a span"));
    let clients = ["one", "two", "three"].map(name);
    let mut histories = Histories::new(hour);
    for (client, key) in clients.iter().flat_map(|client| (0..10_000).map(move |key| (client, key)))
    {
        let at = ClockTime(FIRST.0 + key);
        let spend = Spend { at, until: at, order_keys: vec![key], ..Spend::default() };
        histories.add(client, None, &spend);
    }
    let clock = ClockTime(FIRST.0 + 2 * 3_600_000_000);
    let left = |histories: &Histories| {
        let mut left = clients.clone().map(|client| {
            let history = histories.of(&client);
            (0..10_000).filter(|key| history.has_order(*key, day, clock)).count()
        });
        left.sort_unstable();
        left
    };
    let mut seen = Vec::new();
    for _ in 0..5 {
        histories.keep(hour, clock);
        seen.push(left(&histories));
    }
    let (all, some) = (10_000, 10_000 - 8_192);
    let expected = [[some, all, all], [some, some, all], [some; 3], [some; 3], [0; 3]];
    assert_eq!(seen, expected);
}
