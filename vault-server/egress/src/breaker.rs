//! Whether a venue answers: breakers of one host.
//!
//! What is slow for one must not stop the others. So reads, WebSockets and the rest have a breaker
//! each, and each of these one for everybody and one for every client. A client's own opens by its own
//! failures, and stops that client. The one for everybody opens by failures of several clients, unless
//! the venue has answered anybody just now; what then may try is whoever has not failed, as long as
//! somebody like that asks.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::asker::{Asker, Errand};
use crate::health::Paused;

/// Failures in a row that open a breaker.
pub(crate) const FAILURES_MAX: u32 = 5;
/// Of these, how many of one client count for others.
const OF_ONE_MAX: u32 = 2;
/// A venue that has answered so lately is there, whatever fails.
const WELL: Duration = Duration::from_secs(1);
/// How long a breaker is open first; doubled with each trial that fails.
pub(crate) const OPEN_MIN: Duration = Duration::from_millis(500);
const OPEN_MAX: Duration = Duration::from_secs(30);
/// After so long without an answer, a trial is given up and another may be made.
const TRIAL_MAX: Duration = Duration::from_secs(10);
/// How long the trial is kept for clients that have not failed, if one of them has asked.
const OTHERS_FIRST: Duration = Duration::from_secs(1);
/// Clients of which failures are remembered.
const CLIENTS_MAX: usize = 1024;

/// The breakers of one host.
#[derive(Debug, Default)]
pub(crate) struct Breakers {
    all: HashMap<Side, Shared>,
    own: HashMap<(Side, Rc<str>), Own>,
}

/// What stops together.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Side {
    Order,
    Read,
    Stream,
}

/// What everybody's breaker goes by.
#[derive(Debug, Default)]
struct Shared {
    answered_at: Option<Instant>,
    /// In a row, by client; once the breaker is open, the clients that have opened it or kept it open.
    failures: Vec<(Rc<str>, u32)>,
    open: Option<Open>,
}

/// What a client's own breaker goes by.
#[derive(Debug, Default)]
struct Own {
    failures: u32,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    open_for: Duration,
    since: Instant,
    until: Instant,
    /// Whether somebody was turned away who has not failed.
    others_ask: bool,
    trial: Option<(Rc<str>, Instant)>,
}

impl Breakers {
    /// Whether a request may go now; whether it is a trial, of whose end [`Breakers::tried`] must be
    /// told.
    ///
    /// # Errors
    ///
    /// [`Paused`], with the time until it may.
    pub(crate) fn admit(&mut self, asker: &Asker, now: Instant) -> Result<bool, Paused> {
        if asker.errand == Errand::Cancel {
            return Ok(false);
        }
        let side = Side::of(asker.errand);
        let mut shared = self.all.get_mut(&side);
        let answered_at = shared.as_ref().and_then(|shared| shared.answered_at);
        let own = self.own.get_mut(&(side, Rc::clone(&asker.client)));
        let own = own.and_then(|own| own.open.as_mut());
        if let Some(open) = &own {
            // Somebody else was answered since: one may try at once.
            let is_well = answered_at.is_some_and(|at| at > open.since);
            open.may_try(is_well, now)?;
        }
        let mut is_trial = false;
        if let Some(shared) = &mut shared
            && let Some(open) = &mut shared.open
        {
            let has_failed = shared.failures.iter().any(|(client, _)| *client == asker.client);
            let may_try = open.may_try(false, now).and_then(|()| {
                let left = (open.until + OTHERS_FIRST).saturating_duration_since(now);
                match has_failed && open.others_ask && !left.is_zero() {
                    true => Err(Paused(left)),
                    false => Ok(()),
                }
            });
            if may_try.is_err() {
                open.others_ask |= !has_failed;
            }
            may_try?;
            open.trial = Some((Rc::clone(&asker.client), now));
            is_trial = true;
        }
        if let Some(open) = own {
            open.trial = Some((Rc::clone(&asker.client), now));
            is_trial = true;
        }
        Ok(is_trial)
    }

    /// Notes that a trial is over. If it told nothing of the venue, the next may be made.
    pub(crate) fn tried(&mut self, asker: &Asker) {
        let side = Side::of(asker.errand);
        let shared = self.all.get_mut(&side).and_then(|shared| shared.open.as_mut());
        let own = self.own.get_mut(&(side, Rc::clone(&asker.client)));
        for open in shared.into_iter().chain(own.and_then(|own| own.open.as_mut())) {
            open.trial.take_if(|(client, _)| *client == asker.client);
        }
    }

