//! `vault-server run`: binds the listeners, starts front, core and egress, and sees to it that all
//! live or none does.
//!
//! The supervisor parses nothing that strangers send and holds no key. It owns the local socket and
//! relays its calls. One thread, one loop. Processes are started by fork and exec: between the two only
//! system calls are made, since a thread of an alarm's call ([`crate::alarm`]) may hold any lock. It
//! confines itself before that, and its children with it.

mod channel;
mod children;
mod error;
mod exporter;
pub mod listener;
mod notify;
mod pulse;
mod relay;
mod up;

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use prost::Message as _;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::FlockOperation;
use serde_json::json;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use vault_core::DataDir;
use vault_ipc::metric::Usage;
use vault_ipc::proto::v1::{ProcessHardening, SealState, StatusResponse};
use vault_ipc::{
    Frame, FrameError, Hardening, Kind, Listener, LocalCall, LocalOperation, Reply, Restart, State,
};
use vault_sandbox::Border;

use self::children::{Awake, Children, Pids, Plan};
pub use self::error::RunError;
use self::error::setup;
use self::listener::Listeners;
use self::notify::Notifier;
use self::pulse::Pulse;
use self::relay::Relay;
use crate::alarm::Alarm;
use crate::child;
use crate::config;
use crate::memory;
use crate::settings::{Geoip, Settings};
use crate::telemetry;

/// How long the children may take to end in order.
const STOP: Duration = Duration::from_secs(10);
/// Correlation of the supervisor's own question after a start. The relay's begin above it.
const OWN: u64 = 1;
/// Frames taken from the core in one turn: as many of the longest do not exhaust the memory.
const FRAMES_MAX: usize = 64;
/// How long a core may take to come up before somebody should hear of it: it reads the log first.
const START: Duration = Duration::from_secs(120);

/// What comes after the children have ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Then {
    Exit,
    Restart { stay_sealed: bool },
}

/// Keeps what whoever starts the vault has open from its processes: no sandbox takes away what is open
/// already. On a kernel before 5.11 it stays as it is.
fn keep_to_ourselves() {
    let flags = libc::CLOSE_RANGE_CLOEXEC as libc::c_int;
    // SAFETY: the call changes flags of descriptors and closes none; those that processes are to have
    // are told so when they are started.
    let _ = unsafe { libc::close_range(3, libc::c_uint::MAX, flags) };
}

/// Where the processes are in their life.
#[derive(Clone, Copy, Debug)]
enum Phase {
    Running,
    Stopping { until: Instant, then: Then },
}

/// What the command line says about a run.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// Stay sealed until a person unseals.
    pub stay_sealed: bool,
    /// Do not run with less than everything that confines the processes; also if only the
    /// configuration says so.
    pub require_hardening: bool,
    /// A program that is told what cannot wait.
    pub alarm: Option<&'a Path>,
}

