//! What every call passes: places, a deadline, and the follow-up of what a reply releases.

mod body;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::BoxFuture;
use http::{HeaderName, HeaderValue, Request, Response, Version, header};
use hyper::body::Incoming;
use tokio::time::{Instant, sleep_until, timeout_at};
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tower::Service;
use vault_ipc::trace::SpanKind;
use vault_ipc::{Code, Failure};

pub(crate) use self::body::ReplyBody;

use self::body::{Content, body_of};
use crate::core::Answered;
use crate::handler::{is_execute, is_stream};
use crate::head::{Framing, HeadError, Heads};
use crate::registry::{CallPlace, Connection, Holds};
use crate::room::{Room, full};
use crate::sign::{SIGN_BATCH_PATH, SIGN_PATH, Signing, Signs};
use crate::status::from_failure;
use crate::stream::Upgrades;
use crate::task::Tasks;
use crate::trace::Call;
use crate::unary;
use crate::venue_proxy::{self, VenueProxy};

/// How long after its deadline a call that asks a venue may take to say what became of it.
const EXECUTE_GRACE: Duration = Duration::from_secs(1);

/// A Sign whose time is over sooner than this has a timer of its own.
const SOON: Duration = Duration::from_secs(1);

static GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
static GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The service of one connection, for each of its calls.
#[derive(Clone, Debug)]
pub(crate) struct Calls {
    gate: Arc<Gate>,
    tasks: Tasks,
}

impl Calls {
    /// Of a connection that polls its Signs itself: `tasks`.
    pub(crate) fn through(gate: Gate, tasks: Tasks) -> Self {
        Self { gate: Arc::new(gate), tasks }
    }
}

/// The answer to a call, on its way.
pub(crate) enum Answering {
    Any(BoxFuture<'static, Response<ReplyBody>>),
    Sign(Signing),
}

impl Future for Answering {
    type Output = Result<Response<ReplyBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Any(answering) => answering.as_mut().poll(cx).map(Ok),
            Self::Sign(signing) => Pin::new(signing).poll(cx).map(Ok),
        }
    }
}

/// What the calls of one connection pass.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) call_max: Duration,
    pub(crate) connection: Arc<Connection>,
    /// As `call_max`, where a venue is asked.
    pub(crate) execute_max: Duration,
    /// Of an HTTP/1.1 connection.
    pub(crate) heads: Option<Arc<Heads>>,
    /// Longest message taken, in bytes.
    pub(crate) message_bytes_max: usize,
    /// Where clients are proxied: for all that is not gRPC.
    pub(crate) proxy: Option<VenueProxy>,
    /// For what has not come whole.
    pub(crate) room: Room,
    pub(crate) routes: Routes,
    /// Where bots sign.
    pub(crate) signs: Option<Signs>,
    /// Of an HTTP/1.1 connection.
    pub(crate) upgrades: Upgrades,
}

/// When nobody waits for a call's answer any more; an extension of its request.
#[derive(Clone, Debug)]
pub(crate) struct Deadline {
    pub(crate) at: Instant,
    /// When the call's head had come.
    pub(crate) began: std::time::Instant,
    /// Microseconds since the epoch.
    pub(crate) unix_us: i64,
    /// Of a call that is traced.
    pub(crate) trace: Option<Arc<Call>>,
}

impl Deadline {
    pub(crate) fn after(left: Duration) -> Self {
        Self::since(Instant::now(), left)
    }

    /// As [`Deadline::after`], at a moment that is the present.
    fn since(began: Instant, left: Duration) -> Self {
        let unix_us = unix_us(SystemTime::now() + left);
        Self { at: began + left, began: began.into_std(), unix_us, trace: None }
    }

    /// The call's frame is ready; whether it is traced.
    pub(crate) fn queued(&self) -> bool {
        if let Some(trace) = &self.trace {
            trace.queued();
        }
        self.trace.is_some()
    }