    /// Notes that the venue could not be reached, or did not answer in time. Tells how long a breaker
    /// is open by that, if one is: everybody's, or else the asker's own.
    pub(crate) fn failed(&mut self, asker: &Asker, now: Instant) -> Option<Duration> {
        let side = Side::of(asker.errand);
        let own = self.fail_own(side, asker, now);
        self.all.entry(side).or_default().fail(asker, now).or(own)
    }

    fn fail_own(&mut self, side: Side, asker: &Asker, now: Instant) -> Option<Duration> {
        let key = (side, Rc::clone(&asker.client));
        if self.own.len() >= CLIENTS_MAX && !self.own.contains_key(&key) {
            return None;
        }
        let own = self.own.entry(key).or_default();
        own.failures = own.failures.saturating_add(1);
        let open_for = match &own.open {
            // Failures of requests that had begun before do not lengthen it.
            Some(open) if open.until > now => return None,
            Some(open) => open.longer(),
            None if own.failures < FAILURES_MAX => return None,
            None => OPEN_MIN,
        };
        own.open = Some(Open::new(open_for, now));
        Some(open_for)
    }

    /// Notes that the venue has answered. Tells whether a breaker has closed by that.
    pub(crate) fn answered(&mut self, asker: &Asker, now: Instant) -> bool {
        let side = Side::of(asker.errand);
        let shared = self.all.entry(side).or_default();
        shared.answered_at = Some(now);
        shared.failures.clear();
        let was_open = shared.open.take().is_some();
        // Most of the time there is nothing to look up.
        let own = match self.own.is_empty() {
            true => None,
            false => self.own.remove(&(side, Rc::clone(&asker.client))),
        };
        was_open || own.is_some_and(|own| own.open.is_some())
    }

    /// Until when the one that is open longest is open. Of a client's own one that says nothing of the
    /// venue any more is left out: others were answered since, or it has long not asked again.
    pub(crate) fn open_until(&self, now: Instant) -> Option<Instant> {
        let all = self.all.values().filter_map(|shared| shared.open.as_ref());
        let own = self.own.iter().filter_map(|((side, _), own)| {
            let open = own.open.as_ref()?;
            let answered_at = self.all.get(side).and_then(|shared| shared.answered_at);
            let is_well = answered_at.is_some_and(|at| at > open.since);
            (!is_well && open.until + OPEN_MAX > now).then_some(open)
        });
        all.chain(own).map(|open| open.until).max()
    }

    /// Whether anything is known that should be kept.
    pub(crate) fn is_remarkable(&self) -> bool {
        !self.own.is_empty()
            || self.all.values().any(|shared| shared.open.is_some() || !shared.failures.is_empty())
    }
}

impl Side {
    fn of(errand: Errand) -> Self {
        match errand {
            Errand::Cancel | Errand::Order => Self::Order,
            Errand::Read => Self::Read,
            Errand::Stream => Self::Stream,
        }
    }
}

impl Shared {
    fn fail(&mut self, asker: &Asker, now: Instant) -> Option<Duration> {
        if self.answered_at.is_some_and(|at| now.saturating_duration_since(at) < WELL) {
            return None;
        }
        let known = self.failures.iter().position(|(client, _)| *client == asker.client);
        if let Some(open) = &self.open {
            let is_trial = match &open.trial {
                Some((client, _)) => *client == asker.client,
                // Whoever has opened it must not keep it open by what had begun before.
                None => known.is_none(),
            };
            if open.until > now || !is_trial {
                return None;
            }
            let open_for = open.longer();
            if known.is_none() && self.failures.len() < CLIENTS_MAX {
                self.failures.push((Rc::clone(&asker.client), 1));
            }
            self.open = Some(Open::new(open_for, now));
            return Some(open_for);
        }
        match known.and_then(|at| self.failures.get_mut(at)) {
            Some((_, count)) => *count = (*count + 1).min(OF_ONE_MAX),
            None => self.failures.push((Rc::clone(&asker.client), 1)),
        }
        if self.failures.iter().map(|(_, count)| count).sum::<u32>() < FAILURES_MAX {
            return None;
        }
        self.open = Some(Open::new(OPEN_MIN, now));
        Some(OPEN_MIN)
    }
}

impl Open {
    fn new(open_for: Duration, now: Instant) -> Self {
        Self { open_for, since: now, until: now + open_for, others_ask: false, trial: None }
    }

    fn longer(&self) -> Duration {
        (self.open_for * 2).min(OPEN_MAX)
    }

