//! Lanes: where nonces must arrive in the order of their issue, one request of a credential is on
//! its way at a time. The others wait, in the order in which they came, and are judged and signed
//! when it is their turn.

use std::collections::{HashMap, VecDeque};

use vault_model::Name;

use crate::error::VaultError;
use crate::execute::VenueCall;

/// The lanes that are in use, by their credentials.
#[derive(Default)]
pub struct Lanes(HashMap<Name, Lane>);

#[derive(Default)]
struct Lane {
    busy: bool,
    waiting: VecDeque<(VenueCall, u64)>,
}

impl Lanes {
    /// Whether a request of a credential is on its way.
    pub fn is_busy(&self, credential: &Name) -> bool {
        self.0.get(credential).is_some_and(|lane| lane.busy)
    }

    /// A request of a credential sets out.
    pub fn take(&mut self, credential: &Name) {
        self.0.entry(credential.clone()).or_default().busy = true;
    }

    /// Keeps a call, with its correlation, until the lane is free.
    ///
    /// # Errors
    ///
    /// [`VaultError::Overloaded`] if [`WAITING_MAX`] wait already.
    pub fn wait(
        &mut self,
        credential: &Name,
        call: VenueCall,
        correlation: u64,
    ) -> Result<(), VaultError> {
        let lane = self.0.entry(credential.clone()).or_default();
        if lane.waiting.len() >= WAITING_MAX {
            return Err(VaultError::Overloaded);
        }
        lane.waiting.push_back((call, correlation));
        Ok(())
    }

    /// The request that was on its way has its outcome.
    pub fn free(&mut self, credential: &Name) {
        if let Some(lane) = self.0.get_mut(credential) {
            lane.busy = false;
        }
    }

    /// Takes out the calls for which nobody waits any more; returns their correlations.
    pub fn take_late(&mut self, is_late: impl Fn(&VenueCall) -> bool) -> Vec<u64> {
        let mut late = Vec::new();
        for lane in self.0.values_mut() {
            lane.waiting.retain(|(call, correlation)| {
                let goes = is_late(call);
                if goes {
                    late.push(*correlation);
                }
                !goes
            });
        }
        late
    }

    /// The next call of a lane that is free. A lane that nobody needs is given up.
    pub fn next(&mut self, credential: &Name) -> Option<(VenueCall, u64)> {
        let lane = self.0.get_mut(credential).filter(|lane| !lane.busy)?;
        let next = lane.waiting.pop_front();
        if next.is_none() {
            self.0.remove(credential);
        }
        next
    }
}

/// How many calls may wait for one credential.
pub const WAITING_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use vault_ipc::ExecuteCall;
    use vault_model::Name;

    use super::{Lanes, WAITING_MAX};
    use crate::execute::VenueCall;

    fn call() -> VenueCall {
        VenueCall::Execute(ExecuteCall::default())
    }

    #[test]
    fn calls_wait_in_their_order_and_for_their_own_credential() {
        let (main, other): (Name, Name) =
            ("main".parse().expect("a name"), "other".parse().expect("a name"));
        let mut lanes = Lanes::default();
        assert!(!lanes.is_busy(&main));
        lanes.take(&main);
        assert!(lanes.is_busy(&main) && !lanes.is_busy(&other));
        for correlation in [3, 1, 2] {
            lanes.wait(&main, call(), correlation).expect("room");
        }
        assert!(lanes.next(&main).is_none(), "one is on its way");

        let mut order = Vec::new();
        lanes.free(&main);
        while let Some((_, correlation)) = lanes.next(&main) {
            order.push(correlation);
            lanes.take(&main);
            assert!(lanes.next(&main).is_none());
            lanes.free(&main);
        }
        assert_eq!(order, [3, 1, 2]);
        assert!(lanes.0.is_empty(), "nothing is kept");
    }

    #[test]
    fn no_more_wait_than_may() {
        let main: Name = "main".parse().expect("a name");
        let mut lanes = Lanes::default();
        lanes.take(&main);
        for correlation in 0..WAITING_MAX as u64 {
            lanes.wait(&main, call(), correlation).expect("room");
        }
        let refused = lanes.wait(&main, call(), 9_999).map_err(|error| error.reason());
        assert_eq!(refused, Err("OVERLOADED"));
    }
}
