//! How often somebody may try to unseal: one attempt at a time, and a pause after each failure that
//! doubles up to five minutes. Pure: the time comes in as an argument, on the vault's own clock, so that no
//! step of the wall clock takes a pause away.

use std::time::Duration;

use vault_model::ClockTime;

/// The longest pause, in seconds.
pub const PAUSE_SECONDS_MAX: u64 = 300;

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
    failures: u32,
    not_before: Option<ClockTime>,
}

impl Backoff {
    /// Goes on where the log says the last process stopped: a restart is no fresh start.
    pub fn resume(failures: u32, last_failed_at: ClockTime) -> Self {
        let mut backoff = Self { busy: false, failures, not_before: None };
        backoff.pause_from(last_failed_at);
        backoff
    }

    /// Begins an attempt; [`Backoff::succeed`], [`Backoff::fail`] or [`Backoff::abandon`] ends it.
    ///
    /// # Errors
    ///
    /// [`BackoffError`]: one is running, or it is too early.
    pub fn begin(&mut self, now: ClockTime) -> Result<(), BackoffError> {
        if self.busy {
            return Err(BackoffError::Busy);
        }
        let wait = self.wait(now);
        if !wait.is_zero() {
            return Err(BackoffError::Wait { wait });
        }
        self.busy = true;
        Ok(())
    }

    /// Ends an attempt that failed.
    pub fn fail(&mut self, now: ClockTime) {
        self.busy = false;
        self.failures = self.failures.saturating_add(1);
        self.pause_from(now);
    }

    /// Ends an attempt that opened the vault.
    pub fn succeed(&mut self) {
        *self = Self::default();
    }

    /// Ends an attempt that said nothing about the passphrase (no memory, say).
    pub fn abandon(&mut self) {
        self.busy = false;
    }

    /// Failures since the last success.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// How long an attempt has to wait; zero if it need not.
    pub fn wait(&self, now: ClockTime) -> Duration {
        let Some(not_before) = self.not_before else {
            return Duration::ZERO;
        };
        // However wrong the time of a failure is that the log has: no longer than any failure does.
        not_before.since(now).min(Duration::from_secs(PAUSE_SECONDS_MAX))
    }

    fn pause_from(&mut self, failed_at: ClockTime) {
        if self.failures > 0 {
            let pause = 1u64.checked_shl(self.failures).unwrap_or(u64::MAX).min(PAUSE_SECONDS_MAX);
            self.not_before = Some(failed_at.plus(Duration::from_secs(pause)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use vault_model::ClockTime;

    use super::{Backoff, BackoffError};

    fn at(seconds: u64) -> ClockTime {
        ClockTime(seconds * 1_000_000)
    }

    #[test]
    fn pauses_double_up_to_five_minutes() {
        let mut backoff = Backoff::default();
        let mut now = 1_000;

        for pause in [2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            backoff.begin(at(now)).expect("after the pause");
            backoff.fail(at(now));
            assert_eq!(
                backoff.begin(at(now + pause - 1)),
                Err(BackoffError::Wait { wait: Duration::from_secs(1) })
            );
            now += pause;
        }
        assert_eq!(backoff.failures(), 10);
    }

    #[test]
    fn a_hundred_failures_do_not_overflow() {
        let backoff = Backoff::resume(100, at(0));

        assert_eq!(backoff.wait(at(0)), Duration::from_secs(300));
    }

    #[test]
    fn one_attempt_at_a_time() {
        let mut backoff = Backoff::default();

        backoff.begin(at(0)).expect("the first");
        assert_eq!(backoff.begin(at(0)), Err(BackoffError::Busy));
        backoff.abandon();
        backoff.begin(at(0)).expect("abandoned attempts cost nothing");
    }

    #[test]
    fn success_forgets_the_failures() {
        let mut backoff = Backoff::resume(3, at(0));

        assert_eq!(backoff.wait(at(1)), Duration::from_secs(7));
        backoff.begin(at(8)).expect("after the pause");
        backoff.succeed();
        backoff.begin(at(8)).expect("no pause");
        assert_eq!(backoff.failures(), 0);
    }

    #[test]
    fn a_failure_that_is_to_come_waits_no_longer_than_the_longest_pause() {
        let backoff = Backoff::resume(1, at(1_000_000));

        assert_eq!(backoff.wait(at(0)), Duration::from_secs(300));
    }
}