    /// What a call that is traced came to; without a response it took too long.
    fn answered<T>(&self, response: Option<&Response<T>>) {
        match (&self.trace, response) {
            (Some(trace), Some(response)) => trace.answered(response.headers()),
            (Some(trace), None) => trace.failed(&late()),
            (None, _) => {}
        }
    }
}

/// A call that has a place on its connection.
struct Begun {
    deadline: Deadline,
    place: CallPlace,
}

impl hyper::service::Service<Request<Incoming>> for Calls {
    type Response = Response<ReplyBody>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, request: Request<Incoming>) -> Answering {
        let gate = Arc::clone(&self.gate);
        if let Some(signs) = &self.gate.signs
            && is_rpc(&request)
            && request.uri().path() == SIGN_PATH
            && !request.headers().contains_key(&GRPC_ENCODING)
        {
            let signing = gate.sign(signs, request);
            // One that has not come whole is a task with turns of its own: what it has to do once the
            // rest is there may be much, and all of them may end together.
            if !signing.is_coming() {
                self.tasks.expect();
            }
            return Answering::Sign(signing);
        }
        // Here, not later: heads come in the order of their requests.
        let head = gate.heads.as_ref().map(|heads| heads.next());
        Answering::Any(Box::pin(async move {
            match &gate.proxy {
                Some(proxy) if !is_rpc(&request) => gate.pass(proxy, request, head).await,
                _ => gate.answer_counted(request).await,
            }
        }))
    }
}

impl Gate {
    /// Answers a Sign of a bot: at once, as far as that goes.
    fn sign(self: Arc<Self>, signs: &Signs, request: Request<Incoming>) -> Signing {
        let began = Instant::now();
        let Begun { deadline, place } = match self.begin(&request, self.call_max, began) {
            Ok(begun) => begun,
            Err(response) => return Signing::ended(self, began.into_std(), response),
        };
        let bytes_max = self.message_bytes_max;
        match unary::try_message(request.into_body(), bytes_max) {
            Ok(message) => {
                let is_soon = deadline.at < began + SOON;
                let timer = is_soon.then(|| Box::pin(sleep_until(deadline.at)));
                let is_swept = timer.is_none();
                let begun = message.and_then(|message| {
                    signs.begin(&self.connection, &deadline, is_swept, message)
                });
                match begun {
                    Ok(asked) => Signing::asked(self, asked, deadline, place, timer),
                    Err(status) => {
                        let response = signed(&deadline, Some(Err(status)), place);
                        Signing::ended(self, deadline.began, Box::new(response))
                    }
                }
            }
            Err(partial) => {
                let (gate, signs) = (Arc::clone(&self), signs.clone());
                let began = deadline.began;
                let coming = async move {
                    let answer = async {
                        let message = unary::message(partial, bytes_max, &gate.room).await?;
                        let asked = signs.begin(&gate.connection, &deadline, false, message)?;
                        came_to(&deadline, asked.await)
                    };
                    let answered = timeout_at(deadline.at, answer).await.ok();
                    signed(&deadline, answered, place)
                };
                Signing::coming(self, began, Box::pin(coming))
            }
        }
    }

    async fn answer_counted(&self, request: Request<Incoming>) -> Response<ReplyBody> {
        let began = std::time::Instant::now();
        let response = self.answer(request).await;
        self.count(&response, began);
        response
    }

