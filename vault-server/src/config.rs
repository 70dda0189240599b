//! `config.toml` in the data directory: written by `init`, edited by people.
//!
//! Every key is optional and unknown keys are refused. An error names the file, the line and the
//! column. `docs/reference/configuration.md` explains each key.

mod address;
mod egress;
mod limit;
mod source;
mod template;
mod tracing;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use toml::Spanned;
use vault_core::PublicAddresses;

pub use self::address::{HostPort, ServerName};
pub use self::egress::Egress;
pub use self::limit::Limits;
pub use self::source::{Source, make_ours, take_away};
pub use self::template::NewConfig;
pub use self::tracing::{Collector, Tracing};

/// The file's name inside the data directory.
pub const FILE_NAME: &str = "config.toml";
/// Longest file read, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 10;
/// Hours between two checks of one credential, at most.
const CHECK_EVERY_H_MAX: u32 = 720;
/// Longest catalogue file read, in bytes.
const CATALOG_BYTES_MAX: u64 = 4 << 20;

/// The whole configuration.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Allows what only tests may do. Must fit the data directory.
    pub development: bool,
    /// The log.
    pub audit: Audit,
    /// What venues' requests are.
    pub catalog: Catalog,
    /// The clock; for tests.
    pub clock: Clock,
    /// How often venues are asked what keys may do.
    pub credential_check: CredentialCheck,
    /// How the vault speaks to venues.
    pub egress: Egress,
    /// In which country an address is.
    pub geoip: Geoip,
    /// What the system must have.
    pub hardening: Hardening,
    /// What is given for speed.
    pub latency: Latency,
    /// How much one client may ask for.
    pub limits: Limits,
    /// Where calls come in.
    pub listen: Listen,
    /// What is written to stderr.
    pub log: LogOutput,
    /// Where figures are asked for.
    pub metrics: Metrics,
    /// How the outside reaches the listeners.
    pub public: Public,
    /// Which calls are traced, and where that is told.
    pub tracing: Tracing,
    /// What opens the vault without a person.
    pub unseal: Unseal,
}

/// `[audit]`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Audit {
    /// Size of a new segment of the log, in bytes.
    pub segment_bytes: Spanned<u64>,
    /// Entries between two snapshots of what a start needs of the log; 0: every start reads all of it.
    pub snapshot_every: u64,
    /// Every start reads the whole log, whatever snapshot there is.
    pub verify_at_start: bool,
    /// Below this much free space Sign is refused. Bytes.
    pub disk_free_min_bytes: u64,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            segment_bytes: Spanned::new(0..0, vault_audit::SEGMENT_BYTES_DEFAULT),
            snapshot_every: 262_144,
            verify_at_start: false,
            disk_free_min_bytes: 512 << 20,
        }
    }
}

/// `[catalog]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Catalog {
    /// The operator's own catalogue files; relative ones lie in the data directory.
    pub additions: Vec<PathBuf>,
}

/// `[clock]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Clock {
    /// Added to the wall clock, in seconds; only with `development`.
    pub offset_s: Option<Spanned<i64>>,
}

/// `[credential_check]`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CredentialCheck {
    /// Hours between two checks of one credential; 0: never by itself.
    pub every_h: Spanned<u32>,
}

impl Default for CredentialCheck {
    fn default() -> Self {
        Self { every_h: Spanned::new(0..0, 24) }
    }
}

/// `[geoip]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Geoip {
    /// A database in the MaxMind DB format; a relative path lies in the data directory.
    pub database: Option<PathBuf>,
}

/// `[latency]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Latency {
    /// Whether a process of its own keeps all processors from sleeping.
    pub keep_awake: bool,
    /// Whether the log is written by a thread of its own. If it is not said, the processors decide.
    pub writer_thread: Option<bool>,
}

impl Latency {
    /// Whether the core's thread that decides writes the log, too.
    pub fn writes_itself(&self) -> bool {
        let has_few = || {
            available_parallelism().is_ok_and(|processors| processors <= PROCESSORS_WITHOUT_WRITER)
        };
        self.writer_thread.map_or_else(has_few, |has_own| !has_own)
    }
}

/// So many share client, front, core and kernel, and one more thread waits for its turn longer than its
/// work takes.
const PROCESSORS_WITHOUT_WRITER: NonZeroUsize = NonZeroUsize::new(2).expect("not zero");

/// `[hardening]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hardening {
    /// Do not run with less than everything that confines the processes.
    pub require: bool,
}

