//! Prices and instruments of the vault.

use tonic::{Request, Response, Status};
use vault_client::v1;
use vault_client::v1::instrument_service_server::InstrumentService;
use vault_client::v1::price_service_server::PriceService;

use super::Fake;
use super::service::peer;

#[tonic::async_trait]
impl PriceService for Fake {
    /// Takes prices of feeds, and no others.
    async fn put(
        &self,
        request: Request<v1::PutPricesRequest>,
    ) -> Result<Response<v1::PutPricesResponse>, Status> {
        let peer = peer(&request);
        let command: v1::PutPricesCommand =
            self.command("vault.v1.PriceService/Put", peer.as_ref(), request.into_inner().command)?;
        let state = self.state();
        let answer = |quote: v1::Quote| {
            let feeds = state.feeds.iter().filter_map(|info| info.feed.as_ref());
            let accepted = feeds.into_iter().any(|feed| feed.pair == quote.pair);
            let (reason, hint) = if accepted { ("", "") } else { ("FEED_UNKNOWN", "make one") };
            v1::QuoteAnswer {
                pair: quote.pair,
                accepted,
                reason: reason.to_owned(),
                hint: hint.to_owned(),
            }
        };
        let answers = command.quotes.into_iter().map(answer).collect();
        Ok(Response::new(v1::PutPricesResponse { answers }))
    }

    async fn list(
        &self,
        request: Request<v1::ListPricesRequest>,
    ) -> Result<Response<v1::ListPricesResponse>, Status> {
        let peer = peer(&request);
        let _: v1::ListPricesCommand = self.command(
            "vault.v1.PriceService/List",
            peer.as_ref(),
            request.into_inner().command,
        )?;
        Ok(Response::new(v1::ListPricesResponse {
            feeds: self.state().feeds.clone(),
            ..Default::default()
        }))
    }

    async fn put_feed(
        &self,
        request: Request<v1::PutFeedRequest>,
    ) -> Result<Response<v1::PutFeedResponse>, Status> {
        let peer = peer(&request);
        let command: v1::PutFeedCommand = self.command(
            "vault.v1.PriceService/PutFeed",
            peer.as_ref(),
            request.into_inner().command,
        )?;
        self.state().feeds.push(v1::FeedInfo { feed: command.feed, ..Default::default() });
        Ok(Response::new(v1::PutFeedResponse::default()))
    }

    async fn delete_feed(
        &self,
        request: Request<v1::DeleteFeedRequest>,
    ) -> Result<Response<v1::DeleteFeedResponse>, Status> {
        let peer = peer(&request);
        let command: v1::DeleteFeedCommand = self.command(
            "vault.v1.PriceService/DeleteFeed",
            peer.as_ref(),
            request.into_inner().command,
        )?;
        let is_kept =
            |info: &v1::FeedInfo| info.feed.as_ref().is_some_and(|feed| feed.pair != command.pair);
        self.state().feeds.retain(is_kept);
        Ok(Response::new(v1::DeleteFeedResponse::default()))
    }
}

#[tonic::async_trait]
impl InstrumentService for Fake {
    async fn import(
        &self,
        request: Request<v1::ImportInstrumentsRequest>,
    ) -> Result<Response<v1::ImportInstrumentsResponse>, Status> {
        let peer = peer(&request);
        let command: v1::ImportInstrumentsCommand = self.command(
            "vault.v1.InstrumentService/Import",
            peer.as_ref(),
            request.into_inner().command,
        )?;
        let mut answer = v1::ImportInstrumentsResponse::default();
        let mut state = self.state();
        for new in command.instruments {
            let is_same = |old: &v1::Instrument| {
                (&old.venue, &old.product, &old.symbol) == (&new.venue, &new.product, &new.symbol)
            };
            match state.instruments.iter_mut().find(|old| is_same(old)) {
                Some(old) => {
                    answer.changed += 1;
                    *old = new;
                }
                None => {
                    answer.added += 1;
                    state.instruments.push(new);
                }
            }
        }
        Ok(Response::new(answer))
    }

    async fn list(
        &self,
        request: Request<v1::ListInstrumentsRequest>,
    ) -> Result<Response<v1::ListInstrumentsResponse>, Status> {
        let peer = peer(&request);
        let command: v1::ListInstrumentsCommand = self.command(
            "vault.v1.InstrumentService/List",
            peer.as_ref(),
            request.into_inner().command,
        )?;
        let mut instruments = self.state().instruments.clone();
        instruments.retain(|one| command.venue.is_empty() || one.venue == command.venue);
        Ok(Response::new(v1::ListInstrumentsResponse { instruments, ..Default::default() }))
    }

    async fn delete(
        &self,
        request: Request<v1::DeleteInstrumentsRequest>,
    ) -> Result<Response<v1::DeleteInstrumentsResponse>, Status> {
        let peer = peer(&request);
        let command: v1::DeleteInstrumentsCommand = self.command(
            "vault.v1.InstrumentService/Delete",
            peer.as_ref(),
            request.into_inner().command,
        )?;
        let is_kept = |one: &v1::Instrument| {
            let is_it = |key: &v1::InstrumentKey| {
                (&key.venue, &key.product, &key.symbol) == (&one.venue, &one.product, &one.symbol)
            };
            !command.keys.iter().any(is_it)
        };
        self.state().instruments.retain(is_kept);
        Ok(Response::new(v1::DeleteInstrumentsResponse::default()))
    }
}
