//! Signing, for bots.

use tonic::{Request, Response, Status, Streaming};
use vault_ipc::proto::v1;
use vault_ipc::proto::v1::sign_service_server::SignService;

use crate::handler::{Handler, Messages};

#[tonic::async_trait]
impl SignService for Handler {
    async fn sign(
        &self,
        request: Request<v1::SignRequest>,
    ) -> Result<Response<v1::SignResponse>, Status> {
        // The inherent method, not this one.
        Handler::sign(self, request).await
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
