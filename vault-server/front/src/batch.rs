//! Many Signs in one call: a batch, and a stream. The core knows of neither: to it each is a Sign.

use std::sync::Arc;

use futures_util::future::join_all;
use futures_util::{StreamExt as _, TryStreamExt as _};
use prost::Message as _;
use tokio::time::timeout_at;
use tonic::{Request, Response, Status, Streaming};
use vault_ipc::proto::v1;
use vault_ipc::trace::SpanKind;
use vault_ipc::{Caller, Code, Failure, Kind};

use crate::core::{Asked, answered};
use crate::gate::{Deadline, busy, late};
use crate::handler::{Handler, Messages, caller, connection, deadline, sign_call, undecodable};
use crate::place::Place;
use crate::registry::{Connection, Hold, Holds};
use crate::status::{from_failure, sign_failure};

/// Signs in one batch.
const BATCH_MAX: usize = 256;

/// Signs of one stream that are under way; more are not read.
const UNDER_WAY_MAX: usize = 64;

/// What became of one, and what its bytes must own.
type Item = (v1::SignResult, Option<Hold>);

impl Handler {
    /// Passes each Sign of a batch on, in their order, and waits for all.
    pub(crate) async fn sign_batch(
        &self,
        request: Request<v1::SignBatchRequest>,
    ) -> Result<Response<v1::SignBatchResponse>, Status> {
        let connection = connection(&request)?;
        let (caller, deadline) = (caller(&connection)?, deadline(&request)?);
        let requests = request.into_inner().requests;
        if requests.is_empty() || requests.len() > BATCH_MAX {
            return Err(from_failure(Failure::new(
                Code::BadRequest,
                "BATCH_SIZE",
                "a batch has 1 to 256 requests",
            )));
        }
        if let Some(trace) = &deadline.trace {
            trace.set_batch(requests.len());
        }
        let holds = Holds::in_place(self.many(&connection)?);
        let asked = requests.into_iter().enumerate().map(|(place, request)| {
            let trace = deadline.trace.as_ref().and_then(|batch| batch.item(place));
            let deadline = Deadline { trace, ..deadline.clone() };
            self.item(&connection, caller.clone(), deadline, request)
        });
        let mut results = Vec::new();
        for (result, hold) in join_all(asked).await {
            results.push(result);
            hold.into_iter().for_each(|hold| holds.put(hold));
        }
        let mut response = Response::new(v1::SignBatchResponse { results });
        response.extensions_mut().insert(Arc::new(holds));
        Ok(response)
    }

    /// Passes Signs on as they come, and answers them as the core does.
    pub(crate) fn sign_stream(
        &self,
        request: Request<Streaming<v1::SignRequest>>,
    ) -> Result<Response<Messages<v1::SignResult>>, Status> {
        let connection = connection(&request)?;
        let caller = caller(&connection)?;
        let tracer = connection.metrics().tracer();
        let parent = tracer.and_then(|tracer| tracer.parent(request.metadata().as_ref()));
        let holds = Arc::new(Holds::in_place(self.many(&connection)?));
        let (handler, encoded) = (self.clone(), Arc::clone(&holds));
        let results = request
            .into_inner()
            .map_ok(move |request| {
                // From here on: how long a bot thinks between two of them is its own affair.
                let mut deadline = Deadline::after(handler.call_max());
                if let Some(tracer) = connection.metrics().tracer() {
                    let began = deadline.began;
                    deadline.trace = tracer.begin(&connection, parent, SpanKind::Sign, began);
                }
                handler.item(&connection, caller.clone(), deadline, request)
            })
            .map(|item| async { Ok(item?.await) })
            .buffer_unordered(UNDER_WAY_MAX)
            .map_ok(move |(result, hold)| {
                // Before the result is encoded: the bytes that it ends up in take it along.
                hold.into_iter().for_each(|hold| encoded.put(hold));
                result
            });
        let mut response: Response<Messages<_>> = Response::new(Box::pin(results));
        response.extensions_mut().insert(holds);
        Ok(response)
    }

    /// A place for a batch or stream, until the last byte of its response is gone.
    fn many(&self, connection: &Connection) -> Result<Place, Status> {
        let place = self.many_places().take(connection.facts().holder());
        place.ok_or_else(|| from_failure(busy()))
    }

    /// Passes one Sign on, at once: what waits for its result has nothing of it but its id.
    fn item(
        &self,
        connection: &Arc<Connection>,
        caller: Caller,
        deadline: Deadline,
        request: v1::SignRequest,
    ) -> impl Future<Output = Item> + use<> {
        use v1::sign_result::Result as Outcome;

        let request_id = Some(&request.request_id).filter(|id| is_request_id(id)).cloned();
        let call = sign_call(connection, caller, &deadline, request);
        let asked = self.ask(connection, Kind::Sign, call, deadline.trace.clone());
        async move {
            let (outcome, hold) = match signed(asked, &deadline).await {
                Ok((signed, hold)) => (Outcome::Signed(signed), hold),
                Err(failure) => (Outcome::Failure(sign_failure(failure)), None),
            };
            let request_id = request_id.unwrap_or_default();
            (v1::SignResult { request_id, result: Some(outcome) }, hold)
        }
    }
}

async fn signed(
    asked: Result<Asked, Box<Failure>>,
    deadline: &Deadline,
) -> Result<(v1::SignResponse, Option<Hold>), Failure> {
    let answered = match timeout_at(deadline.at, answered(asked)).await {
        Ok(answered) => answered.map_err(|failure| *failure),
        Err(_) => Err(late()),
    };
    if let Some(trace) = &deadline.trace {
        trace.came_to(&answered);
    }
    let answered = answered?;
    let signed = v1::SignResponse::decode(answered.response.as_slice());
    Ok((signed.map_err(|_| undecodable())?, answered.hold))
}

/// Whether a request id is well formed, and may be said again.
fn is_request_id(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}
