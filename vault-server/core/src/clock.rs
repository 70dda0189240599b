//! The clocks. Decisions take the time as an argument; here is where it comes from.
//!
//! There are two. The wall clock says when a signature is made and when a certificate ends. The
//! vault's own clock measures what is counted: it goes on through restarts, never back, and nothing
//! that moves the wall clock moves it. `docs/adr/0023-vault-clock.md` says why.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use vault_model::{ClockTime, Timestamp};

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

/// The machine that a process runs on, as far as time goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Machine {
    /// Names the boot: another after every one. Absent if the system does not say.
    pub boot: Option<String>,
    /// Microseconds since that boot, those of sleep included.
    pub boottime_us: u64,
}

impl Machine {
    /// The machine, now.
    pub fn look() -> Self {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
        let boot = boot.map(|id| id.trim().to_owned()).filter(|id| !id.is_empty());
        Self { boot, boottime_us: boottime_us() }
    }
}

/// Microseconds since the machine was booted, those of sleep included. No process can set it.
pub fn boottime_us() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    let part = |number: i64| u64::try_from(number).unwrap_or(0);
    part(time.tv_sec).saturating_mul(1_000_000).saturating_add(part(time.tv_nsec) / 1_000)
}

/// What the log says of the vault's own clock.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PastClock {
    /// The largest time of any entry.
    pub newest: Option<ClockTime>,
    /// The newest start: on which boot, how long after it, and the vault's time then.
    pub started: Option<(Machine, ClockTime)>,
}

impl PastClock {
    /// An entry has this time.
    pub fn seen(&mut self, time: ClockTime) {
        self.newest = self.newest.max(Some(time));
    }
}

/// The vault's own clock.
#[derive(Clone, Debug)]
pub struct VaultClock {
    time: ClockTime,
    boottime_us: u64,
    /// What the wall clock said at the beginning, and when that was.
    began: (Timestamp, ClockTime),
}

impl VaultClock {
    /// Goes on where the log ends. On the same boot the time in which no vault ran is counted too;
    /// after another it is missing: windows get longer by it, never shorter.
    /// `now` is what the wall clock says.
    pub fn resume(past: &PastClock, machine: &Machine, now: Timestamp) -> Self {
        let newest = past.newest.unwrap_or(FIRST);
        let measured = past.started.as_ref().and_then(|(then, at)| {
            let same_boot = then.boot.is_some() && then.boot == machine.boot;
            let passed = machine.boottime_us.checked_sub(then.boottime_us).filter(|_| same_boot)?;
            Some(ClockTime(at.0.saturating_add(passed)))
        });
        let time = measured.map_or(newest, |measured| measured.max(newest));
        Self { time, boottime_us: machine.boottime_us, began: (now, time) }
    }

    /// Takes the time that has passed since the last look. A boot time that goes back, as that of a
    /// machine put back to an earlier state does, takes nothing from it.
    pub fn look(&mut self, boottime_us: u64) {
        let passed = boottime_us.saturating_sub(self.boottime_us);
        self.boottime_us = boottime_us;
        self.time = ClockTime(self.time.0.saturating_add(passed));
    }

    /// Lets time pass that nobody waits for.
    #[cfg(test)]
    pub fn pass(&mut self, time: std::time::Duration) {
        self.time = self.time.plus(time);
    }

    /// The time at the last look.
    pub fn time(&self) -> ClockTime {
        self.time
    }

    /// What the wall clock says, without what it was put forward since the beginning.
    pub fn steady(&self, now: Timestamp) -> Timestamp {
        let (wall, time) = self.began;
        let passed = i64::try_from(self.time.0.saturating_sub(time.0)).unwrap_or(i64::MAX);
        now.min(Timestamp(wall.micros().saturating_add(passed)))
    }
}

/// Where the clock of a new vault begins: the longest window fits before it.
pub const FIRST: ClockTime = ClockTime(31 * 86_400 * 1_000_000);

#[cfg(test)]
mod walk;

