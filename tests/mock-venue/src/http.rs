//! The loopback HTTP/1.1 server: reads whole requests, sends JSON, stops gracefully.
//!
//! It changes nothing in a request: path, query and body reach the venues as they arrived.

use std::convert::Infallible;
use std::net::TcpListener;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming as HyperBody;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Ledger;

const BODY_BYTES_MAX: usize = 1 << 20;
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// A whole request, byte for byte as it arrived.
pub(crate) struct Incoming {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    /// Path and query together, with the question mark if there was one.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A header that may appear once.
pub(crate) enum Header<'a> {
    /// Not there, or there and empty.
    Absent,
    /// There more than once, or not visible ASCII.
    Malformed,
    Value(&'a str),
}

impl Incoming {
    /// Reads a header. Two headers of one name are never resolved by taking the first: a
    /// proxy in between could take the other.
    pub(crate) fn header(&self, name: &str) -> Header<'_> {
        let mut values = self.headers.get_all(name).iter();
        match (values.next().map(HeaderValue::to_str), values.next()) {
            (None | Some(Ok("")), None) => Header::Absent,
            (Some(Ok(value)), None) => Header::Value(value),
            _ => Header::Malformed,
        }
    }

    /// The media type of the body in lower case, without parameters.
    pub(crate) fn media_type(&self) -> Option<String> {
        match self.header(CONTENT_TYPE.as_str()) {
            Header::Value(value) => {
                value.split(';').next().map(|media| media.trim().to_ascii_lowercase())
            }
            Header::Absent | Header::Malformed => None,
        }
    }
}

/// Accepts connections until `stop` turns true, then lets requests in flight finish.
pub(crate) async fn serve(listener: TcpListener, ledger: Arc<Ledger>, stop: watch::Receiver<bool>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    let mut stopped = stop.clone();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => break,
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else {
                    // Out of descriptors, for one: do not spin until some are free again.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                };
                connections.spawn(connection(stream, Arc::clone(&ledger), stop.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
    // Whoever still talks after this is cut: the set aborts its tasks when dropped.
    let drained = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, drained).await;
}

async fn connection(stream: TcpStream, ledger: Arc<Ledger>, mut stop: watch::Receiver<bool>) {
    let service = service_fn(move |request| answer(request, Arc::clone(&ledger)));
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service)
    );
    // A broken connection is the client's affair: nothing was decided for it.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stop.wait_for(|stop| *stop) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

async fn answer(
    request: Request<HyperBody>,
    ledger: Arc<Ledger>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await else {
        return Ok(response(StatusCode::PAYLOAD_TOO_LARGE, Bytes::new()));
    };
    let target = head.uri.path_and_query().map_or("", |target| target.as_str()).to_owned();
    let incoming = Incoming {
        method: head.method,
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        target,
        headers: head.headers,
        body: body.to_bytes(),
    };
    let (status, value): (StatusCode, Value) = ledger.handle(&incoming);
    Ok(response(status, Bytes::from(value.to_string())))
}

fn response(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
