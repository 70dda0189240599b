//! The HTTPS proxy: requests of a bot's own library, with the venue's URL in the path.
//!
//! A request is read strictly and passed to the core as it was written; the venue's response comes
//! back as it is. Nothing is tunnelled, no redirect followed, no request sent a second time, and the
//! core knows no host outside its catalogues.

mod answer;
mod target;
mod websocket;

use std::collections::HashSet;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, Version, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout_at;
use tonic::body::Body;
use vault_ipc::proto::v1;
use vault_ipc::{Code, Failure, Kind, ProxyCall};

pub use self::target::{Scheme, TARGET_BYTES_MAX, Target, TargetError, target};

pub(crate) use self::answer::{REASON, said};

use self::answer::Refusal;
use crate::execute;
use crate::gate::{Deadline, late};
use crate::handler::{Handler, no_certificate};
use crate::head::{Framing, HeadError};
use crate::registry::Connection;
use crate::room::{Room, Taken, full};
use crate::stream::Upgrades;

/// The proxy of the bot listeners.
#[derive(Clone, Debug)]
pub(crate) struct VenueProxy {
    body_bytes_max: usize,
    handler: Handler,
}

/// Names a request, so that it is never sent twice.
const REQUEST_ID: &str = "countersign-request-id";

/// Random bytes in the id of a request that has none.
const REQUEST_ID_BYTES: usize = 12;

/// How much of a body that is too long is read, so that its sender comes to read the answer.
const DISCARDED_BYTES_MAX: usize = 1 << 20;

/// What venues know, and nothing else.
const METHODS: [Method; 5] =
    [Method::DELETE, Method::GET, Method::PATCH, Method::POST, Method::PUT];

/// Headers between two neighbours, which say nothing of the message.
const OF_CONNECTION: [&str; 12] = [
    "connection",
    "content-length",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
];

const FORMS: &str = "write https://VAULT:PORT/https://HOST/PATH?QUERY, or wss:// twice for a \
                     websocket, or percent-encode the venue's whole url after the first slash";

/// The proxy's answer to a request that gets no further than to it.
pub(crate) fn refused(failure: Failure) -> Response<Body> {
    answer::refused(failure.into())
}

impl VenueProxy {
    pub(crate) fn new(handler: Handler, body_bytes_max: usize) -> Self {
        Self { body_bytes_max, handler }
    }

