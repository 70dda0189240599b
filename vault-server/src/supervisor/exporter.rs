//! The exporter, where calls are traced: started, watched, and started again when it has died. The vault
//! does not need it.
//!
//! A front is handed no descriptor while it runs. It begins with a channel for each exporter that it may
//! ever have, one after the other; beyond the last there are no spans until the children start anew.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::unix::net::UnixStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::children::{Process, start, to_json};
use crate::child::{ExporterSpec, Inheritance};
use crate::config::{Collector, LogOutput};

/// Its name.
pub(super) const EXPORTER: &str = "exporter";

/// How many there may be in the life of a front.
const EXPORTERS_MAX: usize = 16;
/// How long it may take for its last spans, when the front has ended.
const LAST_SPANS: Duration = Duration::from_millis(400);
/// The pause before the next after one that has lived for long.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest pause; each is twice the one before.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Whoever lived for so long did not die of its start.
const STEADY: Duration = Duration::from_secs(600);
/// What comes of it when the last has ended.
const NO_MORE: &str = "no spans until the next start or Seal";

/// What every exporter of these children is told.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub supervisor: u32,
    pub collector: Collector,
    /// Which vault this is.
    pub instance: String,
    pub require_hardening: bool,
    pub log: LogOutput,
    pub development: bool,
}

/// The one that runs, and what there is for those after it.
#[derive(Debug)]
pub(super) struct Exporter {
    told: Told,
    process: Option<Process>,
    /// Ends of the front's channels that nobody has yet.
    spares: VecDeque<UnixStream>,
    next: Next,
    /// The last one ended in order, and nobody has said so.
    has_left: bool,
}

/// When the next is started.
#[derive(Debug)]
struct Next {
    due: Option<Instant>,
    pause: Duration,
    started_at: Instant,
}

impl Next {
    fn new(now: Instant) -> Self {
        Self { due: None, pause: PAUSE_MIN, started_at: now }
    }

    fn started(&mut self, now: Instant) {
        (self.due, self.started_at) = (None, now);
    }

    /// One has died, or could not be started. How long it is until the next.
    fn died(&mut self, now: Instant) -> Duration {
        if now.saturating_duration_since(self.started_at) >= STEADY {
            self.pause = PAUSE_MIN;
        }
        let pause = self.pause;
        self.due = Some(now + pause);
        self.pause = (pause * 2).min(PAUSE_MAX);
        pause
    }
}

impl Exporter {
    /// Starts the first. Returns it, the front's ends of the channels, and where it says that it is up.
    pub(super) fn spawn(told: Told) -> io::Result<(Self, Vec<UnixStream>, UnixStream)> {
        let (mut spares, mut of_front) = (VecDeque::new(), Vec::new());
        for _ in 0..EXPORTERS_MAX {
            let (spare, front) = UnixStream::pair()?;
            spares.push_back(spare);
            of_front.push(front);
        }
        let first = spares.pop_front().ok_or(io::ErrorKind::InvalidInput)?;
        let (process, up) = told.start(first)?;
        let next = Next::new(Instant::now());
        let exporter = Self { told, process: Some(process), spares, next, has_left: false };
        Ok((exporter, of_front, up))
    }

    /// The present one's process id.
    pub(super) fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// Looks whether it has died, without waiting.
    pub(super) fn reap(&mut self, now: Instant) {
        let Some(process) = &mut self.process else { return };
        process.reap();
        if !process.has_ended() {
            return;
        }
        let words = process.has_failed().then(|| process.describe());
        self.process = None;
        match words {
            Some(words) => self.wait(&words, now),
            // The front has let go of it: it ends itself, and nobody starts another then, or goes on to
            // the next channel.
            None => {
                self.has_left = true;
                self.next.died(now);
            }
        }
    }

    /// When [`Exporter::revive`] has something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        self.next.due
    }

    /// Starts the next, if it is time. Where that says that it is up.
    pub(super) fn revive(&mut self, now: Instant) -> Option<UnixStream> {
        self.next.due.filter(|due| *due <= now)?;
        self.next.started(now);
        if std::mem::take(&mut self.has_left) {
            // Only now: when a front ends, so does its exporter, and no other is due in time.
            let then = if self.spares.is_empty() { NO_MORE } else { "another is started" };
            tracing::warn!("the exporter ended in order while the front lives: {then}");
        }
        match self.told.start(self.spares.pop_front()?) {
            Ok((process, up)) => {
                tracing::info!(pid = process.id(), "another exporter is started");
                self.process = Some(process);
                Some(up)
            }
            Err(error) => {
                self.wait(&format!("no exporter can be started: {error}"), now);
                None
            }
        }
    }

    fn wait(&mut self, words: &str, now: Instant) {
        if self.spares.is_empty() {
            tracing::warn!("{words}: {NO_MORE}");
            return;
        }
        let seconds = self.next.died(now).as_secs();
        tracing::warn!("{words}: no spans until another is started, in {seconds} s");
    }
}

