//! Random walks of the wall clock, of sleeps and of boots: what is counted never counts for less than what
//! has happened, and nonces rise.

use std::time::Duration;

use proptest::prelude::*;
use vault_model::{ClockTime, Name, Timestamp};
use vault_policy::{History, Span, Spend};

use super::{Machine, PastClock, VaultClock};
use crate::nonce::NonceCounters;

const DAY_US: i64 = 86_400_000_000;
/// What the wall clock says at the beginning, when it is right.
const BEGIN: i64 = 1_800_000_000_000_000;
/// As far ahead as the end of an order may be.
const LASTS_MAX_US: i64 = 60_000_000;

#[derive(Clone, Debug)]
enum Event {
    /// An order is signed, good for so long by the clock that is not followed ahead.
    Order { lasts_us: i64 },
    /// Time passes.
    Pass { us: u64 },
    /// The vault is stopped for a while and started, perhaps on another boot, with another wall clock.
    Restart { off_us: u64, is_same_boot: bool, wall_us: i64 },
    /// The wall clock is put so far from where it should be.
    Step { wall_us: i64 },
}

fn event() -> impl Strategy<Value = Event> {
    // A wall clock that is ahead when the vault starts is followed: `docs/adr/0024-caps-where-they-hold.md`.
    let behind = -2 * DAY_US..=0;
    let anywhere = prop_oneof![
        -2 * DAY_US..2 * DAY_US,
        Just(3_600_000_000),
        Just(-3_600_000_000),
        Just(-1_000_000),
        Just(0)
    ];
    prop_oneof![
        4 => (1..=LASTS_MAX_US).prop_map(|lasts_us| Event::Order { lasts_us }),
        4 => (0u64..900_000_000).prop_map(|us| Event::Pass { us }),
        1 => (0u64..900_000_000, any::<bool>(), behind).prop_map(
            |(off_us, is_same_boot, wall_us)| Event::Restart { off_us, is_same_boot, wall_us }
        ),
        4 => anywhere.prop_map(|wall_us| Event::Step { wall_us }),
    ]
}

/// A machine, its vault, and what an observer with a true clock has seen.
struct World {
    /// Microseconds that have passed, truly.
    true_us: u64,
    booted_at_us: u64,
    boot: u32,
    wall_us: i64,
    clock: VaultClock,
    past: PastClock,
    nonces: NonceCounters,
    history: History,
    /// Until when each order can happen, truly.
    ends_us: Vec<i64>,
    used: Vec<u64>,
}

impl World {
    fn new() -> Self {
        let machine = Machine { boot: Some("0".to_owned()), boottime_us: 0 };
        let clock = VaultClock::resume(&PastClock::default(), &machine, Timestamp(BEGIN));
        let started = Some((machine, clock.time()));
        Self {
            true_us: 0,
            booted_at_us: 0,
            boot: 0,
            wall_us: 0,
            past: PastClock { newest: Some(clock.time()), started },
            clock,
            nonces: NonceCounters::default(),
            history: History::default(),
            ends_us: Vec::new(),
            used: Vec::new(),
        }
    }

    fn true_wall_us(&self) -> i64 {
        BEGIN + i64::try_from(self.true_us).expect("small")
    }

    fn wall(&self) -> Timestamp {
        Timestamp(self.true_wall_us() + self.wall_us)
    }

    fn take(&mut self, event: &Event) {
        let name: Name = "kraken".parse().expect("a name");
        match *event {
            Event::Order { lasts_us } => {
                let steady = self.clock.steady(self.wall());
                let (at, end_us) = (self.clock.time(), steady.micros() + lasts_us);
                let lasts = Duration::from_micros(lasts_us.unsigned_abs());
                self.history.add(&Spend {
                    at,
                    until: at.plus(lasts),
                    orders: 1,
                    ..Spend::default()
                });
                self.past.seen(at);
                // By a clock that is behind, it is over at once.
                self.ends_us.push(end_us.max(self.true_wall_us()));
                let nonce = self.nonces.next(&name, 0, self.wall()).expect("a nonce");
                self.used.push(nonce);
            }
            Event::Pass { us } => self.true_us += us,
            Event::Restart { off_us, is_same_boot, wall_us } => {
                self.true_us += off_us;
                self.wall_us = wall_us;
                if !is_same_boot {
                    self.boot += 1;
                    self.booted_at_us = self.true_us - off_us / 2;
                }
                let boottime_us = self.true_us - self.booted_at_us;
                let machine = Machine { boot: Some(self.boot.to_string()), boottime_us };
                self.clock = VaultClock::resume(&self.past, &machine, self.wall());
                self.past.seen(self.clock.time());
                self.past.started = Some((machine, self.clock.time()));
                self.nonces = NonceCounters::default();
                self.used.iter().for_each(|nonce| self.nonces.seen(&name, *nonce));
            }
            Event::Step { wall_us } => self.wall_us = wall_us,
        }
        self.clock.look(self.true_us - self.booted_at_us);
    }

    /// How many orders can have happened within a span that ends now.
    fn can_have_happened(&self, per: Span) -> u64 {
        let begin = self.true_wall_us() - i64::try_from(per.as_micros()).expect("small");
        self.ends_us.iter().filter(|end| **end > begin).count() as u64
    }
}

proptest! {
    #[test]
    fn no_walk_of_the_clocks_widens_a_cap_or_repeats_a_nonce(
        events in proptest::collection::vec(event(), 1..120)
    ) {
        let mut world = World::new();
        let mut last = world.clock.time();
        // The newest time that the log has.
        let mut logged = last;
        let spans = [1, 60, 3_600, 86_400].map(|s| Span::seconds(s).expect("a span"));
        for event in &events {
            world.take(event);
            if let Event::Restart { is_same_boot: false, .. } = event {
                // What has passed since the newest entry is lost with the boot.
                last = logged;
            }
            prop_assert!(world.clock.time() >= last, "the vault's clock went back");
            last = world.clock.time();
            logged = world.past.newest.expect("a start");
            for per in spans {
                let counted = world.history.orders_within(per, world.clock.time());
                let can = world.can_have_happened(per);
                prop_assert!(counted >= can, "{counted} of {can} in {per} after {event:?}");
            }
        }
        prop_assert!(world.used.is_sorted_by(|one, next| one < next));
    }
}

#[test]
fn the_walk_would_notice_a_clock_that_follows_the_wall() {
    let mut world = World::new();
    world.take(&Event::Order { lasts_us: 1 });
    world.take(&Event::Pass { us: 1_000 });
    let hour = Span::seconds(3_600).expect("a span");
    assert_eq!(world.can_have_happened(hour), 1);
    let followed = ClockTime(world.clock.time().0 + 86_400_000_000);
    assert_eq!(world.history.orders_within(hour, followed), 0);
}