    /// Answers one request. `head` is what was found in its head, if it came by HTTP/1.1.
    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
        head: Option<Result<Framing, HeadError>>,
        connection: &Arc<Connection>,
        room: &Room,
        upgrades: &Upgrades,
        deadline: Deadline,
    ) -> Response<Body> {
        let is_head = request.method() == Method::HEAD;
        let mut response =
            match self.pass(request, head, connection, room, upgrades, deadline).await {
                Ok(response) => response,
                Err(refusal) => answer::refused(refusal),
            };
        if is_head {
            // Over HTTP/2, hyper leaves that to us.
            *response.body_mut() = Body::empty();
        }
        response
    }

    async fn pass(
        &self,
        request: Request<Incoming>,
        head: Option<Result<Framing, HeadError>>,
        connection: &Arc<Connection>,
        room: &Room,
        upgrades: &Upgrades,
        deadline: Deadline,
    ) -> Result<Response<Body>, Refusal> {
        if let Some(Err(error)) = head {
            let failure = Failure::new(Code::BadRequest, error.code(), error.to_string());
            let status = match error {
                HeadError::Fragment => StatusCode::UNPROCESSABLE_ENTITY,
                _ => StatusCode::BAD_REQUEST,
            };
            return Err(Refusal::new(status, failure));
        }
        let (parts, body) = request.into_parts();
        let target = read(&parts)?;
        if target.scheme == Scheme::Wss || parts.headers.contains_key(header::UPGRADE) {
            if let Some(trace) = &deadline.trace {
                trace.discard();
            }
            let request = Request::from_parts(parts, body);
            return self.open(request, target, connection, upgrades, deadline).await;
        }
        let headers = headers(&parts.headers)?;
        let request_id = request_id(&parts.headers)?;
        let caller = connection.facts().caller().ok_or_else(no_certificate)?;
        let taken = room.take_head(&parts.headers).ok_or_else(full)?;
        let body = timeout_at(deadline.at, self.body(&parts.headers, body, taken))
            .await
            .map_err(|_| late())??;
        let call = ProxyCall {
            caller,
            deadline_us: deadline.unix_us,
            request: v1::VenueRequest {
                method: parts.method.as_str().to_owned(),
                scheme: "https".to_owned(),
                host: target.host,
                path: target.path,
                query: target.query,
                body,
                headers,
            },
            request_id,
            traced: deadline.queued(),
        };
        // A head may be 40 KiB, and a venue take half a minute.
        drop(parts);
        let executed = self.handler.executed(connection, Kind::Proxy, call, &deadline).await?;
        // Told while it still can be: later, nothing but the end of the connection says it.
        match executed.response.lost() {
            Some(lost) => Err(execute::failure(&lost, &executed.execution).into()),
            None => Ok(answer::of_venue(executed)),
        }
    }

    /// Reads a body whole; until it is, it takes more of the connection's room.
    async fn body(
        &self,
        headers: &HeaderMap,
        mut body: Incoming,
        mut taken: Taken,
    ) -> Result<Vec<u8>, Failure> {
        let too_long = || {
            Failure::new(Code::BadRequest, "BODY_TOO_LONG", "the body of the request is too long")
        };
        // Not one byte is read of what says itself that it is far too long.
        let stated = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        let stated: Option<usize> = stated.and_then(|stated| stated.parse().ok());
        if stated.is_some_and(|stated| stated > DISCARDED_BYTES_MAX) {
            return Err(too_long());
        }
        let mut has_room = stated.unwrap_or(0).min(self.body_bytes_max);
        if !taken.grow(has_room) {
            return Err(full());
        }
        let mut whole = Vec::with_capacity(has_room);
        let mut read = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| {
                Failure::new(
                    Code::BadRequest,
                    "BODY_CUT",
                    "the body of the request did not come whole",
                )
            })?;
            let Some(data) = frame.data_ref() else {
                continue;
            };
            read += data.len();
            if read <= self.body_bytes_max {
                if !taken.grow(read.saturating_sub(has_room)) {
                    return Err(full());
                }
                has_room = has_room.max(read);
                whole.extend_from_slice(data);
            } else if read > DISCARDED_BYTES_MAX {
                break;
            }
        }
        if read > self.body_bytes_max { Err(too_long()) } else { Ok(whole) }
    }
}

/// What the request's line and headers ask for.
fn read(parts: &Parts) -> Result<Target, Refusal> {
    let refused = |reason: &str, message: &str| Failure::new(Code::BadRequest, reason, message);
    if !METHODS.contains(&parts.method) {
        let failure = refused("METHOD_NOT_SERVED", "venues are asked with other methods")
            .with_hint("use GET, POST, PUT, PATCH or DELETE");
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, failure));
    }
    // Over HTTP/2 every request has them.
    if parts.version < Version::HTTP_2 && parts.uri.authority().is_some() {
        return Err(refused("TARGET_ABSOLUTE_FORM", "the vault is no forward proxy")
            .with_hint(FORMS)
            .into());
    }
    let path_and_query = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let target = target(path_and_query).map_err(|error| {
        let failure = refused(error.code(), &error.to_string()).with_hint(FORMS);
        match error {
            TargetError::None => Refusal::new(StatusCode::NOT_FOUND, failure),
            _ => failure.into(),
        }
    })?;
    if parts.headers.contains_key(header::EXPECT) {
        let failure = refused("EXPECT_NOT_SERVED", "the vault promises nothing before the body")
            .with_hint("leave the header expect out");
        // Clients send again without it.
        return Err(Refusal::new(StatusCode::EXPECTATION_FAILED, failure));
    }
    Ok(target)
}

