//! Lanes: where nonces must arrive in the order of their issue, one request of a credential is on
//! its way at a time. The others wait, and are judged and signed when it is their turn: cancels
//! first, then clients in turns, each client's calls in the order in which they came.

use std::collections::{HashMap, VecDeque};

use vault_model::{ClockTime, Name};

use crate::error::VaultError;
use crate::execute::VenueCall;

/// The lanes that are in use, by their credentials.
#[derive(Default)]
pub struct Lanes(HashMap<Name, Lane>);

#[derive(Default)]
struct Lane {
    busy: bool,
    /// Clients with calls that wait, the one whose turn it is first.
    turns: VecDeque<(Name, VecDeque<Waiting>)>,
}

/// A call that waits for its turn.
pub struct Waiting {
    /// The call.
    pub call: VenueCall,
    /// Of its frame.
    pub correlation: u64,
    /// Whether it takes risk away.
    pub is_cancel: bool,
    /// After which nobody waits for it any more, on the vault's own clock: a wall clock that is put
    /// back must not let it set out then. Absent: somebody waits for ever.
    pub until: Option<ClockTime>,
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

    /// Keeps a client's call until the lane is free.
    ///
    /// # Errors
    ///
    /// [`VaultError::Overloaded`] if [`WAITING_MAX`] of the client wait already.
    pub fn wait(
        &mut self,
        credential: &Name,
        client: &Name,
        waiting: Waiting,
    ) -> Result<(), VaultError> {
        let turns = &mut self.0.entry(credential.clone()).or_default().turns;
        let known = turns.iter_mut().find(|(name, _)| name == client);
        match known {
            Some((_, calls)) if calls.len() >= WAITING_MAX => return Err(VaultError::Overloaded),
            Some((_, calls)) => calls.push_back(waiting),
            None => turns.push_back((client.clone(), VecDeque::from([waiting]))),
        }
        Ok(())
    }

    /// The request that was on its way has its outcome.
    pub fn free(&mut self, credential: &Name) {
        if let Some(lane) = self.0.get_mut(credential) {
            lane.busy = false;
        }
    }

    /// Takes out a call for which nobody waits any more, if it has not set out; whether it was there.
    pub fn forget(&mut self, correlation: u64) -> bool {
        !self.take_out(|waiting| waiting.correlation == correlation).is_empty()
    }

    /// Takes out the calls for which nobody waits any more; returns their correlations.
    pub fn take_late(&mut self, now: ClockTime) -> Vec<u64> {
        self.take_out(|waiting| waiting.until.is_some_and(|until| until <= now))
    }

    fn take_out(&mut self, goes: impl Fn(&Waiting) -> bool) -> Vec<u64> {
        let mut out = Vec::new();
        for lane in self.0.values_mut() {
            for (_, calls) in &mut lane.turns {
                out.extend(calls.iter().filter(|call| goes(call)).map(|call| call.correlation));
                calls.retain(|call| !goes(call));
            }
            lane.turns.retain(|(_, calls)| !calls.is_empty());
        }
        out
    }

    /// The next call of a lane that is free, with its correlation. A lane that nobody needs is given
    /// up.
    pub fn next(&mut self, credential: &Name) -> Option<(VenueCall, u64)> {
        let lane = self.0.get_mut(credential).filter(|lane| !lane.busy)?;
        let has_cancel =
            |(_, calls): &(Name, VecDeque<Waiting>)| calls.iter().any(|waiting| waiting.is_cancel);
        let at = lane.turns.iter().position(has_cancel).unwrap_or(0);
        let Some((client, mut calls)) = lane.turns.remove(at) else {
            self.0.remove(credential);
            return None;
        };
        let first = calls.iter().position(|waiting| waiting.is_cancel).unwrap_or(0);
        let next = calls.remove(first);
        if !calls.is_empty() {
            lane.turns.push_back((client, calls));
        }
        next.map(|waiting| (waiting.call, waiting.correlation))
    }
}

/// How many calls of one client may wait for one credential.
pub const WAITING_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use vault_ipc::ExecuteCall;
    use vault_model::Name;

    use super::{Lanes, WAITING_MAX, Waiting};
    use crate::execute::VenueCall;

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    fn call(correlation: u64, is_cancel: bool) -> Waiting {
        let call = VenueCall::Execute(ExecuteCall::default());
        Waiting { call, correlation, is_cancel, until: None }
    }

    /// The correlations of what is left, in the order in which they set out.
    fn drain(lanes: &mut Lanes, credential: &Name) -> Vec<u64> {
        let mut order = Vec::new();
        lanes.free(credential);
        while let Some((_, correlation)) = lanes.next(credential) {
            order.push(correlation);
            lanes.take(credential);
            assert!(lanes.next(credential).is_none());
            lanes.free(credential);
        }
        order
    }

    #[test]
    fn calls_wait_in_their_order_and_for_their_own_credential() {
        let (main, other, bot) = (name("main"), name("other"), name("bot"));
        let mut lanes = Lanes::default();
        assert!(!lanes.is_busy(&main));
        lanes.take(&main);
        assert!(lanes.is_busy(&main) && !lanes.is_busy(&other));
        for correlation in [3, 1, 2] {
            lanes.wait(&main, &bot, call(correlation, false)).expect("room");
        }
        assert!(lanes.next(&main).is_none(), "one is on its way");
        assert_eq!(drain(&mut lanes, &main), [3, 1, 2]);
        assert!(lanes.0.is_empty(), "nothing is kept");
    }

    #[test]
    fn cancels_go_first_and_clients_take_turns() {
        let (main, one, other) = (name("main"), name("one"), name("other"));
        let mut lanes = Lanes::default();
        lanes.take(&main);
        for correlation in 1..=4 {
            lanes.wait(&main, &one, call(correlation, false)).expect("room");
        }
        lanes.wait(&main, &other, call(10, false)).expect("room");
        lanes.wait(&main, &other, call(11, true)).expect("room");
        lanes.wait(&main, &one, call(5, true)).expect("room");
        assert_eq!(drain(&mut lanes, &main), [5, 11, 1, 10, 2, 3, 4]);
    }

    #[test]
    fn who_does_not_wait_any_more_is_forgotten() {
        let (main, one, other) = (name("main"), name("one"), name("other"));
        let mut lanes = Lanes::default();
        lanes.take(&main);
        lanes.wait(&main, &one, call(1, false)).expect("room");
        lanes.wait(&main, &other, call(2, false)).expect("room");
        assert!(lanes.forget(1));
        assert!(!lanes.forget(77));
        assert_eq!(drain(&mut lanes, &main), [2]);
    }

    #[test]
    fn no_more_of_a_client_wait_than_may() {
        let (main, one, other) = (name("main"), name("one"), name("other"));
        let mut lanes = Lanes::default();
        lanes.take(&main);
        for correlation in 0..WAITING_MAX as u64 {
            lanes.wait(&main, &one, call(correlation, false)).expect("room");
        }
        let refused = lanes.wait(&main, &one, call(9_999, true)).map_err(|error| error.reason());
        assert_eq!(refused, Err("OVERLOADED"));
        lanes.wait(&main, &other, call(9_999, false)).expect("room for others");
    }
}