/// Runs a vault until it is told to stop by SIGTERM, SIGINT or SIGHUP.
///
/// Prints one line of JSON on stdout when it is ready, and one more after every restart.
///
/// # Errors
///
/// [`RunError`]; no process of the vault is left then.
pub fn run(data: &Path, wish: Wish<'_>) -> Result<(), RunError> {
    keep_to_ourselves();
    let data = std::path::absolute(data).map_err(setup("find the data directory"))?;
    let _lock = claim(&data)?;
    let settings = Settings::read(&data)?;
    let config = &settings.config;
    // Here a mistake is said before anything is started.
    let venue_ports = vault_core::venue_ports(&settings.catalog_additions())?;
    let venue_ports: Vec<u16> = venue_ports.into_iter().collect();
    let geoip = settings.geoip(&data)?;
    if let Some(geoip) = &geoip {
        let database = geoip.file().map_err(setup("open the database of countries"))?;
        vault_core::check_geoip(&database)?;
    }
    let name = config.server_names().into_iter().next().unwrap_or_default();
    let alarm = wish.alarm.map(|program| Alarm::new(program, &data, name, Instant::now()));
    let alarm = alarm.transpose()?;
    let sealed_settings = settings.sealed().map_err(setup("keep the configuration in memory"))?;
    telemetry::init(config.log);
    let require_hardening = wish.require_hardening || config.hardening.require;
    if require_hardening {
        check_system()?;
    }

    let listeners = Listeners::bind(&config.listen, &config.metrics)?;
    let socket = DataDir::new(&data).socket();
    let local = listener::bind_local(&socket).map_err(setup("make the local socket"))?;
    let _unlink = Unlink(socket.clone());
    let owner = rustix::process::geteuid().as_raw();
    let relay = Relay::new(local, owner).map_err(setup("listen on the local socket"))?;
    let signals = Signals::register().map_err(setup("take signals"))?;
    let notifier = Notifier::connect().map_err(setup("reach the service manager"))?;
    let pulse = Pulse::new(notifier.watchdog(), Instant::now());

    // The listeners may have needed a privilege; nothing after them does.
    vault_sandbox::confine()?;
    let report = vault_sandbox::enter(&Border::Supervisor);
    if require_hardening && !report.absent().is_empty() {
        return Err(RunError::Hardening(report.absent()));
    }
    let awake = config.latency.keep_awake.then(Awake::spawn).transpose();
    let awake = awake.map_err(setup("start what keeps the processors awake"))?;
    let plan = Plan {
        data: &data,
        config,
        settings: sealed_settings.as_fd(),
        geoip: geoip.as_ref(),
        listeners: &listeners,
        venue_ports: &venue_ports,
        require_hardening,
        stay_sealed: wish.stay_sealed,
    };
    let children = Children::spawn(plan).map_err(setup("start the processes"))?;
    let mut supervisor = Supervisor {
        _awake: awake,
        alarm,
        children,
        data,
        geoip,
        hardening: child::hardening(&report),
        is_up: false,
        listeners,
        notifier,
        phase: Phase::Running,
        pulse,
        relay,
        require_hardening,
        restarted: false,
        sealed_settings,
        settings,
        signals,
        socket,
        started_at: Instant::now(),
        up: None,
        venue_ports,
    };
    let watched = supervisor.watch();
    watched.map_err(|error| supervisor.end(error))
}

struct Supervisor {
    _awake: Option<Awake>,
    alarm: Option<Alarm>,
    children: Children,
    data: PathBuf,
    geoip: Option<Geoip>,
    /// How the supervisor itself is confined.
    hardening: ProcessHardening,
    /// All children have said so since they were started.
    is_up: bool,
    listeners: Listeners,
    notifier: Notifier,
    phase: Phase,
    pulse: Pulse,
    relay: Relay,
    require_hardening: bool,
    restarted: bool,
    /// For the children.
    sealed_settings: OwnedFd,
    settings: Settings,
    signals: Signals,
    socket: PathBuf,
    /// When the children were.
    started_at: Instant,
    /// The core's first answer to our own question, until it is told on.
    up: Option<StatusResponse>,
    venue_ports: Vec<u16>,
}

impl Supervisor {
    fn watch(&mut self) -> Result<(), RunError> {
        loop {
            self.wait().map_err(setup("wait"))?;
            let is_told = self.signals.take().map_err(setup("take signals"))?;
            // Reaped before the channel is read: what a process said before it ended is then there
            // to be read, and a Restart is never mistaken for a death.
            self.children.reap();
            for frame in self.children.channel.receive(FRAMES_MAX, usize::MAX)? {
                self.take(&frame)?;
            }
            if let Some(reports) = self.children.come_up() {
                self.tell_hardening(reports)?;
                self.tell_usage()?;
                self.ask_status()?;
            }
            if let Some(status) = self.up.take() {
                self.announce(&status);
            }
            let now = Instant::now();
            // Whoever is told that a process has died, and stops the rest for it, stops nothing in order.
            if is_told && !(self.is_running() && self.children.has_lost_one()) {
                self.stop(now)?;
            }
            if self.pulse.is_due(now) {
                self.beat()?;
            }
            self.mind_alarm(now)?;
            if let Phase::Running = self.phase {
                self.relay.serve(&mut self.children.channel, now);
                self.children.revive_exporter(now);
            }
            self.relay.flush();
            // A core that is gone shows by its end, which is judged below.
            let _ = self.children.channel.flush();

            match self.phase {
                Phase::Running => {
                    if self.children.has_lost_one() || self.children.channel.has_ended() {
                        return Err(RunError::ChildDied(self.children.collapse()));
                    }
                }
                Phase::Stopping { until, then } => {
                    if self.children.are_gone() {
                        if let Some(words) = self.children.failure() {
                            return Err(RunError::ChildDied(words));
                        }
                        match then {
                            Then::Exit => return Ok(()),
                            Then::Restart { stay_sealed } => self.restart(stay_sealed)?,
                        }
                    } else if now >= until {
                        self.children.kill();
                        return Err(RunError::StopTimeout);
                    }
                }
            }
        }
    }

