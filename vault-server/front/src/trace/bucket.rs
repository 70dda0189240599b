//! So many in a second, and no more at once.

use std::time::{Duration, Instant};

/// What a pause is worth at most.
const FULL: Duration = Duration::from_secs(1);

/// Begins full.
#[derive(Debug)]
pub(super) struct Bucket {
    /// Of one.
    cost: Duration,
    left: Duration,
    looked_at: Instant,
}

impl Bucket {
    /// `per_second` is not 0.
    pub(super) fn new(per_second: u32, now: Instant) -> Self {
        Self { cost: FULL / per_second, left: FULL, looked_at: now }
    }

    /// Takes one, if there is one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.looked_at);
        self.left = self.left.saturating_add(passed).min(FULL);
        self.looked_at = self.looked_at.max(now);
        let rest = self.left.checked_sub(self.cost);
        self.left = rest.unwrap_or(self.left);
        rest.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Bucket;

    fn taken(bucket: &mut Bucket, now: Instant) -> usize {
        (0..1_000).filter(|_| bucket.take(now)).count()
    }

    #[test]
    fn a_second_is_worth_so_many_and_no_pause_more() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10, start);
        let at = |ms: u64| start + Duration::from_millis(ms);
        // However long it was full before.
        assert_eq!(taken(&mut bucket, at(3_600_000)), 10);
        let at = |ms: u64| at(3_600_000 + ms);
        assert_eq!(taken(&mut bucket, at(99)), 0);
        assert_eq!(taken(&mut bucket, at(100)), 1);
        assert_eq!(taken(&mut bucket, at(450)), 3);
        // The half that was left over counts.
        assert_eq!(taken(&mut bucket, at(500)), 1);
        assert!(bucket.take(at(1_000)));
        // What was left of one second does not come on top of the next.
        assert_eq!(taken(&mut bucket, at(3_600_000)), 10);
        assert_eq!(taken(&mut bucket, at(3_600_000)), 0);
    }

    #[test]
    fn over_a_minute_it_is_sixty_times_as_many() {
        let start = Instant::now();
        let mut bucket = Bucket::new(7, start);
        let all: usize =
            (0..60_000).map(|ms| usize::from(bucket.take(start + Duration::from_millis(ms)))).sum();
        assert!((7 * 59..=7 * 61).contains(&all), "{all}");
    }
}
