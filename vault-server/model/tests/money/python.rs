//! The same operations, computed again by Python.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use vault_model::Money;

/// Operations that are written down for Python.
const CASES: usize = 20_000;

/// Digits that make borders: powers of 2 and 5, all nines, one at the end.
const NASTY: &[&str] = &[
    "0",
    "-0",
    "0.000000000000000000",
    "1",
    "-1",
    "0.000000000000000001",
    "-0.000000000000000001",
    "0.000000001",
    "0.999999999999999999",
    "1.000000000000000001",
    "999999999999999999",
    "-999999999999999999",
    "999999999999999999.999999999999999999",
    "-999999999999999999.999999999999999999",
    "100000000000000000",
    "0.000000000000262144",
    "68719.476736",
    "3.814697265625",
    "0.000003814697265625",
    "262144.000000000000262144",
    "3814697265625.000003814697265625",
    "170141183460469231.731687303715884105",
    "170141183460.469231731687303715",
    "13043817825.332782212",
    "1000000000",
    "0.05",
    "1.05",
    "0.01",
    "60000",
    "2",
    "5",
    "0.2",
    "0.5",
];

/// What is no decimal, or nearly is one.
const NO_DECIMALS: &[&str] = &[
    "",
    "-",
    ".",
    "1.",
    ".5",
    "-.5",
    "+1",
    "1e3",
    "0x10",
    "NaN",
    "Infinity",
    "1_000",
    " 1",
    "1 ",
    "1\n",
    "--1",
    "1.2.3",
    "1000000000000000000",
    "0.0000000000000000001",
    "0000000000000000001",
    "\u{661}",
    "１",
];

/// splitmix64, so that a seed repeats a run anywhere.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).expect("fits")).expect("fits")
    }

    fn digits(&mut self, most: usize) -> String {
        let digit = |dice: &mut Self| char::from(b"0123456789"[dice.below(10)]);
        let length = 1 + self.below(most);
        (0..length).map(|_| digit(self)).collect()
    }

    fn decimal(&mut self) -> String {
        if self.below(3) == 0 {
            return NASTY[self.below(NASTY.len())].to_owned();
        }
        // Short ones often, so that chains stay exact for a while.
        let (whole, part) = if self.below(2) == 0 { (5, 6) } else { (18, 18) };
        let sign = if self.below(4) == 0 { "-" } else { "" };
        let whole = self.digits(whole);
        if self.below(4) == 0 {
            format!("{sign}{whole}")
        } else {
            format!("{sign}{whole}.{}", self.digits(part))
        }
    }
}

fn parse_case(text: &str) -> Value {
    json!({"parse": text, "is": text.parse::<Money>().ok().map(|value| value.to_string())})
}

fn compare_case(one: &str, other: &str) -> Value {
    let (left, right): (Money, Money) =
        (one.parse().expect("a decimal"), other.parse().expect("a decimal"));
    let sign = match left.cmp(&right) {
        std::cmp::Ordering::Less => "<",
        std::cmp::Ordering::Equal => "=",
        std::cmp::Ordering::Greater => ">",
    };
    json!({"compare": [one, other], "is": sign})
}

/// The steps from a decimal to the largest of all, 2^127 - 1 of the smallest.
const TO_THE_LARGEST: (&str, &[(&str, &str)]) =
    ("170141183460469231.731687303715884105", &[("*", "1000"), ("+", "0.000000000000000727")]);

/// Up to six operations, one on the other's result, until one has no result. Some begin at the
/// border of the range.
fn chain_case(dice: &mut Dice) -> Value {
    let (start, way) = match dice.below(20) {
        0 => (TO_THE_LARGEST.0.to_owned(), TO_THE_LARGEST.1),
        _ => (dice.decimal(), &[][..]),
    };
    let mut texts: Vec<(&str, String)> =
        way.iter().map(|(operation, text)| (*operation, (*text).to_owned())).collect();
    if !way.is_empty() && dice.below(2) == 0 {
        texts.push(("*", "-1".to_owned()));
    }
    for _ in 0..1 + dice.below(6) {
        texts.push((["+", "-", "*", "*"][dice.below(4)], dice.decimal()));
    }
    let mut value: Money = start.parse().expect("a decimal");
    let mut steps = Vec::new();
    for (operation, text) in texts {
        let other: Money = text.parse().expect("a decimal");
        let result = match operation {
            "+" => value.checked_add(other),
            "-" => value.checked_sub(other),
            _ => value.checked_mul(other),
        };
        steps.push(json!([operation, text, result.map(|result| result.to_string())]));
        match result {
            Some(result) => value = result,
            None => break,
        }
    }
    json!({"start": start, "steps": steps})
}

/// The Python to ask: any will do. Loudly none where there is none.
///
/// # Panics
///
/// If there is none and `COUNTERSIGN_REQUIRE_CCXT` or `CI` is set.
fn python() -> Option<std::ffi::OsString> {
    let named = std::env::var_os("COUNTERSIGN_PYTHON");
    let python = named.unwrap_or_else(|| "python3".into());
    if Command::new(&python).arg("--version").output().is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    let is_required = ["CI", "COUNTERSIGN_REQUIRE_CCXT"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    assert!(!is_required, "no {}", python.display());
    None
}

#[test]
#[expect(clippy::print_stderr, reason = "what was skipped, and the seed")]
fn python_computes_the_same() {
    let seed = match std::env::var("COUNTERSIGN_SEED") {
        Ok(seed) => seed.parse().expect("COUNTERSIGN_SEED is a number"),
        Err(_) => 4,
    };
    let Some(python) = python() else {
        eprintln!("\n*** SKIPPED: there is no python3, so no decimal was computed again ***\n");
        return;
    };
    let mut dice = Dice(seed);
    let mut lines = String::new();
    let mut write = |case: Value| writeln!(lines, "{case}").expect("memory");
    for text in NASTY.iter().chain(NO_DECIMALS) {
        write(parse_case(text));
    }
    for one in NASTY {
        for other in NASTY {
            write(compare_case(one, other));
        }
    }
    for number in 0..CASES {
        write(match number % 10 {
            0 => parse_case(&dice.decimal()),
            1 => compare_case(&dice.decimal(), &dice.decimal()),
            _ => chain_case(&mut dice),
        });
    }

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/check_decimal.py");
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("money-{seed}.jsonl"));
    std::fs::write(&file, lines).expect("a file in the target folder");
    let output = Command::new(python)
        .arg(script)
        .arg(&file)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("it ran before");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "seed {seed}: {words}");

    let counts: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    eprintln!("seed {seed}: {counts}");
    for (kind, at_least) in [
        ("parsed", 2_000),
        ("not parsed", 20),
        ("compared", 3_000),
        ("+ exact", 2_000),
        ("- exact", 2_000),
        ("* exact", 3_000),
        ("* absent: inexact", 1_000),
        ("* absent: range", 500),
        ("+ absent: range", 100),
        ("- absent: range", 100),
    ] {
        let count = counts[kind].as_u64().unwrap_or(0);
        assert!(count >= at_least, "{kind}: {count}, too few to mean anything");
    }
}
