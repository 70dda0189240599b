//! How often somebody may try to unseal: one attempt at a time, and a pause after each failure that
//! doubles. Pure: the time comes in as an argument, on the vault's own clock, so that no step of the wall
//! clock takes a pause away.
//!
//! The local socket has a pause of its own, which nobody who comes over the network prolongs: who has
//! the machine can always open the vault. All operators share one, of up to five minutes, so that many
//! stolen identities guess no faster than one. And who failed waits twice as long himself: a thief who
//! tries again as soon as he may leaves the other operators a time in which he cannot.

use std::collections::HashMap;
use std::time::Duration;

use vault_model::{ClockTime, Name, NotPacked, Pack, Timestamp, Unpack};

use crate::snapshot;

/// The longest pause after a failure, in seconds; for the operator who failed, twice as long.
pub const PAUSE_SECONDS_MAX: u64 = 300;

/// Who tries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Guesser<'a> {
    /// Whoever may open the local socket.
    Local,
    /// An operator, over the network.
    Operator(&'a Name),
}

impl<'a> Guesser<'a> {
    /// Who an entry or a call names: nobody over the local socket.
    pub fn of(operator: Option<&'a Name>) -> Self {
        operator.map_or(Self::Local, Self::Operator)
    }
}

/// Why an attempt may not begin.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BackoffError {
    /// Another attempt is being computed.
    #[error("another unseal attempt is running")]
    Busy,
    /// Too early after a failure.
    #[error("wait {} s before the next unseal attempt", .wait.as_micros().div_ceil(1_000_000))]
    Wait {
        /// How long from now.
        wait: Duration,
    },
}

/// The state between attempts.
#[derive(Clone, Debug, Default)]
pub struct Backoff {
    busy: bool,
    local: Pause,
    /// Of all operators together.
    remote: Pause,
    operators: HashMap<Name, Pause>,
}

impl Backoff {
    /// Begins an attempt; [`Backoff::succeed`], [`Backoff::fail`] or [`Backoff::abandon`] ends it.
    ///
    /// # Errors
    ///
    /// [`BackoffError`]: one is running, or it is too early.
    pub fn begin(&mut self, who: Guesser<'_>, now: ClockTime) -> Result<(), BackoffError> {
        if self.busy {
            return Err(BackoffError::Busy);
        }
        let wait = self.wait(who, now);
        if !wait.is_zero() {
            return Err(BackoffError::Wait { wait });
        }
        self.busy = true;
        Ok(())
    }

    /// Ends an attempt that failed.
    pub fn fail(&mut self, who: Guesser<'_>, now: ClockTime) {
        self.busy = false;
        match who {
            Guesser::Local => self.local.fail(now, 1),
            Guesser::Operator(name) => {
                self.remote.fail(now, 1);
                self.operators.entry(name.clone()).or_default().fail(now, OWN);
            }
        }
    }

    /// Ends an attempt that opened the vault. Others' own failures stay theirs.
    pub fn succeed(&mut self, who: Guesser<'_>) {
        self.busy = false;
        match who {
            Guesser::Local => self.local = Pause::default(),
            Guesser::Operator(name) => {
                self.remote = Pause::default();
                self.operators.remove(name);
            }
        }
    }

    /// Ends an attempt that said nothing about the passphrase (no memory, say).
    pub fn abandon(&mut self) {
        self.busy = false;
    }

    /// How long an attempt has to wait; zero if it need not.
    pub fn wait(&self, who: Guesser<'_>, now: ClockTime) -> Duration {
        match who {
            Guesser::Local => self.local.wait(now, 1),
            Guesser::Operator(name) => {
                let own = self.operators.get(name).map(|own| own.wait(now, OWN));
                self.remote.wait(now, 1).max(own.unwrap_or_default())
            }
        }
    }
}

/// How many times as long as the others somebody waits who failed himself.
const OWN: u64 = 2;

/// Failures since the last success, and the pause after them.
#[derive(Clone, Copy, Debug, Default)]
struct Pause {
    failures: u32,
    not_before: Option<ClockTime>,
}

impl Pause {
    fn fail(&mut self, at: ClockTime, times: u64) {
        self.failures = self.failures.saturating_add(1);
        let pause = 1u64.checked_shl(self.failures).unwrap_or(u64::MAX).min(PAUSE_SECONDS_MAX);
        self.not_before = Some(at.plus(Duration::from_secs(pause * times)));
    }

    fn wait(&self, now: ClockTime, times: u64) -> Duration {
        let Some(not_before) = self.not_before else {
            return Duration::ZERO;
        };
        // However wrong the time of a failure is that the log has: no longer than any failure does.
        not_before.since(now).min(Duration::from_secs(PAUSE_SECONDS_MAX * times))
    }
}

/// The attempts that the log tells of: a restart is no fresh start.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Guesses {
    local: Failures,
    remote: Failures,
    operators: HashMap<Name, Failures>,
}

