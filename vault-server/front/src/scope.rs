//! What clients may do.

use tonic::{Request, Response, Status};
use vault_ipc::proto::v1;
use vault_ipc::proto::v1::scope_service_server::ScopeService;

use crate::handler::Handler;

#[tonic::async_trait]
impl ScopeService for Handler {
    async fn put(
        &self,
        request: Request<v1::PutScopeRequest>,
    ) -> Result<Response<v1::PutScopeResponse>, Status> {
        self.command("vault.v1.ScopeService/Put", request).await
    }

    async fn get(
        &self,
        request: Request<v1::GetScopeRequest>,
    ) -> Result<Response<v1::GetScopeResponse>, Status> {
        self.command("vault.v1.ScopeService/Get", request).await
    }

    async fn list(
        &self,
        request: Request<v1::ListScopesRequest>,
    ) -> Result<Response<v1::ListScopesResponse>, Status> {
        self.command("vault.v1.ScopeService/List", request).await
    }

    async fn delete(
        &self,
        request: Request<v1::DeleteScopeRequest>,
    ) -> Result<Response<v1::DeleteScopeResponse>, Status> {
        self.command("vault.v1.ScopeService/Delete", request).await
    }

    async fn explain(
        &self,
        request: Request<v1::ExplainRequest>,
    ) -> Result<Response<v1::ExplainResponse>, Status> {
        self.command("vault.v1.ScopeService/Explain", request).await
    }

    async fn start_replay(
        &self,
        request: Request<v1::StartReplayRequest>,
    ) -> Result<Response<v1::StartReplayResponse>, Status> {
        self.command("vault.v1.ScopeService/StartReplay", request).await
    }

    async fn get_replay(
        &self,
        request: Request<v1::GetReplayRequest>,
    ) -> Result<Response<v1::GetReplayResponse>, Status> {
        self.command("vault.v1.ScopeService/GetReplay", request).await
    }
}
