//! `[egress]`: how the vault speaks to venues.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;
use vault_egress::Limits;
use vault_model::Name;

use super::{ConfigError, Source};

/// Longest file of CA certificates read, in bytes.
const CA_BYTES_MAX: u64 = 4 << 20;

/// `[egress]`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Egress {
    /// CAs that may vouch for venues, PEM; absent: Mozilla's. A relative path lies in the data
    /// directory.
    pub ca_file: Option<PathBuf>,
    /// From the choice of an address to the end of the TLS handshake, in milliseconds.
    pub connect_timeout_ms: Spanned<u32>,
    /// Other places for hosts; only with `development`.
    #[serde(rename = "override")]
    pub overrides: Vec<Spanned<Override>>,
    /// Longest body of a response, in bytes.
    pub response_bytes_max: Spanned<u64>,
    /// The address from which the requests of a credential leave.
    pub source: BTreeMap<Name, Spanned<IpAddr>>,
    /// How long a venue may take, in milliseconds.
    pub timeout_ms: Spanned<u32>,
}

/// `[[egress.override]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// A host, `*` for any characters.
    pub host: Spanned<String>,
    /// Where to connect instead.
    pub connect: SocketAddr,
    /// CAs that may vouch for it; absent: as for other hosts.
    pub ca_file: Option<PathBuf>,
}

impl Default for Egress {
    fn default() -> Self {
        let Limits { connect, response_bytes, .. } = Limits::default();
        Self {
            ca_file: None,
            connect_timeout_ms: Spanned::new(0..0, connect.as_millis() as u32),
            overrides: Vec::new(),
            response_bytes_max: Spanned::new(0..0, response_bytes),
            source: BTreeMap::new(),
            timeout_ms: Spanned::new(0..0, 10_000),
        }
    }
}

impl Egress {
    /// What cannot be, and where.
    pub(super) fn inconsistency(&self, development: bool) -> Option<(usize, &'static str)> {
        if let Some(instead) = self.overrides.first()
            && !development
        {
            return Some((instead.span().start, "egress.override needs development = true"));
        }
        let hosts = self.overrides.iter().map(|instead| &instead.get_ref().host);
        if let Some(host) = hosts.into_iter().find(|host| !is_glob(host.get_ref())) {
            let message =
                "egress.override.host must be a lower-case host, with * for any characters";
            return Some((host.span().start, message));
        }
        if !(500..=30_000).contains(self.timeout_ms.get_ref()) {
            let message = "egress.timeout_ms must be from 500 to 30000";
            return Some((self.timeout_ms.span().start, message));
        }
        if !(100..=60_000).contains(self.connect_timeout_ms.get_ref()) {
            let message = "egress.connect_timeout_ms must be from 100 to 60000";
            return Some((self.connect_timeout_ms.span().start, message));
        }
        if !((64 << 10)..=(1 << 30)).contains(self.response_bytes_max.get_ref()) {
            let message = "egress.response_bytes_max must be from 65536 to 1073741824";
            return Some((self.response_bytes_max.span().start, message));
        }
        let unusable = |source: &&Spanned<IpAddr>| {
            source.get_ref().is_unspecified() || source.get_ref().is_multicast()
        };
        let source = self.source.values().find(unusable)?;
        Some((source.span().start, "egress.source must be an address of this machine"))
    }

    /// How much of everything.
    pub fn limits(&self) -> Limits {
        Limits {
            connect: Duration::from_millis((*self.connect_timeout_ms.get_ref()).into()),
            response_bytes: *self.response_bytes_max.get_ref(),
            ..Limits::default()
        }
    }

    /// From which address the requests of a credential leave.
    pub fn sources(&self) -> HashMap<String, IpAddr> {
        let source = |(name, source): (&Name, &Spanned<IpAddr>)| {
            (name.as_str().to_owned(), *source.get_ref())
        };
        self.source.iter().map(source).collect()
    }

    /// Reads and checks the CAs that may vouch for venues; `None` for Mozilla's.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Io`].
    pub fn roots(&self, data: &Path) -> Result<Option<Source>, ConfigError> {
        self.ca_file.as_ref().map(|path| read_roots(data, path)).transpose()
    }

    /// Reads and checks the CAs of the other places, one after the other.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Io`].
    pub fn override_roots(&self, data: &Path) -> Result<Vec<Option<Source>>, ConfigError> {
        let roots = |instead: &Spanned<Override>| {
            let path = instead.get_ref().ca_file.as_ref();
            path.map(|path| read_roots(data, path)).transpose()
        };
        self.overrides.iter().map(roots).collect()
    }

    /// The other places, with the CAs of each, PEM.
    pub fn overrides(
        &self,
        roots: impl Iterator<Item = Option<Vec<u8>>>,
    ) -> Vec<vault_egress::Override> {
        let instead = |(instead, roots_pem): (&Spanned<Override>, _)| {
            let Override { host, connect, .. } = instead.get_ref();
            let host = host.get_ref().clone();
            vault_egress::Override { host, connect: *connect, roots_pem }
        };
        self.overrides.iter().zip(roots).map(instead).collect()
    }
}

