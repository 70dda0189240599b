//! `[tracing]`.

use std::net::SocketAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use toml::Spanned;

/// `[tracing]`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tracing {
    /// Where spans are told. None: nothing is traced.
    pub otlp_endpoint: Option<Collector>,
    /// How many of all calls, from 0 to 1.
    pub sample: Spanned<f64>,
    /// Calls that take longer are traced too, in milliseconds.
    pub slow_ms: Option<Spanned<u32>>,
    /// Calls that are traced in a second.
    pub max_per_second: Spanned<u32>,
    /// Whether the traces of bots are continued.
    pub from_bots: bool,
}

impl Default for Tracing {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            sample: Spanned::new(0..0, 0.0),
            slow_ms: None,
            max_per_second: Spanned::new(0..0, 100),
            from_bots: true,
        }
    }
}

impl Tracing {
    /// What cannot be, and where.
    pub(super) fn inconsistency(&self) -> Option<(usize, &'static str)> {
        if !(0.0..=1.0).contains(self.sample.get_ref()) {
            return Some((self.sample.span().start, "sample must be from 0 to 1"));
        }
        if !(1..=PER_SECOND_MAX).contains(self.max_per_second.get_ref()) {
            let message = "max_per_second must be from 1 to 10000";
            return Some((self.max_per_second.span().start, message));
        }
        let slow = self.slow_ms.as_ref();
        if let Some(slow) = slow.filter(|slow| !(1..=SLOW_MS_MAX).contains(slow.get_ref())) {
            return Some((slow.span().start, "slow_ms must be from 1 to 60000"));
        }
        if self.otlp_endpoint.is_some() {
            return None;
        }
        // It would be taken for traced.
        if *self.sample.get_ref() > 0.0 {
            return Some((self.sample.span().start, "sample needs otlp_endpoint"));
        }
        slow.map(|slow| (slow.span().start, "slow_ms needs otlp_endpoint"))
    }
}

const PER_SECOND_MAX: u32 = 10_000;
const SLOW_MS_MAX: u32 = 60_000;

/// A collector on this machine: `http://127.0.0.1:4318`, with a path before `/v1/traces` if it has one.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String")]
pub struct Collector {
    /// A loopback address.
    pub address: SocketAddr,
    /// Path of its traces.
    pub path: String,
}

/// Why a text is no collector.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "otlp_endpoint must be http:// and a loopback address with its port, such as \
     http://127.0.0.1:4318: spans go to other machines by a collector on this one"
)]
pub struct CollectorError;

impl FromStr for Collector {
    type Err = CollectorError;

    fn from_str(text: &str) -> Result<Self, CollectorError> {
        let rest = text.strip_prefix("http://").ok_or(CollectorError)?;
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, ""),
        };
        let address: SocketAddr = authority.parse().map_err(|_| CollectorError)?;
        let is_of_path = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
        let fits =
            address.ip().is_loopback() && address.port() != 0 && path.bytes().all(is_of_path);
        // As a base, to which the path of OTLP is added.
        let path = format!("{}/v1/traces", path.trim_end_matches('/'));
        if fits { Ok(Self { address, path }) } else { Err(CollectorError) }
    }
}

impl TryFrom<String> for Collector {
    type Error = CollectorError;

    fn try_from(text: String) -> Result<Self, CollectorError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Collector;
    use crate::config::{Config, ConfigError};

    fn parse(lines: &str) -> Result<Config, ConfigError> {
        Config::parse(Path::new("config.toml"), &format!("[tracing]\n{lines}\n"))
    }

    #[test]
    fn a_collector_is_on_this_machine_and_has_a_path() {
        for (text, address, path) in [
            ("http://127.0.0.1:4318", "127.0.0.1:4318", "/v1/traces"),
            ("http://127.0.0.1:4318/", "127.0.0.1:4318", "/v1/traces"),
            ("http://[::1]:9/insert/otel/", "[::1]:9", "/insert/otel/v1/traces"),
        ] {
            let collector: Collector = text.parse().expect(text);
            assert_eq!((collector.address.to_string().as_str(), &*collector.path), (address, path));
        }
        for bad in [
            "",
            "127.0.0.1:4318",
            "https://127.0.0.1:4318",
            "http://127.0.0.1",
            "http://127.0.0.1:0",
            "http://localhost:4318",
            "http://10.0.0.1:4318",
            "http://0.0.0.0:4318",
            "http://user@127.0.0.1:4318",
            "http://127.0.0.1:4318?a=b",
            "http://127.0.0.1:4318/a b",
            "http://127.0.0.1:4318/a\r\nx:y",
        ] {
            assert!(bad.parse::<Collector>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn nothing_is_traced_by_default_and_what_cannot_be_is_said_where_it_stands() {
        let tracing = parse("").expect("valid").tracing;
        assert!(tracing.otlp_endpoint.is_none() && *tracing.sample.get_ref() == 0.0);
        let all = "otlp_endpoint = \"http://127.0.0.1:4318\"\nsample = 0.001\nslow_ms = 50\n\
                   max_per_second = 7\nfrom_bots = false";
        let tracing = parse(all).expect("valid").tracing;
        assert_eq!((*tracing.sample.get_ref(), tracing.from_bots), (0.001, false));

        let endpoint = "otlp_endpoint = \"http://127.0.0.1:4318\"\n";
        for (before, line, column) in [
            ("", "sample = 0.5", 10),
            ("", "slow_ms = 5", 11),
            (endpoint, "sample = 1.1", 10),
            (endpoint, "sample = -0.1", 10),
            (endpoint, "sample = nan", 10),
            (endpoint, "slow_ms = 0", 11),
            (endpoint, "max_per_second = 0", 18),
            (endpoint, "max_per_second = 10001", 18),
        ] {
            let refused = parse(&format!("{before}{line}")).expect_err(line).to_string();
            let row = if before.is_empty() { 2 } else { 3 };
            assert!(refused.starts_with(&format!("config.toml:{row}:{column}: ")), "{refused}");
        }
        let elsewhere = parse("otlp_endpoint = \"http://10.0.0.1:4318\"").expect_err("elsewhere");
        let elsewhere = elsewhere.to_string();
        assert!(elsewhere.starts_with("config.toml:2:17: "), "{elsewhere}");
        assert!(!elsewhere.contains("10.0.0.1"), "{elsewhere}");
    }
}