/// Failures since the last success, and when the last one was, by the wall clock.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Failures {
    count: u32,
    last_at: Timestamp,
}

impl Failures {
    fn add(&mut self, at: Timestamp) {
        *self = Self { count: self.count.saturating_add(1), last_at: at };
    }

    fn pack(self, pack: &mut Pack<'_>) {
        let Self { count, last_at } = self;
        pack.number(u64::from(count));
        pack.timestamp(last_at);
    }

    fn unpack(unpack: &mut Unpack<'_>) -> Result<Self, NotPacked> {
        let count = u32::try_from(unpack.number()?).map_err(|_| NotPacked)?;
        Ok(Self { count, last_at: unpack.timestamp()? })
    }

    fn pause(self, clock: &impl Fn(Timestamp) -> ClockTime, times: u64) -> Pause {
        if self.count == 0 {
            return Pause::default();
        }
        let mut pause = Pause { failures: self.count - 1, not_before: None };
        pause.fail(clock(self.last_at), times);
        pause
    }
}

impl Guesses {
    /// Counts a wrong passphrase.
    pub fn fail(&mut self, who: Guesser<'_>, at: Timestamp) {
        match who {
            Guesser::Local => self.local.add(at),
            Guesser::Operator(name) => {
                self.remote.add(at);
                self.operators.entry(name.clone()).or_default().add(at);
            }
        }
    }

    /// As [`Backoff::succeed`].
    pub fn succeed(&mut self, who: Guesser<'_>) {
        match who {
            Guesser::Local => self.local = Failures::default(),
            Guesser::Operator(name) => {
                self.remote = Failures::default();
                self.operators.remove(name);
            }
        }
    }

    /// Writes all of it, for a snapshot.
    pub fn pack(&self, pack: &mut Pack<'_>) {
        let Self { local, remote, operators } = self;
        local.pack(pack);
        remote.pack(pack);
        let name = |pack: &mut Pack<'_>, name: &Name| pack.text(name.as_str());
        snapshot::pack_map(operators, pack, name, |pack, own| own.pack(pack));
    }

    /// Reads what [`Guesses::pack`] wrote.
    ///
    /// # Errors
    ///
    /// [`NotPacked`].
    pub fn unpack(unpack: &mut Unpack<'_>) -> Result<Self, NotPacked> {
        let (local, remote) = (Failures::unpack(unpack)?, Failures::unpack(unpack)?);
        let operators = snapshot::unpack_map(unpack, Unpack::name, Failures::unpack)?;
        Ok(Self { local, remote, operators })
    }

