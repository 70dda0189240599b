//! Whether the core answers: it is asked again and again how it is, and the questions are counted that
//! it owes an answer to.
//!
//! A core that hangs is to be started anew, and so is one that falls silent on purpose. A service
//! manager's watchdog would kill the supervisor for it, which then could not put back what such a core
//! has written ([`crate::settings`]). So the supervisor ends first, in order.

use std::time::{Duration, Instant};

/// When the core is asked, and what it owes.
#[derive(Clone, Copy, Debug)]
pub struct Pulse {
    every: Duration,
    next: Instant,
    unanswered: u32,
}

impl Pulse {
    /// Asks often enough for a service manager that takes the vault for dead after so long.
    pub fn new(watchdog: Option<Duration>, now: Instant) -> Self {
        // A loop without a pause would do nothing else.
        let every = watchdog.map_or(EVERY, |limit| (limit / BEATS).max(Duration::from_millis(10)));
        Self { every, next: now + every, unanswered: 0 }
    }

    /// When the core is to be asked next.
    pub fn deadline(&self) -> Instant {
        self.next
    }

    /// Whether it is time, which it is once in each interval.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let is_due = now >= self.next;
        if is_due {
            self.next = now + self.every;
        }
        is_due
    }

    /// The core is asked once more.
    ///
    /// # Errors
    ///
    /// How long it has been silent, at least, if it owes too many answers: then it is not worth asking.
    pub fn ask(&mut self) -> Result<(), Duration> {
        if self.unanswered >= UNANSWERED_MAX {
            return Err(self.every * self.unanswered);
        }
        self.unanswered += 1;
        Ok(())
    }

    /// It has answered.
    pub fn answered(&mut self) {
        self.unanswered = 0;
    }
}

/// How often the core is asked within the time after which a service manager takes the vault for dead.
/// The last of them are for the end: whoever ends after [`UNANSWERED_MAX`] has a third of the time left.
const BEATS: u32 = 6;
/// How many answers a core may owe.
const UNANSWERED_MAX: u32 = 3;
/// How often the core is asked where no service manager has set a time.
const EVERY: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Pulse;

    /// Seconds after the last sign of life at which a silent core is given up, and how long it was
    /// silent then by the pulse's own count.
    fn given_up(watchdog: Option<Duration>, answers: u32) -> (Duration, Duration) {
        let start = Instant::now();
        let mut pulse = Pulse::new(watchdog, start);
        let (mut now, mut alive_at) = (start, start);
        let mut left = answers;
        loop {
            now = pulse.deadline().max(now);
            assert!(pulse.is_due(now));
            assert!(!pulse.is_due(now), "once in each interval");
            if let Err(silence) = pulse.ask() {
                return (now - alive_at, silence);
            }
            if left > 0 {
                left -= 1;
                pulse.answered();
                alive_at = now;
            }
        }
    }

    #[test]
    fn a_silent_core_is_given_up_well_before_the_watchdog_does() {
        for limit in [1, 6, 30, 60, 600].map(Duration::from_secs) {
            for answers in [0, 1, 7] {
                let (since_alive, silence) = given_up(Some(limit), answers);
                assert!(since_alive <= limit * 2 / 3 + Duration::from_millis(1), "{limit:?}");
                assert!(silence <= since_alive && silence >= limit * 2 / 5, "{limit:?}");
            }
        }
    }

    #[test]
    fn one_that_answers_late_but_always_is_not_given_up() {
        let mut pulse = Pulse::new(None, Instant::now());
        for _ in 0..100 {
            for _ in 0..super::UNANSWERED_MAX {
                assert_eq!(pulse.ask(), Ok(()));
            }
            pulse.answered();
        }
    }

    #[test]
    fn without_a_watchdog_half_a_minute_of_silence_is_enough() {
        assert_eq!(given_up(None, 3).1, Duration::from_secs(30));
    }
}
