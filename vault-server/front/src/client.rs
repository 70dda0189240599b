//! Clients. Enrolment has a listener of its own; everything else needs a certificate.

use tonic::{Request, Response, Status};
use vault_ipc::Listener;
use vault_ipc::proto::v1;
use vault_ipc::proto::v1::client_service_server::ClientService;

use crate::handler::Handler;
use crate::status::not_served;

#[tonic::async_trait]
impl ClientService for Handler {
    async fn invite(
        &self,
        request: Request<v1::InviteClientRequest>,
    ) -> Result<Response<v1::InviteClientResponse>, Status> {
        self.identified()?;
        self.command("vault.v1.ClientService/Invite", request).await
    }

    async fn enroll(
        &self,
        request: Request<v1::EnrollRequest>,
    ) -> Result<Response<v1::EnrollResponse>, Status> {
        if self.listener() != Listener::Enroll {
            return Err(not_served());
        }
        Handler::enroll(self, request).await
    }

    async fn renew(
        &self,
        request: Request<v1::RenewRequest>,
    ) -> Result<Response<v1::RenewResponse>, Status> {
        self.identified()?;
        self.command("vault.v1.ClientService/Renew", request).await
    }

    async fn list(
        &self,
        request: Request<v1::ListClientsRequest>,
    ) -> Result<Response<v1::ListClientsResponse>, Status> {
        self.identified()?;
        self.command("vault.v1.ClientService/List", request).await
    }

    async fn describe(
        &self,
        request: Request<v1::DescribeClientRequest>,
    ) -> Result<Response<v1::DescribeClientResponse>, Status> {
        self.identified()?;
        self.command("vault.v1.ClientService/Describe", request).await
    }

    async fn revoke(
        &self,
        request: Request<v1::RevokeClientRequest>,
    ) -> Result<Response<v1::RevokeClientResponse>, Status> {
        self.identified()?;
        self.command("vault.v1.ClientService/Revoke", request).await
    }

    async fn whoami(
        &self,
        request: Request<v1::WhoamiRequest>,
    ) -> Result<Response<v1::WhoamiResponse>, Status> {
        self.identified()?;
        Handler::whoami(self, request).await
    }
}

impl Handler {
    /// Everything but Enroll: not where nobody shows a certificate.
    fn identified(&self) -> Result<(), Status> {
        if self.listener() == Listener::Enroll {
            return Err(not_served());
        }
        Ok(())
    }
}
