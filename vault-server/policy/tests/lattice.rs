//! The lattice against judgement by brute force, on a universe small enough to ask everything.

use std::collections::BTreeSet;
use std::net::IpAddr;

use proptest::prelude::*;
use vault_model::{
    Class, ClockTime, Intent, Member, Mode, Name, Product, Reading, Symbols, Timestamp,
};
use vault_policy::{
    Dimension, Grant, Halts, History, Market, Question, Scope, ScopeDocument, Symbol, compare,
    judge, narrows, widens,
};

const CREDENTIALS: &[&str] = &["one", "two"];
const CLASSES: &[Class] = &[Class::Cancel, Class::Read, Class::Trade];
const PRODUCTS: &[Product] = &[Product::Margin, Product::Spot];
const SYMBOLS: &[&str] = &["A", "B"];
const OPERATIONS: &[&str] = &["POST /a", "POST /b"];
const NETWORKS: &[&str] = &[
    "10.0.0.0/30",
    "10.0.0.0/31",
    "10.0.0.2/31",
    "10.0.0.3/32",
    "2001:db8::/127",
    "2001:db8::1/128",
];
const ADDRESSES: &[&str] =
    &["10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "2001:db8::", "2001:db8::1"];

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn subset<T: Clone + Ord + std::fmt::Debug + 'static>(
    all: Vec<T>,
) -> impl Strategy<Value = BTreeSet<T>> {
    let count = all.len();
    prop::sample::subsequence(all, 0..=count).prop_map(|items| items.into_iter().collect())
}

fn grant<T: Clone + Ord + std::fmt::Debug + 'static>(
    all: Vec<T>,
) -> impl Strategy<Value = Grant<T>> {
    prop_oneof![1 => Just(Grant::Every), 3 => subset(all).prop_map(Grant::Only)]
}

fn scopes() -> impl Strategy<Value = ScopeDocument> {
    let symbols = || SYMBOLS.iter().map(|s| s.parse().expect("symbol")).collect::<Vec<Symbol>>();
    let networks = || NETWORKS.iter().map(|n| n.parse().expect("network")).collect::<Vec<_>>();
    (
        subset(CREDENTIALS.iter().map(|n| name(n)).collect()),
        subset(CLASSES.to_vec()),
        subset(OPERATIONS.iter().map(|&o| o.to_owned()).collect::<Vec<_>>()),
        subset(Mode::ALL.to_vec()),
        grant(PRODUCTS.to_vec()),
        prop::option::of(grant(symbols())),
        subset(networks()),
        subset(networks()),
    )
        .prop_map(
            |(credentials, classes, operations, modes, products, symbols, allow, deny)| {
                let mut scope = ScopeDocument::new(name("scope"));
                scope.credentials = credentials;
                scope.classes = classes;
                scope.operations = operations;
                scope.modes = modes;
                scope.products = products;
                scope.symbols.extend(symbols.map(|grant| (name("okx"), grant)));
                scope.network.allow = allow;
                scope.network.deny = deny;
                scope
            },
        )
}

/// Every member that the universe has. A third product and symbol stand for those unnamed.
fn members() -> Vec<Member> {
    let mut members = Vec::new();
    let products: Vec<_> = PRODUCTS
        .iter()
        .map(|product| Some(vec![*product]))
        .chain([None, Some(vec![Product::Option])])
        .collect();
    let symbols: Vec<_> = SYMBOLS
        .iter()
        .map(|&symbol| Symbols::Named(vec![symbol.to_owned()]))
        .chain([Symbols::Every, Symbols::Named(vec!["C".to_owned()])])
        .collect();
    let classes = CLASSES.iter().map(|class| (*class, "POST /x"));
    for (class, operation) in classes.chain(OPERATIONS.iter().map(|o| (Class::Other, *o))) {
        for products in &products {
            for symbols in &symbols {
                members.push(Member {
                    operation: operation.into(),
                    class,
                    schema_sourced: true,
                    intent: Intent {
                        products: products.clone(),
                        symbols: symbols.clone(),
                        legs: Vec::new(),
                        client_order_id: None,
                        client_order_ids: Vec::new(),
                        transfers: Vec::new(),
                    }
                    .into(),
                });
            }
        }
    }
    members
}

