//! Names and addresses as people write them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A DNS name or an IP address, as it goes into a certificate.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerName(String);

impl ServerName {
    /// `localhost`.
    pub fn localhost() -> Self {
        Self("localhost".to_owned())
    }

    /// `127.0.0.1`.
    pub fn loopback() -> Self {
        Self("127.0.0.1".to_owned())
    }

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

#[cfg(test)]
mod tests {
    use super::{HostPort, ServerName, ValueError};

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
