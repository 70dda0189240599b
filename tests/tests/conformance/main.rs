//! Runs signing vectors and confusable requests, and prints per venue how they went.
//!
//! ```text
//! cargo test -p vault-tests --test conformance
//! COUNTERSIGN_VECTORS=FOLDER COUNTERSIGN_CONFUSION=FILE cargo test -p vault-tests --test conformance
//! ```
//!
//! Without the variables it runs what is in `tests/vectors/`, and how much that is must be exact.
//! With them it runs what they name; a relative path is tried from the working directory, then
//! from the root of the workspace. Whatever this build cannot run is left out with the reason and
//! never counts as passed.

#![expect(clippy::print_stdout, reason = "a test program of its own, made to print")]

mod confusion;
mod field;
mod market;
mod report;
mod vector;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use vault_venue::Registry;

use report::{Counts, Report};

/// The name under which `--list` shows the run.
const NAME: &str = "conformance";

/// What `tests/vectors/venue/` holds, by venue: passed, failed, left out. Three
/// of Binance publish no key.
const VECTORS: &[(&str, Counts)] = &[
    ("binance", Counts::new(47, 0, 2)),
    ("binance-ws-api", Counts::new(2, 0, 1)),
    ("bybit", Counts::new(18, 0, 0)),
    ("coinbase", Counts::new(23, 0, 0)),
    ("kraken", Counts::new(10, 0, 0)),
    ("okx", Counts::new(11, 0, 0)),
];

/// What `tests/vectors/confusion.json` holds.
const CONFUSION: &[(&str, Counts)] = &[
    ("binance", Counts::new(22, 0, 0)),
    ("bybit", Counts::new(4, 0, 0)),
    ("coinbase", Counts::new(3, 0, 0)),
    ("kraken", Counts::new(5, 0, 0)),
    ("okx", Counts::new(12, 0, 0)),
];

/// Options of the test harness that take a value.
const VALUED: &[&str] =
    &["--color", "--format", "--logfile", "--shuffle-seed", "--skip", "--test-threads", "-Z"];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        // cargo-nextest asks for the ignored ones on their own.
        if !arguments.iter().any(|argument| argument == "--ignored") {
            println!("{NAME}: test");
        }
        return ExitCode::SUCCESS;
    }
    if !is_asked_for(&arguments) {
        println!("0 passed, 0 failed, 0 skipped");
        return ExitCode::SUCCESS;
    }

    let registry = match Registry::bundled() {
        Ok(registry) => registry,
        Err(error) => {
            println!("catalogues cannot be used: {error}");
            return ExitCode::FAILURE;
        }
    };
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");

    let mut vectors = Report::new("vectors");
    let named = std::env::var_os("COUNTERSIGN_VECTORS").map(named_path);
    vector::run(&registry, named.as_deref().unwrap_or(&own.join("venue")), &mut vectors);
    if named.is_none() {
        vectors.expect(VECTORS);
    }

    let mut cases = Report::new("confusion");
    let named = std::env::var_os("COUNTERSIGN_CONFUSION").map(named_path);
    confusion::run(&registry, named.as_deref().unwrap_or(&own.join("confusion.json")), &mut cases);
    if named.is_none() {
        cases.expect(CONFUSION);
    }

    let mut total = Counts::default();
    for report in [vectors, cases] {
        print!("{report}");
        total = total.plus(report.total());
    }
    println!("{total}");
    if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether the filters among the arguments, if there are any, mean this run.
fn is_asked_for(arguments: &[String]) -> bool {
    let mut filters = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if VALUED.contains(&argument.as_str()) {
            arguments.next();
        } else if !argument.starts_with('-') {
            filters.push(argument.as_str());
        }
    }
    filters.is_empty() || filters.iter().any(|filter| NAME.contains(filter))
}

/// Cargo runs tests in the folder of their crate; people name paths from where they are.
fn named_path(path: OsString) -> PathBuf {
    let path = PathBuf::from(path);
    let from_root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(&path);
    if !path.exists() && from_root.exists() { from_root } else { path }
}