    /// Sleeps until something happens or is due.
    fn wait(&self) -> io::Result<()> {
        let channel = &self.children.channel;
        let mut fds = vec![PollFd::new(&self.signals.pipe, PollFlags::IN)];
        fds.extend(self.children.up_fds().map(|up| PollFd::new(up, PollFlags::IN)));
        fds.extend(self.alarm.iter().map(|alarm| PollFd::new(alarm.woken(), PollFlags::IN)));
        // A stream that has ended is readable for ever.
        if !channel.has_ended() {
            let writing = if channel.is_writing() { PollFlags::OUT } else { PollFlags::empty() };
            let flags = PollFlags::IN | writing;
            fds.push(PollFd::from_borrowed_fd(channel.stream().as_fd(), flags));
        }
        let deadline = match self.phase {
            Phase::Running => {
                fds.extend(self.relay.poll_fds());
                self.relay.deadline().into_iter().chain(self.children.exporter_due()).min()
            }
            Phase::Stopping { until, .. } => Some(until),
        };
        let alarm = self.alarm.as_ref().map(Alarm::deadline);
        let deadline = deadline.into_iter().chain([self.pulse.deadline()]).chain(alarm).min();
        let timeout = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        match rustix::event::poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn take(&mut self, frame: &Frame) -> Result<(), RunError> {
        match frame.kind {
            Kind::Reply if frame.correlation == OWN => {
                let reply: Reply = frame.message()?;
                let status = StatusResponse::decode(reply.response.as_slice());
                let status = status.map_err(|_| FrameError::Body)?;
                if self.is_up {
                    self.pulse.answered();
                    self.notifier.alive(state_word(status.state()));
                } else {
                    self.up = Some(status);
                }
                Ok(())
            }
            Kind::Reply => {
                self.relay.reply(frame);
                Ok(())
            }
            Kind::Metrics => {
                let alarm = self.alarm.as_mut().ok_or(FrameError::Header)?;
                alarm.take(&frame.message()?);
                Ok(())
            }
            Kind::Restart => {
                let Restart { stay_sealed } = frame.message()?;
                // Told to stop already: there is nothing to start anew.
                if let Phase::Running = self.phase {
                    let then = Then::Restart { stay_sealed };
                    self.phase = Phase::Stopping { until: Instant::now() + STOP, then };
                }
                Ok(())
            }
            _ => Err(FrameError::Header.into()),
        }
    }

    fn stop(&mut self, now: Instant) -> Result<(), RunError> {
        match &mut self.phase {
            Phase::Running => {
                tracing::info!("stopping");
                self.tell_changes();
                self.notifier.stopping();
                self.children.channel.send(Kind::Shutdown, 0, &State::default())?;
                self.phase = Phase::Stopping { until: now + STOP, then: Then::Exit };
            }
            Phase::Stopping { then, .. } => *then = Then::Exit,
        }
        Ok(())
    }

    fn restart(&mut self, stay_sealed: bool) -> Result<(), RunError> {
        self.relay.abandon();
        self.relay.flush();
        self.tell_changes();
        let plan = Plan {
            data: &self.data,
            config: &self.settings.config,
            settings: self.sealed_settings.as_fd(),
            geoip: self.geoip.as_ref(),
            listeners: &self.listeners,
            venue_ports: &self.venue_ports,
            require_hardening: self.require_hardening,
            stay_sealed,
        };
        self.children = Children::spawn(plan).map_err(setup("start the processes"))?;
        self.phase = Phase::Running;
        self.pulse.answered();
        self.restarted = true;
        self.started_at = Instant::now();
        self.is_up = false;
        self.up = None;
        Ok(())
    }

    /// Says which files of the configuration are others than those that the vault runs by. People change
    /// them for the next start; so could code in the core.
    fn tell_changes(&self) {
        for source in self.settings.changed() {
            let file = source.path.display();
            tracing::warn!(%file, "changed since the vault was started, and obeyed from the next start on");
        }
    }

    /// Tells the core how the others are confined, for its status.
    fn tell_hardening(&mut self, mut processes: Vec<ProcessHardening>) -> Result<(), RunError> {
        processes.push(self.hardening.clone());
        processes.sort_by(|one, other| one.process.cmp(&other.process));
        let hardening = Hardening { processes };
        Ok(self.children.channel.send(Kind::Hardening, OWN, &hardening)?)
    }

    /// Asks the core how it is: the answer shows that it is up.
    fn ask_status(&mut self) -> Result<(), RunError> {
        let call = LocalCall {
            operation: LocalOperation::Status.into(),
            body: Vec::new(),
            uid: rustix::process::geteuid().as_raw(),
        };
        Ok(self.children.channel.send(Kind::Local, OWN, &call)?)
    }

    /// Sees to it that the service manager hears that the vault lives: from a core that is up, once
    /// it has answered. One that starts or ends cannot; an end has a limit of its own. A core that owes
    /// too many answers is given up before the service manager gives up the vault.
    fn beat(&mut self) -> Result<(), RunError> {
        match self.phase {
            Phase::Running if self.is_up => {
                self.pulse.ask().map_err(RunError::CoreSilent)?;
                self.ask_status()?;
                self.tell_usage()?;
            }
            Phase::Running => self.notifier.alive("starting"),
            Phase::Stopping { .. } => self.notifier.alive("stopping"),
        }
        Ok(())
    }

    /// Asks for what the alarm looks at, and goes on with its calls.
    fn mind_alarm(&mut self, now: Instant) -> Result<(), RunError> {
        let Some(alarm) = &mut self.alarm else { return Ok(()) };
        match self.phase {
            Phase::Running if self.is_up => {
                if alarm.is_look_due(now) {
                    self.children.channel.send(Kind::MetricsCall, OWN, &State::default())?;
                }
            }
            Phase::Running => alarm.await_core(now, self.started_at + START),
            Phase::Stopping { .. } => alarm.pause(now),
        }
        alarm.work(now);
        Ok(())
    }

    /// Tells the core what the supervisor has used, for whoever asks for figures.
    fn tell_usage(&mut self) -> Result<(), RunError> {
        Ok(self.children.channel.send(Kind::Usage, OWN, &Usage::of_this_process())?)
    }

    fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running)
    }

    /// Ends what is left of a vault that cannot go on, and says so.
    fn end(&mut self, error: RunError) -> RunError {
        // It may take longer than a watchdog waits, and there is another limit for an end.
        self.notifier.stopping();
        self.children.kill();
        // An end that was asked for obeys the file at the next start, however it goes: an edit of the
        // operator's own may wait for just that.
        let was_asked = matches!(self.phase, Phase::Stopping { then: Then::Exit, .. });
        let put_back = if was_asked { Ok(()) } else { self.settings.put_back(&self.data) };
        let error = match put_back {
            Ok(()) => error,
            Err(source) => RunError::Held { cause: Box::new(error), source },
        };
        if let Some(alarm) = &mut self.alarm {
            alarm.last_words(&error.to_string());
        }
        error
    }

    /// Tells the machine that started us that the vault is up, and where.
    fn announce(&mut self, status: &StatusResponse) {
        self.is_up = true;
        let text = |address: Option<SocketAddr>| address.map(|address| address.to_string());
        let Pids { front: pid_front, core: pid_core, egress: pid_egress, exporter: pid_exporter } =
            self.children.pids();
        let event = json!({
            "event": if self.restarted { "restarted" } else { "ready" },
            "state": state_word(status.state()),
            "bot": text(self.listeners.address(Listener::Bot)),
            "operator": text(self.listeners.address(Listener::Operator)),
            "enroll": text(self.listeners.address(Listener::Enroll)),
            "bot_proxied": text(self.listeners.proxied_address()),
            "metrics": text(self.listeners.metrics.as_ref().map(|(_, address)| *address)),
            "socket": self.socket,
            "pid": std::process::id(),
            "pid_front": pid_front,
            "pid_core": pid_core,
            "pid_egress": pid_egress,
            "pid_exporter": pid_exporter,
        });
        let mut out = io::stdout().lock();
        // Nobody need listen.
        let _ = writeln!(out, "{event}").and_then(|()| out.flush());
        let (state, development) = (state_word(status.state()), status.development);
        tracing::info!(state, development, pid_front, pid_core, pid_egress, "vault is up");
        self.notifier.ready(state);
        if !status.reason.is_empty() {
            tracing::warn!(reason = status.reason, "vault refuses to unseal");
        }
        // Most of it was taken to read the catalogues.
        memory::give_back();
    }
}

