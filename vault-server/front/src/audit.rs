//! Reading the log.

use tonic::{Request, Response, Status};
use vault_ipc::proto::v1;
use vault_ipc::proto::v1::audit_service_server::AuditService;

use crate::handler::{Handler, Messages};

#[tonic::async_trait]
impl AuditService for Handler {
    type ExportStream = Messages<v1::ExportResponse>;

    async fn export(
        &self,
        request: Request<v1::ExportRequest>,
    ) -> Result<Response<Self::ExportStream>, Status> {
        self.entries("vault.v1.AuditService/Export", request).await
    }

    async fn get_checkpoint(
        &self,
        request: Request<v1::GetCheckpointRequest>,
    ) -> Result<Response<v1::GetCheckpointResponse>, Status> {
        self.command("vault.v1.AuditService/GetCheckpoint", request).await
    }

    type TailStream = Messages<v1::TailResponse>;

    async fn tail(
        &self,
        request: Request<v1::TailRequest>,
    ) -> Result<Response<Self::TailStream>, Status> {
        self.entries("vault.v1.AuditService/Tail", request).await
    }
}
