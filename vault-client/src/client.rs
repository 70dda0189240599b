//! The client of a bot or a pricer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use http::uri::PathAndQuery;
use prost::Message as _;
use prost::bytes::Bytes;
use tonic::Request;
use tonic::client::Grpc;
use tonic::transport::Channel;
use vault_proto::v1::execute_service_client::ExecuteServiceClient;
use vault_proto::v1::price_service_client::PriceServiceClient;
use vault_proto::v1::sign_service_client::SignServiceClient;
use vault_proto::v1::{
    ExecuteRequest, ExecuteResponse, ExecuteStreamResponse, Header, LimitLeft, PutPricesCommand,
    PutPricesRequest, Quote, QuoteAnswer, Receipt, SignRequest, SignResponse, SignedRequest,
    VenueRequest, WhoamiResponse, execute_stream_response,
};

use crate::caller;
use crate::command::{NO_RANDOMNESS, signed_command};
use crate::encoded::Encoded;
use crate::error::ClientError;
use crate::identity::Identity;
use crate::transport;

/// What is to be signed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SignOrder {
    /// 1 to 64 of `A-Z a-z 0-9 _ -`, unique per client; `None` takes 32 random hex digits.
    pub request_id: Option<String>,
    /// Name of a credential.
    pub credential: String,
    /// The request, without time, nonce, api key and signature.
    pub request: VenueRequest,
}

/// A signed request and where the log says so.
#[derive(Clone, Debug, PartialEq)]
pub struct Signed {
    /// The id that was given or made.
    pub request_id: String,
    /// To be sent as it stands.
    pub request: SignedRequest,
    /// How long the venue accepts it from now on; `None`: it has no expiry.
    pub usable_for: Option<Duration>,
    /// Where its entry is in the log.
    pub receipt: Receipt,
    /// Place in the order of decisions.
    pub seq: u64,
    /// What its orders are worth at the worst price, in USD: a decimal. `None`: there are none, or
    /// nobody could say.
    pub notional_usd: Option<String>,
    /// What is left under each cap after it, by the cap's name: `orders/1m`, `notional_usd/24h`.
    /// Decimals.
    pub limits_left: BTreeMap<String, String>,
}

impl SignOrder {
    pub(crate) fn into_request(self) -> Result<SignRequest, ClientError> {
        let request_id = match self.request_id {
            Some(request_id) => request_id,
            None => random_id()?,
        };
        Ok(SignRequest { request_id, credential: self.credential, request: Some(self.request) })
    }
}

impl Signed {
    pub(crate) fn of(request_id: String, answer: SignResponse) -> Result<Self, ClientError> {
        let (Some(request), Some(receipt)) = (answer.request, answer.receipt) else {
            return Err(ClientError::Protocol("a part is missing"));
        };
        Ok(Self {
            request_id,
            request,
            usable_for: answer.usable_for_ms.map(Duration::from_millis),
            receipt,
            seq: answer.seq,
            notional_usd: Some(answer.notional_usd).filter(|notional| !notional.is_empty()),
            limits_left: by_name(answer.limits_left),
        })
    }
}

/// What is to be sent to a venue by the vault.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExecuteOrder {
    /// 1 to 64 of `A-Z a-z 0-9 _ -`, unique per client; `None` takes 32 random hex digits. The vault
    /// never sends anything twice under one id.
    pub request_id: Option<String>,
    /// Name of a credential; empty for a public endpoint.
    pub credential: String,
    /// The request, without time, nonce, api key and signature.
    pub request: VenueRequest,
    /// How long to wait for the venue's answer; `None` waits as long as the vault does.
    pub timeout: Option<Duration>,
}

/// A venue's response, and where the log says that the request was sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Executed {
    /// The id that was given or made.
    pub request_id: String,
    /// The venue's HTTP status.
    pub status: u16,
    /// The venue's headers, as far as the vault passes them on.
    pub headers: Vec<Header>,
    /// The venue's body.
    pub body: Vec<u8>,
    /// From the moment the vault's sender got the request, its entry on disk, until the venue's
    /// status line: with connecting, and with a first attempt whose answer was lost.
    pub latency: Duration,
    /// Where its entry is in the log; `None` for a public endpoint.
    pub receipt: Option<Receipt>,
    /// Place in the order of decisions.
    pub seq: u64,
    /// As in [`Signed`].
    pub notional_usd: Option<String>,
    /// As in [`Signed`].
    pub limits_left: BTreeMap<String, String>,
}

/// A venue's response that comes in pieces.
#[derive(Debug)]
pub struct ExecutedStream {
    /// Everything but the body, which is empty.
    pub head: Executed,
    pieces: tonic::Streaming<ExecuteStreamResponse>,
}