/// `[listen]`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// Clients, mutual TLS.
    pub bot: SocketAddr,
    /// Clients behind a balancer that sends PROXY v2.
    pub bot_proxied: Option<Spanned<SocketAddr>>,
    /// Enrolment; TLS that authenticates the server only.
    pub enroll: SocketAddr,
    /// Operators, mutual TLS.
    pub operator: SocketAddr,
    /// Balancers that may connect to `bot_proxied`.
    pub proxied_from: Option<Spanned<Vec<IpNet>>>,
}

impl Default for Listen {
    fn default() -> Self {
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Self {
            bot: loopback(7443),
            bot_proxied: None,
            enroll: loopback(7445),
            operator: loopback(7444),
            proxied_from: None,
        }
    }
}

/// `[log]`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogOutput {
    /// Form of a line.
    pub format: LogFormat,
    /// The least that is written.
    pub level: LogLevel,
}

/// Form of a log line.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    #[default]
    Text,
}

/// The least that is logged.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What a developer wants to know.
    Debug,
    /// What needs somebody.
    Error,
    /// What happens.
    #[default]
    Info,
    /// Everything.
    Trace,
    /// What may need somebody.
    Warn,
}

/// `[metrics]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Where `GET /metrics` is answered, over plain HTTP; a loopback address. None: nowhere.
    pub listen: Option<Spanned<SocketAddr>>,
}

impl Metrics {
    fn inconsistency(&self) -> Option<(usize, &'static str)> {
        let listen = self.listen.as_ref().filter(|at| !at.get_ref().ip().is_loopback())?;
        Some((
            listen.span().start,
            "metrics.listen must be a loopback address, such as 127.0.0.1:9464: whoever reaches it \
             reads all figures",
        ))
    }
}

/// `[public]`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Public {
    /// `host:port` of the bot listener.
    pub bot: Option<HostPort>,
    /// `host:port` of the enrol listener.
    pub enroll: Option<HostPort>,
    /// Names and addresses in the server's certificate; the first is how others reach it.
    pub names: Spanned<Vec<ServerName>>,
    /// `host:port` of the operator listener.
    pub operator: Option<HostPort>,
}

impl Default for Public {
    fn default() -> Self {
        let names = [ServerName::localhost(), ServerName::loopback()];
        Self { bot: None, enroll: None, names: Spanned::new(0..0, names.into()), operator: None }
    }
}

/// `[unseal]`: at most one of its keys.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Unseal {
    /// A file that opens a key-file slot; absolute.
    pub key_file: Option<Spanned<PathBuf>>,
    /// Name of a systemd credential that does.
    pub systemd_credential: Option<Spanned<String>>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value that cannot be.
    #[error("{}:{line}:{column}: {message}", .path.display())]
    At {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// In characters, from 1.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// The file cannot be read.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What the supervisor hands on does not come through.
    #[error("the configuration was not handed on: {source}")]
    Inherit {
        /// Why.
        source: std::io::Error,
    },
    /// The named credential cannot be, because systemd gave none.
    #[error("unseal.systemd_credential is set, but $CREDENTIALS_DIRECTORY is not")]
    NoCredentials,
}

/// The ports that the listeners really have.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Ports {
    /// Bot listener.
    pub bot: u16,
    /// Enrol listener.
    pub enroll: u16,
    /// Operator listener.
    pub operator: u16,
}

impl Config {
    /// Reads `config.toml` of a data directory. Nothing is parsed yet.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Io`].
    pub fn source(data: &Path) -> Result<Source, ConfigError> {
        Source::read(data, data.join(FILE_NAME), FILE_BYTES_MAX)
    }

