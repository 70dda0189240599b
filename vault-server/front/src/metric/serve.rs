//! Who asks for the figures: plain HTTP on an address of this machine, `GET /metrics` and nothing else.
//!
//! No one shows who he is, so nothing secret is in what he gets. What it costs is bounded: the text is
//! made once a second at most, in a few connections at a time, in the lane of strangers.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::uri::Authority;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::timeout;
use vault_ipc::Listener;
use vault_ipc::metric::{self, Family, Sample};

use super::{LISTENERS, Told, text};
use crate::core::Core;
use crate::registry::Registry;
use crate::turn::{Lane, Turns};

/// How old figures may be.
const FRESH: Duration = Duration::from_secs(1);
/// How long the core may take to tell its own.
const ANSWER: Duration = Duration::from_secs(2);
/// Between two questions to the core: one that came too early is not answered.
const ASKED: Duration = Duration::from_millis(500);
/// Connections at a time; more are closed unread.
const CONNECTIONS: usize = 8;
/// From accept to the end of a connection, which is one request long.
const CONNECTION: Duration = Duration::from_secs(5);
/// Longest head of a request, in bytes.
const HEAD_BYTES: usize = 8 << 10;
/// Headers of a request.
const HEADERS: usize = 32;
/// How long to leave a socket alone that cannot accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The figures, for whoever asks.
#[derive(Debug)]
pub(crate) struct Figures {
    core: Core,
    made: Mutex<Made>,
    registry: Arc<Registry>,
}

#[derive(Debug, Default)]
struct Made {
    asked_at: Option<Instant>,
    text: Option<(Instant, Bytes)>,
}

impl Figures {
    /// Those of the front that has this registry, and of its core.
    pub(crate) fn new(core: &Core, registry: Arc<Registry>) -> Self {
        Self { core: core.clone(), made: Mutex::default(), registry }
    }

    /// The text; those who ask at one time get the same.
    async fn text(&self) -> Bytes {
        let mut made = self.made.lock().await;
        if let Some((at, text)) = &made.text
            && at.elapsed() < FRESH
        {
            return text.clone();
        }
        let core = self.ask(&mut made.asked_at).await;
        let mut samples = self.registry.metrics().samples();
        let mut put = |family, labels: &[&str], value| {
            samples.push(Sample::number(family, labels, value));
        };
        put(Family::CoreUp, &[], if core.is_some() { 1.0 } else { 0.0 });
        let waiting = self.core.waiting();
        put(Family::CallsWaiting, &[], waiting.calls as f64);
        put(Family::QueueBytes, &["front_bots"], waiting.bots_bytes as f64);
        put(Family::QueueBytes, &["front_operators"], waiting.operators_bytes as f64);
        let connections = self.registry.count_by_listener();
        for (listener, name) in LISTENERS {
            let count = connections.get(&listener).copied().unwrap_or(0);
            put(Family::Connections, &[name], count as f64);
        }
        if let Some(core) = core {
            samples.extend(core.samples.iter().cloned());
        }
        let text = Bytes::from(text::text(samples));
        made.text = Some((Instant::now(), text.clone()));
        text
    }

    /// What the core says now; `None` if it does not in time.
    async fn ask(&self, asked_at: &mut Option<Instant>) -> Option<Arc<metric::Metrics>> {
        let fresh = |told: &Option<Told>| {
            let told = told.as_ref().filter(|told| told.at.elapsed() < FRESH)?;
            Some(Arc::clone(&told.metrics))
        };
        let mut told = self.registry.metrics().listen_to_core();
        // Asked for by somebody who did not wait.
        if let Some(metrics) = fresh(&told.borrow_and_update()) {
            return Some(metrics);
        }
        if asked_at.is_none_or(|at| at.elapsed() >= ASKED) {
            *asked_at = Some(Instant::now());
            self.core.ask_metrics();
        }
        timeout(ANSWER, told.changed()).await.ok()?.ok()?;
        fresh(&told.borrow_and_update())
    }
}

/// Answers for ever.
pub(crate) async fn serve(socket: TcpListener, figures: Arc<Figures>, turns: Turns) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok((tcp, _)) = socket.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let figures = Arc::clone(&figures);
        let serving = turns.within(Lane::of_strangers(Listener::Operator), async move {
            let _place = place;
            // Whoever takes longer has had his time.
            let _ = timeout(CONNECTION, serve_one(tcp, &figures)).await;
        });
        tokio::spawn(serving);
    }
}

async fn serve_one(tcp: TcpStream, figures: &Figures) {
    let service = service_fn(async |request: Request<hyper::body::Incoming>| {
        Ok::<_, Infallible>(answer(figures, &request).await)
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .header_read_timeout(CONNECTION)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(tcp), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "connection for figures ended");
    }
}

async fn answer<B>(figures: &Figures, request: &Request<B>) -> Response<Full<Bytes>> {
    match refusal(request) {
        Some(status) => plain(status, Bytes::from_static(b"GET /metrics\n")),
        None => {
            let mut response = plain(StatusCode::OK, figures.text().await);
            let kind = HeaderValue::from_static(text::CONTENT_TYPE);
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        }
    }
}

/// Why a request gets no figures.
fn refusal<B>(request: &Request<B>) -> Option<StatusCode> {
    if !is_for_this_machine(request) {
        // A page in a browser on this machine whose name was made to lead here.
        return Some(StatusCode::MISDIRECTED_REQUEST);
    }
    if request.uri().path() != "/metrics" {
        return Some(StatusCode::NOT_FOUND);
    }
    (request.method() != Method::GET).then_some(StatusCode::METHOD_NOT_ALLOWED)
}

fn is_for_this_machine<B>(request: &Request<B>) -> bool {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let Some(host) = host.and_then(|host| host.parse::<Authority>().ok()) else { return false };
    let host = host.host();
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    match address.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

fn plain(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use http::{Request, StatusCode};

    use super::refusal;

    fn asked(method: &str, path: &str, host: Option<&str>) -> Option<StatusCode> {
        let request = Request::builder().method(method).uri(path);
        let request = match host {
            Some(host) => request.header("host", host),
            None => request,
        };
        refusal(&request.body(()).expect("a request"))
    }

    #[test]
    fn one_path_by_one_method_of_this_machine() {
        for host in ["127.0.0.1:9464", "127.3.2.1", "[::1]:9464", "localhost", "LOCALHOST:1"] {
            assert_eq!(asked("GET", "/metrics", Some(host)), None, "{host}");
        }
        assert_eq!(asked("GET", "/metrics?a=b", Some("localhost")), None);
        for host in ["vault.example", "10.0.0.1", "localhost.example", "127.0.0.1.example", "a b"] {
            let refused = asked("GET", "/metrics", Some(host));
            assert_eq!(refused, Some(StatusCode::MISDIRECTED_REQUEST), "{host}");
        }
        assert_eq!(asked("GET", "/metrics", None), Some(StatusCode::MISDIRECTED_REQUEST));
        for path in ["/", "/metrics/", "/metric", "/metrics%2f", "//metrics"] {
            let refused = asked("GET", path, Some("localhost"));
            assert_eq!(refused, Some(StatusCode::NOT_FOUND), "{path}");
        }
        for method in ["POST", "HEAD", "OPTIONS", "PUT"] {
            let refused = asked(method, "/metrics", Some("localhost"));
            assert_eq!(refused, Some(StatusCode::METHOD_NOT_ALLOWED), "{method}");
        }
    }
}
