//! Alarms: a program of the operator's is told what cannot wait, and when it is over.
//!
//! The supervisor sees processes end, and asks the core for its figures now and then. What stands out in
//! them ([`concern`]) is told to one program, one call at a time ([`hook`]), again every hour as long as
//! it lasts. What waits for the program is one state for each concern, the newest: a program that hangs
//! makes nothing pile up, and hears what is so when it is called again. Which program that is stands on the command line: the configuration is in a folder that the
//! core can write, and a program there would be a way out of its sandbox.

pub mod concern;
mod hook;

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use vault_ipc::metric::Metrics;

use self::concern::{Concern, Severity};
use self::hook::{Ended, Hook};

/// How often the core is asked.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How often what lasts is told again.
const AGAIN: Duration = Duration::from_secs(60 * 60);
/// After so long what could not be told is tried again, and what was over may be told anew.
const RETRY: Duration = Duration::from_secs(60);
/// How long a core that is not up is left alone.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the program may take.
const CALL: Duration = Duration::from_secs(10);
/// How long it may take when the vault ends.
const LAST_CALL: Duration = Duration::from_secs(5);

/// The program cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AlarmError {
    /// Not the vault's to start.
    #[error("{} must be {what}", .path.display())]
    Program {
        /// As it was given.
        path: PathBuf,
        /// What it is not.
        what: &'static str,
    },
    /// It cannot be looked at.
    #[error("{}: {source}", .path.display())]
    Io {
        /// As it was given.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// What is told and what was.
#[derive(Debug)]
pub struct Alarm {
    began: Instant,
    hook: Hook,
    look_at: Instant,
    /// The core was asked, and has not answered yet.
    is_asked: bool,
    /// By [`Concern::ALL`].
    standings: [Standing; Concern::ALL.len()],
    vault: String,
}

/// How it stands with a concern.
#[derive(Clone, Debug)]
struct Standing {
    /// What is said of it, if it is so now.
    holds: Option<String>,
    since: SystemTime,
    /// The program knows that it is so.
    is_told: bool,
    /// When it was last called about it.
    called_at: Option<Instant>,
    /// That call came to nothing.
    has_failed: bool,
}

impl Standing {
    /// When the program is to be called about it; `None` if there is nothing to say. Without a call
    /// before, `began`.
    fn due(&self, began: Instant) -> Option<Instant> {
        let pause = match (&self.holds, self.is_told) {
            (None, false) => return None,
            (None, true) if !self.has_failed => Duration::ZERO,
            (None, true) | (Some(_), false) => RETRY,
            (Some(_), true) => AGAIN,
        };
        Some(self.called_at.map_or(began, |called_at| called_at + pause))
    }
}

/// What the program reads: one line of JSON.
#[derive(Debug, Serialize)]
struct Line<'a> {
    /// Name of the vault: the first of `public.names`.
    vault: &'a str,
    kind: &'static str,
    /// `raised` or `resolved`.
    state: &'static str,
    severity: Severity,
    text: &'a str,
    /// When this was written, milliseconds since 1970.
    at_ms: u64,
    /// Since when it is so, or is not so any more.
    since_ms: u64,
}

impl Alarm {
    /// Tells this program, of the vault of this name. `data` is the folder in which it must not lie.
    ///
    /// # Errors
    ///
    /// [`AlarmError`], if somebody else than root and the vault's user could change it.
    pub fn new(
        program: &Path,
        data: &Path,
        vault: String,
        now: Instant,
    ) -> Result<Self, AlarmError> {
        let hook = Hook::new(program, data)?;
        let since = SystemTime::now();
        let standing =
            Standing { holds: None, since, is_told: false, called_at: None, has_failed: false };
        let standings = std::array::from_fn(|_| standing.clone());
        Ok(Self { began: now, hook, look_at: now, is_asked: false, standings, vault })
    }

    /// When something is to be done next.
    pub fn deadline(&self) -> Instant {
        let call = if self.hook.is_calling() {
            self.hook.deadline()
        } else {
            self.next().map(|(due, _)| due)
        };
        call.map_or(self.look_at, |call| call.min(self.look_at))
    }

    /// What to wait on besides: a call has ended.
    pub fn woken(&self) -> &UnixStream {
        self.hook.woken()
    }

    /// Whether the core is to be asked for its figures now. If it has not answered the last time, that is
    /// a concern.
    pub fn is_look_due(&mut self, now: Instant) -> bool {
        if now < self.look_at {
            return false;
        }
        self.look_at = now + LOOK_EVERY;
        if std::mem::replace(&mut self.is_asked, true) {
            self.set(Concern::CoreSilent, Some("the core does not answer".to_owned()));
        }
        true
    }

    /// The core ends, or is not up yet: it is asked for nothing.
    pub fn pause(&mut self, now: Instant) {
        self.is_asked = false;
        self.look_at = self.look_at.max(now + PAUSE);
    }

