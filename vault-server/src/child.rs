//! The far side of a re-exec: what the supervisor started, before front, core or egress takes over.
//!
//! A child gets everything by arguments and inherited descriptors; neither holds a secret. It opens
//! what it needs, closes the border behind itself (`vault_sandbox`), and only then reads what others
//! wrote.

use std::fmt;
use std::fs::File;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use command_fds::inherited::{InheritedFdError, init_inherited_fds, take_fd_ownership};
use ipnet::IpNet;
use prost::Message as _;
use rustix::process::{Resource, Rlimit, Signal};
use serde::{Deserialize, Serialize};
use vault_core::{CoreConfig, DataDir, GeoipFile};
use vault_egress::{Egress, EgressConfig};
use vault_front::{FrontConfig, Limits, ListenerConfig};
use vault_ipc::Listener;
use vault_ipc::proto::v1::ProcessHardening;
use vault_sandbox::{Border, ConfineError, Process, Report};

use crate::awake;
use crate::config::{ConfigError, LogOutput, Ports};
use crate::memory;
use crate::settings::Settings;
use crate::telemetry;

/// What the front is told.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FrontSpec {
    /// Process id of the supervisor.
    pub supervisor: u32,
    /// Descriptor of the channel to the core.
    pub core_fd: RawFd,
    /// Descriptor of the channel from the egress.
    pub egress_fd: RawFd,
    /// Descriptor on which it says that it is up, and how it is confined.
    pub up_fd: RawFd,
    /// Listening sockets.
    pub listeners: Vec<ListenerSpec>,
    /// Descriptor of the socket where figures are asked for, if anywhere.
    pub metrics_fd: Option<RawFd>,
    /// Which calls are traced, if any.
    pub tracing: Option<TracingSpec>,
    /// End rather than run with less than everything that confines it.
    pub require_hardening: bool,
    /// Form of log lines.
    pub log: LogOutput,
}

/// One listening socket.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerSpec {
    /// [`Listener`] as a number.
    pub kind: i32,
    /// Its descriptor.
    pub fd: RawFd,
    /// Balancers; empty for direct connections.
    pub proxied_from: Vec<IpNet>,
}

/// Which calls the front traces.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TracingSpec {
    /// Descriptors of the channels to exporters, of each that there may be one after the other.
    pub exporter_fds: Vec<RawFd>,
    /// Of all calls, from 0 to 1.
    pub sample: f64,
    /// Calls in a second.
    pub max_per_second: u32,
    /// Those that take longer are traced too.
    pub slow_ms: Option<u32>,
    /// Whether the traces of bots are continued.
    pub from_bots: bool,
}

/// What the exporter is told.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ExporterSpec {
    /// Process id of the supervisor.
    pub supervisor: u32,
    /// Descriptor of the channel from the front.
    pub front_fd: RawFd,
    /// Descriptor on which it says that it is up, and how it is confined.
    pub up_fd: RawFd,
    /// Where the collector is.
    pub collector: SocketAddr,
    /// Path of its traces.
    pub path: String,
    /// Which vault this is.
    pub instance: String,
    /// End rather than run with less than everything that confines it.
    pub require_hardening: bool,
    /// Form of log lines.
    pub log: LogOutput,
}

/// What the egress is told. The rest is in the settings.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EgressSpec {
    /// Process id of the supervisor.
    pub supervisor: u32,
    /// Descriptor of the channel to the core.
    pub core_fd: RawFd,
    /// Descriptor of the channel to the front.
    pub front_fd: RawFd,
    /// Descriptor on which it says that it is up, and how it is confined.
    pub up_fd: RawFd,
    /// Descriptor of the [`Settings`].
    pub settings_fd: RawFd,
    /// TCP ports at which venues are.
    pub venue_ports: Vec<u16>,
    /// End rather than run with less than everything that confines it.
    pub require_hardening: bool,
}

/// What the core is told. The rest is in the settings.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CoreSpec {
    /// Process id of the supervisor.
    pub supervisor: u32,
    /// Descriptor of the channel to the egress.
    pub egress_fd: RawFd,
    /// Descriptor of the channel to the front.
    pub front_fd: RawFd,
    /// Descriptor of the channel to the supervisor.
    pub supervisor_fd: RawFd,
    /// Descriptor of the [`Settings`].
    pub settings_fd: RawFd,
    /// The database of countries, if there is one.
    pub geoip: Option<GeoipSpec>,
    /// Ports that the listeners really have.
    pub ports: Ports,
    /// Stay sealed until a person unseals.
    pub stay_sealed: bool,
    /// End rather than run with less than everything that confines it.
    pub require_hardening: bool,
}

