//! Latencies of many calls, counted in buckets: in little room, however many they are.
//!
//! A bucket is one nanosecond wide up to 256 ns, and beyond that a 128th of its least value at
//! most, so what is read out is half of that off at most: 0.4 %.

use std::time::Duration;

/// Latencies, of which 68 s is the longest that is told from longer ones.
#[derive(Clone, Debug)]
pub(crate) struct Latencies {
    counts: Vec<u32>,
    len: usize,
}

/// Bits of a value that are kept.
const KEPT_BITS: u32 = 7;
const NANOSECONDS_MAX: u64 = (1 << 36) - 1;

impl Default for Latencies {
    fn default() -> Self {
        Self { counts: vec![0; bucket(NANOSECONDS_MAX) + 1], len: 0 }
    }
}

impl Latencies {
    pub(crate) fn push(&mut self, latency: Duration) {
        let nanoseconds = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(nanoseconds.min(NANOSECONDS_MAX))] += 1;
        self.len += 1;
    }

    pub(crate) fn append(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.len += other.len;
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The latency below which this share of all lies, in microseconds.
    pub(crate) fn at(&self, share: f64) -> f64 {
        let rank = ((self.len as f64 * share) as usize).min(self.len.saturating_sub(1));
        let mut below = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            below += *count as usize;
            if below > rank {
                return middle(bucket) / 1e3;
            }
        }
        f64::NAN
    }
}

/// Values below 256 are their own buckets; of a larger one its eight highest bits count.
fn bucket(nanoseconds: u64) -> usize {
    let bits = u64::BITS - nanoseconds.leading_zeros();
    let dropped = bits.saturating_sub(KEPT_BITS + 1);
    ((dropped << KEPT_BITS) as usize) + (nanoseconds >> dropped) as usize
}

/// The middle of a bucket's values, in nanoseconds.
fn middle(bucket: usize) -> f64 {
    let dropped = (bucket >> KEPT_BITS).saturating_sub(1);
    let least = (bucket - (dropped << KEPT_BITS)) << dropped;
    least as f64 + ((1_u64 << dropped) - 1) as f64 / 2.0
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{KEPT_BITS, Latencies, NANOSECONDS_MAX, bucket, middle};

    fn of(nanoseconds: impl IntoIterator<Item = u64>) -> Latencies {
        let mut latencies = Latencies::default();
        for value in nanoseconds {
            latencies.push(Duration::from_nanos(value));
        }
        latencies
    }

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        let mut last = bucket(0);
        for value in 1..300_000 {
            let next = bucket(value);
            assert!(next == last || next == last + 1, "{value}");
            last = next;
        }
    }

    #[test]
    fn a_value_is_read_out_within_half_a_hundredth() {
        for value in (0..36).map(|bits| (1_u64 << bits) + (1 << bits) / 3) {
            let read = middle(bucket(value));
            let error = (read - value as f64).abs() / value as f64;
            assert!(error <= 0.5 / f64::from(1 << KEPT_BITS), "{value} is read as {read}");
        }
    }

    #[test]
    fn what_is_longer_than_the_longest_counts_as_that() {
        let latencies = of([u64::MAX, NANOSECONDS_MAX]);

        assert_eq!(latencies.at(0.0), latencies.at(1.0));
    }

    #[test]
    fn shares_are_those_of_the_sorted_values() {
        let latencies = of((1..=1_000).map(|value| value * 1_000));
        for (share, expected) in [(0.0, 1.0), (0.5, 501.0), (0.99, 991.0), (1.0, 1_000.0)] {
            let read = latencies.at(share);
            assert!((read - expected).abs() <= expected * 0.005, "{share}: {read}");
        }
        assert!(Latencies::default().at(0.5).is_nan());
    }

    #[test]
    fn merged_they_say_what_all_of_them_say_together() {
        let (mut even, odd) = (of((0..5_000).step_by(2)), of((1..5_000).step_by(2)));
        even.append(&odd);
        let all = of(0..5_000);

        assert_eq!(even.len(), all.len());
        for share in [0.0, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0] {
            assert_eq!(even.at(share), all.at(share));
        }
    }
}
