//! When the calls of an open loop are to begin: at even distances, whatever became of those before.

use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

/// So many calls a second for some time; call 0 at its beginning.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Schedule {
    rate: u64,
    time: Duration,
}

const SECOND_NS: u128 = 1_000_000_000;

impl Schedule {
    /// `rate` calls in each second; at least one.
    pub(crate) fn new(rate: u64, time: Duration) -> Self {
        Self { rate: rate.max(1), time }
    }

    /// When a call is to begin, from the beginning on. Rounded once, so that it does not drift.
    pub(crate) fn at(&self, number: u64) -> Duration {
        let nanoseconds = u128::from(number) * SECOND_NS / u128::from(self.rate);
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }

    /// How many calls are to have begun by then.
    pub(crate) fn due(&self, elapsed: Duration) -> u64 {
        if elapsed >= self.time {
            return self.calls();
        }
        // Call n is due from n / rate on, rounded down: the largest n of which that holds.
        let before = (elapsed.as_nanos() + 1) * u128::from(self.rate);
        u64::try_from(before.div_ceil(SECOND_NS)).unwrap_or(u64::MAX).min(self.calls())
    }

    /// How many calls there are.
    pub(crate) fn calls(&self) -> u64 {
        let calls = self.time.as_nanos() * u128::from(self.rate);
        u64::try_from(calls.div_ceil(SECOND_NS)).unwrap_or(u64::MAX)
    }

    pub(crate) fn end(&self) -> Duration {
        self.time
    }
}

/// Lets calls go when they are due, on the calling thread, and closes when the last had its time.
pub(crate) fn keep(schedule: Schedule, begun: Instant, due: &Semaphore) {
    // SAFETY: sets how late this thread may be woken, in nanoseconds, and touches no memory.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_u64) };
    let mut let_go = 0;
    loop {
        let elapsed = begun.elapsed();
        let now = schedule.due(elapsed);
        due.add_permits(usize::try_from(now - let_go).unwrap_or(0));
        let_go = now;
        if elapsed >= schedule.end() {
            break;
        }
        let next = schedule.at(let_go).min(schedule.end());
        std::thread::sleep(next.saturating_sub(begun.elapsed()));
    }
    due.close();
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Schedule;

    #[test]
    fn calls_are_at_even_distances_and_do_not_drift() {
        let schedule = Schedule::new(3, Duration::from_secs(10));

        let nanoseconds = [0, 1, 2, 3, 4].map(|number| schedule.at(number).as_nanos());
        assert_eq!(nanoseconds, [0, 333_333_333, 666_666_666, 1_000_000_000, 1_333_333_333]);
        assert_eq!(schedule.at(3_000_000), Duration::from_secs(1_000_000));
    }

    #[test]
    fn a_call_is_due_from_its_moment_on_and_not_before() {
        for rate in [1, 3, 7, 50, 20_000, 333_333] {
            let schedule = Schedule::new(rate, Duration::from_secs(1));
            for number in 1..schedule.calls().min(1_000) {
                let at = schedule.at(number);
                assert_eq!(schedule.due(at), number + 1, "{rate}: call {number} is due");
                let before = at - Duration::from_nanos(1);
                assert_eq!(schedule.due(before), number, "{rate}: call {number} is not due");
            }
            assert_eq!(schedule.due(Duration::ZERO), 1);
        }
    }

    #[test]
    fn there_are_as_many_calls_as_the_time_holds() {
        let calls = |rate, millis| Schedule::new(rate, Duration::from_millis(millis)).calls();

        assert_eq!(calls(20_000, 3_000), 60_000);
        assert_eq!((calls(50, 1_000), calls(50, 1_010), calls(50, 1_020)), (50, 51, 51));
        assert_eq!(calls(0, 2_000), 2);
    }

    #[test]
    fn nothing_is_due_beyond_the_end() {
        let schedule = Schedule::new(1_000, Duration::from_millis(10));

        assert_eq!(schedule.due(Duration::from_secs(5)), 10);
        assert!(schedule.at(schedule.calls() - 1) < schedule.end());
        assert!(schedule.at(schedule.calls()) >= schedule.end());
    }
}
