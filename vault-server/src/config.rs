//! `config.toml` in the data directory: written by `init`, edited by people.
//!
//! Every key is optional and unknown keys are refused. An error names the file, the line and the
//! column. `docs/reference/configuration.md` explains each key.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use toml::Spanned;
use vault_core::PublicAddresses;

/// The file's name inside the data directory.
pub const FILE_NAME: &str = "config.toml";
/// Longest file read, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// The whole configuration.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Allows what only tests may do. Must fit the data directory.
    pub development: bool,
    /// The log.
    pub audit: Audit,
    /// The clock; for tests.
    pub clock: Clock,
    /// Where calls come in.
    pub listen: Listen,
    /// What is written to stderr.
    pub log: LogOutput,
    /// How the outside reaches the listeners.
    pub public: Public,
    /// What opens the vault without a person.
    pub unseal: Unseal,
}

/// `[audit]`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Audit {
    /// Size of a new segment of the log, in bytes.
    pub segment_bytes: Spanned<u64>,
    /// Below this much free space Sign is refused. Bytes.
    pub disk_free_min_bytes: u64,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            segment_bytes: Spanned::new(0..0, vault_audit::SEGMENT_BYTES_DEFAULT),
            disk_free_min_bytes: 512 << 20,
        }
    }
}

/// `[clock]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Clock {
    /// Added to the wall clock, in seconds; only with `development`.
    pub offset_s: Option<Spanned<i64>>,
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
        let names = [ServerName("localhost".to_owned()), ServerName("127.0.0.1".to_owned())];
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

/// A DNS name or an IP address, as it goes into a certificate.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerName(String);

impl ServerName {
    /// With a port, as `host:port`; IPv6 addresses in brackets.
    pub fn with_port(&self, port: u16) -> String {
        match self.0.parse() {
            Ok(IpAddr::V6(address)) => format!("[{address}]:{port}"),
            _ => format!("{}:{port}", self.0),
        }
    }
}

impl FromStr for ServerName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        // Digits and dots alone are a mistyped address, not a name.
        let is_dns = text.len() <= 253
            && text.split('.').all(is_label)
            && text.bytes().any(|b| b.is_ascii_alphabetic());
        if text.parse::<IpAddr>().is_ok() || is_dns {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(ValueError::Name)
        }
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `host:port`; IPv6 addresses in brackets.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPort(String);

impl FromStr for HostPort {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text.parse::<SocketAddr>().is_ok_and(|address| address.port() != 0) {
            return Ok(Self(text.to_owned()));
        }
        let (host, port) = text.rsplit_once(':').ok_or(ValueError::HostPort)?;
        let port_fits = port.parse::<u16>().is_ok_and(|port| port != 0);
        if port_fits && !host.contains(':') && host.parse::<ServerName>().is_ok() {
            Ok(Self(text.to_owned()))
        } else {
            Err(ValueError::HostPort)
        }
    }
}

macro_rules! text_conversions {
    ($($name:ident),+) => {
        $(
            impl TryFrom<String> for $name {
                type Error = ValueError;

                fn try_from(text: String) -> Result<Self, ValueError> {
                    text.parse()
                }
            }

            impl From<$name> for String {
                fn from(value: $name) -> Self {
                    value.0
                }
            }
        )+
    };
}

text_conversions!(HostPort, ServerName);

