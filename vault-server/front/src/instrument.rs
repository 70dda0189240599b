//! What an order's quantity is worth.

use tonic::{Request, Response, Status};
use vault_ipc::proto::v1;
use vault_ipc::proto::v1::instrument_service_server::InstrumentService;

use crate::handler::Handler;

#[tonic::async_trait]
impl InstrumentService for Handler {
    async fn import(
        &self,
        request: Request<v1::ImportInstrumentsRequest>,
    ) -> Result<Response<v1::ImportInstrumentsResponse>, Status> {
        self.command("vault.v1.InstrumentService/Import", request).await
    }

    async fn list(
        &self,
        request: Request<v1::ListInstrumentsRequest>,
    ) -> Result<Response<v1::ListInstrumentsResponse>, Status> {
        self.command("vault.v1.InstrumentService/List", request).await
    }

    async fn delete(
        &self,
        request: Request<v1::DeleteInstrumentsRequest>,
    ) -> Result<Response<v1::DeleteInstrumentsResponse>, Status> {
        self.command("vault.v1.InstrumentService/Delete", request).await
    }
}
