//! The first `config.toml` of a vault.

use std::net::SocketAddr;
use std::path::Path;

use super::ServerName;

/// What `init` writes into a new `config.toml`.
#[derive(Debug)]
pub struct NewConfig<'a> {
    /// See [`Config`](super::Config).
    pub development: bool,
    /// See [`Clock`](super::Clock); left out if 0.
    pub clock_offset_s: i64,
    /// See [`Listen`](super::Listen).
    pub bot: SocketAddr,
    /// See [`Listen`](super::Listen).
    pub enroll: SocketAddr,
    /// See [`Listen`](super::Listen).
    pub operator: SocketAddr,
    /// See [`Public`](super::Public).
    pub names: &'a [ServerName],
    /// See [`Unseal`](super::Unseal).
    pub key_file: Option<&'a Path>,
}

impl NewConfig<'_> {
    /// The file's text, with the other keys as comments.
    pub fn to_text(&self) -> String {
        let names: Vec<String> = self.names.iter().map(|name| quoted(&name.to_string())).collect();
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
        // A vault for tests must work on a test machine's disk too.
        let disk_free_min_bytes: u64 = if *development { 16 << 20 } else { 512 << 20 };
        format!(
            r#"# Countersign. Changes take effect at the next start of the server; a seal is none.

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
disk_free_min_bytes = {disk_free_min_bytes}
# A start reads the log on from the newest snapshot, and checks the rest later. true: all of it, first.
# verify_at_start = false

[catalog]
# Files of your own with more operations of a venue; relative ones lie in this directory.
# additions = ["own.toml"]

[egress]
# How long a venue may take to answer.
# timeout_ms = 10000
# The address of this machine from which the requests of a credential leave.
# source = {{ "binance-main" = "203.0.113.7" }}

[geoip]
# In which country an address is, for scopes that list countries: a file in the MaxMind DB format.
# database = "/var/lib/GeoIP/GeoLite2-Country.mmdb"

[hardening]
# true: do not start on a system without seccomp or Landlock. `vault-server status` shows what is on.
# require = true

[latency]
# true: keep all processors from sleeping, for electricity. docs/reference/speed.md has figures.
# keep_awake = true
# Whether a thread of its own writes the log. Not said: if there are more than two processors.
# writer_thread = true

[metrics]
# Figures for Prometheus, over plain HTTP: a loopback address, since whoever reaches it reads them.
# listen = "127.0.0.1:9464"

[tracing]
# Spans of single calls, for a collector of OpenTelemetry on this machine: which of them, of all calls.
# otlp_endpoint = "http://127.0.0.1:4318"
# sample = 0.001
# And those that take longer.
# slow_ms = 50

[limits]
# Requests of one client that are no orders, amendments or cancels: at once, and in a second after that.
# requests_burst = 10000
# requests_per_second = 200

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

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::NewConfig;
    use crate::config::{Config, ConfigError, Ports, ServerName};

    const PORTS: Ports = Ports { bot: 1, enroll: 3, operator: 2 };

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(Path::new("config.toml"), text)
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
}