/// Why a text is no name or address.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ValueError {
    /// Not `host:port`.
    #[error("must be host:port with a port from 1 to 65535; IPv6 addresses in brackets")]
    HostPort,
    /// Neither.
    #[error("must be a DNS name or an IP address")]
    Name,
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
    /// Reads `config.toml` of a data directory.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with file, line and column.
    pub fn load(data: &Path) -> Result<Self, ConfigError> {
        let path = data.join(FILE_NAME);
        let text = read(&path).map_err(|source| ConfigError::Io { path: path.clone(), source })?;
        Self::parse(&path, &text)
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
            at(offset, error.message().to_owned())
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
        if *self.audit.segment_bytes.get_ref() < vault_audit::SEGMENT_BYTES_MIN {
            let message = "segment_bytes must be at least 65536";
            return Some((self.audit.segment_bytes.span().start, message));
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

/// What `init` writes into a new `config.toml`.
#[derive(Debug)]
pub struct NewConfig<'a> {
    /// See [`Config`].
    pub development: bool,
    /// See [`Clock`]; left out if 0.
    pub clock_offset_s: i64,
    /// See [`Listen`].
    pub bot: SocketAddr,
    /// See [`Listen`].
    pub enroll: SocketAddr,
    /// See [`Listen`].
    pub operator: SocketAddr,
    /// See [`Public`].
    pub names: &'a [ServerName],
    /// See [`Unseal`].
    pub key_file: Option<&'a Path>,
}

impl NewConfig<'_> {
    /// The file's text, with the other keys as comments.
    pub fn to_text(&self) -> String {
        let names: Vec<String> = self.names.iter().map(|name| quoted(&name.0)).collect();
        let names = names.join(", ");
        let key_file = match self.key_file {
            Some(path) => format!("key_file = {}", quoted(&path.to_string_lossy())),
            None => "# key_file = \"/etc/countersign/unseal.key\"".to_owned(),
        };
        let clock = match self.clock_offset_s {
            0 => String::new(),
            offset_s => format!("\n[clock]\noffset_s = {offset_s}\n"),
        };
        let Self { development, bot, enroll, operator, .. } = self;
        let segment_bytes = vault_audit::SEGMENT_BYTES_DEFAULT;
        format!(
            r#"# Countersign. Changes take effect at the next start.

# true only for a vault that was made with `init --development`.
development = {development}

[listen]
bot = "{bot}"
operator = "{operator}"
enroll = "{enroll}"
# Bots behind a balancer that sends PROXY v2: a listener of its own, for these peers only.
# bot_proxied = "0.0.0.0:7446"
# proxied_from = ["10.0.0.0/28"]

[public]
# Names and addresses in the server's certificate; the first is how others reach the vault.
names = [{names}]
# As the outside reaches the listeners, if not by the first name and the port above.
# bot = "vault.example:7443"
# operator = "vault.example:7444"
# enroll = "vault.example:7445"

[audit]
segment_bytes = {segment_bytes}
disk_free_min_bytes = 536870912

[unseal]
# At most one, for restarts without a person; both need a key-file slot (`init --key-file`).
{key_file}
# systemd_credential = "countersign-unseal"

[log]
# "text" or "json"
format = "text"
# "error", "warn", "info", "debug" or "trace"
level = "info"
{clock}"#
        )
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(std::io::Error::other("longer than a configuration can be"));
    }
    Ok(text)
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
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

    use super::{Config, HostPort, NewConfig, Ports, ServerName, ValueError};

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
    fn what_init_writes_reads_back() {
        let names: Vec<ServerName> =
            ["::1", "vault.example"].iter().map(|name| name.parse().expect("a name")).collect();
        let new = NewConfig {
            development: true,
            clock_offset_s: -5,
            bot: "[::1]:0".parse().expect("an address"),
            enroll: "127.0.0.1:9".parse().expect("an address"),
            operator: "127.0.0.1:8".parse().expect("an address"),
            names: &names,
            key_file: Some(Path::new("/k \"1\"\\2")),
        };
        let config = parse(&new.to_text()).expect("valid");

        assert!(config.development);
        assert_eq!(config.clock_offset_s(), -5);
        assert_eq!(config.listen.bot.to_string(), "[::1]:0");
        assert_eq!(config.public_addresses(PORTS).operator, "[::1]:2");
        let key_file = config.unseal_key_file(None).expect("a file");
        assert_eq!(key_file.as_deref(), Some(Path::new("/k \"1\"\\2")));
        assert!(parse(&NewConfig { clock_offset_s: 0, key_file: None, ..new }.to_text()).is_ok());
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
            ("[clock]\noffset_s = 1\n", "2:12: clock.offset_s needs development"),
            ("[listen]\nbot_proxied = \"0.0.0.0:1\"\n", "2:15: bot_proxied needs"),
            ("[listen]\nproxied_from = [\"10.0.0.0/8\"]\n", "2:16: proxied_from needs"),
            ("[listen]\nbot_proxied = \"0.0.0.0:1\"\nproxied_from = []\n", "3:16: "),
            ("[audit]\nsegment_bytes = 1\n", "2:17: "),
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
    fn stated_public_addresses_win() {
        let config = parse("[public]\nnames = [\"V.example\"]\nbot = \"b.example:443\"\n");
        let public = config.expect("valid").public_addresses(PORTS);

        assert_eq!(public.bot, "b.example:443");
        assert_eq!(public.operator, "v.example:2");
        assert_eq!(public.enroll, "v.example:3");
    }

    #[test]
    fn names_and_addresses_are_checked() {
        for text in ["vault.example", "a", "10.0.0.1", "::1", "a-b.c_d"] {
            assert!(text.parse::<ServerName>().is_ok(), "{text}");
        }
        for text in ["", "a b", "-a", "a-", "a..b", "a.", "10.0.0.256", "a/b", "a:1", "*.example"] {
            assert_eq!(text.parse::<ServerName>(), Err(ValueError::Name), "{text}");
        }
        for text in ["a:1", "10.0.0.1:65535", "[::1]:1"] {
            assert!(text.parse::<HostPort>().is_ok(), "{text}");
        }
        for text in ["a", "a:0", "a:65536", "::1:1", ":1", "a:b", "10.0.0.1:0"] {
            assert_eq!(text.parse::<HostPort>(), Err(ValueError::HostPort), "{text}");
        }
    }
}
