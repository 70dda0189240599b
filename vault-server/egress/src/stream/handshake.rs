//! From a URL to a WebSocket that stands.

use std::rc::Rc;

use http::header::{CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, UPGRADE, USER_AGENT};
use http::header::{
    SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
};
use http::uri::PathAndQuery;
use http::{Request, Uri};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self};
use vault_ipc::proto::v1::Header;

use super::{SEND_BYTES_MAX, Stream, Streams};
use crate::asker::Asker;
use crate::dial;
use crate::health::{Now, VenueKey};
use crate::link::Link;
use crate::problem::Problem;
use crate::request::{OUR_USER_AGENT, URL_BYTES_MAX, is_host, is_of_the_connection};

/// Longest message of a venue, in bytes.
pub(super) const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// What is read at once, in bytes.
const READ_BYTES: usize = 16 << 10;
/// The port of URLs that say none.
const HTTPS: u16 = 443;

// The library says at that level what it sends: signatures too.
const _: () = assert!(log::STATIC_MAX_LEVEL as usize <= log::LevelFilter::Debug as usize);

/// A WebSocket over a connection under TLS.
pub(super) type Socket = WebSocketStream<dial::Stream>;

/// Where a WebSocket goes, and how it is asked for.
pub(super) struct Target {
    pub(super) host: String,
    port: u16,
    headers: HeaderMap,
    uri: Uri,
}

impl Target {
    /// Takes a URL apart: `wss://host[:port]/path[?query]`.
    ///
    /// # Errors
    ///
    /// [`Problem::RequestMalformed`] if a byte of it could not be sent as it is, or would not mean
    /// what the core has judged.
    pub(super) fn new(url: &str, headers: &[Header]) -> Result<Self, Problem> {
        Self::read(url, headers).ok_or(Problem::RequestMalformed)
    }

    fn read(url: &str, all: &[Header]) -> Option<Self> {
        let rest = url.strip_prefix("wss://")?;
        let (authority, target) = rest.split_at(rest.find('/')?);
        let (host, port) = match authority.split_once(':') {
            Some((host, port)) => (host, read_port(port)?),
            None => (authority, HTTPS),
        };
        if !is_host(host) || url.len() > URL_BYTES_MAX {
            return None;
        }
        // What the type leaves out or changes (a fragment), it may not send.
        if PathAndQuery::try_from(target).ok()?.as_str() != target {
            return None;
        }
        let mut headers = HeaderMap::with_capacity(all.len() + 6);
        for header in all {
            let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
            let value = HeaderValue::from_bytes(header.value.as_bytes()).ok()?;
            let is_ours =
                is_of_the_connection(&name) || name.as_str().starts_with("sec-websocket-");
            if is_ours || header.value.trim_ascii() != header.value {
                return None;
            }
            headers.append(name, value);
        }
        headers.insert(USER_AGENT, HeaderValue::from_static(OUR_USER_AGENT));
        headers.insert(HOST, HeaderValue::from_str(authority).ok()?);
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        let uri: Uri = url.parse().ok()?;
        Some(Self { host: host.to_owned(), port, headers, uri })
    }

    fn request(&self) -> Option<Request<()>> {
        let mut request = Request::new(());
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        let key = HeaderValue::from_str(&generate_key()).ok()?;
        request.headers_mut().insert(SEC_WEBSOCKET_KEY, key);
        Some(request)
    }
}

fn read_port(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    is_plain.then(|| text.parse().ok()).flatten()
}

