//! Signing and sending, for bots: the service, and what it shares with the HTTPS proxy.

use std::fmt;
use std::sync::Arc;

use futures_util::stream;
use prost::Message;
use tokio::time::{Instant, timeout_at};
use tonic::{Request, Response, Status};
use vault_ipc::proto::v1;
use vault_ipc::proto::v1::execute_service_server::ExecuteService;
use vault_ipc::{Code, ExecuteCall, Failure, Kind, VenueHead};

use crate::core::{Asked, lost};
use crate::gate::{Deadline, busy, late};
use crate::handler::{Handler, Messages, caller, connection, deadline, undecodable};
use crate::registry::Connection;
use crate::status::from_failure;
use crate::venue::{self, Lost};

/// A request that a venue answers: its entry is on disk, and the head of the response is here.
pub(crate) struct Executed {
    pub(crate) execution: v1::Execution,
    /// Its status is between 200 and 999.
    pub(crate) head: VenueHead,
    pub(crate) response: venue::Response,
}

impl fmt::Debug for Executed {
    /// Shows no headers: they are the venue's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executed")
            .field("status", &self.head.status)
            .field("entry_index", &index(&self.execution))
            .finish_non_exhaustive()
    }
}

impl Handler {
    /// Passes an [`ExecuteCall`] or a [`vault_ipc::ProxyCall`] on, and waits until core and egress
    /// have both answered, in whatever order, without the message.
    ///
    /// # Errors
    ///
    /// The core's failure, `NOT_SENT`, `OUTCOME_UNKNOWN`, or one of the channels. Nothing is sent
    /// again. `DEADLINE_EXCEEDED` means that nothing was sent.
    pub(crate) async fn executed(
        &self,
        connection: &Arc<Connection>,
        kind: Kind,
        message: impl Message,
        deadline: &Deadline,
    ) -> Result<Executed, Failure> {
        let executed = match self.begin_execute(connection, kind, message, deadline) {
            Ok((asked, response)) => both(asked, response, deadline).await,
            Err(failure) => Err(*failure),
        };
        if let Some(trace) = &deadline.trace {
            trace.came_to(&executed);
        }
        executed
    }

    fn begin_execute(
        &self,
        connection: &Arc<Connection>,
        kind: Kind,
        message: impl Message,
        deadline: &Deadline,
    ) -> Result<(Asked, venue::Response), Box<Failure>> {
        if Instant::now() >= deadline.at {
            return Err(late().into());
        }
        let place = self.executes().take(connection.facts().holder()).ok_or_else(busy)?;
        self.core().execute(connection, kind, message, place, deadline.trace.clone())
    }

    async fn execute_call(
        &self,
        request: Request<v1::ExecuteRequest>,
    ) -> Result<(Executed, Instant), Status> {
        let connection = connection(&request)?;
        let deadline = deadline(&request)?;
        let call = ExecuteCall {
            caller: caller(&connection)?,
            deadline_us: deadline.unix_us,
            request: request.into_inner(),
            traced: deadline.queued(),
        };
        let executed = self.executed(&connection, Kind::Execute, call, &deadline).await;
        Ok((executed.map_err(from_failure)?, deadline.at))
    }
}

#[tonic::async_trait]
impl ExecuteService for Handler {
    async fn execute(
        &self,
        request: Request<v1::ExecuteRequest>,
    ) -> Result<Response<v1::ExecuteResponse>, Status> {
        let (mut executed, ends) = self.execute_call(request).await?;
        let body = match timeout_at(ends, whole(&mut executed, self.execute_bytes_max())).await {
            Ok(body) => body.map_err(from_failure)?,
            Err(_) => {
                return Err(from_failure(failure(&Lost::sent("TIMEOUT"), &executed.execution)));
            }
        };
        Ok(Response::new(v1::ExecuteResponse { body, ..first(executed).0 }))
    }

    type ExecuteStreamStream = Messages<v1::ExecuteStreamResponse>;

    async fn execute_stream(
        &self,
        request: Request<v1::ExecuteRequest>,
    ) -> Result<Response<Self::ExecuteStreamStream>, Status> {
        use v1::execute_stream_response::Part;

        let (executed, _) = self.execute_call(request).await?;
        let execution = executed.execution.clone();
        let (head, response) = first(executed);
        let parts = stream::try_unfold(
            (Some(head), response, execution),
            |(head, mut response, execution)| async move {
                let part = match head {
                    Some(head) => Part::Head(head),
                    None => match response.piece().await {
                        None => return Ok(None),
                        Some(Ok(piece)) => Part::Body(piece.into()),
                        Some(Err(lost)) => return Err(from_failure(failure(&lost, &execution))),
                    },
                };
                let message = v1::ExecuteStreamResponse { part: Some(part) };
                Ok(Some((message, (None, response, execution))))
            },
        );
        Ok(Response::new(Box::pin(parts)))
    }
}

