//! Handshakes that fail: how many a peer may have, and what is said of them in the log.
//!
//! Each costs processor time that others need. A peer that has used its budget up is turned away before
//! its next handshake, unless somebody there has shown who he is within the last day: one
//! broken client must not shut out the good ones behind the same address. (Who attacks from behind it
//! has the advantage too, and is bounded by his share of the thread's time.)

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

use crate::address::Peer;
use crate::limit::Limits;

/// How long a peer is spared after one of its handshakes was good.
const SPARED: Duration = Duration::from_secs(24 * 60 * 60);

/// Peers that are remembered. Beyond them those are forgotten who have done nothing good.
const PEERS_MAX: usize = 4_096;

/// The failed handshakes of one kind of listener.
#[derive(Debug)]
pub(crate) struct Failures {
    burst: u32,
    known: Mutex<Known>,
    per_second: u32,
}

#[derive(Debug, Default)]
struct Known {
    counted: Counted,
    peers: HashMap<Peer, Record>,
}

/// Since the last report.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Counted {
    /// Handshakes that failed.
    pub(crate) failed: u64,
    /// Connections turned away before theirs.
    pub(crate) turned_away: u64,
}

#[derive(Debug)]
struct Record {
    good_at: Option<Instant>,
    left: u32,
    refilled_at: Instant,
}

/// A handshake under way. One that is dropped has failed.
pub(crate) struct Attempt<'f> {
    failures: &'f Failures,
    is_over: bool,
    peer: Peer,
}

impl Failures {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            burst: limits.failed_handshakes_burst,
            known: Mutex::default(),
            per_second: limits.failed_handshakes_per_second,
        }
    }

    /// Counts, and turns nobody away: whoever halts must not be kept out by who fails beside him.
    pub(crate) fn without_end(limits: &Limits) -> Self {
        Self { burst: u32::MAX, ..Self::new(limits) }
    }

    /// A handshake of a peer; `None` if too many of its have failed.
    pub(crate) fn attempt(&self, peer: Peer) -> Option<Attempt<'_>> {
        let mut known = self.known();
        if let Some(record) = known.peers.get_mut(&peer) {
            self.refill(record);
            if record.left == 0 && !is_spared(record) {
                known.counted.turned_away += 1;
                return None;
            }
        }
        drop(known);
        Some(Attempt { failures: self, is_over: false, peer })
    }

    /// What has happened since the last call.
    pub(crate) fn take_counted(&self) -> Counted {
        std::mem::take(&mut self.known().counted)
    }

    fn end(&self, peer: Peer, is_good: bool) {
        let mut known = self.known();
        known.counted.failed += u64::from(!is_good);
        if known.peers.len() >= PEERS_MAX && !known.peers.contains_key(&peer) {
            self.forget(&mut known.peers);
        }
        let record = known.peers.entry(peer).or_insert_with(|| Record {
            good_at: None,
            left: self.burst,
            refilled_at: Instant::now(),
        });
        if is_good {
            record.good_at = Some(Instant::now());
        } else {
            self.refill(record);
            record.left = record.left.saturating_sub(1);
        }
    }

    fn refill(&self, record: &mut Record) {
        let passed = record.refilled_at.elapsed().as_millis();
        let earned = passed.saturating_mul(u128::from(self.per_second)) / 1_000;
        if earned > 0 {
            let earned = u32::try_from(earned).unwrap_or(u32::MAX);
            record.left = record.left.saturating_add(earned).min(self.burst);
            record.refilled_at = Instant::now();
        }
    }

    /// Makes room: at the price that attackers with thousands of addresses begin anew, which they could
    /// with other addresses as well.
    fn forget(&self, peers: &mut HashMap<Peer, Record>) {
        peers.retain(|_, record| is_spared(record));
        if peers.len() > PEERS_MAX / 2 {
            peers.clear();
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("no panic while locked")
    }
}

fn is_spared(record: &Record) -> bool {
    record.good_at.is_some_and(|good_at| good_at.elapsed() < SPARED)
}

impl Attempt<'_> {
    /// The peer has shown who it is.
    pub(crate) fn succeed(mut self) {
        self.is_over = true;
        self.failures.end(self.peer, true);
    }

    /// The peer is not to blame.
    pub(crate) fn forgive(mut self) {
        self.is_over = true;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.failures.end(self.peer, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Counted, Failures, PEERS_MAX, SPARED};
    use crate::address::Peer;
    use crate::limit::Limits;

    const BAD: Peer = Peer::V4([10, 0, 0, 1]);
    const GOOD: Peer = Peer::V4([10, 0, 0, 2]);

    fn failures() -> Failures {
        let limits = Limits {
            failed_handshakes_burst: 20,
            failed_handshakes_per_second: 2,
            ..Limits::default()
        };
        Failures::new(&limits)
    }

    fn failed(failures: &Failures, peer: Peer) -> usize {
        (0..1_000).take_while(|_| failures.attempt(peer).is_some()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_may_fail_so_often_and_then_at_a_rate() {
        let failures = failures();
        assert_eq!(failed(&failures, BAD), 20);
        assert_eq!(failures.take_counted(), Counted { failed: 20, turned_away: 1 });
        assert_eq!(failures.take_counted(), Counted::default());
        // Others are not concerned.
        failures.attempt(GOOD).expect("new").succeed();
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(failed(&failures, BAD), 6);
        tokio::time::advance(Duration::from_secs(3_600)).await;
        assert_eq!(failed(&failures, BAD), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn who_shares_an_address_with_a_good_client_is_spared_for_a_while() {
        let failures = failures();
        assert_eq!(failed(&failures, BAD), 20);
        tokio::time::advance(Duration::from_secs(1)).await;
        failures.attempt(BAD).expect("a second is worth two").succeed();
        assert_eq!(failed(&failures, BAD), 1_000);
        tokio::time::advance(SPARED).await;
        assert_eq!(failed(&failures, BAD), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_sent_away_for_others_has_not_failed() {
        let failures = failures();
        for _ in 0..1_000 {
            failures.attempt(BAD).expect("never refused").forgive();
        }
        assert_eq!(failures.take_counted(), Counted::default());
    }

    #[tokio::test(start_paused = true)]
    async fn a_million_networks_fill_no_memory() {
        let failures = failures();
        failures.attempt(GOOD).expect("new").succeed();
        for number in 0..1_000_000_u64 {
            drop(failures.attempt(Peer::V6(number.to_be_bytes())));
        }
        let known = failures.known();
        assert!(known.peers.len() <= PEERS_MAX, "{}", known.peers.len());
        assert!(known.peers.contains_key(&GOOD), "who was good is remembered");
        assert_eq!(known.counted.failed, 1_000_000);
    }
}
