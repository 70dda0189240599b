//! What is fuzzed: one plain function of bytes per target, for two worlds.
//!
//! The crate `vault-fuzz` hands them to libFuzzer, with coverage, on a nightly toolchain. The test
//! `fuzz` of `vault-tests` includes this folder by its path and gives them a bounded number of
//! inputs, on the toolchain of everybody. Both mutate with [`mutate`].
//!
//! A function panics when what it looks at breaks a promise. Input that is refused is no finding.

mod catalog;
mod format;
mod input;
mod key;
mod market;
pub mod mutate;
mod reader;
mod request;
mod signed;
mod socket;

use std::cell::Cell;

/// One function to give bytes to.
pub struct Target {
    /// Its name, and that of its folder in `corpus/`.
    pub name: &'static str,
    /// Looks at an input.
    pub run: fn(&[u8]),
    /// What inputs are likely to contain, for mutations.
    pub words: fn() -> &'static [String],
    /// How many inputs the stable runner gives it: what takes about a second.
    pub inputs: usize,
}

/// All targets, sorted by name.
pub const TARGETS: &[Target] = &[
    target("addition", catalog::addition, catalog::words, 80),
    target("binance", |data| request::stated("binance", data), || input::words("binance"), 1_500),
    target("bybit", |data| request::stated("bybit", data), || input::words("bybit"), 1_500),
    target("catalog", catalog::parse, catalog::words, 200),
    target(
        "coinbase",
        |data| request::stated("coinbase", data),
        || input::words("coinbase"),
        2_000,
    ),
    target("csr", format::csr, no_words, 30_000),
    target("entry", format::entry, format::entry_words, 50_000),
    target("frame", format::frame, no_words, 100_000),
    target("geoip", market::geoip, no_words, 20_000),
    target("key", key::secret, key::words, 300),
    target("kraken", |data| request::stated("kraken", data), || input::words("kraken"), 8_000),
    target("listing", market::listing, market::listing_words, 60_000),
    target("note", format::note, no_words, 100_000),
    target("okx", |data| request::stated("okx", data), || input::words("okx"), 8_000),
    target("price", market::price, no_words, 20_000),
    target("proxy", format::proxy, format::proxy_words, 60_000),
    target("reader", reader::text, reader::words, 50_000),
    target("scope", format::scope, format::scope_words, 20_000),
    target("sign", format::sign, no_words, 60_000),
    target("snapshot", format::snapshot, no_words, 20_000),
    target("socket_message", socket::message, socket::words, 20_000),
    target("token", format::token, no_words, 100_000),
    target("traceparent", format::traceparent, format::traceparent_words, 100_000),
    target("venue", request::any, || input::words("binance"), 3_000),
    target("wire", format::wire, format::scope_words, 60_000),
];

const fn target(
    name: &'static str,
    run: fn(&[u8]),
    words: fn() -> &'static [String],
    inputs: usize,
) -> Target {
    Target { name, run, words, inputs }
}

fn no_words() -> &'static [String] {
    &[]
}

thread_local! {
    static TAKEN: Cell<usize> = const { Cell::new(0) };
}

/// An input was taken, not refused: there is something to check of it.
fn take() {
    TAKEN.set(TAKEN.get() + 1);
}

/// How many inputs were taken so far, by all targets of this thread.
pub fn taken() -> usize {
    TAKEN.get()
}

/// The target of a name.
pub fn named(name: &str) -> &'static Target {
    TARGETS.iter().find(|target| target.name == name).expect("a target of this name")
}