    fn may_try(&self, at_once: bool, now: Instant) -> Result<(), Paused> {
        let left = self.until.saturating_duration_since(now);
        if !at_once && !left.is_zero() {
            return Err(Paused(left));
        }
        let trial = self.trial.as_ref().map(|(_, since)| *since + TRIAL_MAX);
        match trial.map(|end| end.saturating_duration_since(now)) {
            Some(left) if !left.is_zero() => Err(Paused(left.min(OPEN_MIN))),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::{Breakers, FAILURES_MAX};
    use crate::asker::Asker;
    use crate::health::Paused;

    struct Bed {
        breakers: Breakers,
        now: Instant,
    }

    impl Bed {
        fn new() -> Self {
            Self { breakers: Breakers::default(), now: Instant::now() }
        }

        fn later(&mut self, ms: u64) {
            self.now += Duration::from_millis(ms);
        }

        fn fail(&mut self, client: &str, class: &str, times: u32) {
            for _ in 0..times {
                self.breakers.failed(&Asker::new(client, class), self.now);
            }
        }

        fn answer(&mut self, client: &str, class: &str) {
            self.breakers.answered(&Asker::new(client, class), self.now);
        }

        /// Milliseconds until a request may go; 0 for now, and then it is on its way.
        fn wait(&mut self, client: &str, class: &str) -> u128 {
            match self.breakers.admit(&Asker::new(client, class), self.now) {
                Ok(_) => 0,
                Err(Paused(left)) => left.as_millis(),
            }
        }

        /// Three clients whose orders fail: the breaker is everybody's.
        fn outage() -> Self {
            let mut bed = Self::new();
            bed.fail("a", "trade", 2);
            bed.fail("b", "trade", 2);
            assert_eq!(bed.wait("z", "trade"), 0);
            bed.fail("c", "trade", 1);
            bed
        }
    }

    #[test]
    fn what_one_client_has_brought_about_is_shown_while_it_says_something() {
        let mut bed = Bed::new();
        bed.fail("a", "read", FAILURES_MAX);
        assert!(bed.breakers.open_until(bed.now).is_some());
        bed.later(31_000);
        assert_eq!(bed.breakers.open_until(bed.now), None, "it has long not asked again");

        bed.fail("a", "trade", FAILURES_MAX);
        assert!(bed.breakers.open_until(bed.now).is_some());
        bed.later(1);
        bed.answer("b", "trade");
        assert_eq!(bed.breakers.open_until(bed.now), None, "others are answered");
    }

    #[test]
    fn failures_of_one_client_stop_that_client() {
        let mut bed = Bed::new();
        bed.fail("a", "trade", FAILURES_MAX - 1);
        assert_eq!(bed.wait("a", "trade"), 0);
        bed.fail("a", "trade", 1);
        // Others that were under way fail as well: that lengthens nothing.
        bed.fail("a", "trade", 100);
        assert_eq!((bed.wait("a", "trade"), bed.wait("b", "trade")), (500, 0));
        assert_eq!(bed.wait("a", "cancel"), 0);

        bed.later(500);
        assert_eq!((bed.wait("a", "trade"), bed.wait("a", "trade")), (0, 500));
        bed.fail("a", "trade", 1);
        assert_eq!(bed.wait("a", "trade"), 1_000);
        for _ in 0..10 {
            bed.later(30_000);
            bed.fail("a", "trade", 1);
        }
        assert_eq!(bed.wait("a", "trade"), 30_000);
        // Somebody else is answered: one may try.
        bed.later(1);
        bed.answer("b", "trade");
        assert_eq!((bed.wait("a", "trade"), bed.wait("a", "trade")), (0, 500));
        bed.answer("a", "trade");
        assert_eq!((bed.wait("a", "trade"), bed.wait("a", "trade")), (0, 0));
    }

    #[test]
    fn failures_of_several_stop_everybody() {
        let mut bed = Bed::outage();
        for client in ["a", "b", "c", "z", ""] {
            assert_eq!((bed.wait(client, "trade"), bed.wait(client, "cancel")), (500, 0));
        }
        bed.later(500);
        // Who has not failed tries, and the others wait for what becomes of it.
        assert_eq!((bed.wait("a", "trade"), bed.wait("z", "trade")), (1_000, 0));
        assert_eq!((bed.wait("a", "trade"), bed.wait("y", "trade")), (500, 500));
        bed.fail("z", "trade", 1);
        assert_eq!(bed.wait("y", "trade"), 1_000);
        bed.later(1_000);
        assert_eq!(bed.wait("y", "trade"), 0);
        bed.answer("y", "trade");
        for client in ["a", "b", "c", "y", "z"] {
            assert_eq!(bed.wait(client, "trade"), 0);
        }
    }

    #[test]
    fn who_has_failed_tries_if_nobody_else_asks() {
        let mut bed = Bed::outage();
        bed.later(500);
        assert_eq!(bed.wait("a", "trade"), 0);
        let mut bed = Bed::outage();
        assert_eq!(bed.wait("z", "trade"), 500);
        bed.later(1_499);
        assert_eq!(bed.wait("a", "trade"), 1);
        bed.later(1);
        assert_eq!(bed.wait("a", "trade"), 0);
    }

    #[test]
    fn what_had_begun_before_keeps_nothing_open() {
        let mut bed = Bed::outage();
        bed.later(500);
        bed.fail("a", "trade", 3);
        assert_eq!(bed.wait("z", "trade"), 0);
        // Nor while another tries.
        bed.fail("b", "trade", 3);
        bed.answer("z", "trade");
        assert_eq!(bed.wait("z", "trade"), 0);
    }

    #[test]
    fn a_venue_that_has_just_answered_is_there() {
        let mut bed = Bed::new();
        bed.answer("z", "trade");
        bed.later(999);
        for client in ["a", "b", "c", "d"] {
            bed.fail(client, "trade", 4);
        }
        assert_eq!(bed.wait("z", "trade"), 0);
        bed.later(1);
        // Answers to reads are another matter.
        bed.answer("z", "read");
        for client in ["a", "b", "c"] {
            bed.fail(client, "trade", 2);
        }
        assert_eq!((bed.wait("z", "trade"), bed.wait("z", "read")), (500, 0));
    }

    #[test]
    fn a_trial_that_nobody_hears_of_again_is_given_up() {
        let mut bed = Bed::outage();
        bed.later(500);
        assert_eq!((bed.wait("z", "trade"), bed.wait("z", "trade")), (0, 500));
        bed.later(9_999);
        assert_eq!(bed.wait("y", "trade"), 1);
        bed.later(1);
        assert_eq!((bed.wait("y", "trade"), bed.wait("z", "trade")), (0, 500));
        // Not this one's.
        bed.breakers.tried(&Asker::new("z", "trade"));
        assert_eq!(bed.wait("z", "trade"), 500);
        bed.breakers.tried(&Asker::new("y", "trade"));
        assert_eq!(bed.wait("z", "trade"), 0);
    }

    #[derive(Clone, Debug)]
    enum Event {
        Answer(usize),
        Ask(usize),
        Fail(usize),
        Later(u64),
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            (0..2_usize).prop_map(Event::Answer),
            (0..2_usize).prop_map(Event::Ask),
            (0..2_usize).prop_map(Event::Fail),
            (0..40_000_u64).prop_map(Event::Later),
        ]
    }

    proptest! {
        /// Whatever two clients do, in every class: a third is never stopped.
        #[test]
        fn two_clients_never_stop_a_third(
            events in prop::collection::vec((event(), 0..4_usize), 1..200)
        ) {
            let mut bed = Bed::new();
            for (event, class) in events {
                let class = ["read", "trade", "stream", "cancel"][class];
                match event {
                    Event::Answer(who) => bed.answer(["a", "b"][who], class),
                    Event::Ask(who) => { bed.wait(["a", "b"][who], class); }
                    Event::Fail(who) => bed.fail(["a", "b"][who], class, 1),
                    Event::Later(ms) => bed.later(ms),
                }
                for class in ["public", "read", "trade", "stream", "withdraw", "cancel"] {
                    prop_assert_eq!(bed.wait("z", class), 0);
                }
            }
        }

        /// Whatever becomes of anybody's reads and WebSockets: no order is stopped.
        #[test]
        fn reads_never_stop_orders(
            events in prop::collection::vec((event(), 0..4_usize, 0..6_usize), 1..200)
        ) {
            let mut bed = Bed::new();
            for (event, class, client) in events {
                let class = ["public", "read", "stream", "read"][class];
                let client = ["a", "b", "c", "d", "e", "f"][client];
                match event {
                    Event::Answer(_) => bed.answer(client, class),
                    Event::Ask(_) => { bed.wait(client, class); }
                    Event::Fail(_) => bed.fail(client, class, 1),
                    Event::Later(ms) => bed.later(ms),
                }
                for client in ["a", "z"] {
                    prop_assert_eq!(bed.wait(client, "trade"), 0);
                }
            }
        }
    }
}
