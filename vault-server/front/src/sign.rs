//! Signing, for bots.

use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::Response as HttpResponse;
use tokio::time::Sleep;
use tonic::{Request, Response, Status, Streaming};
use vault_ipc::proto::v1;
use vault_ipc::proto::v1::sign_service_server::SignService;
use vault_ipc::{EncodedSignCall, Failure};

use crate::core::Asked;
use crate::gate::{Deadline, Gate, ReplyBody, busy, came_to, signed};
use crate::handler::{Handler, Messages, no_certificate};
use crate::plain::plain;
use crate::registry::{CallPlace, Connection};
use crate::status::from_failure;

/// Where a Sign goes.
pub(crate) const SIGN_PATH: &str = "/vault.v1.SignService/Sign";

/// Where a batch of them goes.
pub(crate) const SIGN_BATCH_PATH: &str = "/vault.v1.SignService/SignBatch";

/// Where a stream of them goes.
pub(crate) const SIGN_STREAM_PATH: &str = "/vault.v1.SignService/SignStream";

/// Sign without router and codec: of all calls the one that is made all the time. What a client sends goes
/// to the core as it came, if it is [as we would write it](plain), and what the core answers goes out as it
/// came.
#[derive(Clone, Debug)]
pub(crate) struct Signs {
    handler: Arc<Handler>,
}

impl Signs {
    pub(crate) fn new(handler: Handler) -> Self {
        Self { handler: Arc::new(handler) }
    }

    /// Passes the message of a call of [`SIGN_PATH`] on. If `is_swept`, its answer comes by its deadline in
    /// any case, or [soon](crate::core::Core::begin_sign) after.
    ///
    /// # Errors
    ///
    /// The message is no request, or the core cannot be asked.
    pub(crate) fn begin(
        &self,
        connection: &Arc<Connection>,
        deadline: &Deadline,
        is_swept: bool,
        message: Bytes,
    ) -> Result<Asked, Status> {
        let caller = connection.facts().encoded_caller();
        let caller = caller.ok_or_else(|| from_failure(no_certificate()))?;
        let refused = |failure: Failure| {
            if let Some(trace) = &deadline.trace {
                trace.failed(&failure);
            }
            from_failure(failure)
        };
        // First: whoever has all his places already is refused before his message is looked at.
        let place = self.handler.place(connection).ok_or_else(|| refused(busy()))?;
        let request = plain(message).map_err(|error| Status::internal(error.to_string()))?;
        let queued_us = connection.metrics().decoded(deadline.began);
        let (deadline_us, traced) = (deadline.unix_us, deadline.queued());
        let call = EncodedSignCall { caller, request, deadline_us, queued_us, traced };
        let ends = is_swept.then_some(deadline.at);
        let begun = self.handler.begin_sign(connection, call, place, deadline, ends);
        begun.map_err(|failure| refused(*failure))
    }
}

/// A Sign on its way through the gate, from the moment at which it was passed on.
pub(crate) struct Signing {
    began: Instant,
    gate: Arc<Gate>,
    state: State,
}

enum State {
    /// The core has it.
    Asked {
        asked: Asked,
        deadline: Deadline,
        place: CallPlace,
        /// If its time is seen to here.
        timer: Option<Pin<Box<Sleep>>>,
    },
    /// Not all of it has come yet.
    Coming(BoxFuture<'static, HttpResponse<ReplyBody>>),
    /// Its response, until it is handed over.
    Ended(Option<Box<HttpResponse<ReplyBody>>>),
}

impl Signing {
    pub(crate) fn asked(
        gate: Arc<Gate>,
        asked: Asked,
        deadline: Deadline,
        place: CallPlace,
        timer: Option<Pin<Box<Sleep>>>,
    ) -> Self {
        let began = deadline.began;
        Self { began, gate, state: State::Asked { asked, deadline, place, timer } }
    }

    pub(crate) fn coming(
        gate: Arc<Gate>,
        began: Instant,
        coming: BoxFuture<'static, HttpResponse<ReplyBody>>,
    ) -> Self {
        Self { began, gate, state: State::Coming(coming) }
    }

    pub(crate) fn ended(
        gate: Arc<Gate>,
        began: Instant,
        response: Box<HttpResponse<ReplyBody>>,
    ) -> Self {
        Self { began, gate, state: State::Ended(Some(response)) }
    }

    /// Whether the rest of it is awaited.
    pub(crate) fn is_coming(&self) -> bool {
        matches!(self.state, State::Coming(_))
    }
}

impl Future for Signing {
    type Output = HttpResponse<ReplyBody>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = match &mut self.state {
            State::Asked { asked, timer, .. } => match Pin::new(asked).poll(cx) {
                Poll::Ready(answered) => Poll::Ready(Some(answered)),
                Poll::Pending => match timer {
                    Some(timer) => timer.as_mut().poll(cx).map(|()| None),
                    None => Poll::Pending,
                },
            },
            State::Coming(coming) => {
                let response = std::task::ready!(coming.as_mut().poll(cx));
                self.gate.count(&response, self.began);
                return Poll::Ready(response);
            }
            State::Ended(response) => {
                let response = response.take().expect("not polled after its end");
                self.gate.count(&response, self.began);
                return Poll::Ready(*response);
            }
        };
        let answered = std::task::ready!(polled);
        let State::Asked { asked, deadline, place, .. } =
            mem::replace(&mut self.state, State::Ended(None))
        else {
            unreachable!("it was asked a moment ago")
        };
        // If it is late, the core is told so now.
        drop(asked);
        let answered = answered.map(|answered| came_to(&deadline, answered));
        let response = signed(&deadline, answered, place);
        self.gate.count(&response, self.began);
        Poll::Ready(response)
    }
}

#[tonic::async_trait]
impl SignService for Handler {
    async fn sign(
        &self,
        request: Request<v1::SignRequest>,
    ) -> Result<Response<v1::SignResponse>, Status> {
        self.sign_routed(request).await
    }

    async fn sign_batch(
        &self,
        request: Request<v1::SignBatchRequest>,
    ) -> Result<Response<v1::SignBatchResponse>, Status> {
        Handler::sign_batch(self, request).await
    }

    type SignStreamStream = Messages<v1::SignResult>;

    async fn sign_stream(
        &self,
        request: Request<Streaming<v1::SignRequest>>,
    ) -> Result<Response<Self::SignStreamStream>, Status> {
        Handler::sign_stream(self, request)
    }
}
