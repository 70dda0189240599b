//! The real core as a process of its own, and this test in the places of its supervisor, its front
//! and its egress.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use prost::Message;
use serde_json::json;
use vault_ipc::{Barrier, BarrierDone, Decoder, Frame, HEADER_BYTES, Kind, Reply};

/// How long an answer may take. Machines that run tests are slow.
pub const SOON: Duration = Duration::from_secs(30);

/// How a core has ended.
#[derive(Debug)]
pub struct Ended {
    /// As the system says it.
    pub status: ExitStatus,
    /// What it wrote.
    pub stderr: String,
    /// The most memory that it had at once, as far as it was looked at.
    pub resident_bytes_max: u64,
}

/// A running core. Killed when dropped.
#[derive(Debug)]
pub struct Core {
    child: Child,
    status: Option<ExitStatus>,
    stderr: File,
    resident_bytes_max: u64,
    /// Where it hears a front.
    pub front: Wire,
    /// Where it hears an egress.
    pub egress: Wire,
    /// Where it hears a supervisor.
    pub supervisor: Wire,
}

impl Core {
    /// Starts one on a data directory.
    pub fn start(data: &Path) -> Self {
        let pair = || UnixStream::pair().expect("a socketpair");
        let [(front, to_front), (egress, to_egress), (supervisor, to_supervisor)] =
            [pair(), pair(), pair()];
        let settings = settings(data);
        let [front_fd, egress_fd, supervisor_fd] =
            [&to_front, &to_egress, &to_supervisor].map(|stream| stream.as_raw_fd());
        let theirs = [front_fd, egress_fd, supervisor_fd, settings.as_raw_fd()];
        let spec = json!({
            "supervisor": std::process::id(),
            "front_fd": front_fd,
            "egress_fd": egress_fd,
            "supervisor_fd": supervisor_fd,
            "settings_fd": settings.as_raw_fd(),
            "geoip": null,
            "ports": { "bot": 7001, "operator": 7002, "enroll": 7003 },
            "stay_sealed": false,
            "require_hardening": false,
        });
        let stderr = tempfile::tempfile().expect("a file");
        let mut command = Command::new(vault_tests::vault_server());
        command
            .arg0("vault-server")
            .args(["__core".as_ref(), "--data".as_ref(), data.as_os_str()])
            .arg(spec.to_string())
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr.try_clone().expect("a handle"));
        // SAFETY: fcntl is async-signal-safe, and the descriptors are open: the streams live until
        // after the spawn.
        unsafe {
            command.pre_exec(move || {
                for fd in theirs {
                    if libc::fcntl(fd, libc::F_SETFD, 0) != 0 {
                        return Err(io::Error::last_os_error());
                    }
                }
                Ok(())
            });
        }
        let child = command.spawn().expect("the core starts");
        drop((to_front, to_egress, to_supervisor));
        Self {
            child,
            status: None,
            stderr,
            resident_bytes_max: 0,
            front: Wire::new(front),
            egress: Wire::new(egress),
            supervisor: Wire::new(supervisor),
        }
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        if self.status.is_none() {
            self.status = self.child.try_wait().expect("waited for");
        }
        self.status.is_none()
    }

    /// The most memory that it had at once, in bytes.
    pub fn resident_bytes_max(&mut self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let line = status.ok().and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("VmHWM:"))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        });
        self.resident_bytes_max = self.resident_bytes_max.max(line.unwrap_or(0) << 10);
        self.resident_bytes_max
    }

    /// Waits for its end; `None` if it lives on.
    pub fn ended_within(&mut self, time: Duration) -> Option<Ended> {
        let until = Instant::now() + time;
        while self.is_alive() {
            self.resident_bytes_max();
            if Instant::now() >= until {
                return None;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Some(self.read_end())
    }

    /// Asks it to end in order, and waits for that.
    pub fn stop(&mut self) -> Ended {
        // One that has ended already is asked nothing.
        let _ = self.supervisor.send(Kind::Shutdown, 0, &vault_ipc::State::default());
        self.ended_within(SOON).expect("the core ends when it is asked to")
    }

    /// Stops it where it is, until [`Core::thaw`]: what is sent meanwhile it finds all at once.
    pub fn freeze(&self) {
        self.signal(libc::SIGSTOP);
        let is_stopped = || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
            // The state stands behind the name, which is in parentheses.
            stat.is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, at)| at.starts_with('T')))
        };
        while !is_stopped() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal(libc::SIGCONT);
    }

    fn signal(&self, signal: i32) {
        let pid = libc::pid_t::try_from(self.child.id()).expect("a process id");
        // SAFETY: touches no memory. The child is ours and not waited for, so the id is still its own.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    }

    /// Kills it.
    pub fn kill(&mut self) {
        if self.is_alive() {
            // Fails only for one that has ended.
            let _ = self.child.kill();
            self.status = self.child.wait().ok();
        }
    }

    fn read_end(&mut self) -> Ended {
        use std::io::Seek as _;
        let mut stderr = Vec::new();
        self.stderr.rewind().expect("a file");
        self.stderr.read_to_end(&mut stderr).expect("read");
        Ended {
            status: self.status.expect("it has ended"),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
            resident_bytes_max: self.resident_bytes_max,
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let ended = self.read_end();
            print(&format!("the core: {}, it said:\n{}", ended.status, ended.stderr));
        }
    }
}

