//! How much of the room for answers each client takes, as time goes by.
//!
//! A client may take a share of the room within the time for which an answer is kept, and a part of it at
//! once; what goes beyond that is kept apart ([`super::answer`]), and not counted: so who was loud is within
//! his share as soon as he asks for no more than that. Nothing is kept of a client but when it has earned what
//! it took, in one of a number of places: however many clients there are, it is no larger.

use std::time::Duration;

use vault_model::{ClockTime, Name};

use super::model::place;
use super::{ANSWER_KEPT, BYTES_MAX};

/// By the client's hash: when it has earned what it took. Admins name clients: two in one place share what
/// one may take, no more.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Shares(Vec<ClockTime>);

/// That of one client.
pub struct Share<'s> {
    earned_at: &'s mut ClockTime,
    now: ClockTime,
}

impl Shares {
    /// That of a client.
    pub fn of(&mut self, client: &Name, now: ClockTime) -> Share<'_> {
        self.0.resize(PLACES, ClockTime(0));
        Share { earned_at: &mut self.0[place(client.as_str().as_bytes(), PLACES)], now }
    }

    /// Bytes that all take.
    pub fn size(&self) -> usize {
        self.0.capacity() * size_of::<ClockTime>()
    }
}

impl Share<'_> {
    /// Whether so many bytes more are within it.
    pub fn has(&self, bytes: usize) -> bool {
        self.owed() + earned_in(bytes) <= AT_ONCE
    }

    /// Takes so many bytes, within it or not. They are owed for no longer than they are kept: so a clock that
    /// went back does no harm, either.
    pub fn take(&mut self, bytes: usize) {
        *self.earned_at = self.now.plus((self.owed() + earned_in(bytes)).min(ANSWER_KEPT));
    }

    /// For how long it has still to earn what it took.
    fn owed(&self) -> Duration {
        self.earned_at.since(self.now)
    }
}

/// How long it takes to earn so many bytes.
fn earned_in(bytes: usize) -> Duration {
    const KEPT_US: u64 = ANSWER_KEPT.as_micros() as u64;
    Duration::from_micros((bytes as u64).saturating_mul(KEPT_US) / SHARE_BYTES)
}

/// What a client may take while an answer is kept: an eighth of the room, 31 KB a second, which is 300 answers
/// of one form or 180 of any.
pub const SHARE_BYTES: u64 = BYTES_MAX as u64 / 8;
/// What it may take of this at once: 150 KB, which is 1,600 answers of one form, or four of 32 KB.
const AT_ONCE: Duration = Duration::from_secs(5);
/// A power of two.
const PLACES: usize = 4_096;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;
    use vault_model::{ClockTime, Name};

    use super::{SHARE_BYTES, Shares};

    const NOW: ClockTime = ClockTime(1_800_000_000_000_000);

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    /// Takes answers of 1,000 bytes as long as they are within a client's share: how many were.
    fn taken(shares: &mut Shares, client: &str, now: ClockTime) -> u64 {
        let mut share = shares.of(&name(client), now);
        let mut taken = 0;
        while share.has(1_000) {
            share.take(1_000);
            taken += 1;
        }
        taken
    }

    #[test]
    fn a_part_at_once_then_as_it_is_earned_each_client_for_itself() {
        let mut shares = Shares::default();
        let in_seconds = |seconds| SHARE_BYTES * seconds / 60 / 1_000;
        assert_eq!(taken(&mut shares, "loud", NOW), in_seconds(5));
        assert_eq!(taken(&mut shares, "loud", NOW), 0);
        assert_eq!(taken(&mut shares, "quiet", NOW), in_seconds(5));
        let later = NOW.plus(Duration::from_secs(2));
        assert!((in_seconds(2)..=in_seconds(2) + 1).contains(&taken(&mut shares, "loud", later)));
        let all_later = NOW.plus(Duration::from_secs(86_400));
        assert_eq!(taken(&mut shares, "loud", all_later), in_seconds(5));
    }

    #[test]
    fn a_clock_that_goes_back_or_far_ahead_shuts_nobody_out() {
        let mut shares = Shares::default();
        shares.of(&name("bot"), ClockTime(u64::MAX)).take(1);
        assert!(!shares.of(&name("bot"), NOW).has(1));
        shares.of(&name("bot"), NOW).take(1);
        let in_seconds = |seconds| NOW.plus(Duration::from_secs(seconds));
        assert!(!shares.of(&name("bot"), in_seconds(54)).has(1));
        assert!(shares.of(&name("bot"), in_seconds(56)).has(1));
    }

    #[test]
    fn is_as_large_for_many_clients_as_for_one() {
        let mut shares = Shares::default();
        shares.of(&name("one"), NOW).take(1);
        let size = shares.size();
        for number in 0..100_000 {
            shares.of(&name(&format!("bot-{number}")), NOW).take(1);
        }
        assert_eq!((size, shares.size()), (32 << 10, 32 << 10));
    }

    proptest! {
        /// Counted as anybody would: nobody gets more as his share within any minute.
        #[test]
        fn no_client_takes_more_within_any_minute(
            steps in vec((select(vec![0, 20, 1_000, 700_000, 6_000_000]), 1..100_000usize), 1..400),
        ) {
            let mut shares = Shares::default();
            let (mut now, mut within) = (NOW, Vec::new());
            for (after_us, bytes) in steps {
                now = now.plus(Duration::from_micros(after_us));
                let mut share = shares.of(&name("loud"), now);
                if share.has(bytes) {
                    share.take(bytes);
                    within.push((now, bytes as u64));
                }
                let minute = within.iter().filter(|(at, _)| now.since(*at).as_secs() < 60);
                // What it may take at once, too, and a microsecond's rounding of each.
                let most = SHARE_BYTES * 65 / 60 + 400;
                prop_assert!(minute.map(|(_, bytes)| bytes).sum::<u64>() <= most);
            }
        }
    }
}
