//! A venue's WebSockets, as the vault serves them: where they are and what they are for.

use serde::Deserialize;
use vault_model::Environment;

use super::raw;
use crate::glob::Glob;
use crate::plain;

/// What a WebSocket is for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum SocketKind {
    /// The listen key in its address opens it; nothing is sent on it.
    Listen,
    /// A log-on, or a token in each message, opens its channels; it may take orders too.
    Private,
    /// Market data for everybody.
    Public,
    /// It takes requests, each with its own signature.
    Rpc,
}

/// The WebSockets of some hosts that are alike.
#[derive(Debug)]
pub(crate) struct SocketRule {
    pub kind: SocketKind,
    /// Live first.
    pub environments: Vec<Environment>,
    /// With their ports where these are not 443.
    hosts: Vec<String>,
    paths: Vec<Place>,
    queries: Vec<Place>,
    /// Channels of a private one that are open to everybody.
    public_channels: Vec<Glob>,
}

/// A path or a query: its text, with at most one part that is given.
#[derive(Debug, Eq, PartialEq)]
struct Place {
    head: String,
    given: Option<Given>,
}

/// What stands at the end of a path or a query.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Given {
    /// `{handle}`
    Handle,
    /// `{number}`: up to four digits.
    Number,
    /// `{stream}`: the name of a public stream.
    Stream,
    /// `{streams}`: such names, with `/` between them.
    Streams,
}

impl Given {
    fn of(word: &str) -> Option<Self> {
        Some(match word {
            "{handle}" => Self::Handle,
            "{number}" => Self::Number,
            "{stream}" => Self::Stream,
            "{streams}" => Self::Streams,
            _ => return None,
        })
    }

    fn takes(self, text: &str) -> bool {
        match self {
            Self::Handle => is_handle(text),
            Self::Number => {
                (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
            }
            Self::Stream => is_stream(text),
            Self::Streams => text.split('/').all(is_stream),
        }
    }
}

/// What is given in an address that was found.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Address<'t> {
    /// The handle of a listen key.
    pub handle: Option<&'t str>,
    /// Whether it names public streams.
    pub names_streams: bool,
}

impl Place {
    fn new(text: &str) -> Result<Self, String> {
        let Some((head, _)) = text.split_once('{') else {
            return Ok(Self { head: text.to_owned(), given: None });
        };
        let given = Given::of(&text[head.len()..]);
        let given = given.ok_or_else(|| format!("{text}: only its end can be given"))?;
        Ok(Self { head: head.to_owned(), given: Some(given) })
    }

    fn find<'t>(&self, text: &'t str) -> Option<Address<'t>> {
        let rest = text.strip_prefix(&self.head)?;
        match self.given {
            None => rest.is_empty().then(Address::default),
            Some(given) if given.takes(rest) => Some(Address {
                handle: matches!(given, Given::Handle).then_some(rest),
                names_streams: matches!(given, Given::Stream | Given::Streams),
            }),
            Some(_) => None,
        }
    }
}

impl SocketRule {
    pub(super) fn new(raw: &raw::Socket) -> Result<Self, String> {
        let raw::Socket { kind, environments, hosts, paths, queries, public_channels, .. } = raw;
        let mut environments = environments.clone();
        environments.sort_by_key(|one| *one != Environment::Live);
        environments.dedup();
        // What a credential is for has to be said by the address.
        let fits = match kind {
            SocketKind::Public => !environments.is_empty(),
            _ => environments.len() == 1,
        };
        if !fits {
            return Err("wants one environment, or is public".to_owned());
        }
        if hosts.is_empty() || paths.is_empty() {
            return Err("no hosts, or no paths".to_owned());
        }
        if let Some(host) = hosts.iter().find(|host| !is_socket_host(host)) {
            return Err(format!("{host} is no plain host with a port other than 443"));
        }
        let places = |texts: &[String]| {
            texts.iter().map(|text| Place::new(text)).collect::<Result<Vec<_>, _>>()
        };
        let paths = places(paths)?;
        let mut queries = places(queries)?;
        if queries.is_empty() {
            queries.push(Place { head: String::new(), given: None });
        }
        let is_path =
            |place: &Place| place.head == "/" || plain::is_path(place.head.trim_end_matches('/'));
        if !paths.iter().all(is_path) {
            return Err("a path is not plain".to_owned());
        }
        let has_handle = |place: &Place| matches!(place.given, Some(Given::Handle));
        let opened_by_handle = paths.iter().all(has_handle) || queries.iter().all(has_handle);
        let has_any = paths.iter().chain(&queries).any(has_handle);
        if has_any != (*kind == SocketKind::Listen) || (has_any && !opened_by_handle) {
            return Err("a handle opens listen sockets, all of them and no others".to_owned());
        }
        Ok(Self {
            kind: *kind,
            environments,
            hosts: hosts.clone(),
            paths,
            queries,
            public_channels: public_channels.iter().map(|name| Glob::new(name)).collect(),
        })
    }

