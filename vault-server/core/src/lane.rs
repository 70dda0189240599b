//! Lanes: where nonces must arrive in the order of their issue, one request of a credential is on
//! its way at a time. The others wait, and are judged and signed when it is their turn: cancels
//! first, then clients in turns, each client's calls in the order in which they came.
//!
//! A lane that has become free is in line for its next call like any client (`turn.rs`), one call at a
//! time: however many of them are refused, nobody else waits for all. Until then it lets nobody past.

use std::collections::{HashMap, VecDeque};

use vault_model::{ClockTime, Name};

use crate::error::VaultError;
use crate::execute::VenueCall;

/// The lanes that are in use.
#[derive(Default)]
pub struct Lanes {
    by_credential: HashMap<Name, Lane>,
    /// The credentials that calls wait for, by their correlations.
    calls: HashMap<u64, Name>,
    /// Lanes that are free for the next of those who wait, and not in line yet.
    ready: VecDeque<Name>,
    /// Of all calls that wait.
    bytes: usize,
}

#[derive(Clone, Copy, Default, Eq, PartialEq)]
enum State {
    /// Nothing is on its way.
    #[default]
    Free,
    /// The same, and it is in line for the next call that waits.
    InLine,
    /// A request is on its way.
    Taken,
}

#[derive(Default)]
struct Lane {
    state: State,
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
    /// What it takes while it waits.
    pub bytes: usize,
}

impl Lanes {
    /// Whether a request of a credential is on its way, or another's turn comes before any new one.
    pub fn is_busy(&self, credential: &Name) -> bool {
        self.state(credential) != State::Free
    }

    fn state(&self, credential: &Name) -> State {
        self.by_credential.get(credential).map_or(State::Free, |lane| lane.state)
    }

    /// A request of a credential sets out.
    pub fn take(&mut self, credential: &Name) {
        self.by_credential.entry(credential.clone()).or_default().state = State::Taken;
    }

    /// Keeps a client's call until the lane is free.
    ///
    /// # Errors
    ///
    /// [`VaultError::Overloaded`] if [`WAITING_MAX`] of the client wait already, or as many bytes as may.
    pub fn wait(
        &mut self,
        credential: &Name,
        client: &Name,
        waiting: Waiting,
    ) -> Result<(), VaultError> {
        let turns = &mut self.by_credential.entry(credential.clone()).or_default().turns;
        let known = turns.iter_mut().find(|(name, _)| name == client);
        let (count, bytes) = known.as_ref().map_or((0, 0), |(_, calls)| {
            (calls.len(), calls.iter().map(|waiting| waiting.bytes).sum())
        });
        if count >= WAITING_MAX
            || bytes + waiting.bytes > WAITING_BYTES_MAX
            || self.bytes + waiting.bytes > BYTES_MAX
        {
            return Err(VaultError::Overloaded);
        }
        self.bytes += waiting.bytes;
        self.calls.insert(waiting.correlation, credential.clone());
        match known {
            Some((_, calls)) => calls.push_back(waiting),
            None => turns.push_back((client.clone(), VecDeque::from([waiting]))),
        }
        Ok(())
    }

    /// Nothing of a credential is on its way any more, and nobody's turn has come yet.
    pub fn free(&mut self, credential: &Name) {
        if let Some(lane) = self.by_credential.get_mut(credential) {
            lane.state = State::Free;
        }
    }

    /// Puts a lane that is free in line for the next call that waits. One that nobody needs is given
    /// up.
    pub fn line_up(&mut self, credential: &Name) {
        let Some(lane) = self.by_credential.get_mut(credential) else {
            return;
        };
        if lane.state != State::Free {
            return;
        }
        if lane.turns.is_empty() {
            self.by_credential.remove(credential);
            return;
        }
        lane.state = State::InLine;
        self.ready.push_back(credential.clone());
    }