    /// Goes on where the last process stopped. `clock` says when a time of the wall clock was on the
    /// vault's own.
    pub fn resume(self, clock: impl Fn(Timestamp) -> ClockTime) -> Backoff {
        let operators = self.operators.into_iter();
        Backoff {
            busy: false,
            local: self.local.pause(&clock, 1),
            remote: self.remote.pause(&clock, 1),
            operators: operators.map(|(name, own)| (name, own.pause(&clock, OWN))).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use vault_model::{ClockTime, Name, Timestamp};

    use super::{Backoff, BackoffError, Guesser, Guesses};

    fn at(seconds: u64) -> ClockTime {
        ClockTime(seconds * 1_000_000)
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn name(name: &str) -> Name {
        name.parse().expect("a name")
    }

    /// As the log would have it: so many failures of somebody, the last at 0.
    fn resumed(who: Guesser<'_>, failures: u32) -> Backoff {
        let mut guesses = Guesses::default();
        for _ in 0..failures {
            guesses.fail(who, Timestamp::default());
        }
        guesses.resume(|_| at(0))
    }

    #[test]
    fn pauses_double_up_to_five_minutes() {
        let mut backoff = Backoff::default();
        let mut now = 1_000;

        for pause in [2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            backoff.begin(Guesser::Local, at(now)).expect("after the pause");
            backoff.fail(Guesser::Local, at(now));
            assert_eq!(
                backoff.begin(Guesser::Local, at(now + pause - 1)),
                Err(BackoffError::Wait { wait: seconds(1) })
            );
            now += pause;
        }
    }

    #[test]
    fn nobody_over_the_network_keeps_the_local_socket_waiting() {
        let (thief, owner) = (name("thief"), name("owner"));
        let mut backoff = Backoff::default();
        let mut now = 0;
        for _ in 0..20 {
            now += 600;
            for who in [&thief, &owner] {
                backoff.fail(Guesser::Operator(who), at(now));
            }
        }
        backoff.begin(Guesser::Local, at(now)).expect("at once");
        backoff.fail(Guesser::Local, at(now));
        assert_eq!(backoff.wait(Guesser::Local, at(now)), seconds(2));
        // Nor the other way round.
        assert_eq!(backoff.wait(Guesser::Operator(&owner), at(now)), seconds(600));
        assert_eq!(backoff.wait(Guesser::Operator(&name("third")), at(now)), seconds(300));
    }

    #[test]
    fn many_identities_guess_no_faster_than_one_did() {
        let mut backoff = Backoff::default();
        let mut now = 0;
        let mut guesses = Vec::new();
        while now < 3_600 {
            let who = name(&format!("stolen-{}", guesses.len()));
            if backoff.begin(Guesser::Operator(&who), at(now)).is_ok() {
                backoff.fail(Guesser::Operator(&who), at(now));
                guesses.push(now);
            }
            now += 1;
        }
        let pauses: Vec<u64> = guesses.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(pauses[..9], [2, 4, 8, 16, 32, 64, 128, 256, 300]);
        assert!(pauses[9..].iter().all(|pause| *pause == 300));
    }

    #[test]
    fn who_failed_leaves_the_others_a_time_of_their_own() {
        let (thief, owner) = (name("thief"), name("owner"));
        let mut backoff = Backoff::default();
        backoff.fail(Guesser::Operator(&thief), at(0));

        assert_eq!(backoff.wait(Guesser::Operator(&owner), at(0)), seconds(2));
        assert_eq!(backoff.wait(Guesser::Operator(&thief), at(0)), seconds(4));
        assert!(backoff.begin(Guesser::Operator(&thief), at(2)).is_err());
        backoff.begin(Guesser::Operator(&owner), at(2)).expect("after the pause of all");
    }

    #[test]
    fn success_forgets_ones_own_failures_and_the_pause_of_all() {
        let (thief, owner) = (name("thief"), name("owner"));
        let mut backoff = Backoff::default();
        for _ in 0..3 {
            backoff.fail(Guesser::Operator(&thief), at(0));
            backoff.fail(Guesser::Operator(&owner), at(0));
        }
        backoff.succeed(Guesser::Operator(&owner));
        assert_eq!(backoff.wait(Guesser::Operator(&owner), at(1)), Duration::ZERO);
        assert_eq!(backoff.wait(Guesser::Operator(&thief), at(1)), seconds(15));

        let mut local = resumed(Guesser::Local, 3);
        assert_eq!(local.wait(Guesser::Local, at(1)), seconds(7));
        local.begin(Guesser::Local, at(8)).expect("after the pause");
        local.succeed(Guesser::Local);
        local.begin(Guesser::Local, at(8)).expect("no pause");
    }

    #[test]
    fn a_hundred_failures_do_not_overflow() {
        let backoff = resumed(Guesser::Local, 100);

        assert_eq!(backoff.wait(Guesser::Local, at(0)), seconds(300));
    }

    #[test]
    fn one_attempt_at_a_time() {
        let owner = name("owner");
        let mut backoff = Backoff::default();

        backoff.begin(Guesser::Local, at(0)).expect("the first");
        assert_eq!(backoff.begin(Guesser::Operator(&owner), at(0)), Err(BackoffError::Busy));
        backoff.abandon();
        backoff.begin(Guesser::Operator(&owner), at(0)).expect("abandoned attempts cost nothing");
    }

    #[test]
    fn a_restart_is_no_fresh_start() {
        let (thief, owner) = (name("thief"), name("owner"));
        let mut guesses = Guesses::default();
        for _ in 0..4 {
            guesses.fail(Guesser::Operator(&thief), Timestamp::default());
        }
        guesses.fail(Guesser::Local, Timestamp::default());
        guesses.succeed(Guesser::Local);
        let backoff = guesses.resume(|_| at(0));
        assert_eq!(backoff.wait(Guesser::Operator(&thief), at(0)), seconds(32));
        assert_eq!(backoff.wait(Guesser::Operator(&owner), at(0)), seconds(16));
        assert_eq!(backoff.wait(Guesser::Local, at(0)), Duration::ZERO);

        let mut guesses = Guesses::default();
        guesses.fail(Guesser::Operator(&thief), Timestamp::default());
        guesses.succeed(Guesser::Operator(&owner));
        let backoff = guesses.resume(|_| at(0));
        assert_eq!(backoff.wait(Guesser::Operator(&owner), at(0)), Duration::ZERO);
        assert_eq!(backoff.wait(Guesser::Operator(&thief), at(0)), seconds(4));
    }

    #[test]
    fn a_failure_that_is_to_come_waits_no_longer_than_the_longest_pause() {
        let owner = name("owner");
        let mut guesses = Guesses::default();
        guesses.fail(Guesser::Local, Timestamp::default());
        guesses.fail(Guesser::Operator(&owner), Timestamp::default());
        let backoff = guesses.resume(|_| at(1_000_000));

        assert_eq!(backoff.wait(Guesser::Local, at(0)), seconds(300));
        assert_eq!(backoff.wait(Guesser::Operator(&owner), at(0)), seconds(600));
    }
}