/// What core and egress answer.
async fn both(
    asked: Asked,
    mut response: venue::Response,
    deadline: &Deadline,
) -> Result<Executed, Failure> {
    // Once the core has the call, it may be at the venue.
    let answered = timeout_at(deadline.at, asked).await.map_err(|_| lost("TIMEOUT"))?;
    let answered = answered.map_err(|failure| *failure)?;
    // The venue's head takes one too.
    let _place = answered.place;
    let execution =
        v1::Execution::decode(answered.response.as_slice()).map_err(|_| undecodable())?;
    let head = match timeout_at(deadline.at, response.head()).await {
        Ok(head) => head,
        Err(_) => Err(Lost::sent("TIMEOUT")),
    };
    if let Some(trace) = &deadline.trace {
        match &head {
            Ok(head) => trace.at_venue(head.status, head.latency_us),
            Err(lost) => trace.lost_at_venue(&lost.problem),
        }
    }
    let head = head.map_err(|lost| failure(&lost, &execution))?;
    if !(200..=999).contains(&head.status) {
        return Err(failure(&Lost::sent("RESPONSE_MALFORMED"), &execution));
    }
    Ok(Executed { execution, head, response })
}

/// The response without its body, and the rest of it.
fn first(executed: Executed) -> (v1::ExecuteResponse, venue::Response) {
    let Executed { execution, head, response } = executed;
    let first = v1::ExecuteResponse {
        status: head.status,
        headers: head.headers,
        body: Vec::new(),
        execution: Some(execution),
        latency_us: head.latency_us,
    };
    (first, response)
}

/// The whole body, if it is not longer than `bytes_max`.
async fn whole(executed: &mut Executed, bytes_max: usize) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(piece) = executed.response.piece().await {
        let piece = piece.map_err(|lost| failure(&lost, &executed.execution))?;
        if body.len() + piece.len() > bytes_max {
            return Err(Failure {
                entry_index: index(&executed.execution),
                ..Failure::new(
                    Code::Precondition,
                    "RESPONSE_TOO_LONG",
                    format!(
                        "the request was sent and the venue answered with status {}, but its \
                         response is longer than Execute returns",
                        executed.head.status
                    ),
                )
                .with_hint("call ExecuteStream for operations with long responses")
            });
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// What a bot is told whose response is lost.
pub(crate) fn failure(lost: &Lost, execution: &v1::Execution) -> Failure {
    let problem = lost.problem.as_str();
    let is_code = (1..=40).contains(&problem.len())
        && problem
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    let problem = if is_code { problem } else { "RESPONSE_MALFORMED" };
    let failure = if lost.sent {
        Failure::new(
            // As the core has it.
            Code::Precondition,
            "OUTCOME_UNKNOWN",
            format!("the request was sent, and what became of it is not known: {problem}"),
        )
        .with_hint("ask the venue what became of the request before you send another")
    } else {
        let (code, hint) = match problem {
            "ADDRESS_REFUSED" => {
                (Code::Unavailable, "the venue's name leads to an address that no venue has")
            }
            "BARRIER" => (
                Code::Unavailable,
                "policy changed while the request was on its way: another is judged anew",
            ),
            "REQUEST_MALFORMED" => {
                (Code::BadRequest, "the request cannot be written as HTTP; it never will be sent")
            }
            "BUSY" => (Code::Exhausted, "too many requests to venues are under way"),
            "VENUE_PAUSED" => (Code::Exhausted, "the venue wants to be left alone for a while"),
            _ => (Code::Unavailable, "the vault could not reach the venue"),
        };
        let message = format!("nothing was sent to the venue: {problem}");
        Failure::new(code, "NOT_SENT", message).with_hint(hint)
    };
    Failure { entry_index: index(execution), retry_after_ms: lost.retry_after_ms, ..failure }
}

/// Of the entry that says what was to be sent.
pub(crate) fn index(execution: &v1::Execution) -> Option<u64> {
    execution.receipt.as_ref().map(|receipt| receipt.index)
}

#[cfg(test)]
mod tests {
    use vault_ipc::Code;
    use vault_ipc::proto::v1;

    use super::failure;
    use crate::venue::Lost;

    #[test]
    fn who_loses_a_response_learns_whether_anything_was_sent() {
        let receipt = v1::Receipt { index: 41, ..Default::default() };
        let execution = v1::Execution { receipt: Some(receipt), ..Default::default() };
        for (problem, sent, code, reason) in [
            ("TIMEOUT", true, Code::Precondition, "OUTCOME_UNKNOWN"),
            ("BODY_CUT", true, Code::Precondition, "OUTCOME_UNKNOWN"),
            ("TIMEOUT", false, Code::Unavailable, "NOT_SENT"),
            ("BARRIER", false, Code::Unavailable, "NOT_SENT"),
            ("REQUEST_MALFORMED", false, Code::BadRequest, "NOT_SENT"),
            ("BUSY", false, Code::Exhausted, "NOT_SENT"),
            ("VENUE_PAUSED", false, Code::Exhausted, "NOT_SENT"),
        ] {
            let lost = Lost { problem: problem.to_owned(), retry_after_ms: 7, sent };
            let failure = failure(&lost, &execution);
            assert_eq!((failure.code(), failure.reason.as_str()), (code, reason), "{problem}");
            assert!(failure.message.ends_with(&format!(": {problem}")), "{}", failure.message);
            assert_eq!((failure.entry_index, failure.retry_after_ms), (Some(41), 7));
        }
    }

    #[test]
    fn a_problem_that_is_no_code_is_not_passed_on() {
        for problem in ["", "secret words", &"A".repeat(41)] {
            let failure = failure(&Lost::sent(problem), &v1::Execution::default());
            assert!(failure.message.ends_with(": RESPONSE_MALFORMED"), "{}", failure.message);
            assert_eq!(failure.entry_index, None);
        }
    }
}
