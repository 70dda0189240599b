//! One connection of a bot: its requests in the prefix form, or through `CONNECT`.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use vault_client::{ClientError, Proxied, ProxiedBody, ProxiedError};
use vault_venue::Registry;

use super::authority::Authority;
use super::{Others, is_served};

/// Headers that are about one connection.
const OF_CONNECTION: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];
const HANDSHAKE: Duration = Duration::from_secs(10);
const HEADER_READ: Duration = Duration::from_secs(30);
const DIAL: Duration = Duration::from_secs(10);

/// What all connections share.
pub struct Sidecar {
    pub authority: Authority,
    pub hosts: BTreeSet<String>,
    /// Whether names other than loopback's may stand in `Host`.
    pub is_exposed: bool,
    pub others: Others,
    pub registry: Registry,
    pub vault: Proxied,
}

/// Why the sidecar itself answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Refusal {
    Browser,
    HostOther,
    NotConnected,
    NotVenue,
    NoTarget,
    PlainHttp,
    Upgrade,
}

impl Refusal {
    /// Status, reason, words.
    fn say(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Browser => (
                StatusCode::FORBIDDEN,
                "BROWSER_REFUSED",
                "this proxy serves bots, not pages in a browser",
            ),
            Self::HostOther => (
                StatusCode::MISDIRECTED_REQUEST,
                "HOST_OTHER",
                "the request is for another host than the connection",
            ),
            Self::NotConnected => {
                (StatusCode::BAD_GATEWAY, "NOT_CONNECTED", "the host cannot be reached")
            }
            Self::NotVenue => (
                StatusCode::FORBIDDEN,
                "HOST_UNKNOWN",
                "the host is no venue's; --others tunnel passes such hosts through",
            ),
            Self::NoTarget => (
                StatusCode::NOT_FOUND,
                "NO_TARGET",
                "write the venue's whole URL after the proxy's: http://127.0.0.1:7080/https://api.kraken.com/0/public/Time",
            ),
            Self::PlainHttp => (
                StatusCode::FORBIDDEN,
                "PLAIN_HTTP",
                "venues are reached by https alone; set HTTPS_PROXY, not HTTP_PROXY",
            ),
            Self::Upgrade => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "UPGRADE_NOT_SERVED",
                "the connection can become a WebSocket, by HTTP/1.1, and nothing else",
            ),
        }
    }

    fn answer(self) -> Response<ProxiedBody> {
        let (status, reason, message) = self.say();
        answer(status, reason, message)
    }
}

