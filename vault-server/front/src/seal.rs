//! Opening and closing the vault.

use tonic::{Request, Response, Status};
use vault_ipc::proto::v1;
use vault_ipc::proto::v1::seal_service_server::SealService;

use crate::handler::Handler;

#[tonic::async_trait]
impl SealService for Handler {
    async fn status(
        &self,
        request: Request<v1::StatusRequest>,
    ) -> Result<Response<v1::StatusResponse>, Status> {
        self.command("vault.v1.SealService/Status", request).await
    }

    async fn unseal(
        &self,
        request: Request<v1::UnsealRequest>,
    ) -> Result<Response<v1::UnsealResponse>, Status> {
        self.command("vault.v1.SealService/Unseal", request).await
    }

    async fn seal(
        &self,
        request: Request<v1::SealRequest>,
    ) -> Result<Response<v1::SealResponse>, Status> {
        self.command("vault.v1.SealService/Seal", request).await
    }
}
