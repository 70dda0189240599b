//! Answers as they go out: whole and at once, or as a fault wants them.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, RETRY_AFTER,
};
use http::{Response, StatusCode};
use hyper::body::{Body, Frame, SizeHint};
use serde_json::{Value, json};
use tokio::time::Sleep;

use crate::fault::Fault;
use crate::gzip::gzip;
use crate::http::Incoming;
use crate::wire::Damage;

/// A body that is sent step by step.
pub(crate) struct Script {
    steps: VecDeque<Step>,
    /// Its length, where that is not a lie.
    exact: Option<u64>,
    pause: Option<Pin<Box<Sleep>>>,
}

enum Step {
    Send(Bytes),
    Wait(Duration),
    /// The connection is reset at the next write.
    Reset(Damage),
    /// The body ends with an error: the stream is closed without an end.
    Fail,
}

impl Script {
    fn whole(bytes: Bytes) -> Self {
        let exact = u64::try_from(bytes.len()).ok();
        let steps = if bytes.is_empty() { VecDeque::new() } else { [Step::Send(bytes)].into() };
        Self { steps, exact, pause: None }
    }

    fn of(steps: impl Into<VecDeque<Step>>) -> Self {
        Self { steps: steps.into(), exact: None, pause: None }
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        loop {
            if let Some(pause) = &mut self.pause {
                std::task::ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            match self.steps.pop_front() {
                None => return Poll::Ready(None),
                Some(Step::Send(bytes)) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Some(Step::Wait(time)) => self.pause = Some(Box::pin(tokio::time::sleep(time))),
                Some(Step::Reset(damage)) => damage.reset(),
                Some(Step::Fail) => {
                    return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.steps.is_empty() && self.pause.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.exact.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// An answer without any fault.
pub(crate) fn plain(status: StatusCode, body: Bytes) -> Response<Script> {
    let mut response = Response::new(Script::whole(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An answer as this fault wants it; [`Fault::Silence`] and [`Fault::Late`] are the caller's.
pub(crate) fn faulty(
    fault: &Fault,
    request: &Incoming,
    (status, answer): (StatusCode, Value),
    damage: &Damage,
    http2: bool,
) -> Response<Script> {
    let text = Bytes::from(answer.to_string());
    if let Some(status) = fault.status() {
        let mut response = plain(status, Bytes::from_static(b"{\"fault\":\"on demand\"}"));
        let (name, value) = match fault {
            Fault::Banned { retry_after_s, .. } => (RETRY_AFTER, retry_after_s.to_string()),
            Fault::Redirect { location, .. } => (LOCATION, location.clone()),
            _ => return response,
        };
        add(&mut response, name, &value);
        return response;
    }
    match fault {
        Fault::ResetUnread | Fault::ResetUnanswered => {
            damage.reset();
            plain(status, text)
        }
        Fault::ResetInBody => {
            let (first, rest) = halves(&text);
            let steps = [
                Step::Send(first),
                Step::Wait(FLUSHED),
                Step::Reset(damage.clone()),
                Step::Send(rest),
            ];
            sized(status, text.len(), Script::of(steps))
        }
        Fault::LengthTooLong => {
            let said = text.len() + WRONG_BY;
            // An error without the pause would throw away what is not flushed yet.
            sized(status, said, Script::of([Step::Send(text), Step::Wait(FLUSHED), Step::Fail]))
        }
        Fault::LengthTooShort => {
            let said = text.len().saturating_sub(WRONG_BY);
            if http2 {
                return sized(status, said, Script::of([Step::Send(text)]));
            }
            // In HTTP/1.1 hyper keeps to the length it was told: the rest goes out behind its back.
            damage.append(text.slice(said..));
            sized(status, said, Script::of([Step::Send(text.slice(..said))]))
        }
        Fault::SlowBody { pieces, pause } => {
            let size = text.len().div_ceil((*pieces).max(1)).max(1);
            let mut steps = VecDeque::new();
            for at in (0..text.len()).step_by(size) {
                steps.push_back(Step::Send(text.slice(at..text.len().min(at + size))));
                steps.push_back(Step::Wait(*pause));
            }
            sized(status, text.len(), Script::of(steps))
        }
        Fault::Gzip => {
            let mut response = plain(status, Bytes::from(gzip(&text)));
            add(&mut response, CONTENT_ENCODING, "gzip");
            response
        }
        Fault::Echo => echo(request, status, answer),
        Fault::LongBody(bytes) => {
            let mut left = *bytes;
            let mut steps = VecDeque::new();
            while left > 0 {
                let piece = left.min(PIECE.len() as u64);
                steps.push_back(Step::Send(Bytes::from_static(&PIECE[..piece as usize])));
                left -= piece;
            }
            Response::new(Script::of(steps))
        }
        Fault::Garbage => {
            damage.replace(Bytes::from_static(b"\x00\xff this is not HTTP \r\n\r\n\x01\x02\x03"));
            plain(status, text)
        }
        Fault::Headers(headers) => {
            let mut response = plain(status, text);
            for (name, value) in headers {
                if let Ok(name) = HeaderName::try_from(name.as_str()) {
                    add(&mut response, name, value);
                }
            }
            response
        }
        Fault::Status(_)
        | Fault::StatusAfter(_)
        | Fault::Banned { .. }
        | Fault::Redirect { .. }
        | Fault::Late(_)
        | Fault::Silence => plain(status, text),
    }
}

/// How long sent bytes have to reach the other side before a reset may overtake them.
const FLUSHED: Duration = Duration::from_millis(30);
const WRONG_BY: usize = 10;
const PIECE: &[u8] = &[b'x'; 64 << 10];

fn halves(text: &Bytes) -> (Bytes, Bytes) {
    let middle = text.len() / 2;
    (text.slice(..middle), text.slice(middle..))
}

/// A body whose length is what we say it is.
fn sized(status: StatusCode, length: usize, body: Script) -> Response<Script> {
    let mut response = plain(status, Bytes::new()).map(|_| body);
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

fn add(response: &mut Response<Script>, name: HeaderName, value: &str) {
    // A value that no header can carry is left out.
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().append(name, value);
    }
}

fn echo(request: &Incoming, status: StatusCode, answer: Value) -> Response<Script> {
    let echo = json!({
        "target": request.target,
        "headers": request.listed(),
        "body": String::from_utf8_lossy(&request.body),
    });
    let answer = match answer {
        Value::Object(mut members) => {
            members.insert("echo".to_owned(), echo);
            Value::Object(members)
        }
        other => json!({ "answer": other, "echo": echo }),
    };
    let mut response = plain(status, Bytes::from(answer.to_string()));
    for (name, value) in request.listed() {
        if let Ok(name) = HeaderName::try_from(format!("x-echo-{name}")) {
            add(&mut response, name, &value);
        }
    }
    add(&mut response, HeaderName::from_static("x-echo-target"), &request.target);
    response
}