/// A database of countries that is open.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct GeoipSpec {
    /// Its descriptor.
    pub fd: RawFd,
    /// Where it was, for messages.
    pub file: String,
}

/// Why a child ends otherwise than in order.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// The configuration is not what the supervisor read.
    #[error("the configuration is not valid")]
    Config(#[from] ConfigError),
    /// The system refuses what every Linux grants.
    #[error("the process cannot be confined")]
    Confine(#[from] ConfineError),
    /// From the core itself.
    #[error(transparent)]
    Core(#[from] vault_core::CoreError),
    /// From the egress itself.
    #[error(transparent)]
    Egress(#[from] vault_egress::EgressError),
    /// From the exporter itself.
    #[error(transparent)]
    Exporter(#[from] vault_exporter::ExporterError),
    /// From the front itself.
    #[error(transparent)]
    Front(#[from] vault_front::FrontError),
    /// Something that confines the process is not there, and is required.
    #[error("hardening is required, and the {} has no {}", .process, .absent.join(", no "))]
    Hardening {
        /// Which process.
        process: Process,
        /// What is not there.
        absent: Vec<&'static str>,
    },
    /// A descriptor is not there.
    #[error("a descriptor was not inherited")]
    Inherit(#[from] InheritedFdError),
    /// A listener of no kind.
    #[error("a listener has no kind")]
    ListenerKind,
    /// The system refuses what ties this process to the supervisor.
    #[error("the process cannot be set up")]
    Setup(#[source] std::io::Error),
    /// Not started by a supervisor.
    #[error("this command is the supervisor's own")]
    Spec,
}

/// Keeps the processors awake until the supervisor ends. It has no channel, and no descriptor but
/// stderr.
///
/// # Errors
///
/// [`ChildError`].
pub fn awake(spec: &str) -> Result<(), ChildError> {
    let supervisor = spec.parse().map_err(|_| ChildError::Spec)?;
    begin(supervisor, c"vault-awake")?;
    match awake::keep_awake() {
        Ok(never) => match never {},
        Err(error) => Err(ChildError::Setup(error)),
    }
}

/// Runs the front until its channel ends.
///
/// # Errors
///
/// [`ChildError`].
pub fn front(spec: &str) -> Result<(), ChildError> {
    let spec: FrontSpec = serde_json::from_str(spec).map_err(|_| ChildError::Spec)?;
    begin(spec.supervisor, c"vault-front")?;
    telemetry::init(spec.log);
    let up = stream(spec.up_fd)?;
    let listener = |listener: ListenerSpec| {
        Ok::<_, ChildError>(ListenerConfig {
            kind: Listener::try_from(listener.kind).map_err(|_| ChildError::ListenerKind)?,
            socket: TcpListener::from(take_fd_ownership(listener.fd)?),
            proxied_from: listener.proxied_from,
        })
    };
    let config = FrontConfig {
        core: stream(spec.core_fd)?,
        egress: stream(spec.egress_fd)?,
        listeners: spec.listeners.into_iter().map(listener).collect::<Result<_, _>>()?,
        limits: Limits::default(),
        metrics: spec.metrics_fd.map(take_fd_ownership).transpose()?.map(TcpListener::from),
        tracing: spec.tracing.map(tracing_of).transpose()?,
    };
    let report = enter(&Border::Front, spec.require_hardening)?;
    say_up(up, &hardening(&report))?;
    Ok(vault_front::run(config)?)
}

fn tracing_of(spec: TracingSpec) -> Result<vault_front::Tracing, ChildError> {
    Ok(vault_front::Tracing {
        exporters: spec.exporter_fds.into_iter().map(stream).collect::<Result<_, _>>()?,
        sample: spec.sample,
        max_per_second: spec.max_per_second,
        slow: spec.slow_ms.map(|ms| Duration::from_millis(ms.into())),
        from_bots: spec.from_bots,
    })
}

/// Runs the exporter until its channel ends.
///
/// # Errors
///
/// [`ChildError`].
pub fn exporter(spec: &str) -> Result<(), ChildError> {
    let spec: ExporterSpec = serde_json::from_str(spec).map_err(|_| ChildError::Spec)?;
    begin(spec.supervisor, c"vault-exporter")?;
    telemetry::init(spec.log);
    let up = stream(spec.up_fd)?;
    let config = vault_exporter::ExporterConfig {
        front: stream(spec.front_fd)?,
        collector: spec.collector,
        path: spec.path,
        instance: spec.instance,
    };
    let border = Border::Exporter { port: spec.collector.port() };
    let report = enter(&border, spec.require_hardening)?;
    say_up(up, &hardening(&report))?;
    Ok(vault_exporter::run(config)?)
}

/// Runs the egress until its channel to the core ends.
///
/// # Errors
///
/// [`ChildError`].
pub fn egress(spec: &str) -> Result<(), ChildError> {
    let spec: EgressSpec = serde_json::from_str(spec).map_err(|_| ChildError::Spec)?;
    begin(spec.supervisor, c"vault-egress")?;
    let settings = settings(spec.settings_fd)?;
    let config = &settings.config;
    telemetry::init(config.log);
    let up = stream(spec.up_fd)?;
    let overrides = settings.overrides();
    let elsewhere = overrides.iter().map(|instead| instead.connect.port());
    let ports: Vec<u16> = spec.venue_ports.into_iter().chain(elsewhere).chain([DNS]).collect();
    let egress = Egress::new(EgressConfig {
        core: stream(spec.core_fd)?,
        front: stream(spec.front_fd)?,
        limits: config.egress.limits(),
        roots_pem: settings.roots_pem(),
        sources: config.egress.sources(),
        overrides,
    })?;
    let chooses_source = !config.egress.source.is_empty();
    let report = enter(&Border::Egress { ports: &ports, chooses_source }, spec.require_hardening)?;
    say_up(up, &hardening(&report))?;
    Ok(egress.run()?)
}

/// Where resolvers are asked what does not fit a datagram.
const DNS: u16 = 53;

/// Runs the core until it is shut down or sealed.
///
/// # Errors
///
/// [`ChildError`].
pub fn core(data: &Path, spec: &str) -> Result<(), ChildError> {
    let spec: CoreSpec = serde_json::from_str(spec).map_err(|_| ChildError::Spec)?;
    begin(spec.supervisor, c"vault-core")?;
    let secret_memory = vault_arena::init(ARENA_BYTES);
    let settings = settings(spec.settings_fd)?;
    let config = &settings.config;
    telemetry::init(config.log);
    let geoip = |geoip: GeoipSpec| {
        let file = File::from(take_fd_ownership(geoip.fd)?);
        Ok::<_, ChildError>(GeoipFile::new(geoip.file, file))
    };
    let geoip = spec.geoip.map(geoip).transpose()?;
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let mut core_config = CoreConfig {
        data: DataDir::new(data),
        build: build(),
        development: config.development,
        clock_offset_s: config.clock_offset_s(),
        server_names: config.server_names(),
        public: config.public_addresses(spec.ports),
        segment_bytes: *config.audit.segment_bytes.get_ref(),
        snapshot_every: config.audit.snapshot_every,
        verify_at_start: config.audit.verify_at_start,
        disk_free_min_bytes: config.audit.disk_free_min_bytes,
        egress_timeout_ms: *config.egress.timeout_ms.get_ref(),
        credential_check_every_h: *config.credential_check.every_h.get_ref(),
        requests: config.limits.requests(),
        catalog_additions: settings.catalog_additions(),
        geoip,
        unseal_key_file: config.unseal_key_file(credentials.as_deref())?,
        hardening: ProcessHardening::default(),
        stay_sealed: spec.stay_sealed,
        writes_itself: config.latency.writes_itself(),
        give_back: memory::give_back,
    };
    let (front, supervisor) = (stream(spec.front_fd)?, stream(spec.supervisor_fd)?);
    let egress = stream(spec.egress_fd)?;
    let memory_locked = vault_arena::lock_memory();
    let report = {
        let own = core_config.unseal_key_file.as_deref().into_iter();
        let readable: Vec<&Path> = own.chain(SYSTEM.map(Path::new)).collect();
        enter(&Border::Core { data, readable: &readable }, spec.require_hardening)?
    };
    core_config.hardening = ProcessHardening {
        secret_memory: secret_memory.as_str().to_owned(),
        memory_locked,
        ..hardening(&report)
    };
    Ok(vault_core::run(core_config, front, supervisor, egress)?)
}

/// Which boot this is, and what SQLite takes its random numbers from.
const SYSTEM: [&str; 2] = ["/proc/sys/kernel/random/boot_id", "/dev/urandom"];
/// Secrets that are open at one time take far less.
const ARENA_BYTES: usize = 2 << 20;

/// Text that names the build: the version and, if the build was told, the commit.
pub fn build() -> String {
    let version = env!("CARGO_PKG_VERSION");
    match option_env!("COUNTERSIGN_COMMIT") {
        Some(commit) => format!("vault-server {version} {commit}"),
        None => format!("vault-server {version}"),
    }
}

/// An error with its causes, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    struct Chain<'a>(&'a dyn std::error::Error);
    impl fmt::Display for Chain<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let mut said = self.0.to_string();
            f.write_str(&said)?;
            let mut cause = self.0.source();
            while let Some(error) = cause {
                let text = error.to_string();
                // Transparent errors, and those that quote their cause, would say it twice.
                if !said.ends_with(&text) {
                    write!(f, ": {text}")?;
                }
                said = text;
                cause = error.source();
            }
            Ok(())
        }
    }
    Chain(error).to_string()
}

/// What the supervisor read: `config.toml` may be another one by now, and nobody knows whose.
fn settings(fd: RawFd) -> Result<Settings, ChildError> {
    Ok(Settings::inherit(&File::from(take_fd_ownership(fd)?))?)
}

fn stream(fd: RawFd) -> Result<UnixStream, InheritedFdError> {
    take_fd_ownership(fd).map(UnixStream::from)
}

/// Takes from the process what it never needs, and ties it to the supervisor's life.
fn begin(supervisor: u32, name: &std::ffi::CStr) -> Result<(), ChildError> {
    // SAFETY: nothing in this process has opened or taken a descriptor yet: the command line was
    // parsed, and that is all.
    unsafe { init_inherited_fds() }.map_err(ChildError::Setup)?;
    let setup = |error: rustix::io::Errno| ChildError::Setup(error.into());

    vault_sandbox::confine()?;
    // After the capabilities: a change of those may take it back.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(setup)?;
    // If the supervisor died before that line, no signal will come.
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
    if parent.and_then(|pid| u32::try_from(pid).ok()) != Some(supervisor) {
        return Err(ChildError::Spec);
    }
    // Thousands of connections need thousands of descriptors: all that the machine grants.
    let files = rustix::process::getrlimit(Resource::Nofile);
    let all = Rlimit { current: files.maximum, ..files };
    rustix::process::setrlimit(Resource::Nofile, all).map_err(setup)?;
    rustix::thread::set_name(name).map_err(setup)
}

/// Closes the border behind this process; what is not there may be fatal.
fn enter(border: &Border<'_>, is_required: bool) -> Result<Report, ChildError> {
    let report = vault_sandbox::enter(border);
    let absent = report.absent();
    if is_required && !absent.is_empty() {
        return Err(ChildError::Hardening { process: report.process, absent });
    }
    Ok(report)
}

/// A report as the status has it.
pub fn hardening(report: &Report) -> ProcessHardening {
    let Report { process, dumps_off, no_new_privileges, no_capabilities, seccomp, landlock_abi } =
        *report;
    ProcessHardening {
        process: process.as_str().to_owned(),
        dumps_off,
        no_new_privileges,
        no_capabilities,
        seccomp,
        landlock_abi,
        secret_memory: String::new(),
        memory_locked: false,
    }
}

/// Tells the supervisor that this process is up, and how it is confined.
fn say_up(mut up: UnixStream, hardening: &ProcessHardening) -> Result<(), ChildError> {
    up.write_all(&hardening.encode_to_vec()).map_err(ChildError::Setup)
}

/// Descriptors that a child is to inherit, with their numbers there.
#[derive(Debug, Default)]
pub struct Inheritance(Vec<OwnedFd>);

impl Inheritance {
    /// Adds one and says its number.
    pub fn add(&mut self, fd: impl Into<OwnedFd>) -> RawFd {
        use std::os::fd::AsRawFd as _;
        let fd = fd.into();
        let number = fd.as_raw_fd();
        self.0.push(fd);
        number
    }

    /// All of them.
    pub fn into_fds(self) -> Vec<OwnedFd> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::{ChildError, chain, core, egress, front};

    #[test]
    fn nobody_but_a_supervisor_starts_a_child() {
        assert!(matches!(front("{}"), Err(ChildError::Spec)));
        let other = r#"{"supervisor":1,"front_fd":3,"supervisor_fd":4}"#;
        assert!(matches!(core("/nowhere".as_ref(), other), Err(ChildError::Spec)));
        assert!(matches!(egress(other), Err(ChildError::Spec)));
    }

    #[test]
    fn a_chain_says_nothing_twice() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer: {0}")]
        struct Quoting(#[source] std::num::ParseIntError);
        #[derive(Debug, thiserror::Error)]
        #[error("top")]
        struct Plain(#[source] Quoting);

        let inner = "".parse::<u8>().expect_err("empty");
        assert_eq!(chain(&Plain(Quoting(inner.clone()))), format!("top: outer: {inner}"));
    }
}