/// The bot's headers without those of the connection; names come in lower case.
fn headers(headers: &HeaderMap) -> Result<Vec<v1::Header>, Refusal> {
    let mut passed = Vec::with_capacity(headers.len());
    let of_connection = OfConnection::of(headers);
    for (name, value) in headers {
        if of_connection.has(name) || [header::HOST.as_str(), REQUEST_ID].contains(&name.as_str()) {
            continue;
        }
        let value = value.to_str().map_err(|_| {
            Failure::new(
                Code::BadRequest,
                "HEADER_CHARACTER",
                "a header has characters other than those of ascii",
            )
        })?;
        passed.push(v1::Header { name: name.as_str().to_owned(), value: value.to_owned() });
    }
    Ok(passed)
}

/// Which headers are for the next neighbour only.
pub(super) struct OfConnection(HashSet<HeaderName>);

impl OfConnection {
    /// What `connection` names is gathered once: it may name very many.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let named = headers.get_all(header::CONNECTION).iter();
        let named =
            named.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
        let names = named.filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok());
        Self(names.filter(|name| headers.contains_key(name)).collect())
    }

    /// Whether a header is, by itself or because `connection` names it.
    pub(super) fn has(&self, name: &HeaderName) -> bool {
        OF_CONNECTION.contains(&name.as_str()) || self.0.contains(name)
    }
}

fn request_id(headers: &HeaderMap) -> Result<String, Refusal> {
    let mut given = headers.get_all(REQUEST_ID).iter();
    match (given.next(), given.next()) {
        (None, _) => {
            let random: [u8; REQUEST_ID_BYTES] = rand::random();
            let hex: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
            Ok(format!("px-{hex}"))
        }
        (Some(id), None) => Ok(id.to_str().unwrap_or_default().to_owned()),
        (Some(_), Some(_)) => Err(Failure::new(
            Code::BadRequest,
            "REQUEST_ID_TWICE",
            "the request has more than one id",
        )
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::{OfConnection, headers, request_id};

    fn map(pairs: &[(&'static str, &'static [u8])]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                let value = HeaderValue::from_bytes(value).expect("a value");
                (HeaderName::from_static(name), value)
            })
            .collect()
    }

    #[test]
    fn headers_of_the_connection_stay_here() {
        let map = map(&[
            ("host", b"vault.test"),
            ("connection", b"keep-alive, X-Named"),
            ("x-named", b"gone"),
            ("keep-alive", b"timeout=5"),
            ("content-length", b"5"),
            ("te", b"trailers"),
            ("countersign-request-id", b"order-1"),
            ("x-mbx-apikey", b"countersign:main"),
            ("content-type", b"application/json"),
            ("cookie", b"a=b"),
        ]);
        let mut passed: Vec<_> =
            headers(&map).expect("ascii").into_iter().map(|header| header.name).collect();
        passed.sort();
        assert_eq!(passed, ["content-type", "cookie", "x-mbx-apikey"]);
    }

    #[test]
    fn what_connection_names_is_gathered_however_often_it_names_it() {
        let names = "x-named, ,(),X-Named,x-absent,".repeat(2_000);
        let mut map = map(&[("x-named", b"gone"), ("x-a", b"stays")]);
        map.insert("connection", HeaderValue::from_str(&names).expect("a value"));
        let passed: Vec<_> =
            headers(&map).expect("ascii").into_iter().map(|header| header.name).collect();
        assert_eq!(passed, ["x-a"]);
        assert_eq!(OfConnection::of(&map).0.len(), 1);
    }

    #[test]
    fn a_header_beyond_ascii_is_refused() {
        let failure = headers(&map(&[("x-a", b"\xe9")])).expect_err("refused");
        assert_eq!(failure.reason(), "HEADER_CHARACTER");
    }

    #[test]
    fn every_request_has_an_id_of_its_own() {
        let ours = request_id(&HeaderMap::new()).expect("made");
        assert!(ours.starts_with("px-") && ours.len() == 27, "{ours}");
        assert_ne!(request_id(&HeaderMap::new()).expect("made"), ours);

        let given = map(&[("countersign-request-id", b"order-1")]);
        assert_eq!(request_id(&given).expect("given"), "order-1");
        let mut twice = given;
        twice.append("countersign-request-id", HeaderValue::from_static("order-2"));
        assert_eq!(request_id(&twice).expect_err("two").reason(), "REQUEST_ID_TWICE");
    }
}