    /// A lane that has come to be in line, and the client whose call is next.
    pub fn take_ready(&mut self) -> Option<(Name, Name)> {
        while let Some(credential) = self.ready.pop_front() {
            let lane = self.by_credential.get(&credential);
            if let Some((client, _)) = lane.and_then(|lane| lane.turns.get(next_of(lane))) {
                return Some((credential, client.clone()));
            }
            // Who waited does so no longer.
            self.free(&credential);
            self.line_up(&credential);
        }
        None
    }

    /// Takes out a call for which nobody waits any more, if it has not set out; whether it was there.
    pub fn forget(&mut self, correlation: u64) -> bool {
        let Some(lane) =
            self.calls.remove(&correlation).and_then(|name| self.by_credential.get_mut(&name))
        else {
            return false;
        };
        let out = lane.take_out(|waiting| waiting.correlation == correlation);
        self.bytes -= out.iter().map(|waiting| waiting.bytes).sum::<usize>();
        !out.is_empty()
    }

    /// Takes out the calls for which nobody waits any more; returns their correlations.
    pub fn take_late(&mut self, now: ClockTime) -> Vec<u64> {
        let is_late = |waiting: &Waiting| waiting.is_late(now);
        let lanes = self.by_credential.values_mut();
        let late: Vec<Waiting> = lanes.flat_map(|lane| lane.take_out(is_late)).collect();
        for waiting in &late {
            self.calls.remove(&waiting.correlation);
            self.bytes -= waiting.bytes;
        }
        late.iter().map(|waiting| waiting.correlation).collect()
    }

    /// The next call of a lane that is free.
    pub fn next(&mut self, credential: &Name) -> Option<Waiting> {
        let lane =
            self.by_credential.get_mut(credential).filter(|lane| lane.state == State::Free)?;
        let (client, mut calls) = lane.turns.remove(next_of(lane))?;
        let first = calls.iter().position(|waiting| waiting.is_cancel).unwrap_or(0);
        let next = calls.remove(first);
        if !calls.is_empty() {
            lane.turns.push_back((client, calls));
        }
        if let Some(waiting) = &next {
            self.calls.remove(&waiting.correlation);
            self.bytes -= waiting.bytes;
        }
        next
    }
}

impl Lane {
    fn take_out(&mut self, goes: impl Fn(&Waiting) -> bool) -> Vec<Waiting> {
        let mut out = Vec::new();
        for (_, calls) in &mut self.turns {
            if !calls.iter().any(&goes) {
                continue;
            }
            let (gone, kept): (Vec<_>, Vec<_>) = calls.drain(..).partition(&goes);
            out.extend(gone);
            calls.extend(kept);
        }
        self.turns.retain(|(_, calls)| !calls.is_empty());
        out
    }
}

impl Waiting {
    /// Whether nobody waits for it any more.
    pub fn is_late(&self, now: ClockTime) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// Which of a lane's clients is next.
fn next_of(lane: &Lane) -> usize {
    let has_cancel =
        |(_, calls): &(Name, VecDeque<Waiting>)| calls.iter().any(|waiting| waiting.is_cancel);
    lane.turns.iter().position(has_cancel).unwrap_or(0)
}

/// How many calls of one client may wait for one credential.
pub const WAITING_MAX: usize = 256;
/// Bytes of those: far more than their orders are long.
const WAITING_BYTES_MAX: usize = 4 << 20;
/// Bytes of all that wait.
const BYTES_MAX: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use vault_ipc::ExecuteCall;
    use vault_model::Name;

    use super::{BYTES_MAX, Lanes, WAITING_BYTES_MAX, WAITING_MAX, Waiting};
    use crate::execute::VenueCall;

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    fn call(correlation: u64, is_cancel: bool) -> Waiting {
        let call = VenueCall::Execute(ExecuteCall::default());
        Waiting { call, correlation, is_cancel, until: None, bytes: 1_000 }
    }

