//! Calls of OpenBao's transit engine, over HTTP/1.1 that is kept alive or over HTTP/2.

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tonic::codegen::http::Request;

use crate::lane::TOGETHER;
use crate::side::Manner;
use crate::work::{OKX_ORDER, Work};
use crate::{Error, way};

/// Where it is, and as whom it is called.
#[derive(Clone, Debug)]
pub(crate) struct BaoTarget {
    pub(crate) address: SocketAddr,
    /// For HTTP/1.1, and for HTTP/2.
    pub(crate) tls: [Arc<rustls::ClientConfig>; 2],
    pub(crate) token: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Protocol {
    /// Kept alive; a connection carries one call at a time.
    Http1,
    Http2,
}

/// What it is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct BaoTask {
    path: &'static str,
    is_batch: bool,
    protocol: Protocol,
}

/// Sends one call after the other.
#[derive(Debug)]
pub(crate) struct BaoLane {
    sender: Sender,
    uri: String,
    host: String,
    token: String,
    body: Bytes,
    count: usize,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// What every signature and HMAC of the first version of a key begins with.
const MARK: &[u8] = b"vault:v1:";

impl BaoTask {
    /// The same as a kind of Sign, as far as it can do that.
    pub(crate) fn of(work: Work, manner: Manner, protocol: Protocol) -> Option<Self> {
        let path = match work {
            Work::Ed25519 => "transit/sign/ed25519",
            Work::Hmac => "transit/hmac/hmac/sha2-256",
            Work::P256 => "transit/sign/p256/sha2-256",
            Work::Deny | Work::Mixed | Work::Rsa => return None,
        };
        let is_batch = match manner {
            Manner::Batch => true,
            Manner::Single => false,
            Manner::Stream => return None,
        };
        Some(Self { path, is_batch, protocol })
    }

    pub(crate) fn name(self) -> String {
        let protocol = match self.protocol {
            Protocol::Http1 => "HTTP/1.1",
            Protocol::Http2 => "HTTP/2",
        };
        let what = self.path.split('/').nth(2).unwrap_or_default();
        let batch = if self.is_batch { ", batches of 64" } else { "" };
        format!("OpenBao {what}{batch}, {protocol}")
    }

    fn count(self) -> usize {
        if self.is_batch { TOGETHER } else { 1 }
    }

    /// About the text that a vault signs for the same order.
    fn body(self) -> Bytes {
        let text = format!("2026-01-01T00:00:00.000ZPOST/api/v5/trade/order{OKX_ORDER}");
        let input = json!({ "input": BASE64_STANDARD.encode(text) });
        let body = match self.is_batch {
            true => json!({ "batch_input": vec![input; TOGETHER] }),
            false => input,
        };
        body.to_string().into()
    }
}

impl BaoTarget {
    /// Lanes for so many calls at a time; of batches, one at a time on each of as many connections
    /// as the vault's batches have.
    pub(crate) async fn connect(
        &self,
        task: BaoTask,
        connections: usize,
        streams: usize,
    ) -> Result<Vec<BaoLane>, Error> {
        let (connections, streams) = match task.is_batch {
            true => (connections.min(crate::side::UNDER_WAY_MAX / TOGETHER), 1),
            false => (connections, streams),
        };
        let mut lanes = Vec::new();
        for _ in 0..connections {
            match task.protocol {
                Protocol::Http1 => {
                    for _ in 0..streams {
                        lanes.push(self.lane(task, Sender::Http1(self.http1().await?)));
                    }
                }
                Protocol::Http2 => {
                    let sender = self.http2().await?;
                    let lane = || self.lane(task, Sender::Http2(sender.clone()));
                    lanes.extend((0..streams).map(|_| lane()));
                }
            }
        }
        Ok(lanes)
    }

    /// One request on a connection of its own, that must be answered with success.
    pub(crate) async fn request(
        &self,
        method: &str,
        path: &str,
        body: &Value,
    ) -> Result<Value, Error> {
        let mut sender = self.http1().await?;
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/v1/{path}"))
            .header("host", self.address.to_string());
        if !self.token.is_empty() {
            request = request.header("x-vault-token", &self.token);
        }
        let answer = sender.send_request(request.body(Full::from(body.to_string()))?).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            return Err(format!("{path}: {status}: {}", String::from_utf8_lossy(&body)).into());
        }
        if body.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_slice(&body)?) }
    }

    fn lane(&self, task: BaoTask, sender: Sender) -> BaoLane {
        let host = self.address.to_string();
        let uri = match task.protocol {
            Protocol::Http1 => format!("/v1/{}", task.path),
            Protocol::Http2 => format!("https://{host}/v1/{}", task.path),
        };
        let token = self.token.clone();
        BaoLane { sender, uri, host, token, body: task.body(), count: task.count() }
    }

    async fn http1(&self) -> Result<http1::SendRequest<Full<Bytes>>, Error> {
        let name = ServerName::from(self.address.ip());
        let stream = way::dial(self.address, name, &self.tls[0]).await?;
        let (sender, connection) = http1::handshake(stream).await?;
        // Whoever sends on it sees that it has ended.
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn http2(&self) -> Result<http2::SendRequest<Full<Bytes>>, Error> {
        let name = ServerName::from(self.address.ip());
        let stream = way::dial(self.address, name, &self.tls[1]).await?;
        let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
        tokio::spawn(connection);
        Ok(sender)
    }
}

impl BaoLane {
    /// Sends one call and waits for its answer, which must have a signature for each input; returns
    /// how many those are.
    pub(crate) async fn call(&mut self) -> Result<usize, Error> {
        let mut request = Request::post(&self.uri).header("x-vault-token", &self.token);
        if matches!(self.sender, Sender::Http1(_)) {
            request = request.header("host", &self.host);
        }
        let request = request.body(Full::new(self.body.clone()))?;
        let answer = match &mut self.sender {
            Sender::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Sender::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
        };
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        let signed = body.windows(MARK.len()).filter(|window| *window == MARK).count();
        if !status.is_success() || signed != self.count {
            return Err(format!("{status}: {}", String::from_utf8_lossy(&body)).into());
        }
        Ok(self.count)
    }
}