/// A bot's or pricer's connection to the vault. It renews its identity by itself when two thirds of the
/// certificate's life are over, for as long as the value lives.
#[derive(Debug)]
pub struct Client {
    current: Arc<Current>,
}

#[derive(Debug)]
struct Current {
    connection: Mutex<Connection>,
}

#[derive(Clone, Debug)]
struct Connection {
    identity: Arc<Identity>,
    channel: Channel,
}

impl Client {
    /// Connects with an identity. To be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn connect(identity: Identity) -> Result<Self, ClientError> {
        let channel = transport::connect(&identity).await?;
        let connection = Connection { identity: Arc::new(identity), channel };
        let current = Arc::new(Current { connection: Mutex::new(connection) });
        // Ends by itself when the last of us is gone, but never in the middle of a renewal.
        tokio::spawn(keep_fresh(Arc::downgrade(&current)));
        Ok(Self { current })
    }

    /// The identity in use.
    pub fn identity(&self) -> Arc<Identity> {
        self.current.connection().identity
    }

    /// Has one request signed. A connection that breaks is made anew, and the request sent once
    /// more under the same id, which the vault counts once.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] with the vault's reason; anything else means that the outcome is
    /// not known, and that the same order may be sent again with the same `request_id`.
    pub async fn sign(&self, order: SignOrder) -> Result<Signed, ClientError> {
        let request = order.into_request()?;
        let encoded = Bytes::from(request.encode_to_vec());
        let answer = match self.sign_once(encoded.clone()).await {
            Err(ClientError::Transport(cause)) => {
                tracing::debug!(%cause, "connection broke, asking again");
                self.sign_once(encoded).await?
            }
            other => other?,
        };
        Signed::of(request.request_id, answer)
    }

    /// Has one request judged, signed and sent by the vault. Nothing is asked twice: after an error
    /// other than [`ClientError::Refused`] the outcome is not known, and the same order with the same
    /// `request_id` learns it without being sent again.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] with the vault's reason: after `OUTCOME_UNKNOWN`, `DEADLINE_EXCEEDED`
    /// and `SHUTTING_DOWN` the venue may have the request, after `RESPONSE_TOO_LONG` it has; after
    /// every other one it has not.
    pub async fn execute(&self, order: ExecuteOrder) -> Result<Executed, ClientError> {
        let (request_id, request) = execute_request(order)?;
        let mut service = self.execute_service();
        let answer = service.execute(request).await.map_err(ClientError::from_status)?;
        executed(request_id, answer.into_inner())
    }

    /// As [`Client::execute`], for responses that are too long for one message.
    ///
    /// # Errors
    ///
    /// As [`Client::execute`].
    pub async fn execute_stream(&self, order: ExecuteOrder) -> Result<ExecutedStream, ClientError> {
        let (request_id, request) = execute_request(order)?;
        let mut service = self.execute_service();
        let answer = service.execute_stream(request).await.map_err(ClientError::from_status)?;
        let mut pieces = answer.into_inner();
        match pieces.message().await.map_err(ClientError::from_status)?.and_then(|piece| piece.part)
        {
            Some(execute_stream_response::Part::Head(head)) => {
                Ok(ExecutedStream { head: executed(request_id, head)?, pieces })
            }
            _ => Err(ClientError::Protocol("a response without a head")),
        }
    }

    fn execute_service(&self) -> ExecuteServiceClient<Channel> {
        ExecuteServiceClient::new(self.current.connection().channel)
            .max_decoding_message_size(EXECUTE_BYTES_MAX)
    }

    pub(crate) fn sign_service(&self) -> SignServiceClient<Channel> {
        SignServiceClient::new(self.current.connection().channel)
    }

    /// Sends an encoded [`SignRequest`].
    async fn sign_once(&self, request: Bytes) -> Result<SignResponse, ClientError> {
        let mut request = Request::new(request);
        request.set_timeout(SIGN_TIMEOUT);
        let mut service = Grpc::new(self.current.connection().channel);
        let ready = service.ready().await;
        ready.map_err(|error| ClientError::from_transport(Box::new(error)))?;
        let path = PathAndQuery::from_static("/vault.v1.SignService/Sign");
        let answer = service.unary(request, path, Encoded::new()).await;
        Ok(answer.map_err(ClientError::from_status)?.into_inner())
    }

    /// Puts reference prices, 1 to 200 at once: for pricers. The answers are in the order of the
    /// quotes, each with the reason if the vault did not take the price over. Nothing is sent twice:
    /// whoever wants a price in force puts it again.
    ///
    /// # Errors
    ///
    /// [`ClientError`] if no price was looked at, or nobody knows.
    pub async fn put_prices(&self, quotes: Vec<Quote>) -> Result<Vec<QuoteAnswer>, ClientError> {
        let Connection { identity, channel } = self.current.connection();
        let asked = quotes.len();
        let command = PutPricesCommand { quotes };
        let command = signed_command(&identity, PUT_PRICES, &command, SystemTime::now())?;
        let mut request = Request::new(PutPricesRequest { command: Some(command) });
        request.set_timeout(SIGN_TIMEOUT);
        let answer = PriceServiceClient::new(channel).put(request).await;
        let answers = answer.map_err(ClientError::from_status)?.into_inner().answers;
        if answers.len() != asked {
            return Err(ClientError::Protocol("not every price was answered"));
        }
        Ok(answers)
    }

    /// Asks the vault who it takes this client for, and from where it sees its calls come.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn whoami(&self) -> Result<WhoamiResponse, ClientError> {
        caller::whoami(self.current.connection().channel).await
    }

    /// Renews now and goes on with the new identity.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; the old identity stays in use then.
    pub async fn renew(&self) -> Result<(), ClientError> {
        self.current.renew().await
    }
}

