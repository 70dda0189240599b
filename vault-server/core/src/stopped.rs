//! What was stopped last, and by which call. What stops something goes before all else that waits
//! (`act.rs`, `turn.rs`): so a call that lets go on what another has stopped may be an older one, by
//! somebody who did not know of that. It comes to nothing then, also if the later call found that it
//! was stopped already.
//!
//! The front numbers calls in the order in which they came. One that lies makes a call come to
//! nothing, which it can do anyway, or holds one back and gives it a later number: against that a
//! Resume names the halt that it ends, in what is signed.

use std::collections::{BTreeMap, HashMap};

use vault_model::{HaltTarget, Name};

use crate::error::{Conflict, VaultError};

/// What can be stopped, and let go on again.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Stopped {
    Credential(Name),
    Halted(HaltTarget),
}

/// The last call that stopped each.
#[derive(Default)]
pub(crate) struct Stops {
    by_call: BTreeMap<u64, Stopped>,
    calls: HashMap<Stopped, u64>,
}

impl Stops {
    /// A call stops something, or would if it were not stopped already.
    pub fn note(&mut self, stopped: Stopped, call: u64) {
        let last = self.calls.entry(stopped.clone()).or_default();
        if call <= *last {
            return;
        }
        self.by_call.remove(last);
        *last = call;
        self.by_call.insert(call, stopped);
        if self.by_call.len() > KEPT_MAX
            && let Some((_, oldest)) = self.by_call.pop_first()
        {
            self.calls.remove(&oldest);
        }
    }

    /// Whether a call may let something go on.
    ///
    /// # Errors
    ///
    /// [`Conflict::StoppedSince`] if a later call has stopped it.
    pub fn check(&self, stopped: &Stopped, call: u64) -> Result<(), VaultError> {
        match self.calls.get(stopped) {
            Some(last) if *last > call => Err(VaultError::Conflict(Conflict::StoppedSince)),
            _ => Ok(()),
        }
    }
}

/// So many are remembered. More than there are halts and credentials; what waits is over long before
/// it is forgotten.
const KEPT_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    use vault_model::HaltTarget;

    use super::{KEPT_MAX, Stopped, Stops};

    fn credential(text: &str) -> Stopped {
        Stopped::Credential(text.parse().expect("a name"))
    }

    #[test]
    fn an_older_call_does_not_undo_a_later_one() {
        let (one, other) = (credential("one"), credential("other"));
        let halted = Stopped::Halted(HaltTarget::Credential("one".parse().expect("a name")));
        let mut stops = Stops::default();
        assert!(stops.check(&one, 1).is_ok());
        stops.note(one.clone(), 5);
        // An earlier one that is heard later changes nothing.
        stops.note(one.clone(), 3);
        let refused = stops.check(&one, 4).map_err(|error| error.reason());
        assert_eq!(refused, Err("STOPPED_SINCE"));
        assert!(stops.check(&one, 6).is_ok());
        assert!(stops.check(&other, 4).is_ok() && stops.check(&halted, 4).is_ok());
        stops.note(one.clone(), 9);
        assert!(stops.check(&one, 6).is_err());
        assert_eq!((stops.calls.len(), stops.by_call.len()), (1, 1));
    }

    #[test]
    fn what_was_stopped_longest_ago_is_forgotten() {
        let mut stops = Stops::default();
        for call in 1..=2 * KEPT_MAX as u64 {
            stops.note(credential(&format!("key-{call}")), call);
        }
        assert_eq!((stops.calls.len(), stops.by_call.len()), (KEPT_MAX, KEPT_MAX));
        assert!(stops.check(&credential("key-1"), 0).is_ok());
        assert!(stops.check(&credential(&format!("key-{}", 2 * KEPT_MAX)), 0).is_err());
    }
}