    pub(crate) fn count(&self, response: &Response<ReplyBody>, began: std::time::Instant) {
        let listener = self.connection.facts().listener();
        self.connection.metrics().answered(listener, response.headers(), began);
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<ReplyBody> {
        let is_execute = is_execute(request.uri().path());
        let is_batch = request.uri().path() == SIGN_BATCH_PATH;
        let most = if is_execute { self.execute_max } else { self.call_max };
        let Begun { deadline, place } = match self.begin(&request, most, Instant::now()) {
            Ok(begun) => begun,
            Err(response) => return *response,
        };
        let read = timeout_at(deadline.at, self.read(request)).await;
        let mut request = match read {
            Ok(Ok(request)) => request,
            Ok(Err(status)) => {
                let response = status.into_http();
                deadline.answered(Some(&response));
                return with_holds(response, place);
            }
            Err(_) => {
                deadline.answered::<Body>(None);
                return refused(late());
            }
        };
        request.extensions_mut().insert(deadline.clone());
        request.extensions_mut().insert(Arc::clone(&self.connection));
        // What may be at a venue ends by itself in time, and says so, and so does each Sign of a batch:
        // it must not be overtaken.
        let says_late = is_execute || is_batch;
        let ends = if says_late { deadline.at + EXECUTE_GRACE } else { deadline.at };
        // Routes are always ready.
        let answered = timeout_at(ends, self.routes.clone().call(request)).await;
        match answered {
            Ok(Ok(response)) => {
                deadline.answered(Some(&response));
                with_holds(response, place)
            }
            Ok(Err(_)) | Err(_) => {
                deadline.answered::<Body>(None);
                refused(late())
            }
        }
    }

    /// Reads the one message of a call for the router, which would decode it before its end has come.
    /// Streams it reads itself.
    ///
    /// # Errors
    ///
    /// As [`unary::message`], and if there is no room for the head.
    async fn read(&self, request: Request<Incoming>) -> Result<Request<Body>, Status> {
        if is_stream(request.uri().path()) {
            return Ok(request.map(Body::new));
        }
        let encoding = request.headers().get(&GRPC_ENCODING);
        if encoding.is_some_and(|encoding| encoding != "identity") {
            // Which is refused whatever comes.
            return Ok(request.map(|_| Body::empty()));
        }
        let (head, body) = request.into_parts();
        let message = match unary::try_message(body, self.message_bytes_max) {
            Ok(message) => message?,
            Err(partial) => {
                let taken = self.room.take_head(&head.headers);
                let _taken = taken.ok_or_else(|| from_failure(full()))?;
                unary::message(partial, self.message_bytes_max, &self.room).await?
            }
        };
        let body = unary::Framed::of(&message).into_body();
        Ok(Request::from_parts(head, Body::new(body)))
    }

    /// Gives a call its place and its deadline, which is `most` away or as its client says.
    fn begin(
        &self,
        request: &Request<Incoming>,
        most: Duration,
        now: Instant,
    ) -> Result<Begun, Box<Response<ReplyBody>>> {
        let refused = |failure| Err(Box::new(refused(failure)));
        let Some(place) = self.connection.begin_call() else {
            return refused(busy());
        };
        let mut left = most;
        if let Some(asked) = request.headers().get(&GRPC_TIMEOUT) {
            let Some(asked) = parse_timeout(asked.as_bytes()) else {
                return refused(Failure::new(
                    Code::BadRequest,
                    "TIMEOUT_MALFORMED",
                    "grpc-timeout is not well formed",
                ));
            };
            left = left.min(asked);
        }
        let mut deadline = Deadline::since(now, left);
        deadline.trace = self.trace(request, &deadline);
        Ok(Begun { deadline, place })
    }

    /// Begins the trace of a call, if it is one of those that are traced.
    fn trace<B>(&self, request: &Request<B>, deadline: &Deadline) -> Option<Arc<Call>> {
        let tracer = self.connection.metrics().tracer()?;
        let kind = match request.uri().path() {
            _ if !is_rpc(request) => SpanKind::Proxy,
            SIGN_PATH => SpanKind::Sign,
            SIGN_BATCH_PATH => SpanKind::SignBatch,
            path if is_execute(path) => SpanKind::Execute,
            // The Signs of a stream are traced one by one.
            _ => return None,
        };
        let parent = tracer.parent(request.headers());
        tracer.begin(&self.connection, parent, kind, deadline.began)
    }

    async fn pass(
        &self,
        proxy: &VenueProxy,
        request: Request<Incoming>,
        head: Option<Result<Framing, HeadError>>,
    ) -> Response<ReplyBody> {
        let place = self.connection.begin_call();
        let mut response = match place {
            Some(_) => {
                let mut deadline = Deadline::after(self.execute_max);
                deadline.trace = self.trace(&request, &deadline);
                let trace = deadline.trace.clone();
                let upgrades = &self.upgrades;
                let answered =
                    proxy.answer(request, head, &self.connection, &self.room, upgrades, deadline);
                let response = answered.await;
                if let Some(trace) = trace {
                    trace.proxied(response.headers());
                }
                response
            }
            None => venue_proxy::refused(busy()),
        };
        self.connection.metrics().proxied(response.status());
        if matches!(head, Some(Ok(Framing::Chunked) | Err(_))) {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        response.map(|body| body_of(Content::Any { body, holds: None }, place))
    }
}

/// Whether a request is a call of gRPC, which needs HTTP/2.
fn is_rpc<B>(request: &Request<B>) -> bool {
    request.version() == Version::HTTP_2
        && request
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// The failure of a call that nobody waits for any more.
pub(crate) fn late() -> Failure {
    Failure::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "the call took too long")
}

/// The failure of a call for which there is no place.
pub(crate) fn busy() -> Failure {
    Failure::new(Code::Exhausted, "OVERLOADED", "too many calls are in progress")
}

fn with_holds(mut response: Response<Body>, place: CallPlace) -> Response<ReplyBody> {
    let holds = response.extensions_mut().remove::<Arc<Holds>>();
    response.map(|body| body_of(Content::Any { body, holds }, Some(place)))
}

/// What the core answered a Sign.
///
/// # Errors
///
/// Its failure.
pub(crate) fn came_to(
    deadline: &Deadline,
    answered: Result<Answered, Box<Failure>>,
) -> Result<Answered, Status> {
    let answered = answered.map_err(|failure| *failure);
    if let Some(trace) = &deadline.trace {
        trace.came_to(&answered);
    }
    answered.map_err(from_failure)
}

/// The response to a Sign; `None`: it took too long.
pub(crate) fn signed(
    deadline: &Deadline,
    answered: Option<Result<Answered, Status>>,
    place: CallPlace,
) -> Response<ReplyBody> {
    let response = answered.map(|answered| match answered {
        Ok(Answered { hold, response, .. }) => {
            let reply = unary::Reply::new(response, hold);
            unary::Reply::head().map(|()| body_of(Content::One(reply), Some(place)))
        }
        Err(status) => with_holds(status.into_http(), place),
    });
    deadline.answered(response.as_ref());
    response.unwrap_or_else(|| refused(late()))
}

fn refused(failure: Failure) -> Response<ReplyBody> {
    let response = from_failure(failure).into_http::<Body>();
    response.map(|body| body_of(Content::Any { body, holds: None }, None))
}

fn unix_us(at: SystemTime) -> i64 {
    at.duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_micros()).ok())
        .unwrap_or(0)
}

/// How long a client says that it waits: one to eight digits and a unit.
fn parse_timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let count: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(count * 3600),
        b'M' => Duration::from_secs(count * 60),
        b'S' => Duration::from_secs(count),
        b'm' => Duration::from_millis(count),
        b'u' => Duration::from_micros(count),
        b'n' => Duration::from_nanos(count),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::parse_timeout;

    #[test]
    fn reads_timeouts_and_refuses_others() {
        assert_eq!(parse_timeout(b"5S"), Some(Duration::from_secs(5)));
        assert_eq!(parse_timeout(b"99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        assert_eq!(parse_timeout(b"250m"), Some(Duration::from_millis(250)));
        assert_eq!(parse_timeout(b"7n"), Some(Duration::from_nanos(7)));
        for bad in [&b""[..], b"S", b"5", b"5s", b"-5S", b"+5S", b"123456789S", b"5 S", b"\xff1S"] {
            assert_eq!(parse_timeout(bad), None, "{bad:?}");
        }
    }
}
