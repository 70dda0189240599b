//! Answers of the proxy: a venue's response as it came, or a refusal that libraries of venues take
//! for what it is.
//!
//! A refusal has no `code`, `error` or `msg` at the top level: they mislead ccxt, or break it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use serde_json::{Value, json};
use tonic::body::Body;
use vault_ipc::{Code, Failure};

use super::OfConnection;
use crate::execute::{Executed, index};
use crate::venue;

/// Index of the entry that says what was sent.
const ENTRY: HeaderName = HeaderName::from_static("countersign-entry");
/// How long the venue took, in microseconds.
pub(super) const LATENCY: HeaderName = HeaderName::from_static("countersign-latency-us");
/// Why the vault itself answers: libraries of WebSockets show no body.
pub(crate) const REASON: HeaderName = HeaderName::from_static("countersign-reason");
/// How the names of our own headers begin.
const OURS: &str = "countersign-";
/// How long to wait where nothing better is known, in milliseconds.
const RETRY_AFTER_MS: u64 = 1000;

/// Why a request is not passed on, or not answered by its venue.
#[derive(Debug)]
pub(crate) struct Refusal {
    failure: Box<Failure>,
    status: StatusCode,
}

impl Refusal {
    /// A refusal whose status does not follow from the failure.
    pub(crate) fn new(status: StatusCode, failure: Failure) -> Self {
        Self { failure: Box::new(failure), status }
    }

    #[cfg(test)]
    pub(crate) fn reason(&self) -> &str {
        &self.failure.reason
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::new(status(&failure), failure)
    }
}

