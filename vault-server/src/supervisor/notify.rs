//! What the service manager is told: up, alive, stopping (`sd_notify`, `Type=notify` in a unit).
//!
//! The socket is opened once, at the start, and no child gets it or its name.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// How long a full queue of the service manager may hold the supervisor up.
const SEND: Duration = Duration::from_secs(1);
/// How often it is told within the time after which it takes the vault for dead.
const BEATS: u32 = 3;

/// The way to the service manager, if there is one.
#[derive(Debug)]
pub struct Notifier {
    socket: Option<UnixDatagram>,
    beat: Option<Beat>,
}

/// The watchdog's times.
#[derive(Clone, Copy, Debug)]
struct Beat {
    every: Duration,
    next: Instant,
}

impl Notifier {
    /// Connects to the socket that the environment names; without one nothing is ever sent.
    ///
    /// # Errors
    ///
    /// The operating system's, if there is a name and no socket behind it.
    pub fn connect(now: Instant) -> io::Result<Self> {
        let Some(path) = std::env::var_os("NOTIFY_SOCKET") else {
            return Ok(Self { socket: None, beat: None });
        };
        let watchdog = sd_notify::watchdog_enabled();
        Self::new(UnixDatagram::unbound()?, path.as_ref(), watchdog, now)
    }

    fn new(
        socket: UnixDatagram,
        path: &std::path::Path,
        watchdog: Option<Duration>,
        now: Instant,
    ) -> io::Result<Self> {
        socket.connect(path)?;
        socket.set_write_timeout(Some(SEND))?;
        let beat = watchdog.map(|limit| {
            // A loop without a pause would do nothing else.
            let every = (limit / BEATS).max(Duration::from_millis(10));
            Beat { every, next: now + every }
        });
        Ok(Self { socket: Some(socket), beat })
    }

    /// Says that the vault is up, and its state in a word.
    pub fn ready(&self, state: &str) {
        self.send(&[NotifyState::Ready, NotifyState::Status(state)]);
    }

    /// Says that the vault is about to end.
    pub fn stopping(&self) {
        self.send(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
    }

    /// Says that the vault is alive, and its state in a word.
    pub fn alive(&self, state: &str) {
        self.send(&[NotifyState::Watchdog, NotifyState::Status(state)]);
    }

    /// When the service manager is to hear next that the vault is alive.
    pub fn deadline(&self) -> Option<Instant> {
        self.beat.map(|beat| beat.next)
    }

    /// Whether it is time, which it is once in each interval.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let Some(beat) = &mut self.beat else { return false };
        let due = now >= beat.next;
        if due {
            beat.next = now + beat.every;
        }
        due
    }

    fn send(&self, states: &[NotifyState<'_>]) {
        let Some(socket) = &self.socket else { return };
        let lines: Vec<String> = states.iter().map(ToString::to_string).collect();
        if let Err(error) = socket.send(lines.join("\n").as_bytes()) {
            tracing::warn!(%error, "the service manager does not hear");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::time::{Duration, Instant};

    use super::Notifier;

    fn heard(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 256];
        let count = socket.recv(&mut bytes).expect("a datagram");
        String::from_utf8(bytes[..count].to_vec()).expect("text")
    }

    #[test]
    fn says_what_the_service_manager_knows() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).expect("bound");
        let ours = UnixDatagram::unbound().expect("a socket");
        let notifier = Notifier::new(ours, &path, None, Instant::now()).expect("connected");

        notifier.ready("sealed");
        assert_eq!(heard(&manager), "READY=1\nSTATUS=sealed");
        notifier.alive("unsealed");
        assert_eq!(heard(&manager), "WATCHDOG=1\nSTATUS=unsealed");
        notifier.stopping();
        assert_eq!(heard(&manager), "STOPPING=1\nSTATUS=stopping");
        assert_eq!(notifier.deadline(), None, "no watchdog was asked for");
    }

    #[test]
    fn beats_three_times_within_the_limit() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let _manager = UnixDatagram::bind(&path).expect("bound");
        let ours = UnixDatagram::unbound().expect("a socket");
        let start = Instant::now();
        let limit = Some(Duration::from_secs(30));
        let mut notifier = Notifier::new(ours, &path, limit, start).expect("connected");

        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(!notifier.is_due(at(9)));
        assert!(notifier.is_due(at(10)));
        assert!(!notifier.is_due(at(10)), "once in each interval");
        assert_eq!(notifier.deadline(), Some(at(20)));
    }

    #[test]
    fn a_socket_that_is_not_there_ends_the_start() {
        let ours = UnixDatagram::unbound().expect("a socket");
        let nowhere = std::path::Path::new("/nowhere/notify");
        assert!(Notifier::new(ours, nowhere, None, Instant::now()).is_err());
    }
}
