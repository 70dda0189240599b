//! Many Signs in one call: a batch, and a stream.

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Streaming};
use vault_proto::v1::{SignBatchRequest, SignRequest, SignResult, sign_result};

use crate::client::{Client, SIGN_TIMEOUT, SignOrder, Signed};
use crate::error::ClientError;

/// Orders that wait to be sent on a stream; as many as the vault has under way of one.
const WAITING_MAX: usize = 64;

/// The outcomes of a stream of Signs: one call, as many orders as come while it lives. The vault ends
/// it with the connection, after an hour; then a new one is opened.
#[derive(Debug)]
pub struct SignStream(Streaming<SignResult>);

/// The end of a stream of Signs that takes orders. When the last clone of it is gone, the stream ends
/// after the last outcome.
#[derive(Clone, Debug)]
pub struct SignSender(mpsc::Sender<SignRequest>);

/// What became of one order among others.
#[derive(Debug)]
pub struct SignOutcome {
    /// The id that was given or made; empty if one was given that is not well formed.
    pub request_id: String,
    /// As of [`Client::sign`].
    pub result: Result<Signed, ClientError>,
}

impl Client {
    /// Has 1 to 256 requests signed in one call, each judged, counted and logged for itself. The
    /// outcomes are in the order of the orders. Nothing is sent again.
    ///
    /// # Errors
    ///
    /// [`ClientError`] of the call as a whole: nobody knows which of the orders were signed, and the
    /// same orders with the same ids learn it.
    pub async fn sign_batch(
        &self,
        orders: Vec<SignOrder>,
    ) -> Result<Vec<SignOutcome>, ClientError> {
        let requests: Vec<SignRequest> =
            orders.into_iter().map(SignOrder::into_request).collect::<Result<_, _>>()?;
        let ids: Vec<String> = requests.iter().map(|request| request.request_id.clone()).collect();
        let mut request = Request::new(SignBatchRequest { requests });
        request.set_timeout(SIGN_TIMEOUT);
        let mut service = self.sign_service().max_decoding_message_size(BATCH_BYTES_MAX);
        let answer = service.sign_batch(request).await.map_err(ClientError::from_status)?;
        let results = answer.into_inner().results;
        if results.len() != ids.len() {
            return Err(ClientError::Protocol("not every request was answered"));
        }
        Ok(ids.into_iter().zip(results).map(|(id, result)| outcome(id, result)).collect())
    }

    /// Opens a stream of Signs.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn sign_stream(&self) -> Result<(SignSender, SignStream), ClientError> {
        let (orders, waiting) = mpsc::channel(WAITING_MAX);
        let results = self.sign_service().sign_stream(ReceiverStream::new(waiting)).await;
        let results = results.map_err(ClientError::from_status)?.into_inner();
        Ok((SignSender(orders), SignStream(results)))
    }
}

impl SignStream {
    /// The next outcome, in whatever order the vault comes to them; `None` at the end.
    ///
    /// # Errors
    ///
    /// [`ClientError`] of the stream as a whole, which has ended: of an order without an outcome
    /// nobody knows whether it was signed, and the same order with the same id learns it.
    pub async fn next(&mut self) -> Result<Option<SignOutcome>, ClientError> {
        let result = self.0.message().await.map_err(ClientError::from_status)?;
        Ok(result.map(|result| outcome(result.request_id.clone(), result)))
    }
}

impl SignSender {
    /// Puts an order on the stream and returns its id; waits while too many of them do. Outcomes must be
    /// taken meanwhile, by another task or in between: of those that nobody takes the vault has 64.
    ///
    /// # Errors
    ///
    /// [`ClientError::Protocol`] if the stream has ended: the order was not sent.
    pub async fn send(&self, order: SignOrder) -> Result<String, ClientError> {
        let request = order.into_request()?;
        let request_id = request.request_id.clone();
        let sent = self.0.send(request).await;
        sent.map_err(|_| ClientError::Protocol("the stream has ended"))?;
        Ok(request_id)
    }
}

fn outcome(request_id: String, result: SignResult) -> SignOutcome {
    let result = match result.result {
        Some(sign_result::Result::Signed(signed)) => Signed::of(request_id.clone(), signed),
        Some(sign_result::Result::Failure(failure)) => Err(ClientError::from_failure(failure)),
        None => Err(ClientError::Protocol("a result without one")),
    };
    SignOutcome { request_id, result }
}

/// 256 answers of some 2 KiB and more.
const BATCH_BYTES_MAX: usize = 2 << 20;