#[allow(clippy::print_stderr, reason = "of a failed test, for whoever looks at it")]
fn print(text: &str) {
    eprintln!("{text}");
}

impl Ended {
    /// Whether it ended in order: of itself, by a code, and not by a panic, an abort or a signal.
    pub fn is_in_order(&self) -> bool {
        self.status.signal().is_none()
            && matches!(self.status.code(), Some(0 | 1))
            && !self.stderr.contains("panicked at")
    }

    /// Why it ended, as it said it.
    pub fn reason(&self) -> &str {
        let line = self.stderr.lines().rev().find(|line| line.contains("vault-server core: error"));
        line.unwrap_or_default()
    }
}

/// Our end of one of its channels. A thread reads it, so that the core is never held up, unless it is
/// to be.
#[derive(Debug)]
pub struct Wire {
    stream: UnixStream,
    heard: Arc<Heard>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Heard {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    frames: Vec<Frame>,
    ended: bool,
    paused: bool,
    /// Barriers are left alone.
    silent: bool,
}

impl Wire {
    fn new(stream: UnixStream) -> Self {
        stream.set_write_timeout(Some(SOON)).expect("set");
        let heard = Arc::<Heard>::default();
        let (mut read, ours) = (stream.try_clone().expect("a handle"), Arc::clone(&heard));
        let reader = std::thread::spawn(move || {
            let mut decoder = Decoder::default();
            let mut bytes = vec![0; 256 << 10];
            loop {
                let mut state = lock(&ours.state);
                while state.paused && !state.ended {
                    state = ours.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                drop(state);
                let count = read.read(&mut bytes).unwrap_or(0);
                decoder.extend(&bytes[..count]);
                let mut state = lock(&ours.state);
                while let Some(frame) = decoder.next_frame().expect("the core writes frames") {
                    if frame.kind == Kind::Barrier && !state.silent {
                        let barrier: Barrier = frame.message().expect("a barrier");
                        let done = BarrierDone { id: barrier.id }.encode_to_vec();
                        // A core that has ended waits for nothing.
                        let _ = read.write_all(&encoded(Kind::BarrierDone, 0, &done));
                    }
                    state.frames.push(frame);
                }
                state.ended |= count == 0;
                let ended = state.ended;
                drop(state);
                ours.changed.notify_all();
                if ended {
                    return;
                }
            }
        });
        Self { stream, heard, reader: Some(reader) }
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    ///
    /// The core does not take them: it has ended, or does not read.
    pub fn write(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.stream).write_all(bytes)
    }

    /// Writes a frame.
    ///
    /// # Errors
    ///
    /// As for [`Wire::write`].
    pub fn send(&self, kind: Kind, correlation: u64, message: &impl Message) -> io::Result<()> {
        self.write(&encoded(kind, correlation, &message.encode_to_vec()))
    }

    /// Closes our end.
    pub fn close(&self) {
        // Fails only for one that is closed.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Reads nothing from now on, or goes on reading.
    pub fn pause(&self, paused: bool) {
        lock(&self.heard.state).paused = paused;
        self.heard.changed.notify_all();
    }

    /// Confirms no barrier from now on, or every one as it comes.
    pub fn keep_silent(&self, silent: bool) {
        lock(&self.heard.state).silent = silent;
    }

    /// How many frames have come so far.
    pub fn count(&self) -> usize {
        lock(&self.heard.state).frames.len()
    }

    /// Every frame that has come, in order.
    pub fn frames(&self) -> Vec<Frame> {
        lock(&self.heard.state).frames.clone()
    }

    /// A frame after the first `after` that has come already, and its place.
    pub fn find(&self, after: usize, wanted: impl Fn(&Frame) -> bool) -> Option<(usize, Frame)> {
        let state = lock(&self.heard.state);
        let mut new = state.frames.iter().enumerate().skip(after);
        new.find(|(_, frame)| wanted(frame)).map(|(at, frame)| (at, frame.clone()))
    }

    /// Waits for a frame after the first `after`; `None` if none comes in time, or the core has ended.
    pub fn wait(
        &self,
        after: usize,
        time: Duration,
        wanted: impl Fn(&Frame) -> bool,
    ) -> Option<Frame> {
        let until = Instant::now() + time;
        let mut seen = after;
        let mut state = lock(&self.heard.state);
        loop {
            let new = state.frames.get(seen..).unwrap_or_default();
            if let Some(frame) = new.iter().find(|frame| wanted(frame)) {
                return Some(frame.clone());
            }
            seen = state.frames.len().max(after);
            let left = until.saturating_duration_since(Instant::now());
            if state.ended || left.is_zero() {
                return None;
            }
            let waited = self.heard.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Sends a call and waits for its answer.
    pub fn call(&self, kind: Kind, correlation: u64, message: &impl Message) -> Option<Reply> {
        let after = self.count();
        self.send(kind, correlation, message).ok()?;
        self.reply(after, correlation)
    }

    /// Waits for the answer to a call.
    pub fn reply(&self, after: usize, correlation: u64) -> Option<Reply> {
        let frame = self.wait(after, SOON, |frame| {
            frame.kind == Kind::Reply && frame.correlation == correlation
        });
        frame.map(|frame| frame.message().expect("a reply"))
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.close();
        lock(&self.heard.state).ended = true;
        self.heard.changed.notify_all();
        self.reader.take().map(JoinHandle::join);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a supervisor hands on of a configuration that names no other files.
fn settings(data: &Path) -> File {
    let path = data.join("config.toml");
    let text = fs::read_to_string(&path).expect("a configuration");
    let settings = json!({
        "config": { "file": path.display().to_string(), "text": text },
        "catalog_additions": [],
        "roots": null,
        "override_roots": [],
    });
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(settings.to_string().as_bytes()).expect("written");
    file
}

/// A frame of any bytes.
pub fn encoded(kind: Kind, correlation: u64, body: &[u8]) -> Vec<u8> {
    let body_bytes = u32::try_from(body.len()).expect("a body of 32 bits");
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
    bytes.extend_from_slice(&body_bytes.to_le_bytes());
    bytes.extend_from_slice(&[vault_ipc::VERSION, kind.code(), 0, 0]);
    bytes.extend_from_slice(&correlation.to_le_bytes());
    bytes.extend_from_slice(body);
    bytes
}
