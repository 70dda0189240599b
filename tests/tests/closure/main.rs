//! The closure, proven a second time: a reader of the catalogues and of the signed bytes that shares
//! no code with the vault's says which operations accept a request, and the vault must say the same.
//!
//! ```text
//! cargo test -p vault-tests --test closure
//! COUNTERSIGN_ENUMERATION=1000000 cargo test -p vault-tests --test closure -- --no-capture
//! COUNTERSIGN_SEED=7 cargo test -p vault-tests --test closure binance
//! ```
//!
//! Counted are *different parameter sets*: operation, path, query and body that the vault read.

#![expect(clippy::print_stdout, reason = "tables of what was counted")]

mod accepts;
mod catalog;
mod enumerate;
mod generate;
mod proofs;
mod respell;

use enumerate::{Tally, enumerate};

/// The venues below, one test each so that they run side by side.
const VENUES: &[&str] = &["binance", "bybit", "coinbase", "kraken", "okx"];

#[test]
fn every_venue_has_its_test() {
    let registry = vault_venue::Registry::bundled().expect("bundled catalogues are sound");
    assert_eq!(registry.names().collect::<Vec<_>>(), VENUES);
}

#[test]
fn binance_closures_hold() {
    let tally = enumerate("binance");
    is_not_empty(&tally);
    assert!(tally.cut > 100, "one text is cut: {}", tally.cut);
}

#[test]
fn bybit_closures_hold() {
    is_not_empty(&enumerate("bybit"));
}

#[test]
fn coinbase_closures_hold() {
    states_all(&enumerate("coinbase"));
}

#[test]
fn kraken_closures_hold() {
    stands_alone(&enumerate("kraken"));
}

#[test]
fn okx_closures_hold() {
    stands_alone(&enumerate("okx"));
}

/// At a venue that binds neither method nor path, requests must have met other operations.
fn is_not_empty(tally: &Tally) {
    let Tally { venue, pairs, pairs_met, pairs_met_checked, accepted, aimed, .. } = tally;
    assert!(*pairs > 10_000, "{venue}: {pairs} pairs");
    assert!(*aimed > 100, "{venue}: {aimed} pairs aimed at");
    assert!(*pairs_met > 10_000, "{venue}: {pairs_met} of {pairs} pairs met");
    assert!(*pairs_met_checked > 500, "{venue}: {pairs_met_checked} pairs met where it checks");
    assert!(*accepted > tally.sets, "{venue}: {accepted} accepted");
    states_all(tally);
}

/// At a venue that binds the path, a request means one operation.
fn stands_alone(tally: &Tally) {
    assert_eq!(tally.widest, 1, "{}", tally.venue);
    states_all(tally);
}

/// Every operation that can be stated was stated by some request that the vault read.
fn states_all(tally: &Tally) {
    let Tally { venue, unread, sets, .. } = tally;
    assert!(unread.is_empty(), "{venue}: not stated: {unread:#?}");
    assert!(*sets >= 10_000, "{venue}: {sets} sets");
}
