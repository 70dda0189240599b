//! Figures of many rounds, and what is said of them.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// One figure of many rounds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rounds(Vec<f64>);

impl Rounds {
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// Each round's figure by another's of the same round.
    pub(crate) fn over(&self, other: &Self) -> Self {
        self.with(other, |one, other| one / other)
    }

    /// What comes of the figures of two in each round.
    pub(crate) fn with(&self, other: &Self, join: impl Fn(f64, f64) -> f64) -> Self {
        self.0.iter().zip(&other.0).map(|(one, other)| join(*one, *other)).collect()
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

/// A ratio, and between which rounds it lies.
pub(crate) fn ratio(rounds: &Rounds) -> String {
    format!("{:.2} ({:.2} to {:.2})", rounds.median(), rounds.least(), rounds.most())
}

#[cfg(test)]
mod tests {
    use super::{Rounds, ratio, spread};

    #[test]
    fn a_ratio_is_taken_within_each_round() {
        // The machine was half as fast in the second round: the ratio says nothing of it.
        let one: Rounds = [50.0, 20.0, 60.0].into_iter().collect();
        let other: Rounds = [100.0, 50.0, 100.0].into_iter().collect();

        assert_eq!(ratio(&one.over(&other)), "0.50 (0.40 to 0.60)");
    }

    #[test]
    fn a_median_stands_with_the_least_and_the_most() {
        let rounds: Rounds = [3.0, 1_000.0, 1.0, 2.0, 4.0].into_iter().collect();

        assert_eq!(spread(&rounds), "3 (1 to 1000)");
        assert!(Rounds::default().median().is_nan());
    }

    #[test]
    fn what_two_say_in_a_round_may_be_joined() {
        let echo: Rounds = [80.0, 90.0].into_iter().collect();
        let sync: Rounds = [100.0, 200.0].into_iter().collect();
        let joined = echo.with(&sync, |echo, sync| echo + 2.0 * sync);

        assert_eq!((joined.least(), joined.most()), (280.0, 490.0));
    }
}
