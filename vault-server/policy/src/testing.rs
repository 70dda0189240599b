//! Generators for tests: scopes of every dimension, of small vocabularies, so that two of them
//! often meet. What they make, [`ScopeDocument::check`] lets pass.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::str::FromStr;

use proptest::collection::{btree_map, btree_set};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use vault_model::{Class, MarginMode, Mode, Money, Name, OrderType, Product, TimeInForce};

use crate::{
    AmountCap, CumulativeDocument, DuplicatesDocument, Grant, HoursDocument, NetworkDocument,
    NotionalCap, OrderCap, OrdersDocument, PricingDocument, ScopeDocument, Span, Symbol, Window,
    WithdrawalAddress, WithdrawalDocument,
};

/// Names of venues that generated scopes use.
pub const VENUES: &[&str] = &["kraken", "okx"];
/// Symbols that generated scopes use, of every venue alike.
pub const SYMBOLS: &[&str] = &["BTC-USD", "ETH/USD", "XBT_F"];
/// Amounts: notionals, quantities, what may be withdrawn.
pub const AMOUNTS: &[&str] = &["0", "0.000000000000000001", "0.5", "1", "100", "60000.25"];

/// A scope, of any dimensions.
pub fn document() -> impl Strategy<Value = ScopeDocument> {
    let who = (
        select(vec!["a", "b"]),
        select(vec!["", "for people: \"quoted\"\nand a second line"]),
        set(&["one", "two"]),
        words(&[Class::Public, Class::Read, Class::Cancel, Class::Trade, Class::Withdraw]),
        set(&["POST /a", "POST /b"]),
        words(Mode::ALL),
        grant(Product::ALL),
        btree_map(one(VENUES), symbols(), 0..=VENUES.len()),
        networks(),
    );
    let what = (
        mostly_default(orders()),
        mostly_default(pricing()),
        mostly_default(cumulative()),
        option::weighted(0.3, hours()),
        mostly_default(duplicates()),
        option::weighted(0.4, withdrawal()),
        option::weighted(0.2, one(&["shadow-1", "shadow-2"])),
    );
    (who, what).prop_map(|(who, what)| {
        let mut scope = ScopeDocument::new(who.0.parse().expect("a name"));
        scope.description = who.1.to_owned();
        scope.credentials = who.2;
        scope.classes = who.3;
        scope.operations = who.4;
        scope.modes = who.5;
        scope.products = who.6;
        scope.symbols = who.7;
        scope.network = who.8;
        scope.orders = what.0;
        scope.pricing = what.1;
        scope.cumulative = what.2;
        scope.hours = what.3;
        scope.duplicates = what.4;
        scope.withdrawal = what.5;
        scope.shadow = what.6;
        if scope.withdrawal.is_none() {
            scope.classes.remove(&Class::Withdraw);
        }
        scope
    })
}

/// What orders must be like.
pub fn orders() -> impl Strategy<Value = OrdersDocument> {
    let limits = || btree_map(one(SYMBOLS), amount(), 1..=SYMBOLS.len());
    (
        option::of(words(OrderType::ALL)),
        option::of(words(TimeInForce::ALL)),
        any::<bool>(),
        any::<bool>(),
        option::of(btree_map(one(VENUES), limits(), 0..=VENUES.len())),
        option::of(amount()),
        option::of(fraction()),
        option::of(select(vec!["1", "2.5", "20"]).prop_map(decimal)),
        option::of(words(MarginMode::ALL)),
    )
        .prop_map(|fields| OrdersDocument {
            types: fields.0,
            time_in_force: fields.1,
            reduce_only: fields.2,
            post_only: fields.3,
            max_quantity: fields.4,
            max_notional_usd: fields.5,
            price_band: fields.6,
            max_leverage: fields.7,
            margin_modes: fields.8,
        })
}

/// How orders are turned into USD.
pub fn pricing() -> impl Strategy<Value = PricingDocument> {
    (set(&["USDC", "USDT"]), option::of(fraction()))
        .prop_map(|(usd_par, slippage)| PricingDocument { usd_par, slippage })
}

/// Caps.
pub fn cumulative() -> impl Strategy<Value = CumulativeDocument> {
    (
        btree_map(span(), amount(), 0..=3),
        btree_map(span(), 0u64..=20, 0..=3),
        option::of(0u64..=10),
        any::<bool>(),
    )
        .prop_map(|(notional, orders, open_orders, reversed)| {
            let notional = notional.into_iter().map(|(per, at_most)| NotionalCap { per, at_most });
            let orders = orders.into_iter().map(|(per, at_most)| OrderCap { per, at_most });
            let mut caps = CumulativeDocument {
                notional_usd: notional.collect(),
                orders: orders.collect(),
                open_orders,
            };
            if reversed {
                caps.notional_usd.reverse();
                caps.orders.reverse();
            }
            caps
        })
}

