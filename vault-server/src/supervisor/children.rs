//! The processes below the supervisor: started, watched, reaped. Three have to live; an exporter, where
//! calls are traced, may end.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use command_fds::CommandFdExt as _;
use signal_hook::consts::{SIGHUP, SIGINT, SIGSYS, SIGTERM};
use vault_ipc::proto::v1::ProcessHardening;

use super::channel::Channel;
use super::exporter::{self, Exporter};
use super::listener::Listeners;
use super::up::Ups;
use crate::child::{
    CoreSpec, EgressSpec, FrontSpec, GeoipSpec, Inheritance, ListenerSpec, TracingSpec,
};
use crate::config::Config;
use crate::settings::Geoip;

/// How long the other children may take to end by themselves when one has died.
const COLLAPSE: Duration = Duration::from_millis(300);

/// How long processes may take to end when they are killed: one that waits for a disk which hangs does
/// not end, but nothing of its own is carried out any more.
const KILLED: Duration = Duration::from_secs(2);

/// A process and what became of it.
#[derive(Debug)]
pub(super) struct Process {
    name: &'static str,
    child: Child,
    status: Option<ExitStatus>,
    /// It was, and is not waited for a second time.
    is_killed: bool,
}

/// Front, core and egress, and the channel to the core.
#[derive(Debug)]
pub struct Children {
    front: Process,
    core: Process,
    egress: Process,
    exporter: Option<Exporter>,
    /// To the core.
    pub channel: Channel,
    ups: Ups,
}

/// How the children are started.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// The data directory.
    pub data: &'a Path,
    /// What it is configured to.
    pub config: &'a Config,
    /// The same, sealed, for the children.
    pub settings: BorrowedFd<'a>,
    /// The database of countries, if there is one.
    pub geoip: Option<&'a Geoip>,
    /// Where calls come in.
    pub listeners: &'a Listeners,
    /// TCP ports at which venues are.
    pub venue_ports: &'a [u16],
    /// End rather than run with less than everything that confines them.
    pub require_hardening: bool,
    /// Stay sealed until a person unseals.
    pub stay_sealed: bool,
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
    /// Of the exporter, if there is one.
    pub exporter: Option<u32>,
}

/// What keeps the processors awake, for as long as this lives.
#[derive(Debug)]
pub struct Awake(#[expect(dead_code, reason = "ends with this")] Process);

impl Awake {
    /// Starts it by re-exec, as [`Children::spawn`] does the others. If it cannot do its work it says
    /// so and ends; the vault does not need it.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn spawn() -> io::Result<Self> {
        let arguments = [OsString::from("__awake"), std::process::id().to_string().into()];
        start("awake", &arguments, Inheritance::default(), false).map(Self)
    }
}

