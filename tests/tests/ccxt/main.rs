//! ccxt is the judge: of what a venue's signature binds, and of every byte of a signed request.
//!
//! ```text
//! cargo test -p vault-tests --test ccxt
//! COUNTERSIGN_CCXT_SEED=7 COUNTERSIGN_CCXT_COUNT=5000 cargo test -p vault-tests --test ccxt
//! ```
//!
//! `.ci/run` installs ccxt into `target/ci-env`; another Python that has it is named by
//! `COUNTERSIGN_PYTHON`. Without either these tests are skipped, and say so; where
//! `COUNTERSIGN_REQUIRE_CCXT` or `CI` is set they fail instead.

mod binding;
mod explained;
mod python;
mod undressed;

// Generated requests are vectors like any others, and the same code runs them.
#[allow(dead_code, reason = "shared with the conformance test, which uses more of it")]
#[path = "../conformance/field.rs"]
mod field;
#[allow(dead_code, reason = "shared with the conformance test, which uses more of it")]
#[path = "../conformance/report.rs"]
mod report;
#[allow(dead_code, reason = "shared with the conformance test, which uses more of it")]
#[path = "../conformance/vector.rs"]
mod vector;

use std::collections::BTreeMap;
use std::io::Write;

use vault_venue::Registry;

use binding::{Disagreement, Judged, Record};
use report::{Counts, Report};

/// The venues and types of keys that ccxt judges, and how many pairs of operations there must be at
/// the least.
const JUDGED: &[(&str, &str, usize)] = &[
    ("binance", "ed25519", 10_001),
    ("binance", "hmac", 10_001),
    ("binance", "rsa", 10_001),
    ("bybit", "hmac", 10_001),
    ("bybit", "rsa", 10_001),
    ("coinbase", "ed25519", 2_500),
    ("coinbase", "es256", 2_500),
    ("kraken", "hmac", 1_000),
    ("okx", "hmac", 10_001),
];

/// How many requests are generated for each venue and type of key.
const COUNT: usize = 300;

/// How many requests each class of ccxt makes at the least, with all its types of keys.
const CALLS: &[(&str, usize)] = &[
    ("binance", 90),
    ("binancecoinm", 25),
    ("binanceusdm", 25),
    ("bybit", 80),
    ("coinbase", 50),
    ("kraken", 20),
    ("okx", 30),
];

/// What chooses them.
const SEED: u64 = 20_261_122;

/// How many disagreements of a kind are listed.
const SHOWN: usize = 12;

#[test]
fn the_catalogues_bind_what_ccxt_binds() {
    let Some(python) = python::find() else { return };
    let registry = Registry::bundled().expect("the catalogues load");
    let mut records: BTreeMap<(String, String), Vec<Record>> = BTreeMap::new();
    for line in python.run("strings.py", &[]).lines() {
        let record: Record = serde_json::from_str(line).expect("a record");
        let key = (record.venue.clone(), record.key_type.clone());
        records.entry(key).or_default().push(record);
    }
    let found: Vec<_> = records.keys().map(|(venue, key)| (venue.as_str(), key.as_str())).collect();
    let listed: Vec<_> = JUDGED.iter().map(|&(venue, key, _)| (venue, key)).collect();
    assert_eq!(found, listed, "ccxt signs for other venues or types of keys");

    let mut disagreements = Vec::new();
    let mut explanations = explained::Used::default();
    for &(name, key_type, pairs_min) in JUDGED {
        let venue = registry.venue(name).unwrap_or_else(|| panic!("no venue {name}"));
        let own = &records[&(name.to_owned(), key_type.to_owned())];
        let Judged { operations, pairs, alike, others, found } =
            binding::judge(&venue.catalog, key_type, own);
        say(&format!(
            "ccxt: {name} {key_type}: {operations} operations, {pairs} pairs ({alike} of one \
             string), {} disagreements; {others} signed operations that ccxt does not know",
            found.len()
        ));
        assert!(pairs >= pairs_min, "{name} {key_type}: {pairs} pairs");
        disagreements.extend(found.into_iter().filter(|one| !explanations.explain(one)));
    }
    for line in explanations.lines() {
        say(&line);
    }
    assert!(disagreements.is_empty(), "{}", listed_by_kind(&disagreements));
    assert_eq!(explanations.idle(), Vec::<&str>::new(), "explanations of nothing");
}

#[test]
fn ccxt_and_the_vault_sign_alike() {
    let Some(python) = python::find() else { return };
    let registry = Registry::bundled().expect("the catalogues load");
    let number = |name: &str, default: u64| {
        let given = std::env::var(name).ok();
        given.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}: {text}")))
    };
    let seed = number("COUNTERSIGN_CCXT_SEED", SEED);
    let count = usize::try_from(number("COUNTERSIGN_CCXT_COUNT", COUNT as u64)).expect("fits");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("text");
    python.run("generate.py", &[&seed.to_string(), &count.to_string(), path]);

    let mut failed = 0;
    for &(venue, key_type, _) in JUDGED {
        let mut report = Report::new("generated");
        let file = folder.path().join(format!("{venue}-{key_type}.json"));
        vector::run(&registry, &file, &mut report);
        say(&format!("ccxt: {venue} {key_type}, seed {seed}: {}", report.total()));
        if report.total() != Counts::new(count, 0, 0) {
            say(&report.to_string());
            failed += 1;
        }
    }
    assert_eq!(failed, 0, "ccxt and the vault differ at {failed} of {} kinds", JUDGED.len());
}

/// Stock ccxt, with a placeholder for the API key, makes no request that the vault cannot read.
#[test]
fn what_ccxt_sends_is_undressed_and_read() {
    let Some(python) = python::find() else { return };
    let registry = Registry::bundled().expect("the catalogues load");
    let lines = python.run("calls.py", &[]);
    let calls: Vec<undressed::Call> =
        lines.lines().map(|line| serde_json::from_str(line).expect("a call")).collect();
    let counts = undressed::counts(&calls);
    say(&format!("ccxt: requests through the vault: {counts:?}"));
    for &(exchange, at_least) in CALLS {
        let count = counts.get(exchange).copied().unwrap_or_default();
        assert!(count >= at_least, "{exchange}: {count} requests, not {at_least}");
    }

    // What stock ccxt was seen to ask for while it loads markets, trades and withdraws.
    let must = serde_json::from_str(include_str!("../../vectors/ccxt/must-call.json"));
    let missing = undressed::missing(&calls, &must.expect("operations by class of ccxt"));
    assert_eq!(missing, Vec::<String>::new(), "not asked for");

    let found = undressed::judge(&registry, &calls);
    assert!(found.is_empty(), "{} of {}:\n{}", found.len(), calls.len(), found.join("\n"));
}

/// How many there are of each kind, and the first of them.
fn listed_by_kind(disagreements: &[Disagreement]) -> String {
    let mut kinds: BTreeMap<String, Vec<&Disagreement>> = BTreeMap::new();
    for one in disagreements {
        kinds.entry(format!("{} {:?}", one.venue, one.kind)).or_default().push(one);
    }
    let mut lines = Vec::new();
    for (kind, all) in kinds {
        lines.push(format!("{kind}: {} disagreements", all.len()));
        lines.extend(all.iter().take(SHOWN).map(|one| format!("    {one}")));
    }
    lines.join("\n")
}

/// Prints past the test harness, which shows nothing of a test that passes.
fn say(line: &str) {
    let mut stderr = std::io::stderr().lock();
    writeln!(stderr, "{line}").expect("stderr");
}
