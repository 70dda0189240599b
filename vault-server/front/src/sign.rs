//! Signing, for bots.

use std::sync::Arc;

use http_body::Body;
use tonic::{Request, Response, Status, Streaming};
use vault_ipc::proto::v1;
use vault_ipc::proto::v1::sign_service_server::SignService;

use crate::core::Answered;
use crate::gate::Deadline;
use crate::handler::{Handler, Messages};
use crate::registry::Connection;
use crate::unary;

/// Where a Sign goes.
pub(crate) const SIGN_PATH: &str = "/vault.v1.SignService/Sign";

/// Where a batch of them goes.
pub(crate) const SIGN_BATCH_PATH: &str = "/vault.v1.SignService/SignBatch";

/// Sign without router and codec: of all calls the one that is made all the time. What the core answers
/// goes out as it came.
#[derive(Clone, Debug)]
pub(crate) struct Signs {
    handler: Arc<Handler>,
    message_bytes_max: usize,
}

impl Signs {
    pub(crate) fn new(handler: Handler, message_bytes_max: usize) -> Self {
        Self { handler: Arc::new(handler), message_bytes_max }
    }

    /// Answers a call of [`SIGN_PATH`], whose request is not encoded in any way of its own.
    ///
    /// # Errors
    ///
    /// Those of [`unary::message`], and what the core refuses.
    pub(crate) async fn answer<B>(
        &self,
        connection: &Arc<Connection>,
        deadline: &Deadline,
        body: B,
    ) -> Result<Answered, Status>
    where
        B: Body<Data = bytes::Bytes> + Unpin,
    {
        let request = unary::message(body, self.message_bytes_max).await?;
        self.handler.sign_answered(connection, deadline, request).await
    }
}

#[tonic::async_trait]
impl SignService for Handler {
    async fn sign(
        &self,
        request: Request<v1::SignRequest>,
    ) -> Result<Response<v1::SignResponse>, Status> {
        self.sign_routed(request).await
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
