//! The collector: OTLP over HTTP, as protobuf, one request a connection.
//!
//! Source: <https://opentelemetry.io/docs/specs/otlp/#otlphttp>, read 2026-11-23.

use std::net::SocketAddr;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message as _;
use tokio::net::TcpStream;

/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("countersign/", env!("CARGO_PKG_VERSION")));

/// Where spans go.
#[derive(Debug)]
pub(crate) struct Collector {
    address: SocketAddr,
    host: HeaderValue,
    path: PathAndQuery,
}

/// Why spans did not get through. Nothing that a collector wrote is in it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error("its answer is too long, or broke off")]
    Answer,
    #[error("it cannot be reached: {0}")]
    Connect(#[source] std::io::Error),
    #[error("the connection broke")]
    Http(#[from] hyper::Error),
    #[error("it answers with status {0}")]
    Status(StatusCode),
    #[error("it does not answer in time")]
    TooSlow,
}

impl SendError {
    /// Whether another try may get through.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Answer => false,
            Self::Connect(_) | Self::Http(_) | Self::TooSlow => true,
            Self::Status(status) => matches!(status.as_u16(), 429 | 502 | 503 | 504),
        }
    }
}

impl Collector {
    /// One at an address; `None` if the path is none.
    pub(crate) fn new(address: SocketAddr, path: &str) -> Option<Self> {
        let host = HeaderValue::try_from(address.to_string()).ok()?;
        let path = path.starts_with('/').then(|| PathAndQuery::try_from(path).ok()).flatten()?;
        Some(Self { address, host, path })
    }

    /// Hands spans on; how many of them it says that it did not take.
    ///
    /// # Errors
    ///
    /// [`SendError`].
    pub(crate) async fn send(&self, request: ExportTraceServiceRequest) -> Result<u64, SendError> {
        let tcp = TcpStream::connect(self.address).await.map_err(SendError::Connect)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::Builder::new().handshake(TokioIo::new(tcp)).await?;
        let body = Full::new(Bytes::from(request.encode_to_vec()));
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.path.clone().into();
        let headers = request.headers_mut();
        headers.insert(header::HOST, self.host.clone());
        headers.insert(header::CONTENT_TYPE, PROTOBUF);
        headers.insert(header::USER_AGENT, USER_AGENT);
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        let answered = async {
            let response = sender.send_request(request).await?;
            let status = response.status();
            if !status.is_success() {
                return Err(SendError::Status(status));
            }
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
            Ok(body.map_err(|_| SendError::Answer)?.to_bytes())
        };
        let mut answered = std::pin::pin!(answered);
        let body = tokio::select! {
            answered = &mut answered => answered?,
            // It may end before all of the answer is looked at.
            ended = connection => {
                ended?;
                answered.await?
            }
        };
        // What does not read says nothing of refusals.
        let response = ExportTraceServiceResponse::decode(body).unwrap_or_default();
        let refused = response.partial_success.map_or(0, |partial| partial.rejected_spans);
        Ok(u64::try_from(refused).unwrap_or(0))
    }
}
