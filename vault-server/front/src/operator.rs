//! People who run the vault.

use tonic::{Request, Response, Status};
use vault_ipc::proto::v1;
use vault_ipc::proto::v1::operator_service_server::OperatorService;

use crate::handler::Handler;

#[tonic::async_trait]
impl OperatorService for Handler {
    async fn invite(
        &self,
        request: Request<v1::InviteOperatorRequest>,
    ) -> Result<Response<v1::InviteOperatorResponse>, Status> {
        self.command("vault.v1.OperatorService/Invite", request).await
    }

    async fn list(
        &self,
        request: Request<v1::ListOperatorsRequest>,
    ) -> Result<Response<v1::ListOperatorsResponse>, Status> {
        self.command("vault.v1.OperatorService/List", request).await
    }

    async fn revoke(
        &self,
        request: Request<v1::RevokeOperatorRequest>,
    ) -> Result<Response<v1::RevokeOperatorResponse>, Status> {
        self.command("vault.v1.OperatorService/Revoke", request).await
    }
}