    /// The core is not up yet. After this time that is a concern, until it has answered.
    pub fn await_core(&mut self, now: Instant, until: Instant) {
        self.pause(now);
        if now >= until {
            let text = "the core was started, and has not come up".to_owned();
            self.set(Concern::CoreSilent, Some(text));
        }
    }

    /// The core has answered.
    pub fn take(&mut self, metrics: &Metrics) {
        self.is_asked = false;
        for concern in Concern::ALL {
            self.set(concern, concern.find(metrics, SystemTime::now()));
        }
    }

    /// Goes on with calls: sees how one has ended, begins the next.
    pub fn work(&mut self, now: Instant) {
        if let Some(Ended { concern, is_well }) = self.hook.look(now)
            && !is_well
        {
            let standing = &mut self.standings[concern as usize];
            // Whatever it was, it is told once more.
            standing.is_told = standing.holds.is_none();
            standing.has_failed = true;
        }
        if self.hook.is_calling() {
            return;
        }
        if let Some((due, concern)) = self.next()
            && due <= now
        {
            self.tell(concern, now, CALL);
        }
    }

    /// Tells that the vault has ended, and why, in words of ours. Waits for it.
    pub fn last_words(&mut self, words: &str) {
        let now = Instant::now();
        let text = format!("the vault has ended: {words}; its last lines say more");
        self.set(Concern::Ended, Some(text));
        // Whatever it is being told counts less.
        self.tell(Concern::Ended, now, LAST_CALL);
        self.hook.wait();
    }

    fn set(&mut self, concern: Concern, holds: Option<String>) {
        let standing = &mut self.standings[concern as usize];
        if standing.holds.is_some() != holds.is_some() {
            standing.since = SystemTime::now();
        }
        standing.holds = holds;
    }

    /// What is to be told next, and when.
    fn next(&self) -> Option<(Instant, Concern)> {
        let all = Concern::ALL.into_iter().zip(&self.standings);
        all.filter_map(|(concern, standing)| Some((standing.due(self.began)?, concern)))
            .min_by_key(|(due, _)| *due)
    }

    fn tell(&mut self, concern: Concern, now: Instant, longest: Duration) {
        let standing = &mut self.standings[concern as usize];
        let (state, text) = match &standing.holds {
            Some(text) => ("raised", text.as_str()),
            None => ("resolved", concern.over()),
        };
        let line = Line {
            vault: &self.vault,
            kind: concern.kind(),
            state,
            severity: concern.severity(),
            text,
            at_ms: epoch_ms(SystemTime::now()),
            since_ms: epoch_ms(standing.since),
        };
        let begun = serde_json::to_string(&line)
            .map_err(std::io::Error::other)
            .and_then(|line| self.hook.call(concern, format!("{line}\n"), now + longest));
        standing.called_at = Some(now);
        standing.is_told = standing.holds.is_some();
        standing.has_failed = begun.is_err();
        match begun {
            Ok(()) => tracing::warn!(kind = concern.kind(), state, "alarm"),
            Err(error) => {
                standing.is_told = !standing.is_told;
                tracing::error!(%error, kind = concern.kind(), "the alarm's program cannot be started");
            }
        }
    }
}

