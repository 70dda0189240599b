//! A bot's own HTTP requests, through the vault.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{Request, Response, Uri};
use http_body_util::combinators::BoxBody;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::client::Client;
use crate::error::ClientError;
use crate::identity::Identity;
use crate::transport;

/// The body of a request that the vault is to send.
pub type ProxiedBody = BoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// Why a request through the vault came to nothing.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct ProxiedError {
    /// Whether the vault, and so the venue, may have the request.
    pub may_be_sent: bool,
    /// What went wrong.
    #[source]
    pub error: ClientError,
}

impl From<ClientError> for ProxiedError {
    /// Of a request that was not sent.
    fn from(error: ClientError) -> Self {
        Self { may_be_sent: false, error }
    }
}

/// Sends HTTP requests as a bot's library made them through the vault, which takes placeholders for
/// keys and signatures off, judges what is left, and sends it. It renews its identity by itself, as
/// [`Client`] does, and makes its connection anew when that breaks.
#[derive(Debug)]
pub struct Proxied {
    client: Client,
    connection: Mutex<Option<Connection>>,
}

#[derive(Clone, Debug)]
struct Connection {
    identity: Arc<Identity>,
    sender: SendRequest<ProxiedBody>,
}

impl Proxied {
    /// Connects with a bot's identity. To be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn connect(identity: Identity) -> Result<Self, ClientError> {
        let client = Client::connect(identity).await?;
        Ok(Self { client, connection: Mutex::default() })
    }

    /// The identity in use.
    pub fn identity(&self) -> Arc<Identity> {
        self.client.identity()
    }

    /// Sends one request; `target` is the venue's whole URL, as it was written. The request's own URI
    /// counts for nothing.
    ///
    /// A denial of the vault is a response too: status 422 and a JSON object `countersign`. Only a
    /// request of which no byte was written is sent again, over a new connection.
    ///
    /// # Errors
    ///
    /// [`ProxiedError`].
    pub async fn send(
        &self,
        target: &str,
        mut request: Request<ProxiedBody>,
    ) -> Result<Response<Incoming>, ProxiedError> {
        let path = format!("/{target}");
        let path: PathAndQuery =
            path.parse().map_err(|_| ClientError::Protocol("the target is not a URL"))?;
        for _ in 0..ATTEMPTS {
            let mut connection = self.connection().await?;
            let address = connection.identity.address();
            *request.uri_mut() = Uri::builder()
                .scheme("https")
                .authority(address)
                .path_and_query(path.clone())
                .build()
                .map_err(|_| ClientError::Protocol("the target is not a URL"))?;
            *request.version_mut() = http::Version::HTTP_2;
            match connection.sender.try_send_request(request).await {
                Ok(response) => return Ok(response),
                Err(mut error) => {
                    self.forget(&connection);
                    match error.take_message() {
                        // Not a byte of it was written.
                        Some(unsent) => request = unsent,
                        None => {
                            let error = ClientError::from_transport(error.into_error().into());
                            return Err(ProxiedError { may_be_sent: true, error });
                        }
                    }
                }
            }
        }
        Err(ClientError::Transport("every connection broke at once".into()).into())
    }

    /// Asks for a WebSocket to a venue; `target` is the venue's whole URL, as it was written, and the
    /// request the handshake as the bot's library made it. Its connection to the vault is its own, and
    /// [`hyper::upgrade::on`] the response gives it if the status is 101.
    ///
    /// # Errors
    ///
    /// [`ProxiedError`]; nothing was sent to the venue then.
    pub async fn upgrade(
        &self,
        target: &str,
        mut request: Request<ProxiedBody>,
    ) -> Result<Response<Incoming>, ProxiedError> {
        let path: PathAndQuery = format!("/{target}")
            .parse()
            .map_err(|_| ClientError::Protocol("the target is not a URL"))?;
        let identity = self.client.identity();
        let stream = transport::connect_http1(&identity).await?;
        let (mut sender, driver) = hyper::client::conn::http1::handshake(stream)
            .await
            .map_err(|error| ClientError::from_transport(error.into()))?;
        tokio::spawn(drive(driver.with_upgrades()));
        let host = identity
            .address()
            .parse()
            .map_err(|_| ClientError::Protocol("the vault's address is no host"))?;
        request.headers_mut().insert(http::header::HOST, host);
        *request.uri_mut() = Uri::from(path);
        *request.version_mut() = http::Version::HTTP_11;
        let answered = sender.send_request(request).await;
        Ok(answered.map_err(|error| ClientError::from_transport(error.into()))?)
    }

    async fn connection(&self) -> Result<Connection, ClientError> {
        let identity = self.client.identity();
        let known = self.connection.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = known
            && Arc::ptr_eq(&known.identity, &identity)
            && !known.sender.is_closed()
        {
            return Ok(known);
        }
        let stream = transport::connect_http(&identity).await?;
        let (sender, driver) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .handshake(stream)
            .await
            .map_err(|error| ClientError::from_transport(error.into()))?;
        tokio::spawn(drive(driver));
        let connection = Connection { identity, sender };
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection.clone());
        Ok(connection)
    }

    fn forget(&self, broken: &Connection) {
        let mut known = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_ref().is_some_and(|known| known.sender.is_closed() || !broken.sender.is_ready())
        {
            *known = None;
        }
    }
}

async fn drive(connection: impl Future<Output = hyper::Result<()>>) {
    if let Err(error) = connection.await {
        tracing::debug!(%error, "connection to the vault ended");
    }
}

const ATTEMPTS: usize = 3;
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
const WINDOW_BYTES: u32 = 1 << 20;
