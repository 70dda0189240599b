//! Signing, for bots.

use tonic::{Request, Response, Status};
use vault_ipc::proto::v1;
use vault_ipc::proto::v1::sign_service_server::SignService;

use crate::handler::Handler;

#[tonic::async_trait]
impl SignService for Handler {
    async fn sign(
        &self,
        request: Request<v1::SignRequest>,
    ) -> Result<Response<v1::SignResponse>, Status> {
        // The inherent method, not this one.
        Handler::sign(self, request).await
    }
}
