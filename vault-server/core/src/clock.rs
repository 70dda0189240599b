//! The clock. Decisions take the time as an argument; here is where it comes from.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use vault_model::Timestamp;

/// The wall clock, watched by the monotonic one.
pub struct Clock {
    offset_us: i64,
    wall_at: Timestamp,
    monotonic_at: Instant,
}

impl Clock {
    /// The clock of this machine, shifted: only in development by anything but 0.
    pub fn new(offset_s: i64) -> Self {
        let offset_us = offset_s.saturating_mul(1_000_000);
        let mut clock =
            Self { offset_us, wall_at: Timestamp::default(), monotonic_at: Instant::now() };
        clock.wall_at = clock.now();
        clock
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let micros = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
        Timestamp(micros.saturating_add(self.offset_us))
    }

    /// By how many microseconds the wall clock has jumped since the last look, if by more than 5 s.
    pub fn jumped(&mut self) -> Option<i64> {
        let passed = i64::try_from(self.monotonic_at.elapsed().as_micros()).unwrap_or(i64::MAX);
        let expected = self.wall_at.micros().saturating_add(passed);
        let now = self.now();
        (self.wall_at, self.monotonic_at) = (now, Instant::now());
        let jump_us = now.micros().saturating_sub(expected);
        (jump_us.abs() > JUMP_US).then_some(jump_us)
    }
}

const JUMP_US: i64 = 5_000_000;