impl ExecutedStream {
    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    ///
    /// [`ClientError`]: the body is not whole.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        let piece = self.pieces.message().await.map_err(ClientError::from_status)?;
        match piece.map(|piece| piece.part) {
            None => Ok(None),
            Some(Some(execute_stream_response::Part::Body(bytes))) => Ok(Some(bytes)),
            Some(_) => Err(ClientError::Protocol("a piece of a body is none")),
        }
    }
}

fn execute_request(order: ExecuteOrder) -> Result<(String, Request<ExecuteRequest>), ClientError> {
    let request_id = match order.request_id {
        Some(request_id) => request_id,
        None => random_id()?,
    };
    let mut request = Request::new(ExecuteRequest {
        request_id: request_id.clone(),
        credential: order.credential,
        request: Some(order.request),
    });
    request.set_timeout(order.timeout.unwrap_or(EXECUTE_TIMEOUT));
    Ok((request_id, request))
}

fn executed(request_id: String, answer: ExecuteResponse) -> Result<Executed, ClientError> {
    let execution = answer.execution.unwrap_or_default();
    Ok(Executed {
        request_id,
        status: u16::try_from(answer.status)
            .map_err(|_| ClientError::Protocol("a status is none of HTTP"))?,
        headers: answer.headers,
        body: answer.body,
        latency: Duration::from_micros(answer.latency_us),
        receipt: execution.receipt,
        seq: execution.seq,
        notional_usd: Some(execution.notional_usd).filter(|notional| !notional.is_empty()),
        limits_left: by_name(execution.limits_left),
    })
}

fn by_name(limits: Vec<LimitLeft>) -> BTreeMap<String, String> {
    limits.into_iter().map(|limit| (limit.limit, limit.left)).collect()
}

impl Current {
    fn connection(&self) -> Connection {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn renew(&self) -> Result<(), ClientError> {
        let old = self.connection();
        let identity = old.identity.renew_over(old.channel).await?;
        // Lazy: calls that are under way end on the old connection, the next one makes the new one.
        let channel = transport::connect_lazy(&identity)?;
        let new = Connection { identity: Arc::new(identity), channel };
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }
}

/// Renews when it is time; after a failure, again at the next look.
async fn keep_fresh(current: Weak<Current>) {
    while let Some(current) = current.upgrade() {
        if current.connection().identity.needs_renewal(SystemTime::now()) {
            match current.renew().await {
                Ok(()) => tracing::info!("certificate renewed"),
                Err(error) => tracing::warn!(%error, "certificate not renewed"),
            }
        }
        drop(current);
        // Looks often instead of sleeping long: a timer stands still while the machine sleeps.
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

fn random_id() -> Result<String, ClientError> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| NO_RANDOMNESS)?;
    Ok(hex::encode(bytes))
}

const PUT_PRICES: &str = "vault.v1.PriceService/Put";
/// As long as the vault itself gives a request.
pub(crate) const SIGN_TIMEOUT: Duration = Duration::from_secs(5);
/// As long as the vault itself waits for a venue.
const EXECUTE_TIMEOUT: Duration = Duration::from_secs(35);
/// A body of the largest size that the vault answers with at once, and what is around it.
const EXECUTE_BYTES_MAX: usize = 2 << 20;
const LOOK_INTERVAL: Duration = Duration::from_secs(20);
