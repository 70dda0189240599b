//! The three processes below the supervisor: started, watched, reaped.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use command_fds::CommandFdExt as _;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::channel::Channel;
use super::listener::Listeners;
use crate::child::{CoreSpec, EgressSpec, FrontSpec, Inheritance, ListenerSpec};
use crate::config::Config;

/// How long the other children may take to end by themselves when one has died.
const COLLAPSE: Duration = Duration::from_millis(300);

/// A process and what became of it.
#[derive(Debug)]
struct Process {
    name: &'static str,
    child: Child,
    status: Option<ExitStatus>,
}

/// Front, core and egress, and the channel to the core.
#[derive(Debug)]
pub struct Children {
    front: Process,
    core: Process,
    egress: Process,
    /// To the core.
    pub channel: Channel,
    /// Where front and egress say that they are up; one is gone once its child has, or has died.
    ups: Vec<UnixStream>,
    /// How many have said so.
    up_count: usize,
}

/// Process ids.
#[derive(Clone, Copy, Debug)]
pub struct Pids {
    /// Of the front.
    pub front: u32,
    /// Of the core.
    pub core: u32,
    /// Of the egress.
    pub egress: u32,
}

impl Children {
    /// Starts all by re-exec.
    ///
    /// Must be called while the process has one thread: between fork and exec a child may touch
    /// nothing that another thread could have locked.
    ///
    /// # Errors
    ///
    /// The operating system's. Children that were started already are killed.
    pub fn spawn(
        data: &Path,
        config: &Config,
        listeners: &Listeners,
        stay_sealed: bool,
    ) -> io::Result<Self> {
        let (core_to_front, front_to_core) = UnixStream::pair()?;
        let (core_to_supervisor, supervisor_to_core) = UnixStream::pair()?;
        let (core_to_egress, egress_to_core) = UnixStream::pair()?;
        let (egress_to_front, front_to_egress) = UnixStream::pair()?;
        let (front_up, front_is_up) = UnixStream::pair()?;
        let (egress_up, egress_is_up) = UnixStream::pair()?;
        for up in [&front_is_up, &egress_is_up] {
            up.set_nonblocking(true)?;
        }
        let supervisor = std::process::id();

        let mut inheritance = Inheritance::default();
        let spec = CoreSpec {
            supervisor,
            egress_fd: inheritance.add(core_to_egress),
            front_fd: inheritance.add(core_to_front),
            supervisor_fd: inheritance.add(core_to_supervisor),
            ports: listeners.ports,
            stay_sealed,
        };
        let arguments =
            [OsString::from("__core"), "--data".into(), data.into(), to_json(&spec)?.into()];
        let core = start("core", &arguments, inheritance, config.development)?;

        let front = || {
            let mut inheritance = Inheritance::default();
            let core_fd = inheritance.add(front_to_core);
            let egress_fd = inheritance.add(front_to_egress);
            let up_fd = inheritance.add(front_up);
            let mut specs = Vec::new();
            for bound in listeners.iter() {
                specs.push(ListenerSpec {
                    kind: bound.kind.into(),
                    fd: inheritance.add(bound.socket.try_clone()?),
                    proxied_from: bound.proxied_from.clone(),
                });
            }
            let (listeners, log) = (specs, config.log);
            let spec = FrontSpec { supervisor, core_fd, egress_fd, up_fd, listeners, log };
            let arguments = [OsString::from("__front"), to_json(&spec)?.into()];
            start("front", &arguments, inheritance, config.development)
        };
        let egress = || {
            let mut inheritance = Inheritance::default();
            let spec = EgressSpec {
                supervisor,
                core_fd: inheritance.add(egress_to_core),
                front_fd: inheritance.add(egress_to_front),
                up_fd: inheritance.add(egress_up),
            };
            let arguments =
                [OsString::from("__egress"), "--data".into(), data.into(), to_json(&spec)?.into()];
            start("egress", &arguments, inheritance, config.development)
        };
        let (front, egress) = (front()?, egress()?);
        let channel = Channel::new(supervisor_to_core)?;
        let ups = vec![front_is_up, egress_is_up];
        Ok(Self { front, core, egress, channel, ups, up_count: 0 })
    }

    /// Process ids.
    pub fn pids(&self) -> Pids {
        Pids {
            front: self.front.child.id(),
            core: self.core.child.id(),
            egress: self.egress.child.id(),
        }
    }

    /// What to wait on until front and egress are up.
    pub fn up_fds(&self) -> impl Iterator<Item = &UnixStream> {
        self.ups.iter()
    }

    /// Whether front and egress are up. One that died before never will be.
    pub fn are_up(&mut self) -> bool {
        let up_count = &mut self.up_count;
        self.ups.retain(|mut up| match up.read(&mut [0; 1]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => true,
            answer => {
                *up_count += usize::from(matches!(answer, Ok(1)));
                false
            }
        });
        self.up_count == 2
    }

    /// Looks whether a child has ended, without waiting.
    pub fn reap(&mut self) {
        for process in self.all_mut() {
            process.reap();
        }
    }

    /// Whether one of them has ended.
    pub fn has_lost_one(&self) -> bool {
        self.all().iter().any(|process| process.status.is_some())
    }

    /// Whether all have ended.
    pub fn are_gone(&self) -> bool {
        self.all().iter().all(|process| process.status.is_some())
    }