fn read_roots(data: &Path, path: &Path) -> Result<Source, ConfigError> {
    let source = Source::read(data, data.join(path), CA_BYTES_MAX)?;
    match vault_egress::check_roots(source.text.as_bytes()) {
        Ok(()) => Ok(source),
        Err(error) => {
            Err(ConfigError::Io { path: source.path, source: std::io::Error::other(error) })
        }
    }
}

fn is_glob(host: &str) -> bool {
    let fits = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b'*')
    };
    (1..=253).contains(&host.len()) && host.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use crate::config::Config;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(Path::new("config.toml"), text).map_err(|error| error.to_string())
    }

    const OVERRIDE: &str =
        "[[egress.override]]\nhost = \"*.binance.com\"\nconnect = \"127.0.0.1:1\"\n";

    #[test]
    fn nothing_said_is_the_defaults() {
        let egress = parse("").expect("valid").egress;

        assert_eq!(*egress.timeout_ms.get_ref(), 10_000);
        assert_eq!(egress.limits().connect, Duration::from_secs(5));
        assert_eq!(egress.limits().response_bytes, 64 << 20);
        assert!(egress.sources().is_empty());
        assert!(egress.roots(Path::new("/data")).expect("none").is_none());
        assert!(egress.overrides([None].into_iter()).is_empty());
    }

    #[test]
    fn what_is_said_counts() {
        let text = "[egress]\ntimeout_ms = 500\nconnect_timeout_ms = 250\n\
                    response_bytes_max = 65536\n[egress.source]\n\"a.b\" = \"203.0.113.7\"\nc = \"::1\"\n";
        let egress = parse(text).expect("valid").egress;

        assert_eq!(*egress.timeout_ms.get_ref(), 500);
        assert_eq!(egress.limits().connect, Duration::from_millis(250));
        assert_eq!(egress.limits().response_bytes, 65_536);
        let sources = egress.sources();
        assert_eq!(sources["a.b"].to_string(), "203.0.113.7");
        assert_eq!(sources["c"].to_string(), "::1");
    }

    #[test]
    fn overrides_are_for_development_alone() {
        let error = parse(OVERRIDE).expect_err("not in development");
        assert!(
            error.starts_with("config.toml:1:1: egress.override needs development = true"),
            "{error}"
        );
        let egress = parse(&format!("development = true\n{OVERRIDE}")).expect("valid").egress;
        assert!(egress.override_roots(Path::new("/data")).expect("no file")[0].is_none());
        let overrides = egress.overrides([None].into_iter());
        assert_eq!(overrides[0].host, "*.binance.com");
        assert_eq!(overrides[0].connect.to_string(), "127.0.0.1:1");
        assert_eq!(overrides[0].roots_pem, None);
    }

    #[test]
    fn errors_name_line_and_key() {
        for (text, at) in [
            ("[egress]\ntimeout_ms = 499\n", "2:14: egress.timeout_ms"),
            ("[egress]\ntimeout_ms = 30001\n", "2:14: egress.timeout_ms"),
            ("[egress]\nconnect_timeout_ms = 1\n", "2:22: egress.connect_timeout_ms"),
            ("[egress]\nresponse_bytes_max = 1\n", "2:22: egress.response_bytes_max"),
            ("[egress.source]\na = \"0.0.0.0\"\n", "2:5: egress.source"),
            ("[egress.source]\na = \"host\"\n", "2:5: "),
            ("[egress.source]\n\"A b\" = \"1.1.1.1\"\n", "2:1: "),
            ("[egress]\nroots = \"x\"\n", "2:1: "),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.starts_with(&format!("config.toml:{at}")), "{text:?}: {error}");
        }
        let upper = format!("development = true\n{}", OVERRIDE.replace("*.b", "*.B"));
        let error = parse(&upper).expect_err("upper case");
        assert!(error.starts_with("config.toml:3:8: egress.override.host"), "{error}");
    }

    #[test]
    fn ca_files_are_read_and_checked() {
        let data = tempfile::tempdir().expect("a folder");
        std::fs::write(data.path().join("empty.pem"), "").expect("written");
        for file in ["empty.pem", "not-there.pem"] {
            let egress = parse(&format!("[egress]\nca_file = {file:?}\n")).expect("valid").egress;
            let error = egress.roots(data.path()).expect_err(file).to_string();
            assert!(error.contains(&format!("{file}: ")), "{error}");
            let text = format!("development = true\n{OVERRIDE}ca_file = {file:?}\n");
            let error = parse(&text).expect("valid").egress.override_roots(data.path());
            assert!(error.is_err(), "{file}");
        }
    }
}
