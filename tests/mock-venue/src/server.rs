//! The loopback servers: read whole requests, send JSON, stop gracefully.

use std::convert::Infallible;
use std::net::TcpListener;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming as HyperBody;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::fault::Fault;
use crate::http::Incoming;
use crate::ledger::Ledger;
use crate::reply::{Script, faulty, plain};
use crate::stream;
use crate::wire::{Damage, Socket, Wire};

const BODY_BYTES_MAX: usize = 1 << 20;
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// One place to listen at.
pub(crate) struct Door {
    pub(crate) listener: TcpListener,
    /// Whether TLS comes first.
    pub(crate) tls: Option<TlsAcceptor>,
}

/// Serves all doors until `stop` turns true, then lets requests in flight finish.
pub(crate) async fn serve(doors: Vec<Door>, ledger: Arc<Ledger>, stop: watch::Receiver<bool>) {
    let mut open = JoinSet::new();
    for door in doors {
        open.spawn(listen(door, Arc::clone(&ledger), stop.clone()));
    }
    while open.join_next().await.is_some() {}
}

async fn listen(door: Door, ledger: Arc<Ledger>, stop: watch::Receiver<bool>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(door.listener) else {
        return;
    };
    let mut stopped = stop.clone();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = halted(&mut stopped) => break,
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else {
                    // Out of descriptors, for one: do not spin until some are free again.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                };
                // Small answers go out at once. Without it the mock works as well, only later.
                let _ = stream.set_nodelay(true);
                let (tls, ledger) = (door.tls.clone(), Arc::clone(&ledger));
                connections.spawn(connection(stream, tls, ledger, stop.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
    // Whoever still talks after this is cut: the set aborts its tasks when dropped.
    let drained = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, drained).await;
}

/// Waits for the order to stop.
pub(crate) async fn halted(stop: &mut watch::Receiver<bool>) {
    // That the sender is gone is an order to stop, too.
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn connection(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    ledger: Arc<Ledger>,
    mut stop: watch::Receiver<bool>,
) {
    let socket = match tls {
        None => Socket::Plain(stream),
        Some(tls) => {
            let shaken = tokio::select! {
                shaken = tokio::time::timeout(HEADER_TIMEOUT, tls.accept(stream)) => shaken,
                () = halted(&mut stop) => return,
            };
            // Who does not trust the certificate has said so by closing.
            let Ok(Ok(stream)) = shaken else {
                return;
            };
            Socket::Tls(Box::new(stream))
        }
    };
    let wire = Wire::new(socket);
    let (damage, http2) = (wire.damage(), wire.is_http2());
    let stopped = stop.clone();
    let service = service_fn(move |request| {
        answer(request, Arc::clone(&ledger), damage.clone(), http2, stopped.clone())
    });

    // A broken connection is the client's affair: nothing was decided for it.
    if http2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        let connection =
            builder.timer(TokioTimer::new()).serve_connection(TokioIo::new(wire), service);
        let mut connection = pin!(connection);
        tokio::select! {
            _ = connection.as_mut() => return,
            () = halted(&mut stop) => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    } else {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .serve_connection(TokioIo::new(wire), service)
            .with_upgrades();
        let mut connection = pin!(connection);
        tokio::select! {
            _ = connection.as_mut() => return,
            () = halted(&mut stop) => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    }
}

async fn answer(
    mut request: Request<HyperBody>,
    ledger: Arc<Ledger>,
    damage: Damage,
    http2: bool,
    stop: watch::Receiver<bool>,
) -> Result<Response<Script>, Infallible> {
    if !http2 && stream::is_asked(&request) {
        return handshake(&mut request, &ledger, &damage, stop).await;
    }
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await else {
        return Ok(plain(StatusCode::PAYLOAD_TOO_LARGE, Bytes::new()));
    };
    let request = Incoming::new(head, body.to_bytes());
    let fault = ledger.arrive(&request);
    let delay = ledger.delay();
    if let Some((before, _)) = delay {
        tokio::time::sleep(before).await;
    }

    let acts = fault.as_ref().is_none_or(Fault::acts);
    let answer =
        if acts { ledger.handle(&request) } else { (StatusCode::OK, serde_json::Value::Null) };
    if let Some((_, after)) = delay {
        tokio::time::sleep(after).await;
    }
    match fault {
        None => {
            let (status, answer) = answer;
            Ok(plain(status, Bytes::from(answer.to_string())))
        }
        Some(Fault::Silence) => std::future::pending().await,
        Some(fault) => {
            if let Fault::Late(time) = fault {
                tokio::time::sleep(time).await;
            }
            Ok(faulty(&fault, &request, answer, &damage, http2))
        }
    }
}

/// Answers what asks for a WebSocket. Faults of its path happen in place of it.
async fn handshake(
    request: &mut Request<HyperBody>,
    ledger: &Arc<Ledger>,
    damage: &Damage,
    stop: watch::Receiver<bool>,
) -> Result<Response<Script>, Infallible> {
    let mut head = Request::new(()).into_parts().0;
    head.method = request.method().clone();
    head.uri = request.uri().clone();
    head.headers = request.headers().clone();
    let seen = Incoming::new(head, Bytes::new());
    match ledger.arrive(&seen) {
        None => {}
        Some(Fault::Silence) => return std::future::pending().await,
        Some(Fault::Late(time)) => tokio::time::sleep(time).await,
        Some(fault) => {
            let nothing = (StatusCode::OK, serde_json::Value::Null);
            return Ok(faulty(&fault, &seen, nothing, damage, false));
        }
    }
    let shaken = stream::accept(request, &seen, ledger, stop);
    let mut response = plain(shaken.status(), Bytes::new());
    *response.headers_mut() = shaken.headers().clone();
    Ok(response)
}
