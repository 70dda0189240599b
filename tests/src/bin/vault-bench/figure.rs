//! Latencies, and what is said of them.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

/// The latencies of one way in one round.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latencies(Vec<u32>);

impl Latencies {
    pub(crate) fn with_capacity(count: usize) -> Self {
        Self(Vec::with_capacity(count))
    }

    pub(crate) fn push(&mut self, latency: Duration) {
        // In tenths of a microsecond.
        self.0.push(u32::try_from(latency.as_nanos() / 100).unwrap_or(u32::MAX));
    }

    pub(crate) fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The latency below which this share of all lies, in microseconds.
    pub(crate) fn at(&mut self, share: f64) -> f64 {
        self.0.sort_unstable();
        let index = (self.0.len() as f64 * share) as usize;
        let tenths = self.0.get(index.min(self.0.len().saturating_sub(1)));
        tenths.map_or(f64::NAN, |tenths| f64::from(*tenths) / 10.0)
    }
}

/// One figure of many rounds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rounds(Vec<f64>);

impl Rounds {
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }

    pub(crate) fn median(&self) -> f64 {
        let sorted = self.sorted();
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn least(&self) -> f64 {
        self.sorted().first().copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn most(&self) -> f64 {
        self.sorted().last().copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn json(&self) -> Value {
        let all: Vec<f64> = self.0.iter().map(|value| rounded(*value)).collect();
        json!({ "median": rounded(self.median()), "least": rounded(self.least()),
                "most": rounded(self.most()), "all": all })
    }
}

/// With one digit after the point, or three below ten.
fn rounded(value: f64) -> f64 {
    let scale = if value.abs() < 10.0 { 1e3 } else { 1e1 };
    (value * scale).round() / scale
}

impl std::iter::FromIterator<f64> for Rounds {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

/// A table in Markdown.
#[derive(Debug)]
pub(crate) struct Table(String);

impl Table {
    pub(crate) fn new(columns: &[&str]) -> Self {
        let rule = vec!["---"; columns.len()];
        Self(format!("| {} |\n| {} |\n", columns.join(" | "), rule.join(" | ")))
    }

    pub(crate) fn row(&mut self, cells: &[String]) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "| {} |", cells.join(" | "));
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

/// A median, and between which rounds it lies.
pub(crate) fn spread(rounds: &Rounds) -> String {
    format!("{:.0} ({:.0} to {:.0})", rounds.median(), rounds.least(), rounds.most())
}
