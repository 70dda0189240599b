//! The running processes: started, heard, killed.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// How long a start may take before it counts as failed. Machines that run tests are slow.
const START: Duration = Duration::from_secs(60);
/// How long an ordered end may take.
const STOP: Duration = Duration::from_secs(30);

/// How a vault's processes are started.
#[derive(Clone, Debug, Default)]
pub struct Launch {
    /// Variables of the environment.
    pub env: Vec<(OsString, OsString)>,
    /// Runs as this user and group; needs root.
    pub user: Option<(u32, u32)>,
    /// Words that go before the server's own command line: `strace -f ...`.
    pub wrapper: Vec<OsString>,
    /// What a start may take beyond what any should: to read a long log.
    pub start_longer: Duration,
}

impl Launch {
    /// A command line of the server. Dies with the thread that starts it.
    pub fn command(&self, arguments: &[OsString]) -> Command {
        let server = crate::vault_server().as_os_str().to_owned();
        let mut words = self.wrapper.clone();
        words.push(server);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(arguments).envs(self.env.iter().cloned());
        command.current_dir("/");
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        // SAFETY: prctl is async-signal-safe and touches nothing of the parent's.
        unsafe {
            command.pre_exec(|| {
                // The change of user would clear it otherwise; std changes users before this hook.
                if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                    return Err(std::io::Error::last_os_error());
                }
                Ok(())
            });
        }
        command
    }
}

/// The line that the server prints when it is up.
#[derive(Clone, Debug, Deserialize)]
pub struct Ready {
    /// `ready`, or `restarted` after a seal.
    pub event: String,
    /// `sealed`, `unsealed` or `refused`.
    pub state: String,
    /// Bot listener.
    pub bot: SocketAddr,
    /// Operator listener.
    pub operator: SocketAddr,
    /// Enrol listener.
    pub enroll: SocketAddr,
    /// Bot listener behind balancers, if it is configured.
    pub bot_proxied: Option<SocketAddr>,
    /// Where figures are asked for, if it is configured.
    pub metrics: Option<SocketAddr>,
    /// The local socket.
    pub socket: PathBuf,
    /// Process id of the supervisor.
    pub pid: i32,
    /// Process id of the front.
    pub pid_front: i32,
    /// Process id of the core.
    pub pid_core: i32,
    /// Process id of the egress.
    pub pid_egress: i32,
    /// Process id of the exporter, where calls are traced.
    pub pid_exporter: Option<i32>,
}

/// A start that came to nothing.
#[derive(Debug)]
pub struct NotStarted {
    /// How the process ended; `None`: it hung and was killed.
    pub status: Option<ExitStatus>,
    /// What it said.
    pub stderr: String,
}

/// A running supervisor with its children. Killed when dropped; if that is because a test failed,
/// what it wrote to stderr is printed.
#[derive(Debug)]
pub struct Server {
    child: Child,
    status: Option<ExitStatus>,
    lines: UnboundedReceiver<String>,
    stderr: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
    /// The newest line that it printed.
    pub ready: Ready,
}