/// The status of a failure. What will not be otherwise on the next try is 422, which ccxt takes for
/// an `ExchangeError`; 400, 401 and 403 it takes for a failure of the network at several venues, and
/// tries again.
fn status(failure: &Failure) -> StatusCode {
    match (failure.reason.as_str(), failure.code()) {
        ("OUTCOME_UNKNOWN", _) | (_, Code::DeadlineExceeded) => StatusCode::GATEWAY_TIMEOUT,
        ("NOT_CONNECTED" | "NOT_SENT", Code::Unavailable) => StatusCode::BAD_GATEWAY,
        (_, Code::Exhausted | Code::Sealed | Code::Unavailable) => StatusCode::SERVICE_UNAVAILABLE,
        (_, Code::Internal | Code::Unspecified) => StatusCode::INTERNAL_SERVER_ERROR,
        (
            _,
            Code::BadRequest
            | Code::Conflict
            | Code::Denied
            | Code::NotFound
            | Code::Precondition
            | Code::Unauthenticated,
        ) => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

/// What a bot reads of a refusal, in an answer or in a message.
pub(crate) fn said(failure: &Failure, retry_after_ms: u64) -> Value {
    json!({
        "reason": failure.reason,
        "message": failure.message,
        "hint": failure.hint,
        "operation": failure.operation,
        "class": failure.class,
        "entry": failure.entry_index,
        "retry_after_ms": retry_after_ms,
        "remedies": failure.remedies,
    })
}

/// Says why the venue was not asked, or what is not known.
pub(crate) fn refused(refusal: Refusal) -> Response<Body> {
    let Refusal { failure, status } = refusal;
    let retry_after_ms = match (status, failure.retry_after_ms) {
        (StatusCode::SERVICE_UNAVAILABLE, 0) => RETRY_AFTER_MS,
        (_, stated) => stated,
    };
    let body = json!({ "countersign": said(&failure, retry_after_ms) });
    let mut response =
        Response::new(Body::new(http_body_util::Full::new(Bytes::from(body.to_string()))));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(reason) = HeaderValue::from_str(&failure.reason) {
        headers.insert(REASON, reason);
    }
    if let Some(entry) = failure.entry_index {
        headers.insert(ENTRY, entry.into());
    }
    if retry_after_ms > 0 {
        headers.insert(header::RETRY_AFTER, retry_after_ms.div_ceil(1000).into());
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        let allowed = HeaderValue::from_static("DELETE, GET, PATCH, POST, PUT");
        headers.insert(header::ALLOW, allowed);
    }
    if status == StatusCode::UPGRADE_REQUIRED {
        // Source: RFC 6455, section 4.2.2, and RFC 9110, section 15.5.22.
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    }
    response
}

/// The venue's response, with what the vault says of it.
pub(crate) fn of_venue(executed: Executed) -> Response<Body> {
    let Executed { execution, head, response } = executed;
    let mut of_venue = HeaderMap::with_capacity(head.headers.len() + 2);
    for header in head.headers {
        let name = HeaderName::from_bytes(header.name.as_bytes());
        let value = HeaderValue::from_bytes(header.value.as_bytes());
        // What is no header is none of the venue's either.
        if let (Ok(name), Ok(value)) = (name, value) {
            of_venue.append(name, value);
        }
    }
    let of_connection = OfConnection::of(&of_venue);
    let mut headers = HeaderMap::with_capacity(of_venue.len() + 2);
    for (name, value) in &of_venue {
        let is_ours = name.as_str().starts_with(OURS);
        // `alt-svc` would speak of other ways to the vault.
        if !is_ours && *name != header::ALT_SVC && !of_connection.has(name) {
            headers.append(name, value.clone());
        }
    }
    if let Some(entry) = index(&execution) {
        headers.insert(ENTRY, entry.into());
    }
    headers.insert(LATENCY, head.latency_us.into());

    let mut answer = Response::new(Body::new(Rest(response)));
    // Between 200 and 999.
    let status =
        u16::try_from(head.status).ok().and_then(|status| StatusCode::from_u16(status).ok());
    *answer.status_mut() = status.unwrap_or(StatusCode::BAD_GATEWAY);
    *answer.headers_mut() = headers;
    answer
}

/// The body of a venue's response, as it comes. Its length is stated if all of it is here already.
struct Rest(venue::Response);

/// The rest of the body does not come: the connection or stream ends without an end.
#[derive(Debug, thiserror::Error)]
#[error("the rest of the venue's response is lost")]
struct Cut;

impl HttpBody for Rest {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let piece = std::task::ready!(self.0.poll_piece(cx));
        Poll::Ready(piece.map(|piece| piece.map(Frame::data).map_err(|_| Cut)))
    }

    fn is_end_stream(&self) -> bool {
        self.0.left() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.left().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use http_body_util::BodyExt;
    use vault_ipc::{Code, Failure};

    use super::{Refusal, refused};

    #[test]
    fn every_failure_has_its_status() {
        for (code, reason, status) in [
            (Code::Denied, "SYMBOL_NOT_GRANTED", 422),
            (Code::BadRequest, "TARGET_PORT", 422),
            (Code::Conflict, "REQUEST_ID_REUSED", 422),
            (Code::NotFound, "NOT_FOUND", 422),
            (Code::Precondition, "ANY", 422),
            (Code::Unauthenticated, "CERTIFICATE_REVOKED", 422),
            (Code::Precondition, "OUTCOME_UNKNOWN", 504),
            (Code::DeadlineExceeded, "DEADLINE_EXCEEDED", 504),
            (Code::Unavailable, "NOT_SENT", 502),
            (Code::Unavailable, "NOT_CONNECTED", 502),
            (Code::Exhausted, "NOT_CONNECTED", 503),
            (Code::DeadlineExceeded, "NOT_CONNECTED", 504),
            (Code::Exhausted, "STREAMS_EXHAUSTED", 503),
            (Code::Exhausted, "NOT_SENT", 503),
            (Code::Exhausted, "OVERLOADED", 503),
            (Code::Sealed, "SEALED", 503),
            (Code::Unavailable, "SHUTTING_DOWN", 503),
            (Code::Internal, "INTERNAL", 500),
            (Code::Unspecified, "", 500),
        ] {
            let refusal = Refusal::from(Failure::new(code, reason, "words"));
            assert_eq!(refusal.status.as_u16(), status, "{code:?} {reason}");
        }
    }

    #[tokio::test]
    async fn a_refusal_says_all_there_is_and_nothing_that_misleads() {
        let failure = Failure {
            operation: "binance.spot.order".to_owned(),
            class: "trade".to_owned(),
            remedies: vec!["rights=a".to_owned()],
            entry_index: Some(41),
            retry_after_ms: 1500,
            ..Failure::new(Code::Denied, "SYMBOL_NOT_GRANTED", "denied").with_hint("ask")
        };
        let response = refused(failure.into());
        assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(response.headers()["countersign-entry"], "41");
        assert_eq!(response.headers()["retry-after"], "2");
        let body = response.into_body().collect().await.expect("whole").to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).expect("json");
        let expected = serde_json::json!({ "countersign": {
            "reason": "SYMBOL_NOT_GRANTED",
            "message": "denied",
            "hint": "ask",
            "operation": "binance.spot.order",
            "class": "trade",
            "entry": 41,
            "retry_after_ms": 1500,
            "remedies": ["rights=a"],
        }});
        assert_eq!(body, expected);

        let sealed = refused(Failure::new(Code::Sealed, "SEALED", "vault is sealed").into());
        assert_eq!(sealed.headers()["retry-after"], "1");
        assert!(!sealed.headers().contains_key("countersign-entry"));
    }
}