    /// Which ended otherwise than in order, in words; `None` if none has.
    pub fn failure(&self) -> Option<String> {
        let failed = |process: &&Process| process.status.is_some_and(|status| !status.success());
        let mut failed: Vec<&Process> = self.all().into_iter().filter(failed).collect();
        // One that was killed is the cause; one that ended because its channel broke is not.
        failed.sort_by_key(|process| process.status.and_then(|s| s.signal()).is_none());
        failed.first().map(|process| process.describe())
    }

    /// Ends everything after a child has ended without being asked to, and says what happened.
    pub fn collapse(&mut self) -> String {
        let until = Instant::now() + COLLAPSE;
        // What ends by itself shows which of them it was.
        while !self.are_gone() && Instant::now() < until {
            sleep(Duration::from_millis(5));
            self.reap();
        }
        let failure = self.failure();
        let ended = self.all().into_iter().find(|process| process.status.is_some());
        let words = failure.or_else(|| ended.map(Process::describe));
        self.kill();
        words.unwrap_or_else(|| "the core closed its channel".to_owned())
    }

    /// Kills what still runs and waits for its end.
    pub fn kill(&mut self) {
        for process in self.all_mut() {
            process.kill();
        }
    }

    fn all(&self) -> [&Process; 3] {
        [&self.core, &self.front, &self.egress]
    }

    fn all_mut(&mut self) -> [&mut Process; 3] {
        [&mut self.core, &mut self.front, &mut self.egress]
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Process {
    fn reap(&mut self) {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
        }
    }

    fn kill(&mut self) {
        if self.status.is_none() {
            // Fails only for one that has ended already.
            let _ = self.child.kill();
            self.status = self.child.wait().ok();
        }
    }

    fn describe(&self) -> String {
        let Some(status) = self.status else { return format!("the {} still runs", self.name) };
        match (status.signal(), status.code()) {
            (Some(signal), _) => match signal_name(signal) {
                Some(name) => format!("the {} was killed by signal {signal} ({name})", self.name),
                None => format!("the {} was killed by signal {signal}", self.name),
            },
            (None, Some(0)) => format!("the {} ended without being asked to", self.name),
            (None, Some(code)) => format!("the {} ended with exit status {code}", self.name),
            (None, None) => format!("the {} ended", self.name),
        }
    }
}

fn signal_name(signal: i32) -> Option<&'static str> {
    signal_hook::low_level::signal_name(signal)
}

fn to_json(spec: &impl serde::Serialize) -> io::Result<String> {
    serde_json::to_string(spec).map_err(io::Error::other)
}

fn start(
    name: &'static str,
    arguments: &[OsString],
    inheritance: Inheritance,
    development: bool,
) -> io::Result<Process> {
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("vault-server")
        .args(arguments)
        .env_clear()
        .envs(std::env::vars_os().filter(|(key, _)| passes(name, key, development)))
        .stdin(Stdio::null())
        // Stdout is the supervisor's: one line of JSON per event.
        .stdout(Stdio::null());
    command.preserved_fds(inheritance.into_fds());
    // SAFETY: `ignore_signals` makes system calls only.
    unsafe { command.pre_exec(ignore_signals) };
    let child = command.spawn()?;
    Ok(Process { name, child, status: None })
}

/// Makes the process deaf to what ends the supervisor, and what it becomes by exec, too.
///
/// A Ctrl-C or a service manager's signal reaches every process; the supervisor alone decides what
/// comes of it, and tells the core by a frame.
fn ignore_signals() -> io::Result<()> {
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        // SAFETY: SIG_IGN is valid for these signals.
        if unsafe { libc::signal(signal, libc::SIG_IGN) } == libc::SIG_ERR {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// What a child gets of the supervisor's environment.
fn passes(name: &str, key: &OsStr, development: bool) -> bool {
    let key = key.to_string_lossy();
    match key.as_ref() {
        "RUST_BACKTRACE" => true,
        "CREDENTIALS_DIRECTORY" => name == "core",
        // By these, tests put failures under the log; a vault with real keys never passes them on.
        "LD_PRELOAD" => development,
        other => development && other.starts_with("COUNTERSIGN_TEST_"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{Command, ExitStatus, Stdio};

    use super::{Process, passes};

    fn ended(status: i32) -> String {
        let child = Command::new("true").stdout(Stdio::null()).spawn().expect("spawned");
        let status = Some(ExitStatus::from_raw(status));
        Process { name: "core", child, status }.describe()
    }

    #[test]
    fn says_in_plain_words_how_a_child_ended() {
        assert_eq!(ended(9), "the core was killed by signal 9 (SIGKILL)");
        assert_eq!(ended(1 << 8), "the core ended with exit status 1");
        assert_eq!(ended(0), "the core ended without being asked to");
    }

    #[test]
    fn little_of_the_environment_passes() {
        assert!(passes("front", "RUST_BACKTRACE".as_ref(), false));
        assert!(passes("core", "CREDENTIALS_DIRECTORY".as_ref(), false));
        for name in ["front", "egress"] {
            assert!(!passes(name, "CREDENTIALS_DIRECTORY".as_ref(), true));
        }
        // A proxy of the environment would see every request.
        assert!(!passes("egress", "HTTPS_PROXY".as_ref(), true));
        for key in ["LD_PRELOAD", "COUNTERSIGN_TEST_FSYNC"] {
            assert!(!passes("core", key.as_ref(), false), "{key}");
            assert!(passes("core", key.as_ref(), true), "{key}");
        }
        assert!(!passes("core", "PATH".as_ref(), true));
    }
}