/// A seal state in one word.
pub fn state_word(state: SealState) -> &'static str {
    match state {
        SealState::Unspecified => "",
        SealState::Sealed => "sealed",
        SealState::Unsealed => "unsealed",
        SealState::Refused => "refused",
    }
}

/// Checks that the data directory is ours alone, and claims it until the file is dropped.
fn claim(data: &Path) -> Result<File, RunError> {
    let folder = match File::open(data) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(RunError::DataMissing(data.to_owned()));
        }
        other => other.map_err(setup("open the data directory"))?,
    };
    let metadata = folder.metadata().map_err(setup("look at the data directory"))?;
    let config = data.join(config::FILE_NAME);
    match (config.symlink_metadata(), DataDir::new(data).database().exists()) {
        (Ok(_), _) if metadata.is_dir() => {}
        (Err(_), true) => return Err(RunError::ConfigMissing(config)),
        _ => return Err(RunError::DataMissing(data.to_owned())),
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(RunError::DataOwner(data.to_owned()));
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(RunError::DataMode(data.to_owned()));
    }
    match rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(folder),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(RunError::InUse(data.to_owned())),
        Err(error) => Err(setup("lock the data directory")(error)),
    }
}

/// Whether the kernel has what the children need, so that what is missing is said once and plainly.
fn check_system() -> Result<(), RunError> {
    let has = vault_sandbox::available();
    let wanted = [(has.seccomp, "seccomp"), (has.landlock_abi > 0, "Landlock")];
    let absent: Vec<_> =
        wanted.into_iter().filter_map(|(is_there, what)| (!is_there).then_some(what)).collect();
    if absent.is_empty() { Ok(()) } else { Err(RunError::Hardening(absent)) }
}

/// Removes the local socket at the end.
struct Unlink(PathBuf);

impl Drop for Unlink {
    fn drop(&mut self) {
        // If it cannot be removed, the next start does it.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Signals as bytes in a pipe, so that they can be waited for together with everything else.
struct Signals {
    pipe: UnixStream,
    told: Arc<AtomicBool>,
}

impl Signals {
    fn register() -> io::Result<Self> {
        let (pipe, write) = UnixStream::pair()?;
        pipe.set_nonblocking(true)?;
        write.set_nonblocking(true)?;
        let told = Arc::new(AtomicBool::new(false));
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            // Before the pipe: whoever reads the byte finds the flag set.
            signal_hook::flag::register(signal, Arc::clone(&told))?;
            signal_hook::low_level::pipe::register(signal, write.try_clone()?)?;
        }
        signal_hook::low_level::pipe::register(SIGCHLD, write)?;
        Ok(Self { pipe, told })
    }

    /// Empties the pipe; whether somebody told us to stop.
    fn take(&self) -> io::Result<bool> {
        let mut bytes = [0; 64];
        loop {
            match (&self.pipe).read(&mut bytes) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(self.told.swap(false, Ordering::Acquire))
    }
}
