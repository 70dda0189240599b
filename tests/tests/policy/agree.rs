//! The engine and the reference model, asked the same.

use std::collections::{BTreeMap, BTreeSet};

use vault_policy::Decision;

use crate::case::Case;
use crate::dice::Dice;
use crate::fraction::of;
use crate::generate;
use crate::model;
use crate::shrink::shrink;

/// How many cases a run has, if nobody says otherwise.
const TRIPLES: u64 = 1_000_000;

/// What came out, and how often.
#[derive(Default)]
struct Tally {
    allowed: u64,
    priced: u64,
    denied: BTreeMap<&'static str, u64>,
    /// Kinds of differences, each with its first case, made small.
    differences: BTreeMap<String, String>,
}

/// Kinds of differences that are shown; after these a thread stops.
const SHOWN: usize = 8;

/// How the two differ; `None` if they agree.
fn difference(case: &Case) -> Option<String> {
    let objections = model::objections(case);
    match case.judge() {
        Decision::Allow(cost) => {
            if !objections.is_empty() {
                return Some(format!("allowed; the model objects: {objections:?}"));
            }
            let worst = model::worst_of_all(case);
            if (cost.orders, cost.resting) != (worst.orders, worst.resting) {
                let (orders, resting) = (cost.orders, cost.resting);
                return Some(format!("{orders} orders, {resting} resting; the model: {worst:?}"));
            }
            let notional = cost.notional_usd.map(of);
            (notional != worst.notional)
                .then(|| format!("notional {notional:?}; the model: {:?}", worst.notional))
        }
        Decision::Deny(denial) => (!objections.contains(denial.code()))
            .then(|| format!("denied with {}; the model objects: {objections:?}", denial.code())),
    }
}

fn run(seed: u64, cases: u64) -> Tally {
    let mut tally = Tally::default();
    for number in 0..cases {
        let seed = seed.wrapping_add(number);
        let case = generate::case(&mut Dice::new(seed));
        if let Some(kind) = difference(&case) {
            tally.differences.entry(kind).or_insert_with_key(|kind| {
                let case = shrink(case, |case| difference(case).as_ref() == Some(kind));
                format!("case {seed}\n{case}")
            });
            if tally.differences.len() >= SHOWN {
                break;
            }
            continue;
        }
        match case.judge() {
            Decision::Allow(cost) => {
                tally.allowed += 1;
                tally.priced += u64::from(cost.notional_usd.is_some_and(|it| !it.is_zero()));
            }
            Decision::Deny(denial) => *tally.denied.entry(denial.code()).or_default() += 1,
        }
    }
    tally
}

/// Every code that policy has, from its source: one that is new must be met here too.
fn codes() -> BTreeSet<&'static str> {
    let source = include_str!("../../../vault-server/policy/src/denial.rs");
    let words = source.split('"').skip(1).step_by(2);
    let is_code =
        |word: &&str| word.len() > 5 && word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    words.filter(is_code).collect()
}

#[test]
#[expect(clippy::print_stdout, reason = "the seed, and what was met")]
fn engine_and_model_agree() {
    let number = |name: &str, otherwise: u64| match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is a number")),
        Err(_) => otherwise,
    };
    let (seed, cases) = (number("COUNTERSIGN_SEED", 4), number("COUNTERSIGN_TRIPLES", TRIPLES));
    let threads = std::thread::available_parallelism().map_or(2, |it| it.get() as u64);
    // Far apart, so that no two threads see the same case.
    let of_thread = |thread: u64| seed.wrapping_mul(1 << 40).wrapping_add(thread << 32);

    let tallies: Vec<Tally> = std::thread::scope(|scope| {
        let each = cases.div_ceil(threads);
        let running: Vec<_> =
            (0..threads).map(|thread| scope.spawn(move || run(of_thread(thread), each))).collect();
        running.into_iter().map(|thread| thread.join().expect("neither of them panics")).collect()
    });

    let mut total = Tally::default();
    for tally in tallies {
        total.allowed += tally.allowed;
        total.priced += tally.priced;
        for (code, count) in tally.denied {
            *total.denied.entry(code).or_default() += count;
        }
        total.differences.extend(tally.differences);
    }
    let all = total.allowed + total.denied.values().sum::<u64>();
    println!(
        "seed {seed}: {all} cases, {} allowed, {} with a notional",
        total.allowed, total.priced
    );
    for (code, count) in &total.denied {
        println!("  {code:<30}{count:>10}");
    }
    for (kind, case) in &total.differences {
        println!("\nDIFFERENCE: {kind}\n{case}");
    }
    assert!(total.differences.is_empty(), "seed {seed}: they differ, see above");
    assert!(total.allowed * 5 >= all, "less than a fifth was allowed: little was compared");
    assert!(total.priced * 10 >= all, "less than a tenth had a notional to compare");
    let met: BTreeSet<_> = total.denied.keys().copied().collect();
    let missed: Vec<_> = codes().difference(&met).copied().collect();
    assert!(missed.is_empty(), "never met: {missed:?}");
}