    /// Reads a text; `path` is for messages only.
    ///
    /// # Errors
    ///
    /// [`ConfigError::At`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let at = |offset: usize, message: String| {
            let (line, column) = position(text, offset);
            ConfigError::At { path: path.to_owned(), line, column, message }
        };
        let config: Self = toml::from_str(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            at(offset, vault_model::without_input(error.message()))
        })?;
        match config.inconsistency() {
            Some((offset, message)) => Err(at(offset, message.to_owned())),
            None => Ok(config),
        }
    }

    /// What the parts say that cannot be true together, and where.
    fn inconsistency(&self) -> Option<(usize, &'static str)> {
        if let Some(offset) = &self.clock.offset_s
            && !self.development
        {
            return Some((offset.span().start, "clock.offset_s needs development = true"));
        }
        match (&self.listen.bot_proxied, &self.listen.proxied_from) {
            (Some(address), None) => {
                return Some((address.span().start, "bot_proxied needs proxied_from"));
            }
            (None, Some(networks)) => {
                return Some((networks.span().start, "proxied_from needs bot_proxied"));
            }
            (Some(_), Some(networks)) if networks.get_ref().is_empty() => {
                let message = "proxied_from must name the balancers";
                return Some((networks.span().start, message));
            }
            _ => {}
        }
        if let Some(found) = self.egress.inconsistency(self.development) {
            return Some(found);
        }
        if *self.audit.segment_bytes.get_ref() < vault_audit::SEGMENT_BYTES_MIN {
            let message = "segment_bytes must be at least 65536";
            return Some((self.audit.segment_bytes.span().start, message));
        }
        if *self.credential_check.every_h.get_ref() > CHECK_EVERY_H_MAX {
            let message = "every_h must be at most 720, or 0 for never";
            return Some((self.credential_check.every_h.span().start, message));
        }
        if let Some(found) = self.limits.inconsistency() {
            return Some(found);
        }
        if let Some(found) = self.metrics.inconsistency() {
            return Some(found);
        }
        if let Some(found) = self.tracing.inconsistency() {
            return Some(found);
        }
        if self.public.names.get_ref().is_empty() {
            return Some((self.public.names.span().start, "names must not be empty"));
        }
        match (&self.unseal.key_file, &self.unseal.systemd_credential) {
            (Some(_), Some(credential)) => {
                let message = "key_file and systemd_credential cannot both be set";
                Some((credential.span().start, message))
            }
            (Some(path), None) if !path.get_ref().is_absolute() => {
                Some((path.span().start, "key_file must be an absolute path"))
            }
            (None, Some(name)) if !is_file_name(name.get_ref()) => {
                Some((name.span().start, "systemd_credential must be a plain name"))
            }
            _ => None,
        }
    }

    /// Reads the operator's own catalogue files. Nothing is parsed yet.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Io`].
    pub fn catalog_additions(&self, data: &Path) -> Result<Vec<Source>, ConfigError> {
        let addition = |path: &PathBuf| Source::read(data, data.join(path), CATALOG_BYTES_MAX);
        self.catalog.additions.iter().map(addition).collect()
    }

    /// The database of countries, if there is one.
    pub fn geoip(&self, data: &Path) -> Option<PathBuf> {
        self.geoip.database.as_ref().map(|path| data.join(path))
    }

    /// Names and addresses for the server's certificate.
    pub fn server_names(&self) -> Vec<String> {
        self.public.names.get_ref().iter().map(ToString::to_string).collect()
    }

    /// How the outside reaches the listeners.
    pub fn public_addresses(&self, ports: Ports) -> PublicAddresses {
        let address = |stated: &Option<HostPort>, port| match (stated, self.public.names.get_ref())
        {
            (Some(stated), _) => String::from(stated.clone()),
            (None, names) => names.first().map(|name| name.with_port(port)).unwrap_or_default(),
        };
        PublicAddresses {
            bot: address(&self.public.bot, ports.bot),
            enroll: address(&self.public.enroll, ports.enroll),
            operator: address(&self.public.operator, ports.operator),
        }
    }

    /// The file that opens the vault at start, if one is configured. `credentials` is
    /// `$CREDENTIALS_DIRECTORY`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::NoCredentials`].
    pub fn unseal_key_file(
        &self,
        credentials: Option<&Path>,
    ) -> Result<Option<PathBuf>, ConfigError> {
        match (&self.unseal.key_file, &self.unseal.systemd_credential) {
            (Some(path), _) => Ok(Some(path.get_ref().clone())),
            (None, Some(name)) => {
                let folder = credentials.ok_or(ConfigError::NoCredentials)?;
                Ok(Some(folder.join(name.get_ref())))
            }
            (None, None) => Ok(None),
        }
    }

    /// Added to the wall clock, in seconds.
    pub fn clock_offset_s(&self) -> i64 {
        self.clock.offset_s.as_ref().map_or(0, |offset| *offset.get_ref())
    }
}

fn is_file_name(text: &str) -> bool {
    !matches!(text, "" | "." | "..") && !text.contains(['/', '\0'])
}

