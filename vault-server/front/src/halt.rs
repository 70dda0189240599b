//! Halting and resuming.

use tonic::{Request, Response, Status};
use vault_ipc::proto::v1;
use vault_ipc::proto::v1::halt_service_server::HaltService;

use crate::handler::Handler;

#[tonic::async_trait]
impl HaltService for Handler {
    async fn halt(
        &self,
        request: Request<v1::HaltRequest>,
    ) -> Result<Response<v1::HaltResponse>, Status> {
        self.command("vault.v1.HaltService/Halt", request).await
    }

    async fn resume(
        &self,
        request: Request<v1::ResumeRequest>,
    ) -> Result<Response<v1::ResumeResponse>, Status> {
        self.command("vault.v1.HaltService/Resume", request).await
    }

    async fn status(
        &self,
        request: Request<v1::HaltStatusRequest>,
    ) -> Result<Response<v1::HaltStatusResponse>, Status> {
        self.command("vault.v1.HaltService/Status", request).await
    }

    async fn cancel_all(
        &self,
        request: Request<v1::CancelAllRequest>,
    ) -> Result<Response<v1::CancelAllResponse>, Status> {
        self.command("vault.v1.HaltService/CancelAll", request).await
    }
}
