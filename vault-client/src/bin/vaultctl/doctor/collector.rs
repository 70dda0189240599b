//! The collector of spans, looked at from the vault's own host: whether something listens there. It is told
//! nothing.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::finding::{Code, Finding};

/// What is behind `[tracing] otlp_endpoint`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Collector {
    /// Something takes connections there.
    Answers(SocketAddr),
    /// Nothing does; why, in the system's words.
    Away(SocketAddr, String),
    /// It is no collector on this machine, and no vault starts with it. Nothing was asked.
    NotLocal,
}

impl Collector {
    /// Looks at what a configuration names, if it names something. Only loopback addresses are connected to.
    pub fn read(config: &str) -> Option<Self> {
        let table: toml::Table = toml::from_str(config).ok()?;
        let endpoint = table.get("tracing")?.get("otlp_endpoint")?;
        let Some(address) = endpoint.as_str().and_then(address) else {
            return Some(Self::NotLocal);
        };
        Some(match TcpStream::connect_timeout(&address, WAIT) {
            Ok(_) => Self::Answers(address),
            Err(error) => Self::Away(address, error.to_string()),
        })
    }
}

/// Where the vault takes a collector to be; it must take the same texts for one.
fn address(endpoint: &str) -> Option<SocketAddr> {
    let rest = endpoint.strip_prefix("http://")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let address: SocketAddr = authority.parse().ok()?;
    let is_of_path = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let fits = address.ip().is_loopback() && address.port() != 0 && path.bytes().all(is_of_path);
    fits.then_some(address)
}

/// Judges it.
pub fn collector(collector: &Collector) -> Finding {
    match collector {
        Collector::Answers(address) => {
            let words = format!("something takes connections at {address}, where spans go");
            Finding::ok(Code::CollectorAnswers, words)
        }
        Collector::Away(address, why) => {
            let words = format!("nothing takes connections at {address}, where spans go: {why}");
            Finding::warning(Code::CollectorAway, words)
                .remedy("start the collector, or take otlp_endpoint out of config.toml")
                .remedy(
                    "of a vault in a container: run this in it, whose loopback address is its own",
                )
        }
        Collector::NotLocal => {
            let words = "[tracing] otlp_endpoint is no http:// address of this machine, such as \
                http://127.0.0.1:4318: the vault does not start with it";
            Finding::problem(Code::CollectorNotLocal, words)
                .remedy("let a collector on this machine send on: docs/reference/tracing.md")
        }
    }
}

/// On loopback whoever listens answers at once, unless its queue is full.
const WAIT: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::super::finding::Level;
    use super::super::finding::testing::{codes, is_helpful};
    use super::{Collector, collector};

    fn found(endpoint: &str) -> Collector {
        let config = format!("[tracing]\notlp_endpoint = {}\n", toml::Value::from(endpoint));
        Collector::read(&config).expect("named")
    }

    #[test]
    fn what_listens_is_said_to_and_what_does_not_is_a_warning() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("an address");
        for path in ["", "/", "/insert/otel"] {
            assert_eq!(found(&format!("http://{address}{path}")), Collector::Answers(address));
        }
        drop(listener);
        let away = found(&format!("http://{address}"));
        assert!(matches!(&away, Collector::Away(at, _) if *at == address), "{away:?}");

        let findings = [Collector::Answers(address), away, Collector::NotLocal];
        let findings: Vec<_> = findings.iter().map(collector).collect();
        assert!(is_helpful(&findings));
        assert_eq!(
            codes(&findings),
            [
                ("COLLECTOR_ANSWERS", Level::Ok),
                ("COLLECTOR_AWAY", Level::Warning),
                ("COLLECTOR_NOT_LOCAL", Level::Problem),
            ]
        );
    }

    #[test]
    fn what_no_vault_starts_with_is_a_problem_and_nobody_is_connected_to() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        listener.set_nonblocking(true).expect("set");
        let port = listener.local_addr().expect("an address").port();
        // As in the test of the vault's own configuration.
        for endpoint in [
            "",
            "127.0.0.1:PORT",
            "https://127.0.0.1:PORT",
            "http://127.0.0.1",
            "http://127.0.0.1:0",
            "http://localhost:PORT",
            "http://10.0.0.1:PORT",
            "http://0.0.0.0:PORT",
            "http://user@127.0.0.1:PORT",
            "http://127.0.0.1:PORT?a=b",
            "http://127.0.0.1:PORT/a?b=c",
            "http://127.0.0.1:PORT/a b",
            "http://127.0.0.1:PORT/a\r\nx:y",
        ] {
            let endpoint = endpoint.replace("PORT", &port.to_string());
            assert_eq!(found(&endpoint), Collector::NotLocal, "{endpoint:?}");
        }
        for value in ["4318", "true", "[\"http://127.0.0.1:4318\"]", "{ port = 4318 }"] {
            let config = format!("[tracing]\notlp_endpoint = {value}\n");
            assert_eq!(Collector::read(&config), Some(Collector::NotLocal), "{value}");
        }
        assert!(listener.accept().is_err(), "somebody connected");
    }

    #[test]
    fn without_an_endpoint_there_is_nothing_to_say() {
        for config in ["", "[tracing]\n", "[tracing]\nsample = 0.0\n", "tracing = 1\n", "no TOML"] {
            assert_eq!(Collector::read(config), None, "{config}");
        }
    }
}