impl Children {
    /// Starts all by re-exec.
    ///
    /// # Errors
    ///
    /// The operating system's. Children that were started already are killed.
    pub fn spawn(plan: Plan<'_>) -> io::Result<Self> {
        let Plan { data, config, listeners, venue_ports, require_hardening, stay_sealed, .. } =
            plan;
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
        let geoip = match plan.geoip {
            None => None,
            Some(Geoip { path, fd }) => {
                let (fd, file) = (inheritance.add(fd.try_clone()?), path.display().to_string());
                Some(GeoipSpec { fd, file })
            }
        };
        let spec = CoreSpec {
            supervisor,
            egress_fd: inheritance.add(core_to_egress),
            front_fd: inheritance.add(core_to_front),
            supervisor_fd: inheritance.add(core_to_supervisor),
            settings_fd: inheritance.add(plan.settings.try_clone_to_owned()?),
            geoip,
            ports: listeners.ports,
            stay_sealed,
            require_hardening,
        };
        let arguments =
            [OsString::from("__core"), "--data".into(), data.into(), to_json(&spec)?.into()];
        let core = start("core", &arguments, inheritance, config.development)?;

        let exporter = config.tracing.otlp_endpoint.clone().map(|collector| {
            Exporter::spawn(exporter::Told {
                supervisor,
                collector,
                instance: config.server_names().into_iter().next().unwrap_or_default(),
                require_hardening,
                log: config.log,
                development: config.development,
            })
        });
        let exporter = exporter.transpose()?;
        let (exporter, traces, exporter_is_up) = match exporter {
            Some((exporter, traces, up)) => (Some(exporter), Some(traces), Some(up)),
            None => (None, None, None),
        };

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
            let metrics_fd = match &listeners.metrics {
                Some((socket, _)) => Some(inheritance.add(socket.try_clone()?)),
                None => None,
            };
            let tracing = traces.map(|traces| TracingSpec {
                exporter_fds: traces.into_iter().map(|end| inheritance.add(end)).collect(),
                sample: *config.tracing.sample.get_ref(),
                max_per_second: *config.tracing.max_per_second.get_ref(),
                slow_ms: config.tracing.slow_ms.as_ref().map(|slow| *slow.get_ref()),
                from_bots: config.tracing.from_bots,
            });
            let (listeners, log) = (specs, config.log);
            let spec = FrontSpec {
                supervisor,
                core_fd,
                egress_fd,
                up_fd,
                listeners,
                metrics_fd,
                tracing,
                require_hardening,
                log,
            };
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
                settings_fd: inheritance.add(plan.settings.try_clone_to_owned()?),
                venue_ports: venue_ports.to_vec(),
                require_hardening,
            };
            let arguments = [OsString::from("__egress"), to_json(&spec)?.into()];
            start("egress", &arguments, inheritance, config.development)
        };
        let (front, egress) = (front()?, egress()?);
        let channel = Channel::new(supervisor_to_core)?;
        let ups = [front_is_up, egress_is_up].into_iter().chain(exporter_is_up);
        Ok(Self { front, core, egress, exporter, channel, ups: Ups::new(ups) })
    }

    /// Process ids.
    pub fn pids(&self) -> Pids {
        Pids {
            front: self.front.child.id(),
            core: self.core.child.id(),
            egress: self.egress.child.id(),
            exporter: self.exporter.as_ref().and_then(Exporter::pid),
        }
    }

    /// What to wait on until all are up.
    pub fn up_fds(&self) -> impl Iterator<Item = &UnixStream> {
        self.ups.fds()
    }

    /// How front, egress and exporter are confined, once all are up, and again when another exporter is.
    /// Without an exporter that died before, and never if one of the others did.
    pub fn come_up(&mut self) -> Option<Vec<ProcessHardening>> {
        self.ups.come_up()
    }

    /// Looks whether a child has ended, without waiting.
    pub fn reap(&mut self) {
        for process in self.all_mut() {
            process.reap();
        }
        if let Some(exporter) = &mut self.exporter {
            exporter.reap(Instant::now());
        }
    }

    /// When an exporter is to be started in the place of one that has died.
    pub fn exporter_due(&self) -> Option<Instant> {
        self.exporter.as_ref().and_then(Exporter::due)
    }

    /// Starts it, if it is time.
    pub fn revive_exporter(&mut self, now: Instant) {
        let up = self.exporter.as_mut().and_then(|exporter| exporter.revive(now));
        self.ups.await_also(up);
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

    /// Kills what still runs and waits for its end, for a while.
    pub fn kill(&mut self) {
        kill(&mut self.all_mut());
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
        kill(&mut [self]);
    }
}

fn kill(processes: &mut [&mut Process]) {
    let until = Instant::now() + KILLED;
    let is_awaited = |process: &&mut Process| process.status.is_none() && !process.is_killed;
    let mut awaited: Vec<&mut &mut Process> =
        processes.iter_mut().filter(|process| is_awaited(process)).collect();
    for process in &mut awaited {
        // Fails only for one that has ended already.
        let _ = process.child.kill();
        process.is_killed = true;
    }
    loop {
        for process in &mut awaited {
            process.reap();
        }
        if awaited.iter().all(|process| process.status.is_some()) || Instant::now() >= until {
            return;
        }
        sleep(Duration::from_millis(2));
    }
}

impl Process {
    pub(super) fn new(name: &'static str, child: Child) -> Self {
        Self { name, child, status: None, is_killed: false }
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.status.is_some()
    }

    /// It has ended, and not in order.
    pub(super) fn has_failed(&self) -> bool {
        self.status.is_some_and(|status| !status.success())
    }

    pub(super) fn reap(&mut self) {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
        }
    }

    pub(super) fn describe(&self) -> String {
        let Some(status) = self.status else { return format!("the {} still runs", self.name) };
        match (status.signal(), status.code()) {
            (Some(SIGSYS), _) => format!(
                "the {} was killed by signal {SIGSYS} (SIGSYS): it made a system call that its \
                 sandbox takes for an attack; docs/reference/sandbox.md says what to do",
                self.name
            ),
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

pub(super) fn to_json(spec: &impl serde::Serialize) -> io::Result<String> {
    serde_json::to_string(spec).map_err(io::Error::other)
}

pub(super) fn start(
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
    // SAFETY: `ignore_signals` makes system calls only, and so does what keeps the descriptors open: a
    // thread of an alarm's call may have locked anything else.
    unsafe { command.pre_exec(ignore_signals) };
    let child = command.spawn()?;
    Ok(Process::new(name, child))
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
        let mut process = Process::new("core", child);
        process.status = Some(ExitStatus::from_raw(status));
        process.describe()
    }

    #[test]
    fn says_in_plain_words_how_a_child_ended() {
        assert_eq!(ended(9), "the core was killed by signal 9 (SIGKILL)");
        assert_eq!(ended(1 << 8), "the core ended with exit status 1");
        let refused = ended(31);
        assert!(
            refused.starts_with("the core was killed by signal 31 (SIGSYS): it made a system call")
        );
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