#[cfg(test)]
mod tests {
    use vault_model::{ClockTime, Timestamp};
    use vault_policy::Span;

    use super::{FIRST, Machine, PastClock, VaultClock, boottime_us};

    const NOW: Timestamp = Timestamp(1_712_345_678_901_000);

    fn machine(boot: &str, boottime_us: u64) -> Machine {
        Machine { boot: (!boot.is_empty()).then(|| boot.to_owned()), boottime_us }
    }

    /// A log whose newest start was 5 s after boot `a`, at 1000 s, and whose newest entry came 7 s
    /// later.
    fn past(boot: &str) -> PastClock {
        let at = ClockTime(1_000_000_000);
        PastClock {
            newest: Some(ClockTime(at.0 + 7_000_000)),
            started: Some((machine(boot, 5_000_000), at)),
        }
    }

    #[test]
    fn a_new_vault_begins_where_the_longest_window_fits() {
        let clock = VaultClock::resume(&PastClock::default(), &machine("a", 99), NOW);
        assert_eq!(clock.time(), FIRST);
        assert_eq!(FIRST.0, Span::MAX.as_micros());
    }

    #[test]
    fn on_the_same_boot_the_time_without_a_vault_counts() {
        // 20 s after that start, 13 s of them without a vault.
        let clock = VaultClock::resume(&past("a"), &machine("a", 25_000_000), NOW);
        assert_eq!(clock.time(), ClockTime(1_020_000_000));
    }

    #[test]
    fn on_another_boot_it_goes_on_from_the_newest_entry() {
        let newest = ClockTime(1_007_000_000);
        for machine in [machine("b", 25_000_000), machine("b", 0), machine("", 25_000_000)] {
            assert_eq!(VaultClock::resume(&past("a"), &machine, NOW).time(), newest, "{machine:?}");
        }
        // Two machines that do not name their boot may be two.
        let clock = VaultClock::resume(&past(""), &machine("", 25_000_000), NOW);
        assert_eq!(clock.time(), newest);
    }

    #[test]
    fn it_never_goes_back() {
        // A machine put back to an earlier state has the same boot and an earlier boot time.
        for boottime_us in [0, 5_000_000, 6_000_000] {
            let mut clock = VaultClock::resume(&past("a"), &machine("a", boottime_us), NOW);
            assert_eq!(clock.time(), ClockTime(1_007_000_000), "{boottime_us}");
            let mut last = clock.time();
            for (look, passed) in
                [(9_000_000, 9_000_000 - boottime_us), (3_000_000, 0), (4_000_000, 1_000_000)]
            {
                clock.look(look);
                assert_eq!(clock.time().0 - last.0, passed, "{look}");
                last = clock.time();
            }
        }
    }

    #[test]
    fn a_wall_clock_that_is_put_forward_is_not_followed() {
        let machine = machine("a", 0);
        let mut clock = VaultClock::resume(&PastClock::default(), &machine, Timestamp(100));
        clock.look(50);
        assert_eq!(clock.steady(Timestamp(150)), Timestamp(150));
        assert_eq!(clock.steady(Timestamp(149)), Timestamp(149));
        assert_eq!(clock.steady(Timestamp(9_000)), Timestamp(150));
        clock.look(60);
        assert_eq!(clock.steady(Timestamp(9_000)), Timestamp(160));
    }

    #[test]
    fn the_end_of_numbers_is_an_end() {
        let past = PastClock {
            newest: Some(ClockTime(u64::MAX)),
            started: Some((machine("a", 0), ClockTime(u64::MAX - 1))),
        };
        let mut clock = VaultClock::resume(&past, &machine("a", 50), NOW);
        clock.look(60);
        assert_eq!(clock.time(), ClockTime(u64::MAX));
    }

    #[test]
    fn the_machine_says_how_long_it_runs() {
        let machine = Machine::look();
        assert!(boottime_us() >= machine.boottime_us && machine.boottime_us > 0);
        assert!(machine.boot.is_none_or(|boot| boot.len() == 36));
    }
}