/// Line and column of a byte offset, both from 1.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |rest| rest.chars().count()) + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Config, Ports};

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(Path::new("config.toml"), text).map_err(|error| error.to_string())
    }

    const PORTS: Ports = Ports { bot: 1, enroll: 3, operator: 2 };

    #[test]
    fn an_empty_file_is_the_defaults() {
        let config = parse("").expect("valid");

        assert_eq!(config.listen.bot.to_string(), "127.0.0.1:7443");
        assert_eq!(config.listen.operator.to_string(), "127.0.0.1:7444");
        assert_eq!(config.listen.enroll.to_string(), "127.0.0.1:7445");
        assert_eq!(config.audit.disk_free_min_bytes, 536_870_912);
        assert_eq!(config.server_names(), ["localhost", "127.0.0.1"]);
        assert_eq!(config.unseal_key_file(None).expect("none"), None);
        assert!(!config.development);
    }

    #[test]
    fn errors_name_line_and_column() {
        for (text, at) in [
            ("[listen]\nbots = \"127.0.0.1:1\"\n", "2:1: "),
            ("[listen]\n  bot = \"localhost:1\"\n", "2:9: "),
            ("[public]\nnames = [\"a.example\", \"a b\"]\n", "2:"),
            ("[public]\nbot = \"a.example\"\n", "2:7: "),
            ("[public]\nnames = []\n", "2:9: "),
            ("development = 1\n", "1:15: "),
            ("[log]\nlevel = \"loud\"\n", "2:9: "),
            ("[log\n", "1:"),
            ("[geoip]\ndatabase = 1\n", "2:12: "),
            ("[clock]\noffset_s = 1\n", "2:12: clock.offset_s needs development"),
            ("[listen]\nbot_proxied = \"0.0.0.0:1\"\n", "2:15: bot_proxied needs"),
            ("[listen]\nproxied_from = [\"10.0.0.0/8\"]\n", "2:16: proxied_from needs"),
            ("[listen]\nbot_proxied = \"0.0.0.0:1\"\nproxied_from = []\n", "3:16: "),
            ("[audit]\nsegment_bytes = 1\n", "2:17: "),
            ("[metrics]\nlisten = \"0.0.0.0:9464\"\n", "2:10: metrics.listen must be a loopback"),
            ("[metrics]\nlisten = \"[::]:9464\"\n", "2:10: metrics.listen must be a loopback"),
            ("[unseal]\nkey_file = \"a\"\n", "2:12: "),
            ("[unseal]\nsystemd_credential = \"../a\"\n", "2:22: "),
            ("[unseal]\nkey_file = \"/a\"\nsystemd_credential = \"a\"\n", "3:22: "),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.starts_with(&format!("config.toml:{at}")), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_systemd_credential_needs_its_directory() {
        let config = parse("[unseal]\nsystemd_credential = \"slot\"\n").expect("valid");

        assert!(config.unseal_key_file(None).is_err());
        let path = config.unseal_key_file(Some(Path::new("/run/c"))).expect("a path");
        assert_eq!(path.as_deref(), Some(Path::new("/run/c/slot")));
    }

    #[test]
    fn catalogue_files_lie_beside_the_configuration() {
        let data = tempfile::tempdir().expect("a folder");
        let elsewhere = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(data.path().join("own.toml"), "format = 1").expect("written");
        std::fs::write(elsewhere.path(), "format = 2").expect("written");
        let read = |additions: &str| {
            let text = format!("[catalog]\nadditions = {additions}\n");
            parse(&text).expect("valid").catalog_additions(data.path())
        };

        assert!(read("[]").expect("none").is_empty());
        let both = read(&format!("[\"own.toml\", {:?}]", elsewhere.path())).expect("read");
        let own = data.path().join("own.toml").display().to_string();
        assert_eq!((both[0].file.as_str(), both[0].text.as_str()), (own.as_str(), "format = 1"));
        assert_eq!(both[1].file, elsewhere.path().display().to_string());
        let error = read("[\"not-there.toml\"]").expect_err("not there").to_string();
        assert!(error.contains("not-there.toml: "), "{error}");
    }

    #[test]
    fn the_database_of_countries_lies_beside_the_configuration_or_elsewhere() {
        let geoip = |text: &str| parse(text).expect("valid").geoip(Path::new("/data"));
        assert_eq!(geoip(""), None);
        assert_eq!(geoip("[geoip]\n"), None);
        for (database, path) in [("c.mmdb", "/data/c.mmdb"), ("/srv/c.mmdb", "/srv/c.mmdb")] {
            let text = format!("[geoip]\ndatabase = \"{database}\"\n");
            assert_eq!(geoip(&text).as_deref(), Some(Path::new(path)));
        }
    }

    #[test]
    fn stated_public_addresses_win() {
        let config = parse("[public]\nnames = [\"V.example\"]\nbot = \"b.example:443\"\n");
        let public = config.expect("valid").public_addresses(PORTS);

        assert_eq!(public.bot, "b.example:443");
        assert_eq!(public.operator, "v.example:2");
        assert_eq!(public.enroll, "v.example:3");
    }
}
