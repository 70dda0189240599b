//! Reference prices: pricers put them where clients are heard, operators do the rest at their own
//! listener.

use tonic::{Request, Response, Status};
use vault_ipc::Listener;
use vault_ipc::proto::v1;
use vault_ipc::proto::v1::price_service_server::PriceService;

use crate::handler::Handler;
use crate::status::not_served;

#[tonic::async_trait]
impl PriceService for Handler {
    async fn put(
        &self,
        request: Request<v1::PutPricesRequest>,
    ) -> Result<Response<v1::PutPricesResponse>, Status> {
        self.only_at(Listener::Bot)?;
        self.command("vault.v1.PriceService/Put", request).await
    }

    async fn list(
        &self,
        request: Request<v1::ListPricesRequest>,
    ) -> Result<Response<v1::ListPricesResponse>, Status> {
        self.only_at(Listener::Operator)?;
        self.command("vault.v1.PriceService/List", request).await
    }

    async fn put_feed(
        &self,
        request: Request<v1::PutFeedRequest>,
    ) -> Result<Response<v1::PutFeedResponse>, Status> {
        self.only_at(Listener::Operator)?;
        self.command("vault.v1.PriceService/PutFeed", request).await
    }

    async fn delete_feed(
        &self,
        request: Request<v1::DeleteFeedRequest>,
    ) -> Result<Response<v1::DeleteFeedResponse>, Status> {
        self.only_at(Listener::Operator)?;
        self.command("vault.v1.PriceService/DeleteFeed", request).await
    }
}

impl Handler {
    fn only_at(&self, listener: Listener) -> Result<(), Status> {
        if self.listener() == listener { Ok(()) } else { Err(not_served()) }
    }
}