impl Streams {
    /// Connects and shakes hands. No redirect is followed: any answer but a WebSocket is an end.
    pub(super) async fn open(
        &self,
        stream: &Stream,
        target: &Target,
        key: &VenueKey,
        asker: &Asker,
    ) -> Result<(Socket, Rc<Link>), Problem> {
        let dialer = self.sender.pools.dialer();
        let to = dialer.stream_destination(&target.host, target.port, key.1);
        let (connection, link) = dialer.open_stream(&to.ok_or(Problem::RequestMalformed)?).await?;
        *stream.link.borrow_mut() = Some(Rc::clone(&link));
        // Cut while there was nothing to cut yet.
        if let Some(problem) = stream.cut.get() {
            link.cut();
            return Err(problem);
        }
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            // Each message is on its way at once, and none waits for the next.
            .write_buffer_size(0)
            .max_write_buffer_size(4 * SEND_BYTES_MAX)
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let request = target.request().ok_or(Problem::RequestMalformed)?;
        let shaken =
            tokio_tungstenite::client_async_with_config(request, connection, Some(config)).await;
        let health = &self.sender.health;
        match shaken {
            Ok((socket, response)) => {
                let status = response.status().as_u16();
                health.borrow_mut().answered(key, asker, status, response.headers(), Now::read());
                // Nobody asked for either: what then came could not be read.
                let has = |name| response.headers().contains_key(name);
                if has(SEC_WEBSOCKET_EXTENSIONS) || has(SEC_WEBSOCKET_PROTOCOL) {
                    return Err(Problem::ResponseMalformed);
                }
                Ok((socket, link))
            }
            Err(tungstenite::Error::Http(response)) => {
                let status = response.status().as_u16();
                health.borrow_mut().answered(key, asker, status, response.headers(), Now::read());
                tracing::info!(host = target.host, status, "no WebSocket with the venue");
                Err(Problem::HandshakeRefused)
            }
            Err(
                tungstenite::Error::Io(_)
                | tungstenite::Error::Protocol(ProtocolError::HandshakeIncomplete),
            ) => Err(Problem::ConnectionLost),
            Err(_) => Err(Problem::ResponseMalformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use vault_ipc::proto::v1::Header;

    use super::Target;

    #[test]
    fn urls_are_what_they_say_or_are_refused() {
        for (url, host, port) in [
            ("wss://ws.okx.com:8443/ws/v5/private", "ws.okx.com", 8443),
            ("wss://stream.binance.com/ws/abc?x=y&z", "stream.binance.com", 443),
            ("wss://a.example//b/../c/%2F", "a.example", 443),
        ] {
            let target = Target::new(url, &[]).unwrap_or_else(|_| panic!("{url}"));
            assert_eq!((target.host.as_str(), target.port), (host, port));
            assert!(url.ends_with(target.uri.path_and_query().expect("a path").as_str()), "{url}");
            let authority = url["wss://".len()..].split('/').next().expect("one");
            assert_eq!(target.headers["host"], authority);
        }
        for url in [
            "ws://a.example/",
            "https://a.example/",
            "wss://a.example",
            "wss://a.example?x",
            "wss://a.example/#x",
            "wss://a.example/ x",
            "wss://a.example:/",
            "wss://a.example:0443/",
            "wss://a.example:65536/",
            "wss://a.example:+1/",
            "wss://a.example:1:2/",
            "wss://u@a.example/",
            "wss://A.example/",
            "wss://127.0.0.1/",
            "wss://[::1]/",
        ] {
            assert!(Target::new(url, &[]).is_err(), "{url}");
        }
    }

    #[test]
    fn headers_of_the_handshake_are_ours_alone() {
        let with = |name: &str, value: &str| {
            let header = Header { name: name.to_owned(), value: value.to_owned() };
            Target::new("wss://a.example/", &[header])
        };
        assert_eq!(
            with("x-a", "b").map(|target| target.headers["x-a"].clone()).ok(),
            Some("b".parse().expect("a value"))
        );
        for name in [
            "host",
            "upgrade",
            "connection",
            "sec-websocket-key",
            "sec-websocket-protocol",
            "sec-websocket-extensions",
            "content-length",
            "transfer-encoding",
        ] {
            assert!(with(name, "x").is_err(), "{name}");
        }
        assert!(with("x-a", " b").is_err() && with("x-a", "b\r\nc: d").is_err());
    }
}