    pub(crate) fn has_host(&self, host: &str) -> bool {
        self.hosts.iter().any(|known| known == host)
    }

    pub(crate) fn path<'t>(&self, path: &'t str) -> Option<Address<'t>> {
        self.paths.iter().find_map(|place| place.find(path))
    }

    pub(crate) fn query<'t>(&self, query: &'t str) -> Option<Address<'t>> {
        self.queries.iter().find_map(|place| place.find(query))
    }

    /// Whether a channel of it is open to everybody.
    pub(crate) fn is_public_channel(&self, name: &str) -> bool {
        self.kind == SocketKind::Public
            || self.public_channels.iter().any(|glob| glob.matches(name))
    }

    pub(crate) fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// Whether an address of one may be one of the other. What is given in different ways is never
    /// alike.
    pub(super) fn meets(&self, other: &Self) -> bool {
        let shares = |one: &[Place], other: &[Place]| one.iter().any(|place| other.contains(place));
        self.hosts.iter().any(|host| other.has_host(host))
            && shares(&self.paths, &other.paths)
            && shares(&self.queries, &other.queries)
    }
}

/// A host name, with a port where that is not 443.
fn is_socket_host(text: &str) -> bool {
    match text.split_once(':') {
        None => plain::is_host(text),
        Some((host, port)) => {
            let is_port =
                !port.starts_with('0') && port.parse::<u16>().is_ok_and(|port| port != 443);
            plain::is_host(host) && is_port
        }
    }
}

/// What stands for a capability outside egress: 32 to 64 letters and digits.
pub(crate) fn is_handle(text: &str) -> bool {
    (32..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// The name of a public stream, such as `btcusdt@trade` or `!ticker@arr`: no listen key has a `@` or
/// begins with `!`.
pub(crate) fn is_stream(text: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"@_-.!".contains(&b);
    (1..=80).contains(&text.len())
        && text.bytes().all(is_plain)
        && (text.starts_with('!') || text.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::{Address, Place, is_handle, is_socket_host, is_stream};

    #[test]
    fn a_place_takes_what_its_end_takes_and_nothing_more() {
        let handle = "aB3".repeat(20);
        let found = |text: &str, given: &str| {
            Place::new(text).expect("a place").find(given).map(|address| address.handle.is_some())
        };
        assert_eq!(found("/ws/{handle}", &format!("/ws/{handle}")), Some(true));
        assert_eq!(found("listenKey={handle}", &format!("listenKey={handle}")), Some(true));
        assert_eq!(found("/ws/{number}", "/ws/12"), Some(false));
        assert_eq!(found("/v2", "/v2"), Some(false));
        assert_eq!(found("", ""), Some(false));
        for (text, given) in [
            ("/ws/{handle}", "/ws/short".to_owned()),
            ("/ws/{handle}", format!("/ws/{handle}/")),
            ("/ws/{handle}", format!("/ws/{handle}{handle}")),
            ("/ws/{handle}", format!("/ws/{handle}@arr")),
            ("listenKey={handle}", format!("listenKey={handle}&x=1")),
            ("/ws/{number}", "/ws/12345".to_owned()),
            ("/ws/{number}", "/ws/".to_owned()),
            ("/ws/{stream}", "/ws/btcusdt".to_owned()),
            ("/v2", "/v2/".to_owned()),
            ("/v2", "/V2".to_owned()),
            ("", "x=1".to_owned()),
        ] {
            assert_eq!(found(text, &given), None, "{text} {given}");
        }
        let streams = Place::new("streams={streams}").expect("a place");
        let address = Address { handle: None, names_streams: true };
        assert_eq!(streams.find("streams=a@b/!c@arr"), Some(address));
        assert_eq!(streams.find(&format!("streams=a@b/{handle}")), None);
        assert!(Place::new("/{handle}/x").is_err());
        assert!(Place::new("/{other}").is_err());
    }

    #[test]
    fn handles_and_streams_are_never_alike() {
        assert!(is_handle(&"a".repeat(32)) && is_handle(&"Z".repeat(64)));
        for text in ["", "a", &"a".repeat(31), &"a".repeat(65), &format!("{}-", "a".repeat(40))] {
            assert!(!is_handle(text), "{text}");
        }
        for text in ["btcusdt@trade", "!miniTicker@arr", "btcusdt_perpetual@continuousKline_1m"] {
            assert!(is_stream(text) && !is_handle(text), "{text}");
        }
        for text in ["", "btcusdt", &"a".repeat(60), "a@b/c", "a@b\"", "a @b", "ä@b"] {
            assert!(!is_stream(text), "{text}");
        }
    }

    #[test]
    fn a_port_is_written_where_it_is_not_443() {
        for text in ["ws.okx.com", "ws.okx.com:8443", "stream.binance.com:9443"] {
            assert!(is_socket_host(text), "{text}");
        }
        for text in
            ["", "ws.okx.com:", "ws.okx.com:443", "ws.okx.com:08443", "a:70000", "A:1", ":1"]
        {
            assert!(!is_socket_host(text), "{text}");
        }
    }
}
