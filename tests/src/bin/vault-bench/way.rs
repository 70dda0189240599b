//! The ways an order goes: straight to the venue, or through the vault in either of two manners.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tonic::codegen::http::{Request, Uri};
use tonic::transport::{Channel, Endpoint};
use vault_proto::v1;
use vault_proto::v1::execute_service_client::ExecuteServiceClient;

use crate::Error;
use crate::histogram::Latencies;
use crate::mock::{API_KEY, SECRET, now_ms};

/// The venue that is measured, and the credential there.
const HOST: &str = "api.binance.com";
pub(crate) const CREDENTIAL: &str = "binance-main";
const PATH: &str = "/api/v3/order";
const ORDER: &str =
    "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.0001&price=50000";

/// How an order goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Way {
    /// To the venue itself, over HTTP/1.1.
    Direct,
    /// gRPC Execute.
    Execute,
    /// The HTTPS proxy, over HTTP/1.1.
    Proxy,
}

pub(crate) const WAYS: [Way; 3] = [Way::Direct, Way::Execute, Way::Proxy];

/// Where they all lead, and as whom.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) venue: SocketAddr,
    pub(crate) venue_tls: Arc<rustls::ClientConfig>,
    pub(crate) vault: SocketAddr,
    /// For gRPC, and for the proxy.
    pub(crate) vault_tls: [Arc<rustls::ClientConfig>; 2],
}

/// An open connection.
pub(crate) enum Connection {
    Execute(ExecuteServiceClient<Channel>),
    /// With what signs orders, if they go to the venue itself.
    Http(SendRequest<Empty<Bytes>>, Option<Box<hmac::Key>>),
}

impl Way {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Execute => "execute",
            Self::Proxy => "proxy",
        }
    }

    pub(crate) async fn connect(self, places: &Places) -> Result<Connection, Error> {
        match self {
            Self::Direct => {
                let name = ServerName::try_from(HOST)?;
                let sender = http1(places.venue, name, &places.venue_tls).await?;
                let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
                Ok(Connection::Http(sender, Some(Box::new(key))))
            }
            Self::Execute => {
                let channel = channel(places.vault, Arc::clone(&places.vault_tls[0])).await?;
                Ok(Connection::Execute(ExecuteServiceClient::new(channel)))
            }
            Self::Proxy => {
                let name = ServerName::from(places.vault.ip());
                let sender = http1(places.vault, name, &places.vault_tls[1]).await?;
                Ok(Connection::Http(sender, None))
            }
        }
    }
}

impl Connection {
    /// Another handle on one that carries many orders at a time.
    pub(crate) fn shared(&self) -> Option<Self> {
        match self {
            Self::Execute(client) => Some(Self::Execute(client.clone())),
            Self::Http(..) => None,
        }
    }

    /// Sends orders one after the other; each must be accepted by the venue.
    pub(crate) async fn orders(&mut self, count: usize) -> Result<Latencies, Error> {
        let mut latencies = Latencies::default();
        for _ in 0..count {
            self.timed(&mut latencies).await?;
        }
        Ok(latencies)
    }

    /// As [`Connection::orders`], for some time.
    pub(crate) async fn orders_for(&mut self, time: Duration) -> Result<Latencies, Error> {
        let mut latencies = Latencies::default();
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.timed(&mut latencies).await?;
        }
        Ok(latencies)
    }

    async fn timed(&mut self, latencies: &mut Latencies) -> Result<(), Error> {
        let begun = Instant::now();
        self.order().await?;
        latencies.push(begun.elapsed());
        Ok(())
    }

    async fn order(&mut self) -> Result<(), Error> {
        let (status, body) = match self {
            Self::Execute(client) => {
                let answer = client.execute(request()).await?.into_inner();
                let logged = answer.execution.as_ref().is_some_and(|it| it.receipt.is_some());
                if !logged {
                    return Err("an order without a receipt".into());
                }
                (answer.status, Bytes::from(answer.body))
            }
            Self::Http(sender, key) => {
                let order = match key {
                    Some(key) => signed(key)?,
                    None => dressed()?,
                };
                sender.ready().await?;
                let answer = sender.send_request(order).await?;
                let status = answer.status().as_u16();
                (status.into(), answer.into_body().collect().await?.to_bytes())
            }
        };
        let named = body.windows(9).any(|nine| nine == b"\"orderId\"");
        if status != 200 || !named {
            return Err(format!("{status}: {}", String::from_utf8_lossy(&body)).into());
        }
        Ok(())
    }
}

fn request() -> v1::ExecuteRequest {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    v1::ExecuteRequest {
        request_id: format!("bench-{}-{number}", std::process::id()),
        credential: CREDENTIAL.to_owned(),
        request: Some(v1::VenueRequest {
            method: "POST".to_owned(),
            host: HOST.to_owned(),
            path: PATH.to_owned(),
            query: ORDER.to_owned(),
            ..Default::default()
        }),
    }
}

/// As a bot that has the key sends it.
fn signed(key: &hmac::Key) -> Result<Request<Empty<Bytes>>, Error> {
    let query = format!("{ORDER}&timestamp={}", now_ms());
    let signature = hex::encode(hmac::sign(key, query.as_bytes()));
    post(format!("{PATH}?{query}&signature={signature}"), HOST, API_KEY)
}

/// As a bot with nothing but a placeholder sends it.
fn dressed() -> Result<Request<Empty<Bytes>>, Error> {
    let signature = "0".repeat(64);
    let target =
        format!("/https://{HOST}{PATH}?{ORDER}&timestamp={}&signature={signature}", now_ms());
    post(target, "vault", &format!("countersign:{CREDENTIAL}"))
}

fn post(target: String, host: &str, api_key: &str) -> Result<Request<Empty<Bytes>>, Error> {
    let request = Request::builder()
        .method("POST")
        .uri(target)
        .header("host", host)
        .header("x-mbx-apikey", api_key)
        .header("content-length", "0");
    Ok(request.body(Empty::new())?)
}

/// As `vault-client` writes: in one piece.
pub(crate) type Stream =
    TokioIo<vault_client::Gathered<tokio_rustls::client::TlsStream<tokio::net::TcpStream>>>;

pub(crate) async fn dial(
    address: SocketAddr,
    name: ServerName<'static>,
    tls: &Arc<rustls::ClientConfig>,
) -> std::io::Result<Stream> {
    let stream = tokio::net::TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let connector = tokio_rustls::TlsConnector::from(Arc::clone(tls));
    let stream = connector.connect(name, stream).await?;
    Ok(TokioIo::new(vault_client::Gathered(stream)))
}

async fn http1(
    address: SocketAddr,
    name: ServerName<'static>,
    tls: &Arc<rustls::ClientConfig>,
) -> Result<SendRequest<Empty<Bytes>>, Error> {
    let stream = dial(address, name, tls).await?;
    let (sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
    // Whoever sends on it sees that it has ended.
    tokio::spawn(connection);
    Ok(sender)
}

/// A gRPC channel; its name is the address that it is certified for.
pub(crate) async fn channel(
    address: SocketAddr,
    tls: Arc<rustls::ClientConfig>,
) -> Result<Channel, Error> {
    let connector = tower::service_fn(move |_: Uri| {
        let tls = Arc::clone(&tls);
        async move { dial(address, ServerName::from(address.ip()), &tls).await }
    });
    let endpoint = Endpoint::from_static("https://bench.invalid");
    Ok(endpoint.connect_with_connector(connector).await?)
}
