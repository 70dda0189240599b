//! Signing, for bots.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::BufMut;
use tonic::body::Body;
use tonic::codec::{BufferSettings, Codec, EncodeBuf, Encoder};
use tonic::server::{Grpc, UnaryService};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstDecoder;
use vault_ipc::proto::v1;
use vault_ipc::proto::v1::sign_service_server::SignService;

use crate::handler::{Handler, Messages, decoded};

/// Where a Sign goes.
pub(crate) const SIGN_PATH: &str = "/vault.v1.SignService/Sign";

/// Bytes that a request is read into and an answer written from at first. Most fit.
const BUFFER_BYTES: usize = 1 << 10;

/// Bytes of encoded messages that go out at once. There is but one.
const YIELD_BYTES: usize = 32 << 10;

/// Sign without the router: of all calls the one that is made all the time. What the core answers goes
/// out as it came.
#[derive(Clone, Debug)]
pub(crate) struct Signs {
    handler: Arc<Handler>,
    message_bytes_max: usize,
}

impl Signs {
    pub(crate) fn new(handler: Handler, message_bytes_max: usize) -> Self {
        Self { handler: Arc::new(handler), message_bytes_max }
    }

    /// Answers a call of [`SIGN_PATH`].
    pub(crate) async fn answer<B>(&self, request: http::Request<B>) -> http::Response<Body>
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<tonic::codegen::StdError> + Send,
    {
        let call = OneSign(Arc::clone(&self.handler));
        let mut grpc = Grpc::new(SignCodec).max_decoding_message_size(self.message_bytes_max);
        grpc.unary(call, request).await
    }
}

struct OneSign(Arc<Handler>);

impl UnaryService<v1::SignRequest> for OneSign {
    type Response = Vec<u8>;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Vec<u8>>, Status>> + Send>>;

    fn call(&mut self, request: Request<v1::SignRequest>) -> Self::Future {
        let handler = Arc::clone(&self.0);
        Box::pin(async move { handler.sign_encoded(request).await })
    }
}

/// Reads requests, and writes answers that are encoded already.
#[derive(Clone, Copy, Debug)]
struct SignCodec;

impl Codec for SignCodec {
    type Encode = Vec<u8>;
    type Decode = v1::SignRequest;
    type Encoder = AsItCame;
    type Decoder = ProstDecoder<v1::SignRequest>;

    fn encoder(&mut self) -> AsItCame {
        AsItCame
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::new(buffer())
    }
}

fn buffer() -> BufferSettings {
    BufferSettings::new(BUFFER_BYTES, YIELD_BYTES)
}

#[derive(Clone, Copy, Debug)]
struct AsItCame;

impl Encoder for AsItCame {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.reserve(item.len());
        to.put_slice(&item);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffer()
    }
}

#[tonic::async_trait]
impl SignService for Handler {
    async fn sign(
        &self,
        request: Request<v1::SignRequest>,
    ) -> Result<Response<v1::SignResponse>, Status> {
        let answered = self.sign_encoded(request).await?;
        let (metadata, encoded, extensions) = answered.into_parts();
        Ok(Response::from_parts(metadata, decoded(&encoded)?, extensions))
    }

    async fn sign_batch(
        &self,
        request: Request<v1::SignBatchRequest>,
    ) -> Result<Response<v1::SignBatchResponse>, Status> {
        Handler::sign_batch(self, request).await
    }

    type SignStreamStream = Messages<v1::SignResult>;

    async fn sign_stream(
        &self,
        request: Request<Streaming<v1::SignRequest>>,
    ) -> Result<Response<Self::SignStreamStream>, Status> {
        Handler::sign_stream(self, request)
    }
}
