//! What the core tells the front of single calls that ask to be traced. Of all others nothing is kept.

use std::collections::HashMap;
use std::time::Duration;

use vault_ipc::trace::Stages;

use crate::journal::Place;
use crate::metric::monotonic_us;

/// Calls under way that ask to be traced, by their correlation in the front.
#[derive(Debug, Default)]
pub struct Traces(HashMap<u64, Stages>);

impl Traces {
    /// A call is taken up. One that is taken up again, because it had to wait for its turn, began when
    /// it first was.
    pub fn begin(&mut self, correlation: u64) {
        if self.0.len() < UNDER_WAY_MAX {
            let taken_us = monotonic_us();
            self.0.entry(correlation).or_insert_with(|| Stages { taken_us, ..Stages::default() });
        }
    }

    /// A signature of it took so long, until now.
    pub fn signed(&mut self, correlation: u64, took: Duration) {
        self.change(correlation, |stages| {
            stages.sign_ended_us = monotonic_us();
            let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            stages.sign_began_us = stages.sign_ended_us.saturating_sub(took_us);
        });
    }

    /// It is of this venue.
    pub fn at_venue(&mut self, correlation: u64, venue: &str) {
        self.change(correlation, |stages| venue.clone_into(&mut stages.venue));
    }

    /// It has this entry in the log.
    pub fn recorded(&mut self, correlation: u64, place: &Place) {
        self.change(correlation, |stages| {
            stages.entry_index = Some(place.index);
            stages.seq = place.seq;
        });
    }

    /// It is answered.
    pub fn end(&mut self, correlation: u64) -> Option<Box<Stages>> {
        if self.0.is_empty() {
            return None;
        }
        let mut stages = self.0.remove(&correlation)?;
        stages.decided_us = monotonic_us();
        Some(Box::new(stages))
    }

    fn change(&mut self, correlation: u64, change: impl FnOnce(&mut Stages)) {
        if !self.0.is_empty()
            && let Some(stages) = self.0.get_mut(&correlation)
        {
            change(stages);
        }
    }
}

/// The front asks for no more than it exports, and every call is answered. Beyond that a call has no
/// stages.
const UNDER_WAY_MAX: usize = 16_384;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Traces, UNDER_WAY_MAX};
    use crate::journal::Place;

    #[test]
    fn a_call_that_did_not_ask_has_no_stages() {
        let mut traces = Traces::default();
        traces.signed(7, Duration::from_micros(3));
        traces.at_venue(7, "okx");
        assert_eq!(traces.end(7), None);
    }

    #[test]
    fn stages_are_told_once_and_in_their_order() {
        let mut traces = Traces::default();
        traces.begin(7);
        let taken_us = traces.0[&7].taken_us;
        traces.signed(7, Duration::from_micros(1));
        // A lane's turn takes it up again.
        traces.begin(7);
        traces.at_venue(7, "okx");
        traces.recorded(7, &Place { index: 41, seq: 9 });
        traces.at_venue(8, "kraken");

        let stages = traces.end(7).expect("asked for");
        assert_eq!(stages.taken_us, taken_us);
        assert!(stages.taken_us <= stages.sign_ended_us);
        assert!(stages.sign_began_us < stages.sign_ended_us);
        assert!(stages.sign_ended_us <= stages.decided_us);
        assert_eq!((stages.venue.as_str(), stages.entry_index, stages.seq), ("okx", Some(41), 9));
        assert_eq!(traces.end(7), None);
    }

    #[test]
    fn a_front_that_asks_for_all_does_not_fill_the_memory() {
        let mut traces = Traces::default();
        for correlation in 0..UNDER_WAY_MAX as u64 + 5 {
            traces.begin(correlation);
        }
        assert_eq!(traces.0.len(), UNDER_WAY_MAX);
    }
}