/// Serves one connection until it ends.
pub async fn serve<S>(stream: S, sidecar: Arc<Sidecar>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let sidecar = Arc::clone(&sidecar);
        async move { Ok::<_, Infallible>(sidecar.outer(request).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Err(error) = served.await {
        tracing::debug!(%error, "connection ended");
    }
}

impl Sidecar {
    /// A request to the proxy itself.
    async fn outer(self: Arc<Self>, request: Request<Incoming>) -> Response<ProxiedBody> {
        if is_of_browser(request.headers()) {
            return Refusal::Browser.answer();
        }
        if request.method() == Method::CONNECT {
            return self.connect(request).await;
        }
        if request.uri().scheme().is_some() {
            return Refusal::PlainHttp.answer();
        }
        if !self.is_exposed && !is_for_loopback(request.headers()) {
            // A name that a stranger's DNS has led here.
            return Refusal::HostOther.answer();
        }
        let written = request.uri().path_and_query().map_or("", |written| written.as_str());
        let target = written.strip_prefix('/').unwrap_or(written);
        let lower = target.get(..12).unwrap_or(target).to_ascii_lowercase();
        let schemes = ["https://", "https%3a%2f", "wss://", "wss%3a%2f"];
        if !schemes.into_iter().any(|scheme| lower.starts_with(scheme)) {
            return Refusal::NoTarget.answer();
        }
        let target = target.to_owned();
        self.forward(&target, request).await
    }

    /// A request inside a connection to a venue's host.
    async fn inner(
        self: Arc<Self>,
        host: Arc<str>,
        port: u16,
        request: Request<Incoming>,
    ) -> Response<ProxiedBody> {
        let named = match request.uri().authority() {
            Some(authority) => Some(authority.as_str().to_owned()),
            None => {
                let mut hosts = request.headers().get_all(header::HOST).iter();
                let first = hosts.next().and_then(|host| host.to_str().ok()).map(str::to_owned);
                first.filter(|_| hosts.next().is_none())
            }
        };
        let whole = format!("{host}:{port}");
        let is_ours = |named: &str| named == whole || (port == 443 && named == &*host);
        if !named.as_deref().is_some_and(is_ours) {
            return Refusal::HostOther.answer();
        }
        let written = request.uri().path_and_query().map_or("/", |written| written.as_str());
        let is_upgrade = request.headers().contains_key(header::UPGRADE);
        let target = match (is_upgrade, port) {
            (true, 443) => format!("wss://{host}{written}"),
            (true, _) => format!("wss://{whole}{written}"),
            // The vault refuses any other port.
            (false, 443) => format!("https://{host}{written}"),
            (false, _) => format!("https://{whole}{written}"),
        };
        self.forward(&target, request).await
    }

    async fn forward(&self, target: &str, request: Request<Incoming>) -> Response<ProxiedBody> {
        if request.headers().contains_key(header::UPGRADE) {
            return self.upgrade(target, request).await;
        }
        let (mut parts, body) = request.into_parts();
        without_connection(&mut parts.headers);
        parts.headers.remove(header::HOST);
        let body = body.map_err(Into::into).boxed();
        match self.vault.send(target, Request::from_parts(parts, body)).await {
            Ok(response) => {
                let mut response = response.map(|body| body.map_err(Into::into).boxed());
                *response.version_mut() = http::Version::HTTP_11;
                without_connection(response.headers_mut());
                response
            }
            Err(error) => unreached(&error),
        }
    }

    /// Passes a WebSocket on, byte for byte: what is said on it is for the vault to judge.
    async fn upgrade(&self, target: &str, mut request: Request<Incoming>) -> Response<ProxiedBody> {
        let is_websocket = request
            .headers()
            .get(header::UPGRADE)
            .is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"));
        if !is_websocket || request.version() != http::Version::HTTP_11 {
            return Refusal::Upgrade.answer();
        }
        let ours = hyper::upgrade::on(&mut request);
        let (mut parts, body) = request.into_parts();
        without_connection(&mut parts.headers);
        into_websocket(&mut parts.headers);
        let body = body.map_err(Into::into).boxed();
        let mut response = match self.vault.upgrade(target, Request::from_parts(parts, body)).await
        {
            Ok(response) => response,
            Err(error) => return unreached(&error),
        };
        let is_open = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if is_open {
            tokio::spawn(pass(ours, hyper::upgrade::on(&mut response)));
        }
        let mut response = response.map(|body| body.map_err(Into::into).boxed());
        without_connection(response.headers_mut());
        if is_open {
            into_websocket(response.headers_mut());
        }
        response
    }

    async fn connect(self: Arc<Self>, request: Request<Incoming>) -> Response<ProxiedBody> {
        let Some((host, port)) = request.uri().authority().and_then(|authority| {
            let port = authority.port_u16()?;
            Some((authority.host().to_owned(), port))
        }) else {
            return Refusal::NoTarget.answer();
        };
        if self.hosts.contains(&host) {
            if !is_served(&self.registry, &host, port) {
                return Refusal::NotVenue.answer();
            }
            tokio::spawn(async move {
                if let Err(error) = self.impersonate(host.into(), port, request).await {
                    tracing::debug!(error, "connection to a venue ended");
                }
            });
            return Response::new(empty());
        }
        // A name that differs in letters only would go past the vault.
        let plain = host.trim_end_matches('.').to_ascii_lowercase();
        if self.others == Others::Refuse || self.hosts.contains(&plain) {
            return Refusal::NotVenue.answer();
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let Ok(Ok(outside)) = timeout(DIAL, TcpStream::connect((bare, port))).await else {
            return Refusal::NotConnected.answer();
        };
        tokio::spawn(tunnel(outside, request));
        Response::new(empty())
    }

    /// Is a venue's host to the bot.
    async fn impersonate(
        self: Arc<Self>,
        host: Arc<str>,
        port: u16,
        request: Request<Incoming>,
    ) -> Result<(), String> {
        let upgraded = hyper::upgrade::on(request).await.map_err(|error| error.to_string())?;
        let (sidecar, name) = (Arc::clone(&self), Arc::clone(&host));
        // It may make keys and wait for files.
        let server = tokio::task::spawn_blocking(move || sidecar.authority.server(&name))
            .await
            .map_err(|error| error.to_string())?
            .map_err(|fault| fault.message)?;
        let accept = TlsAcceptor::from(server).accept(TokioIo::new(upgraded));
        let stream = timeout(HANDSHAKE, accept).await.map_err(|_| "no handshake in time")?;
        let stream = stream.map_err(|error| error.to_string())?;
        let service = service_fn(move |request| {
            let (sidecar, host) = (Arc::clone(&self), Arc::clone(&host));
            async move { Ok::<_, Infallible>(sidecar.inner(host, port, request).await) }
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_READ);
        builder.http2().timer(TokioTimer::new()).max_concurrent_streams(128);
        let served = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
        served.map_err(|error| error.to_string())
    }
}

/// Passes bytes both ways, to a host that is no venue's.
async fn tunnel(mut outside: TcpStream, request: Request<Incoming>) {
    let Ok(upgraded) = hyper::upgrade::on(request).await else { return };
    // Either end may end it in any way.
    let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(upgraded), &mut outside).await;
}

/// Passes the bytes of a WebSocket both ways, once both ends have become one.
async fn pass(ours: OnUpgrade, theirs: OnUpgrade) {
    let (Ok(ours), Ok(theirs)) = (ours.await, theirs.await) else { return };
    // Either end may end it in any way.
    let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(ours), &mut TokioIo::new(theirs)).await;
}

/// Puts in what makes a WebSocket of a connection.
fn into_websocket(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}

/// Whether a page has sent it. Browsers say `Sec-Fetch-*` to hosts that they take for trustworthy,
/// which over plain HTTP are loopback's alone; to others they say at least `Origin` with whatever
/// is not a plain GET. No page can take either away. Libraries send an `Origin` too, but no page's:
/// ccxt's is `*` or a UUID.
fn is_of_browser(headers: &HeaderMap) -> bool {
    let says_so = ["sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest"];
    says_so.into_iter().any(|name| headers.contains_key(name))
        || headers.get_all(header::ORIGIN).iter().map(HeaderValue::as_bytes).any(|origin| {
            origin == b"null" || origin.starts_with(b"http://") || origin.starts_with(b"https://")
        })
}

fn is_for_loopback(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else {
        return false;
    };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next(),
        None => host.split(':').next(),
    };
    name.is_some_and(|name| {
        name.eq_ignore_ascii_case("localhost")
            || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    })
}

/// Takes off what is about one connection, and what `Connection` names.
fn without_connection(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in OF_CONNECTION.iter().chain(&named) {
        headers.remove(name);
    }
}

fn unreached(error: &ProxiedError) -> Response<ProxiedBody> {
    let (status, reason) = match error.error {
        _ if error.may_be_sent => (StatusCode::GATEWAY_TIMEOUT, "OUTCOME_UNKNOWN"),
        ClientError::Protocol(_) => (StatusCode::UNPROCESSABLE_ENTITY, "TARGET_MALFORMED"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "VAULT_UNREACHABLE"),
    };
    answer(status, reason, &error.to_string())
}

/// An answer of the vault's own form: no `code`, `error` or `msg` for a bot to stumble over.
fn answer(status: StatusCode, reason: &str, message: &str) -> Response<ProxiedBody> {
    let body = json!({ "countersign": { "reason": reason, "message": message } });
    let mut response = Response::new(full(body.to_string()));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn full(text: String) -> ProxiedBody {
    Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed()
}

fn empty() -> ProxiedBody {
    full(String::new())
}

#[cfg(test)]
mod tests {
    use http::header::{HeaderMap, HeaderValue};

    use super::{is_for_loopback, is_of_browser, without_connection};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_name_that_leads_here_is_not_ours() {
        for (host, ours) in [
            ("127.0.0.1:7080", true),
            ("localhost", true),
            ("LocalHost:1", true),
            ("[::1]:7080", true),
            // Browsers do not take it for loopback, so they would not say what they are.
            ("[::ffff:127.0.0.1]:7080", false),
            ("attacker.example:7080", false),
            ("127.0.0.1.attacker.example", false),
            ("192.0.2.1", false),
        ] {
            assert_eq!(is_for_loopback(&headers(&[("host", host)])), ours, "{host}");
        }
        assert!(!is_for_loopback(&HeaderMap::new()));
    }

    #[test]
    fn pages_are_refused_and_what_libraries_send_is_not() {
        for (name, value, is_page) in [
            ("sec-fetch-site", "none", true),
            ("sec-fetch-mode", "no-cors", true),
            ("sec-fetch-dest", "empty", true),
            ("origin", "http://attacker.example", true),
            ("origin", "https://attacker.example", true),
            ("origin", "null", true),
            ("origin", "*", false),
            ("origin", "2c5ea4c0-4067-11e9-8bad-9b1deb4d3b7d", false),
            ("user-agent", "Mozilla/5.0", false),
        ] {
            assert_eq!(is_of_browser(&headers(&[(name, value)])), is_page, "{name}: {value}");
        }
        assert!(is_of_browser(&headers(&[("origin", "*"), ("origin", "null")])));
        assert!(!is_of_browser(&HeaderMap::new()));
    }

    #[test]
    fn takes_off_what_the_connection_names() {
        let mut headers = headers(&[
            ("connection", "close, X-Mine"),
            ("x-mine", "1"),
            ("te", "trailers"),
            ("proxy-connection", "keep-alive"),
            ("x-mbx-apikey", "countersign:main"),
        ]);
        without_connection(&mut headers);
        assert_eq!(headers.len(), 1, "{headers:?}");
    }
}