    /// The correlations of what is left, in the order in which they set out.
    fn drain(lanes: &mut Lanes, credential: &Name) -> Vec<u64> {
        let mut order = Vec::new();
        lanes.free(credential);
        while let Some(Waiting { correlation, .. }) = lanes.next(credential) {
            order.push(correlation);
            lanes.take(credential);
            assert!(lanes.next(credential).is_none());
            lanes.free(credential);
        }
        lanes.line_up(credential);
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
        assert!(lanes.by_credential.is_empty() && lanes.calls.is_empty(), "nothing is kept");
        assert_eq!(lanes.bytes, 0);
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
        assert!(!lanes.forget(1) && !lanes.forget(77));
        assert_eq!(drain(&mut lanes, &main), [2]);
        assert_eq!(lanes.bytes, 0);
    }

    #[test]
    fn no_more_bytes_wait_than_may_of_a_client_and_of_all() {
        let mut lanes = Lanes::default();
        let mut wait = |credential: usize, client: &str, correlation, bytes| {
            let credential = name(&format!("key-{credential}"));
            let waiting = Waiting { bytes, ..call(correlation, false) };
            lanes.wait(&credential, &name(client), waiting).map_err(|error| error.reason())
        };
        let third = WAITING_BYTES_MAX / 3;
        for correlation in 1..=3 {
            assert_eq!(wait(0, "loud", correlation, third), Ok(()));
        }
        assert_eq!(wait(0, "loud", 4, third), Err("OVERLOADED"));
        assert_eq!(wait(0, "quiet", 4, 1), Ok(()));
        for credential in 1..BYTES_MAX / WAITING_BYTES_MAX {
            let correlation = 4 + credential as u64;
            assert_eq!(wait(credential, "loud", correlation, WAITING_BYTES_MAX), Ok(()));
        }
        assert_eq!(wait(99, "late", 99, third), Err("OVERLOADED"));
        assert!(lanes.forget(5));
        assert!(!lanes.forget(4_000));
        let waiting = Waiting { bytes: third, ..call(99, false) };
        lanes.wait(&name("key-99"), &name("late"), waiting).expect("room again");
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
        assert!(!lanes.forget(9_999), "it does not wait");
        lanes.wait(&main, &other, call(9_999, false)).expect("room for others");
        assert!(lanes.forget(9_999));
    }

    #[test]
    fn a_free_lane_is_in_line_and_lets_nobody_past() {
        let (main, one, other) = (name("main"), name("one"), name("other"));
        let mut lanes = Lanes::default();
        lanes.take(&main);
        lanes.wait(&main, &one, call(1, false)).expect("room");
        lanes.line_up(&main);
        assert!(lanes.take_ready().is_none(), "one is on its way");
        lanes.free(&main);
        assert!(!lanes.is_busy(&main));
        lanes.line_up(&main);
        lanes.line_up(&main);
        assert!(lanes.is_busy(&main), "it is another's turn");
        assert!(lanes.next(&main).is_none(), "whose turn has not come");
        // A cancel that comes meanwhile is next.
        lanes.wait(&main, &other, call(2, true)).expect("room");
        assert_eq!(lanes.take_ready(), Some((main.clone(), other)));
        assert_eq!(lanes.take_ready(), None, "once");
        lanes.free(&main);
        assert_eq!(lanes.next(&main).map(|waiting| waiting.correlation), Some(2));
        lanes.line_up(&main);
        assert_eq!(lanes.take_ready(), Some((main, one)));
    }

    #[test]
    fn a_lane_in_line_that_nobody_needs_any_more_is_given_up() {
        let (main, one) = (name("main"), name("one"));
        let mut lanes = Lanes::default();
        lanes.take(&main);
        lanes.wait(&main, &one, call(1, false)).expect("room");
        lanes.free(&main);
        lanes.line_up(&main);
        assert!(lanes.forget(1));
        assert_eq!(lanes.take_ready(), None);
        assert!(!lanes.is_busy(&main) && lanes.by_credential.is_empty());
    }
}
