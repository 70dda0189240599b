//! What the service manager is told: up, alive, stopping (`sd_notify`, `Type=notify` in a unit).
//!
//! The socket is opened once, at the start, and no child gets it or its name.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use sd_notify::NotifyState;

/// How long a full queue of the service manager may hold the supervisor up.
const SEND: Duration = Duration::from_secs(1);

/// The way to the service manager, if there is one.
#[derive(Debug)]
pub struct Notifier {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// Connects to the socket that the environment names; without one nothing is ever sent.
    ///
    /// # Errors
    ///
    /// The operating system's, if there is a name and no socket behind it.
    pub fn connect() -> io::Result<Self> {
        let Some(path) = std::env::var_os("NOTIFY_SOCKET") else {
            return Ok(Self { socket: None, watchdog: None });
        };
        let watchdog = sd_notify::watchdog_enabled();
        Self::new(UnixDatagram::unbound()?, path.as_ref(), watchdog)
    }

    fn new(
        socket: UnixDatagram,
        path: &std::path::Path,
        watchdog: Option<Duration>,
    ) -> io::Result<Self> {
        socket.connect(path)?;
        socket.set_write_timeout(Some(SEND))?;
        Ok(Self { socket: Some(socket), watchdog })
    }

    /// After how long without a word the service manager takes the vault for dead, if it does.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Says that the vault is up, and its state in a word.
    pub fn ready(&self, state: &str) {
        self.send(&[NotifyState::Ready, NotifyState::Status(state)]);
    }

    /// Says that the vault is about to end. The service manager has another limit for that, and its
    /// watchdog rests.
    pub fn stopping(&self) {
        self.send(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
    }

    /// Says that the vault is alive, and its state in a word.
    pub fn alive(&self, state: &str) {
        self.send(&[NotifyState::Watchdog, NotifyState::Status(state)]);
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
        let notifier = Notifier::new(ours, &path, None).expect("connected");

        notifier.ready("sealed");
        assert_eq!(heard(&manager), "READY=1\nSTATUS=sealed");
        notifier.alive("unsealed");
        assert_eq!(heard(&manager), "WATCHDOG=1\nSTATUS=unsealed");
        notifier.stopping();
        assert_eq!(heard(&manager), "STOPPING=1\nSTATUS=stopping");
        assert_eq!(notifier.watchdog(), None, "none was asked for");
    }

    #[test]
    fn a_socket_that_is_not_there_ends_the_start() {
        let ours = UnixDatagram::unbound().expect("a socket");
        let nowhere = std::path::Path::new("/nowhere/notify");
        assert!(Notifier::new(ours, nowhere, None).is_err());
    }
}