/// Every question of the universe, answered.
fn answers(document: &ScopeDocument) -> Vec<bool> {
    let scope = Scope::compile(document);
    let (halts, market, history) = (Halts::default(), Market::default(), History::default());
    let mut answers = Vec::new();
    for member in members() {
        let reading = Reading {
            venue: "okx",
            stated: member.clone(),
            closure: vec![member],
            closure_hash: [0; 32],
            catalog_hash: [0; 32],
        };
        for credential in CREDENTIALS {
            for &mode in Mode::ALL {
                for address in ADDRESSES {
                    let decision = judge(&Question {
                        client: &name("client"),
                        credential: &name(credential),
                        mode,
                        address: address.parse::<IpAddr>().expect("address"),
                        reading: &reading,
                        scope: &scope,
                        client_networks: &[],
                        halts: &halts,
                        market: &market,
                        history: &history,
                        withdrawn: &history,
                        now: Timestamp(0),
                        steady_now: Timestamp(0),
                        clock: ClockTime(0),
                        country: None,
                        takes_signatures_once: false,
                    });
                    answers.push(decision.is_allowed());
                }
            }
        }
    }
    answers
}

/// Whether each dimension grants something, so that none hides what another does.
fn is_open(scope: &ScopeDocument, answers: &[bool]) -> bool {
    let symbol_granted = scope.symbols.values().any(|grant| *grant != Grant::default());
    scope.classes.contains(&Class::Trade) && symbol_granted && answers.contains(&true)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// What a scope allows and its forerunner did not, the lattice calls widening.
    #[test]
    fn no_widening_goes_unseen((old, new) in (scopes(), scopes())) {
        let (before, after) = (answers(&old), answers(&new));
        let opened = before.iter().zip(&after).any(|(before, after)| !before && *after);
        let closed = before.iter().zip(&after).any(|(before, after)| *before && !after);
        prop_assert!(!opened || widens(&old, &new));
        prop_assert!(!closed || narrows(&old, &new));
    }

    /// And what it calls widening opens something, where no closed dimension hides it.
    #[test]
    fn no_widening_is_made_up(new in scopes(), old in scopes()) {
        let (before, after) = (answers(&old), answers(&new));
        if is_open(&new, &after) && widens(&old, &new) {
            prop_assert!(before.iter().zip(&after).any(|(before, after)| !before && *after));
        }
    }

    #[test]
    fn a_change_of_nothing_is_none(scope in scopes()) {
        let mut renamed = scope.clone();
        renamed.name = name("renamed");
        renamed.description = "words".to_owned();
        prop_assert!(!widens(&scope, &renamed) && !narrows(&scope, &renamed));
    }

    #[test]
    fn widening_one_way_is_narrowing_the_other((a, b) in (scopes(), scopes())) {
        prop_assert_eq!(widens(&a, &b), narrows(&b, &a));
    }
}

#[test]
fn dimensions_are_named() {
    let old = ScopeDocument::from_toml(
        "name = \"a\"\nproducts = [\"spot\"]\n[network]\nallow = [\"10.0.0.0/8\"]",
    )
    .expect("a scope");
    let new = ScopeDocument::from_toml(
        "name = \"a\"\nproducts = [\"*\"]\n[network]\nallow = [\"10.0.0.0/9\"]\n[symbols]\nokx = [\"A\"]",
    )
    .expect("a scope");

    let change = compare(&old, &new);

    assert_eq!(change.widened, [Dimension::Products, Dimension::Symbols]);
    assert_eq!(change.narrowed, [Dimension::Network]);
}

/// Two halves are the whole, and a hole that is denied is no grant.
#[test]
fn networks_are_compared_by_their_addresses() {
    let scope = |allow: &str, deny: &str| {
        let text = format!(
            "name = \"a\"\n[network]\nallow = [{allow}]\ndeny = [{deny}]\nallow_any = true"
        );
        ScopeDocument::from_toml(&text).expect("a scope")
    };
    let whole = scope("\"10.0.0.0/8\"", "");
    let halves = scope("\"10.0.0.0/9\", \"10.128.0.0/9\"", "");
    let holed = scope("\"10.0.0.0/8\"", "\"10.0.0.0/9\"");

    assert!(!widens(&whole, &halves) && !narrows(&whole, &halves));
    assert!(!widens(&whole, &holed) && narrows(&whole, &holed));
    assert!(widens(&holed, &whole));
    assert!(!widens(&scope("\"0.0.0.0/0\", \"::/0\"", ""), &whole));
    assert!(widens(&whole, &scope("\"::/0\"", "")));
}
