//! Venue API keys.

use tonic::{Request, Response, Status};
use vault_ipc::proto::v1;
use vault_ipc::proto::v1::credential_service_server::CredentialService;

use crate::handler::Handler;

#[tonic::async_trait]
impl CredentialService for Handler {
    async fn begin_import(
        &self,
        request: Request<v1::BeginImportRequest>,
    ) -> Result<Response<v1::BeginImportResponse>, Status> {
        self.command("vault.v1.CredentialService/BeginImport", request).await
    }

    async fn import(
        &self,
        request: Request<v1::ImportRequest>,
    ) -> Result<Response<v1::ImportResponse>, Status> {
        self.command("vault.v1.CredentialService/Import", request).await
    }

    async fn list(
        &self,
        request: Request<v1::ListCredentialsRequest>,
    ) -> Result<Response<v1::ListCredentialsResponse>, Status> {
        self.command("vault.v1.CredentialService/List", request).await
    }

    async fn describe(
        &self,
        request: Request<v1::DescribeCredentialRequest>,
    ) -> Result<Response<v1::DescribeCredentialResponse>, Status> {
        self.command("vault.v1.CredentialService/Describe", request).await
    }

    async fn disable(
        &self,
        request: Request<v1::DisableCredentialRequest>,
    ) -> Result<Response<v1::DisableCredentialResponse>, Status> {
        self.command("vault.v1.CredentialService/Disable", request).await
    }

    async fn enable(
        &self,
        request: Request<v1::EnableCredentialRequest>,
    ) -> Result<Response<v1::EnableCredentialResponse>, Status> {
        self.command("vault.v1.CredentialService/Enable", request).await
    }

    async fn check(
        &self,
        request: Request<v1::CheckCredentialRequest>,
    ) -> Result<Response<v1::CheckCredentialResponse>, Status> {
        self.command("vault.v1.CredentialService/Check", request).await
    }
}
