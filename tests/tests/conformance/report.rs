//! What became of each record, and how that is printed.

use std::collections::BTreeMap;
use std::fmt;

/// The reason for all records of a venue that is to come. They are not listed one by one.
pub const NO_VENUE: &str = "venue not in this build";

/// Why a record did not pass.
#[derive(Debug)]
pub enum Miss {
    /// It gives another answer than it should; says which.
    Failed(String),
    /// This build cannot run it; says why.
    LeftOut(String),
}

impl Miss {
    pub fn failed(words: impl Into<String>) -> Self {
        Self::Failed(words.into())
    }

    pub fn left_out(words: impl Into<String>) -> Self {
        Self::LeftOut(words.into())
    }
}

/// How many records went which way.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    pub passed: usize,
    pub failed: usize,
    pub left_out: usize,
}

impl Counts {
    pub const fn new(passed: usize, failed: usize, left_out: usize) -> Self {
        Self { passed, failed, left_out }
    }

    pub fn plus(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            left_out: self.left_out + other.left_out,
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.left_out)
    }
}

/// The records of one kind.
#[derive(Debug)]
pub struct Report {
    title: &'static str,
    venues: BTreeMap<String, Counts>,
    /// Venue and reason, to the ids.
    left_out: BTreeMap<(String, String), Vec<String>>,
    failures: Vec<String>,
    /// Failures of no record: a file that cannot be read, counts that are not as expected.
    broken: usize,
    notes: Vec<String>,
}

impl Report {
    pub fn new(title: &'static str) -> Self {
        Self {
            title,
            venues: BTreeMap::new(),
            left_out: BTreeMap::new(),
            failures: Vec::new(),
            broken: 0,
            notes: Vec::new(),
        }
    }

    /// Takes in what became of one record.
    pub fn add(&mut self, venue: &str, id: &str, outcome: Result<(), Miss>) {
        let counts = self.venues.entry(venue.to_owned()).or_default();
        match outcome {
            Ok(()) => counts.passed += 1,
            Err(Miss::Failed(words)) => {
                counts.failed += 1;
                self.failures.push(format!("{id}: {words}"));
            }
            Err(Miss::LeftOut(reason)) => {
                counts.left_out += 1;
                let key = (venue.to_owned(), reason);
                self.left_out.entry(key).or_default().push(id.to_owned());
            }
        }
    }

    /// Takes in something that keeps records from being run at all.
    pub fn fail(&mut self, words: String) {
        self.broken += 1;
        self.failures.push(words);
    }

    /// Says something that is neither good nor bad.
    pub fn note(&mut self, words: String) {
        self.notes.push(words);
    }

    /// Whether nothing was taken in.
    pub fn is_empty(&self) -> bool {
        self.venues.is_empty()
    }

    /// Holds the counts against those that must come out: a record that got lost is a failure.
    pub fn expect(&mut self, expected: &[(&str, Counts)]) {
        let expected: BTreeMap<_, _> =
            expected.iter().map(|&(venue, counts)| (venue.to_owned(), counts)).collect();
        if self.venues != expected {
            let list = |venues: &BTreeMap<String, Counts>| {
                let each = venues.iter().map(|(venue, counts)| format!("{venue} {counts}"));
                each.collect::<Vec<_>>().join("; ")
            };
            let words =
                format!("counts: expected {}; found {}", list(&expected), list(&self.venues));
            self.fail(words);
        }
    }

    /// All venues together.
    pub fn total(&self) -> Counts {
        let broken = Counts::new(0, self.broken, 0);
        self.venues.values().fold(broken, |sum, counts| sum.plus(*counts))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<20}{:>8}{:>8}{:>10}", self.title, "passed", "failed", "left out")?;
        for (venue, counts) in &self.venues {
            let Counts { passed, failed, left_out } = counts;
            writeln!(f, "  {venue:<18}{passed:>8}{failed:>8}{left_out:>10}")?;
        }
        for note in &self.notes {
            writeln!(f, "  note: {note}")?;
        }
        let (elsewhere, here): (Vec<_>, Vec<_>) =
            self.left_out.iter().partition(|((_, reason), _)| reason == NO_VENUE);
        if !elsewhere.is_empty() {
            let each = elsewhere.iter().map(|((venue, _), ids)| format!("{venue} {}", ids.len()));
            writeln!(f, "  left out: {NO_VENUE}: {}", each.collect::<Vec<_>>().join(", "))?;
        }
        for ((venue, reason), ids) in here {
            writeln!(f, "  left out: {venue}, {reason}: {}", ids.join(" "))?;
        }
        for failure in &self.failures {
            writeln!(f, "  FAILED {failure}")?;
        }
        writeln!(f)
    }
}
