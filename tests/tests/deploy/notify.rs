//! What the service manager is told, by a socket of the test's own.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use vault_tests::{Builder, TestVault};

use crate::is_root;

/// Within this time a vault is to be heard: a sixth of it is time for a core under load.
const WATCHDOG: Duration = Duration::from_secs(24);
/// The same where half of it is waited for.
const WATCHDOG_SHORT: Duration = Duration::from_secs(6);

/// Hears what a vault says of itself.
struct Manager {
    socket: UnixDatagram,
    folder: TempDir,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = UnixDatagram::bind(folder.path().join("notify")).expect("bound");
        Self { socket, folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("notify")
    }

    /// A vault that knows of it, and is to be heard within this time again and again.
    fn vault(&self, watchdog: Duration) -> Builder {
        TestVault::builder()
            .env("NOTIFY_SOCKET", self.path())
            .env("WATCHDOG_USEC", watchdog.as_micros().to_string())
    }

    /// The next thing that is said within a time.
    fn hear(&self, within: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(within)).expect("set");
        let mut bytes = [0; 512];
        match self.socket.recv(&mut bytes) {
            Ok(count) => Some(String::from_utf8(bytes[..count].to_vec()).expect("text")),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Waits until something is said that begins so.
    fn hear_until(&self, start: &str) -> String {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let left =
                until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            let heard = self.hear(left).unwrap_or_else(|| panic!("{start} is not said"));
            if heard.starts_with(start) {
                return heard;
            }
        }
    }
}

fn signal(pid: i32, signal: i32) {
    // SAFETY: a plain system call on a process that this test started.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_hears_up_alive_and_stopping() {
    let manager = Manager::new();
    let mut vault = manager.vault(WATCHDOG).sealed().start().await;

    assert_eq!(manager.hear_until("READY"), "READY=1\nSTATUS=sealed");
    assert_eq!(manager.hear_until("WATCHDOG"), "WATCHDOG=1\nSTATUS=sealed");
    vault.unseal();
    // One that was asked before may still be on its way.
    let is_open = (0..10).any(|_| manager.hear_until("WATCHDOG").ends_with("=unsealed"));
    assert!(is_open);
    vault.stop().await;
    manager.hear_until("STOPPING=1");
}

/// The watchdog would kill the supervisor, and the next start obey what a core on its way to silence has
/// written.
#[tokio::test(flavor = "multi_thread")]
async fn a_core_that_does_not_answer_ends_the_vault_before_the_watchdog_does() {
    let manager = Manager::new();
    let mut vault = manager.vault(WATCHDOG_SHORT).sealed().start().await;
    manager.hear_until("WATCHDOG");
    let config = vault.data().join("config.toml");
    let before = fs::read_to_string(&config).expect("readable");
    let planted = format!("{before}\n# another\n");
    fs::write(&config, &planted).expect("written");

    signal(vault.ready().pid_core, libc::SIGSTOP);
    let (status, said) = vault.ended_saying().await;

    assert_eq!(status.code(), Some(70), "{said}");
    assert!(said.contains("the core has not answered for 3 s"), "{said}");
    assert_eq!(fs::read_to_string(&config).expect("readable"), before);
    let kept = fs::read_to_string(config.with_file_name("config.toml.changed")).expect("kept");
    assert_eq!(kept, planted);
    // The supervisor alone is not the vault: after the last answer nothing is said but the end.
    let mut heard: Vec<String> = Vec::new();
    while let Some(word) = manager.hear(Duration::from_millis(1)) {
        heard.push(word);
    }
    let silence = heard.iter().skip_while(|word| word.starts_with("WATCHDOG"));
    assert_eq!(silence.collect::<Vec<_>>(), ["STOPPING=1\nSTATUS=stopping"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_child_can_speak_to_the_service_manager() {
    if !is_root() {
        return;
    }
    let manager = Manager::new();
    let mut vault = manager.vault(WATCHDOG).sealed().start().await;
    manager.hear_until("READY");

    let ready = vault.ready();
    let ours = environment(ready.pid);
    assert!(ours.contains("NOTIFY_SOCKET="), "the supervisor was told where");
    for pid in [ready.pid_core, ready.pid_front, ready.pid_egress] {
        let theirs = environment(pid);
        assert!(!theirs.contains("NOTIFY_SOCKET") && !theirs.contains("WATCHDOG"), "{theirs}");
        assert_eq!(datagram_sockets(pid), 0);
    }
    assert_eq!(datagram_sockets(ready.pid), 1, "the count counts");
    vault.stop().await;
}

fn environment(pid: i32) -> String {
    String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/environ")).expect("root")).into_owned()
}

/// How many Unix datagram sockets a process has.
fn datagram_sockets(pid: i32) -> usize {
    const DATAGRAM: &str = "0002";
    let table = fs::read_to_string("/proc/net/unix").expect("there");
    let fields = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let inodes: Vec<String> = table
        .lines()
        .map(fields)
        .filter(|line| line.get(4).is_some_and(|kind| kind == DATAGRAM))
        .filter_map(|line| line.get(6).map(|inode| format!("socket:[{inode}]")))
        .collect();
    let folder = fs::read_dir(format!("/proc/{pid}/fd")).expect("root");
    let open = folder.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    open.filter(|target| inodes.iter().any(|inode| Path::new(inode) == target)).count()
}