impl Server {
    /// Starts one and waits until it is up.
    ///
    /// # Errors
    ///
    /// [`NotStarted`] if it ends or hangs instead.
    pub async fn start(launch: &Launch, arguments: &[OsString]) -> Result<Self, NotStarted> {
        let mut command = launch.command(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own, so that all of it can be killed at once.
        command.process_group(0);
        let mut child = command.spawn().expect("the server's command line starts");

        let (sender, mut lines) = unbounded_channel();
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let stderr: Arc<Mutex<String>> = Arc::default();
        let errors = BufReader::new(child.stderr.take().expect("piped"));
        let kept = Arc::clone(&stderr);
        let readers = vec![
            std::thread::spawn(move || {
                for line in stdout.lines().map_while(Result::ok) {
                    // Nobody listens any more: the pipe is emptied all the same.
                    let _ = sender.send(line);
                }
            }),
            std::thread::spawn(move || {
                for line in errors.split(b'\n').map_while(Result::ok) {
                    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                    kept.push_str(&String::from_utf8_lossy(&line));
                    kept.push('\n');
                }
            }),
        ];

        let line = tokio::time::timeout(START + launch.start_longer, lines.recv()).await;
        match line {
            Ok(Some(line)) => {
                let ready = serde_json::from_str(&line).expect("the ready line");
                Ok(Self { child, status: None, lines, stderr, readers, ready })
            }
            hung_or_ended => {
                let status = match hung_or_ended {
                    Ok(_) => Some(child.wait().expect("waited for")),
                    Err(_) => None,
                };
                kill_group(&child);
                let _ = child.wait();
                readers.into_iter().for_each(|reader| drop(reader.join()));
                let stderr = stderr.lock().unwrap_or_else(PoisonError::into_inner).clone();
                Err(NotStarted { status, stderr })
            }
        }
    }

    /// Starts one and kills it with all its children after a while, however far it came.
    pub async fn start_and_kill(launch: &Launch, arguments: &[OsString], after: Duration) {
        let mut command = launch.command(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.process_group(0);
        let mut child = command.spawn().expect("the server's command line starts");
        tokio::time::sleep(after).await;
        kill_group(&child);
        child.wait().expect("waited for");
        // Its children are not ours to wait for, and one that waits for the disk takes a while to end.
        let until = Instant::now() + STOP;
        while group_lives(&child) && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits for the next line on stdout, which says that the processes were started anew.
    ///
    /// # Panics
    ///
    /// If none comes.
    pub async fn next_ready(&mut self) -> &Ready {
        let line = tokio::time::timeout(START, self.lines.recv()).await;
        let line = line.expect("a line in time").expect("the server lives");
        self.ready = serde_json::from_str(&line).expect("the ready line");
        &self.ready
    }

    /// What it has written to stderr so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends a signal to the supervisor itself, not to what it is wrapped in.
    pub fn signal(&self, signal: i32) {
        kill(self.ready.pid, signal);
    }

    /// Waits for the end of all processes.
    ///
    /// # Panics
    ///
    /// If they do not end in time.
    pub async fn ended(&mut self) -> ExitStatus {
        let until = Instant::now() + STOP;
        loop {
            if let Some(status) = self.child.try_wait().expect("waited for") {
                self.status = Some(status);
                break;
            }
            assert!(Instant::now() < until, "the server does not end");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.readers.drain(..).for_each(|reader| drop(reader.join()));
        self.status.expect("just set")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.status.is_none() {
            kill_group(&self.child);
            let _ = self.child.wait();
        }
        self.readers.drain(..).for_each(|reader| drop(reader.join()));
        if std::thread::panicking() {
            print(&self.stderr());
        }
    }
}

#[allow(clippy::print_stderr, reason = "of a failed test, for whoever looks at it")]
fn print(stderr: &str) {
    const TAIL: usize = 16 << 10;
    let start = stderr.len().saturating_sub(TAIL);
    let start = (start..stderr.len()).find(|at| stderr.is_char_boundary(*at)).unwrap_or(start);
    eprintln!("--- stderr of the vault ---\n{}--- end ---", &stderr[start..]);
}

/// Sends a signal to a process; one that is gone is as good.
pub(crate) fn kill(pid: i32, signal: i32) {
    // SAFETY: a plain system call on a process that the harness started.
    unsafe { libc::kill(pid, signal) };
}

/// Whether any process of the group of a server is there yet.
fn group_lives(child: &Child) -> bool {
    // SAFETY: a plain system call on processes that the harness started; signal 0 is none.
    i32::try_from(child.id()).is_ok_and(|group| unsafe { libc::kill(-group, 0) } == 0)
}

fn kill_group(child: &Child) {
    if let Ok(group) = i32::try_from(child.id()) {
        kill(-group, libc::SIGKILL);
    }
}