impl Told {
    /// Starts one at this end of a channel to the front.
    fn start(&self, to_front: UnixStream) -> io::Result<(Process, UnixStream)> {
        let (up, is_up) = UnixStream::pair()?;
        is_up.set_nonblocking(true)?;
        let mut inheritance = Inheritance::default();
        let spec = ExporterSpec {
            supervisor: self.supervisor,
            front_fd: inheritance.add(to_front),
            up_fd: inheritance.add(up),
            collector: self.collector.address,
            path: self.collector.path.clone(),
            instance: self.instance.clone(),
            require_hardening: self.require_hardening,
            log: self.log,
        };
        let arguments = [OsString::from("__exporter"), to_json(&spec)?.into()];
        let process = start(EXPORTER, &arguments, inheritance, self.development)?;
        Ok((process, is_up))
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let Some(process) = &mut self.process else { return };
        // The front's end ends it; what it still has goes first.
        let until = Instant::now() + LAST_SPANS;
        process.reap();
        while !process.has_ended() && Instant::now() < until {
            sleep(Duration::from_millis(5));
            process.reap();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io;
    use std::process::{Command, Stdio};
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, Instant};

    use super::super::children::Process;
    use super::{EXPORTER, EXPORTERS_MAX, Exporter, Next, PAUSE_MAX, STEADY, Told};
    use crate::config::LogOutput;

    /// What is logged.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic while locked").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn one_that_ends_in_order_is_told_of_once_the_front_has_outlived_it() {
        let told = Told {
            supervisor: 1,
            collector: "http://127.0.0.1:4318".parse().expect("a collector"),
            instance: String::new(),
            require_hardening: false,
            log: LogOutput::default(),
            development: false,
        };
        let child = Command::new("true").stdout(Stdio::null()).spawn().expect("spawned");
        let now = Instant::now();
        let mut exporter = Exporter {
            told,
            process: Some(Process::new(EXPORTER, child)),
            // It was the last.
            spares: VecDeque::new(),
            next: Next::new(now),
            has_left: false,
        };
        let lines = Lines::default();
        let writer = lines.clone();
        let log = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(log, || {
            while exporter.pid().is_some() {
                exporter.reap(now);
                std::thread::yield_now();
            }
            assert!(exporter.revive(now).is_none());
            assert!(lines.0.lock().expect("no panic while locked").is_empty());
            let due = exporter.due().expect("another would be");
            assert!(exporter.revive(due).is_none() && exporter.revive(due + STEADY).is_none());
        });
        let said = lines.0.lock().expect("no panic while locked").clone();
        let said = String::from_utf8(said).expect("text");
        let line =
            "the exporter ended in order while the front lives: no spans until the next start";
        assert_eq!((said.matches(line).count(), said.lines().count()), (1, 1), "{said}");
        assert!(said.contains("WARN"), "{said}");
    }

    #[test]
    fn who_dies_at_once_again_and_again_is_started_less_and_less_often() {
        let mut now = Instant::now();
        let mut next = Next::new(now);
        let mut pauses = Vec::new();
        for _ in 1..EXPORTERS_MAX {
            let pause = next.died(now);
            assert_eq!(next.due, Some(now + pause));
            now += pause;
            next.started(now);
            assert_eq!(next.due, None);
            pauses.push(pause);
        }
        assert_eq!(pauses[..4], [1, 2, 4, 8].map(Duration::from_secs));
        assert!(pauses.is_sorted() && pauses.last() == Some(&PAUSE_MAX));
    }

    #[test]
    fn who_has_lived_for_long_is_replaced_soon() {
        let now = Instant::now();
        let mut next = Next::new(now);
        for _ in 0..5 {
            next.died(now);
            next.started(now);
        }
        assert!(next.died(now) > Duration::from_secs(1));
        next.started(now);
        assert_eq!(next.died(now + STEADY), Duration::from_secs(1));
    }
}