fn epoch_ms(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;
    use std::time::{Duration, Instant};

    use vault_ipc::metric::{Family, Metrics, Sample};

    use super::{AGAIN, Alarm, LOOK_EVERY, RETRY};

    struct Bed {
        alarm: Alarm,
        folder: tempfile::TempDir,
        now: Instant,
    }

    impl Bed {
        /// With a program that writes down what it is told, and ends with this status.
        fn new(status: u8) -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let data = folder.path().join("data");
            std::fs::create_dir(&data).expect("made");
            let program = folder.path().join("hook");
            let told = folder.path().join("told");
            write_script(&program, &format!("cat >> {}\nexit {status}", told.display()), 0o755);
            // Ahead of the time in which the program runs: on a busy machine it may take a while.
            let now = Instant::now() + Duration::from_secs(60);
            let alarm = Alarm::new(&program, &data, "vault.example".to_owned(), now);
            Self { alarm: alarm.expect("usable"), folder, now }
        }

        fn figures(&mut self, sealed: bool, disk_low: bool) {
            let flag = |value| f64::from(u8::from(value));
            let samples = vec![
                Sample::number(Family::SealState, &["sealed"], flag(sealed)),
                Sample::number(Family::DiskLow, &[], flag(disk_low)),
            ];
            self.alarm.take(&Metrics { samples });
        }

        /// Works until nothing is to be told now; what was told since the last time.
        fn told(&mut self) -> Vec<(String, String)> {
            let end = Instant::now() + Duration::from_secs(60);
            loop {
                self.alarm.work(self.now);
                let is_calling = self.alarm.hook.is_calling();
                let is_due = self.alarm.next().is_some_and(|(due, _)| due <= self.now);
                if !is_calling && !is_due {
                    break;
                }
                assert!(Instant::now() < end, "it does not end");
                std::thread::sleep(Duration::from_millis(5));
            }
            let path = self.folder.path().join("told");
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let _ = std::fs::remove_file(&path);
            let line = |line: &str| {
                let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
                assert_eq!(line["vault"], "vault.example");
                assert!(line["since_ms"].as_u64() <= line["at_ms"].as_u64());
                let word = |key: &str| line[key].as_str().expect("a text").to_owned();
                assert!(!word("text").is_empty() && !word("severity").is_empty());
                (word("kind"), word("state"))
            };
            text.lines().map(line).collect()
        }

        fn later(&mut self, time: Duration) {
            self.now += time;
        }
    }

    /// Writes a script of the shell by a process of its own. A file that is open here for writing is so
    /// in every process that another thread has just forked, and cannot be started so long.
    pub(super) fn write_script(path: &Path, text: &str, mode: u32) {
        let script = r#"printf '#!/bin/sh\n%s\n' "$1" > "$2" && chmod "$3" "$2""#;
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", script, "sh", text]).arg(path).arg(format!("{mode:o}"));
        assert!(shell.status().expect("a shell").success());
    }

    fn pair(kind: &str, state: &str) -> (String, String) {
        (kind.to_owned(), state.to_owned())
    }

    #[test]
    fn what_stands_is_told_once_an_hour_and_its_end_once() {
        let mut bed = Bed::new(0);
        bed.figures(false, false);
        assert_eq!(bed.told(), []);
        bed.figures(true, true);
        assert_eq!(bed.told(), [pair("DISK_LOW", "raised"), pair("SEALED", "raised")]);
        bed.later(AGAIN - Duration::from_secs(1));
        bed.figures(true, true);
        assert_eq!(bed.told(), []);
        bed.later(Duration::from_secs(1));
        assert_eq!(bed.told(), [pair("DISK_LOW", "raised"), pair("SEALED", "raised")]);
        bed.later(RETRY);
        bed.figures(true, false);
        assert_eq!(bed.told(), [pair("DISK_LOW", "resolved")]);
        bed.later(Duration::from_secs(30));
        bed.figures(false, true);
        // Within a minute nothing is told again about the same.
        assert_eq!(bed.told(), [pair("SEALED", "resolved")]);
        bed.later(RETRY - Duration::from_secs(30));
        assert_eq!(bed.told(), [pair("DISK_LOW", "raised")]);
    }

    #[test]
    fn what_could_not_be_told_is_told_again_after_a_minute() {
        let mut bed = Bed::new(3);
        bed.figures(true, false);
        assert_eq!(bed.told(), [pair("SEALED", "raised")]);
        assert_eq!(bed.told(), []);
        bed.later(RETRY);
        assert_eq!(bed.told(), [pair("SEALED", "raised")]);
        bed.figures(false, false);
        bed.later(RETRY);
        assert_eq!(bed.told(), [], "nobody was told that it was so");
    }

    #[test]
    fn a_core_that_does_not_answer_is_a_concern_until_it_does() {
        let mut bed = Bed::new(0);
        assert!(bed.alarm.is_look_due(bed.now));
        assert!(!bed.alarm.is_look_due(bed.now));
        bed.later(LOOK_EVERY);
        assert!(bed.alarm.is_look_due(bed.now));
        assert_eq!(bed.told(), [pair("CORE_SILENT", "raised")]);
        bed.figures(false, false);
        bed.later(RETRY);
        assert_eq!(bed.told(), [pair("CORE_SILENT", "resolved")]);
        // One that is being started owes no answer.
        assert!(bed.alarm.is_look_due(bed.now));
        bed.alarm.pause(bed.now);
        bed.later(LOOK_EVERY);
        assert!(bed.alarm.is_look_due(bed.now));
        assert_eq!(bed.told(), []);
    }

    #[test]
    fn a_core_that_does_not_come_up_is_a_concern_until_it_does() {
        let mut bed = Bed::new(0);
        let until = bed.now + LOOK_EVERY;
        bed.alarm.await_core(bed.now, until);
        assert_eq!(bed.told(), []);
        bed.later(LOOK_EVERY);
        bed.alarm.await_core(bed.now, until);
        assert_eq!(bed.told(), [pair("CORE_SILENT", "raised")]);
        bed.later(RETRY);
        bed.alarm.await_core(bed.now, until);
        assert_eq!(bed.told(), []);
        bed.figures(false, false);
        assert_eq!(bed.told(), [pair("CORE_SILENT", "resolved")]);
    }

    #[test]
    fn last_words_are_said_before_the_end() {
        let mut bed = Bed::new(0);
        bed.alarm.last_words("the core was killed");
        let told = std::fs::read_to_string(bed.folder.path().join("told")).expect("told");
        assert!(
            told.contains(r#""kind":"ENDED","state":"raised","severity":"critical""#),
            "{told}"
        );
        assert!(told.contains("the core was killed"), "{told}");
    }
}
