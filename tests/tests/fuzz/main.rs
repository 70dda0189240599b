//! The fuzz targets of `tests/fuzz/` on stable Rust: a bounded number of inputs for each, from its
//! seeds (`tests/fuzz/corpus/`), random bytes and mutations. With coverage they run by
//! `tests/fuzz/run`; see `docs/contributing.md`.
//!
//! ```text
//! cargo test -p vault-tests --test fuzz
//! COUNTERSIGN_FUZZ_INPUTS=200000 cargo test -p vault-tests --test fuzz binance
//! COUNTERSIGN_FUZZ_SEED=7 cargo test -p vault-tests --test fuzz
//! COUNTERSIGN_FUZZ_INPUT=<hex> cargo test -p vault-tests --test fuzz binance
//! ```
//!
//! A failure prints target, seed and input.

#![expect(clippy::print_stdout, reason = "what a failure is repeated with")]

#[path = "../../fuzz/src/target/mod.rs"]
mod target;

use std::collections::BTreeSet;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};

use target::mutate::{self, Random};
use target::{TARGETS, Target};

/// The longest input made here, in bytes. Those of a body go to 32 KiB, and seeds may be longer.
const INPUT_BYTES_MAX: usize = 4096;

/// The most inputs to mutate from, seeds included: more of them than any target has.
const POOL_MAX: usize = 512;

/// The seed of every run, unless `COUNTERSIGN_FUZZ_SEED` says another.
const SEED: u64 = 3;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// The names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.expect("an entry").file_name().into_string().expect("a plain name")
    };
    let mut names: Vec<_> = entries.map(name).collect();
    names.sort();
    names
}

fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let folder = folder().join("corpus").join(target.name);
    names(&folder).iter().map(|name| std::fs::read(folder.join(name)).expect("read")).collect()
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number")))
}

/// Gives a target one input; on a panic says with what it can be repeated.
fn try_one(target: &Target, seed: u64, input: &[u8]) {
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    if let Err(payload) = outcome {
        println!("target {}, seed {seed}, input of {} bytes", target.name, input.len());
        println!("COUNTERSIGN_FUZZ_INPUT={}", hex::encode(input));
        panic::resume_unwind(payload);
    }
}

fn run(name: &str) {
    let target = target::named(name);
    let seed = number("COUNTERSIGN_FUZZ_SEED").unwrap_or(SEED);
    // A stack that overflows ends the process: then this line is what is left.
    println!("target {name}, seed {seed}");
    if let Ok(text) = std::env::var("COUNTERSIGN_FUZZ_INPUT") {
        try_one(target, seed, &hex::decode(text).expect("hex"));
        println!("{}", if target::taken() > 0 { "taken" } else { "refused" });
        return;
    }
    let seeds = seeds(target);
    assert!(!seeds.is_empty(), "{name} has seeds");
    for input in &seeds {
        try_one(target, seed, input);
    }
    let taken = target::taken();
    assert!(taken > 0, "no seed of {name} is taken: nothing but refusals would be tested");
    let inputs = number("COUNTERSIGN_FUZZ_INPUTS")
        .map_or(target.inputs, |inputs| usize::try_from(inputs).expect("a count"));
    let mut random = Random(seed);
    let kept = seeds.len();
    let mut pool = seeds;
    for _ in 0..inputs {
        let mut input = if random.below(16) == 0 {
            let count = random.below(256);
            random.bytes(count)
        } else {
            pool[random.below(pool.len())].clone()
        };
        let other = &pool[random.below(pool.len())];
        mutate::mutate(&mut input, other, (target.words)(), &mut random, INPUT_BYTES_MAX);
        let before = target::taken();
        try_one(target, seed, &input);
        // Without coverage, that an input is taken is what tells which ones to go on from. The seeds
        // stay: what is made of them over and over ends as noise.
        if target::taken() > before {
            if pool.len() < POOL_MAX {
                pool.push(input);
            } else {
                let at = kept + random.below(pool.len() - kept);
                pool[at] = input;
            }
        }
    }
    println!("{inputs} inputs, taken {} times", target::taken() - taken);
}

macro_rules! tests {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            run(stringify!($name));
        })*

        /// The targets below.
        const TESTED: &[&str] = &[$(stringify!($name)),*];
    };
}

tests! {
    addition binance bybit catalog coinbase csr entry frame geoip key kraken listing note okx price proxy
    reader scope sign snapshot socket_message token traceparent venue wire
}

#[test]
fn every_target_has_a_test_a_binary_and_seeds() {
    let targets: Vec<_> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(TESTED, targets);
    assert_eq!(names(&folder().join("corpus")), targets);
    let files: Vec<_> = targets.iter().map(|name| format!("{name}.rs")).collect();
    assert_eq!(names(&folder().join("targets")), files);
    let manifest = std::fs::read_to_string(folder().join("Cargo.toml")).expect("read");
    let manifest: toml::Table = manifest.parse().expect("TOML");
    let binaries = manifest["bin"].as_array().expect("binaries");
    let binaries: Vec<_> = binaries.iter().filter_map(|binary| binary["name"].as_str()).collect();
    assert_eq!(binaries, targets);
}

/// A venue without a target would be one whose requests nobody tries.
#[test]
fn every_venue_has_a_target() {
    let targets: BTreeSet<_> = TARGETS.iter().map(|target| target.name).collect();
    let registry = vault_venue::Registry::bundled().expect("bundled catalogues are sound");
    assert_eq!(registry.names().find(|name| !targets.contains(name)), None);
}

#[test]
fn mutations_can_be_repeated() {
    let made = |seed: u64| {
        let mut random = Random(seed);
        let mut input = b"0GET /api/v3/account?symbol=BTCUSDT".to_vec();
        let other = input.clone();
        let words = ["limit".to_owned()];
        for _ in 0..50 {
            mutate::mutate(&mut input, &other, &words, &mut random, 200);
            assert!(input.len() <= 200);
        }
        input
    };
    assert_eq!(made(1), made(1));
    assert_ne!(made(1), made(2));
}

#[test]
fn edits_change_what_they_name() {
    assert_eq!(mutate::edit(b"abcd", &[]), b"abcd");
    assert_eq!(mutate::edit(b"abcd", &[0x40, 0, 1, 2, b'x', b'y']), b"axycd");
    assert_eq!(mutate::edit(b"abcd", &[0, 0, 255, 0]), b"");
    assert_eq!(mutate::edit(b"", &[0xff, 0xff, 3, 9, b'z']), b"z");
}
