//! Random delays, the same in every run.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Draws delays from a range.
pub(crate) struct Delay {
    range: Range<Duration>,
    drawn: AtomicU64,
}

impl Delay {
    pub(crate) fn new(range: Range<Duration>) -> Self {
        Self { range, drawn: AtomicU64::new(0) }
    }

    /// How long to wait before a request is judged, and before its answer is sent: together a
    /// time in the range. What arrives first is thus not always judged first.
    pub(crate) fn draw(&self) -> (Duration, Duration) {
        let number = self.drawn.fetch_add(2, Ordering::Relaxed);
        let span = self.range.end.saturating_sub(self.range.start);
        let whole = self.range.start + span.mul_f64(share(number));
        let before = whole.mul_f64(share(number + 1));
        (before, whole.saturating_sub(before))
    }
}

/// The n-th number of a fixed sequence, from 0 up to but not including 1.
/// Source of the mixing: splitmix64, <https://prng.di.unimi.it/splitmix64.c> (public domain),
/// recalled, unverified.
fn share(n: u64) -> f64 {
    let mut z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_fill_their_range_and_split_anywhere() {
        let (low, high) = (Duration::from_millis(10), Duration::from_millis(30));
        let delay = Delay::new(low..high);
        let drawn: Vec<_> = (0..1000).map(|_| delay.draw()).collect();
        assert!(drawn.iter().all(|(a, b)| (low..high).contains(&(*a + *b))));
        let middle = Duration::from_millis(20);
        let above = drawn.iter().filter(|(a, b)| *a + *b > middle).count();
        let mostly_before = drawn.iter().filter(|(a, b)| a > b).count();
        assert!((400..600).contains(&above), "{above}");
        assert!((400..600).contains(&mostly_before), "{mostly_before}");
    }
}