/// Weekly windows.
pub fn hours() -> impl Strategy<Value = HoursDocument> {
    (one(&["UTC", "Europe/Berlin", "America/New_York"]), btree_set(window(), 0..=3))
        .prop_map(|(timezone, windows)| HoursDocument { timezone, windows })
}

/// One weekly window.
pub fn window() -> impl Strategy<Value = Window> {
    (0..7u8, 0..7u8, 0..1_440u16, 1..=1_440u16).prop_map(|(first_day, last_day, from, minutes)| {
        Window { first_day, last_day, from, to: (from + minutes).min(1_440) }
    })
}

/// What may not come again.
pub fn duplicates() -> impl Strategy<Value = DuplicatesDocument> {
    let span = || span().prop_map(|span| span.min(Span::DAY));
    (option::of(span()), option::of(span()))
        .prop_map(|(client_order_id, order)| DuplicatesDocument { client_order_id, order })
}

/// Where value may go.
pub fn withdrawal() -> impl Strategy<Value = WithdrawalDocument> {
    let place = || (one::<Name>(VENUES), select(vec!["BTC", "ETH2.S"]));
    let address = (place(), select(vec!["bc1qexample", "cold storage"])).prop_map(
        |((venue, asset), address)| WithdrawalAddress {
            venue,
            asset: asset.to_owned(),
            address: address.to_owned(),
        },
    );
    let caps = btree_map(place(), amount(), 0..=3).prop_map(|caps| {
        let cap = |((venue, asset), at_most): ((Name, &str), Money)| AmountCap {
            venue,
            asset: asset.to_owned(),
            at_most,
        };
        caps.into_iter().map(cap).collect()
    });
    (btree_set(address, 0..=3), caps)
        .prop_map(|(addresses, per_day)| WithdrawalDocument { addresses, per_day })
}

/// Where requests may come from.
pub fn networks() -> impl Strategy<Value = NetworkDocument> {
    let some = &["10.0.0.0/30", "10.0.0.0/31", "10.0.0.3/32", "2001:db8::/127"];
    (set(some), set(some), any::<bool>(), any::<bool>(), option::of(set(&["CH", "DE", "US"])))
        .prop_map(|(allow, deny, allow_any, every, countries)| {
            let mut network = NetworkDocument { allow, deny, allow_any, countries };
            if allow_any && every {
                network.allow.insert("0.0.0.0/0".parse().expect("a network"));
            }
            network
        })
}

/// One of a few spans of time; some of them are the same, written otherwise.
pub fn span() -> impl Strategy<Value = Span> {
    one(&["1s", "10s", "60s", "1m", "90s", "1h", "24h", "1d", "31d"])
}

/// One of [`AMOUNTS`].
pub fn amount() -> impl Strategy<Value = Money> {
    select(AMOUNTS.to_vec()).prop_map(decimal)
}

/// A fraction, its ends included.
pub fn fraction() -> impl Strategy<Value = Money> {
    select(vec!["0", "0.005", "0.05", "0.5", "1"]).prop_map(decimal)
}

fn decimal(text: &str) -> Money {
    text.parse().expect("a decimal")
}

fn symbols() -> impl Strategy<Value = Grant<Symbol>> {
    prop_oneof![1 => Just(Grant::Every), 3 => set(SYMBOLS).prop_map(Grant::Only)]
}

fn grant<T: Clone + Debug + Ord + 'static>(all: &'static [T]) -> impl Strategy<Value = Grant<T>> {
    prop_oneof![1 => Just(Grant::Every), 3 => words(all).prop_map(Grant::Only)]
}

/// Some of these, or none.
fn words<T: Clone + Debug + Ord + 'static>(
    all: &'static [T],
) -> impl Strategy<Value = BTreeSet<T>> + use<T> {
    subsequence(all.to_vec(), 0..=all.len()).prop_map(|items| items.into_iter().collect())
}

fn set<T: FromStr<Err: Debug> + Debug + Ord>(
    all: &'static [&'static str],
) -> impl Strategy<Value = BTreeSet<T>> + use<T> {
    subsequence(all.to_vec(), 0..=all.len())
        .prop_map(|items| items.into_iter().map(|item| item.parse().expect("a word")).collect())
}

fn one<T: FromStr<Err: Debug> + Debug>(
    all: &'static [&'static str],
) -> impl Strategy<Value = T> + use<T> {
    select(all.to_vec()).prop_map(|item| item.parse().expect("a word"))
}

fn mostly_default<T: Clone + Debug + Default + 'static>(
    some: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = T> {
    prop_oneof![Just(T::default()), some]
}
