//! What was found of calls that come by a schedule, round after round.

use crate::figure::Rounds;
use crate::histogram::Latencies;
use crate::load::Outcome;

/// Latencies in microseconds, and the share of calls that was made.
#[derive(Default)]
pub(crate) struct Paced {
    pub(crate) p50: Rounds,
    pub(crate) p99: Rounds,
    pub(crate) p999: Rounds,
    pub(crate) made: Rounds,
    /// Of all rounds: one alone has few calls.
    pub(crate) all: Latencies,
}

impl Paced {
    pub(crate) fn push(&mut self, outcome: &Outcome) {
        self.p50.push(outcome.latencies.at(0.5));
        self.p99.push(outcome.latencies.at(0.99));
        self.p999.push(outcome.latencies.at(0.999));
        self.made.push(outcome.made);
        self.all.append(&outcome.latencies);
    }

    /// The share that was made, as a table has it.
    pub(crate) fn made_text(&self) -> String {
        format!("{:.1} %", self.made.median() * 100.0)
    }
}
