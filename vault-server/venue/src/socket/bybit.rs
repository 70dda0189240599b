//! Messages of Bybit v5.
//!
//! Source: bybit-exchange/docs@072c197d0c11b4d9a88d1dd0c7b9d7ca8ea3a996,
//! `docs/v5/websocket/wss-authentication.mdx`, `docs/v5/websocket/trade/guideline.mdx` and
//! `docs/v5/websocket/private/`; ccxt 4.5.90 `pro/bybit.py`.
//!
//! A log-on is `{"op":"auth","args":[key, expiry, signature]}`, a subscription
//! `{"op":"subscribe","args":["order"]}`. A request is
//! `{"reqId","header":{"X-BAPI-TIMESTAMP","X-BAPI-RECV-WINDOW"},"op":"order.create","args":[{...}]}`
//! with the body of `POST /v5/order/create` as its only argument: it needs no signature once the
//! socket is logged on. Its header can only make it die sooner: a window that is wider than the
//! default is left out.

use crate::catalog::SocketKind;
use crate::error::ReadError;
use crate::json::Value;
use crate::placeholder;
use crate::socket::call::{self, written};
use crate::socket::frame::Members;
use crate::socket::{Dialect, Envelope, Frame, Message, MessageId, StreamRequest, subscription};

/// See the module.
pub(super) struct Bybit;

/// The id of a log-on, of a subscription and of a ping.
const ID: &str = "req_id";

/// The id of a request.
const REQUEST_ID: &str = "reqId";

/// The widest window, in milliseconds: the venue's default.
const WINDOW_MAX_MS: u64 = 5000;

/// What a request is called, and the path of the same request over REST.
const REQUESTS: &[(&str, &str)] = &[
    ("order.amend", "/v5/order/amend"),
    ("order.amend-batch", "/v5/order/amend-batch"),
    ("order.cancel", "/v5/order/cancel"),
    ("order.cancel-batch", "/v5/order/cancel-batch"),
    ("order.create", "/v5/order/create"),
    ("order.create-batch", "/v5/order/create-batch"),
];

impl Dialect for Bybit {
    fn id_names(&self) -> &'static [&'static str] {
        &[REQUEST_ID, ID]
    }

    fn read(&self, frame: &Frame<'_>) -> Result<Message, ReadError> {
        let mut members = frame.members()?;
        let op = members.text("op")?;
        match op.as_str() {
            "ping" => {
                let id = id(&mut members)?;
                members.end()?;
                Ok(Message::as_it_stands(id, StreamRequest::Open { public: false }))
            }
            "subscribe" | "unsubscribe" => {
                let id = id(&mut members)?;
                let topics = members.list("args")?;
                take_caller_name(&mut members)?;
                members.end()?;
                let topics = topics.iter().map(topic).collect::<Result<Vec<_>, _>>()?;
                subscription(frame, id, topics.into_iter().map(|name| (name, Vec::new())).collect())
            }
            _ if frame.rule.kind == SocketKind::Public => Err(ReadError::OperationUnknown),
            "auth" => log_on(frame, members),
            op => request(frame, op, members),
        }
    }
}

/// Either name of the id, never both.
fn id(members: &mut Members<'_>) -> Result<Option<MessageId>, ReadError> {
    match members.id(ID)? {
        None => members.id(REQUEST_ID),
        id => Ok(id),
    }
}

/// ccxt 4.5.90 lets a name of its own slip into subscriptions to candles.
fn take_caller_name(members: &mut Members<'_>) -> Result<(), ReadError> {
    match members.take("callerMethodName") {
        None => Ok(()),
        Some(Value::Text(name)) if name.bytes().all(|b| b.is_ascii_alphanumeric()) => Ok(()),
        Some(_) => Err(ReadError::ParameterUnknown),
    }
}

fn topic<'t>(value: &'t Value<'_>) -> Result<&'t str, ReadError> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    match value {
        Value::Text(text) if (1..=80).contains(&text.len()) && text.bytes().all(is_plain) => {
            Ok(text)
        }
        _ => Err(ReadError::ParameterValue("args".to_owned())),
    }
}

fn log_on(frame: &Frame<'_>, mut members: Members<'_>) -> Result<Message, ReadError> {
    let id = id(&mut members)?;
    let arguments = members.list("args")?;
    members.end()?;
    let [Value::Text(key), _expires, _signature] = arguments.as_slice() else {
        return Err(ReadError::ParameterValue("args".to_owned()));
    };
    let credential = placeholder::name_of(key)?.to_owned();
    let request = call::over_socket(frame, "GET", "/realtime", String::new());
    Ok(Message {
        id,
        handles: Vec::new(),
        request: StreamRequest::Logon { credential, request },
        envelope: Envelope::Signed,
    })
}

fn request(frame: &Frame<'_>, op: &str, mut members: Members<'_>) -> Result<Message, ReadError> {
    let (_, path) =
        REQUESTS.iter().find(|(name, _)| *name == op).ok_or(ReadError::OperationUnknown)?;
    if frame.socket.path != "/v5/trade" {
        return Err(ReadError::OperationUnknown);
    }
    let id = members.id(REQUEST_ID)?;
    let header = members.take("header");
    let header = header.ok_or_else(|| ReadError::ParameterMissing("header".to_owned()))?;
    let header = header_of(Members::of(header)?)?;
    let arguments = members.list("args")?;
    members.end()?;
    let [order] = arguments.as_slice() else {
        return Err(ReadError::ArrayLength);
    };
    let named = id.as_ref().map(MessageId::member).unwrap_or_default();
    let head = format!("{{{named}\"header\":{header},\"op\":\"{op}\",\"args\":[");
    Ok(Message {
        id,
        handles: Vec::new(),
        request: StreamRequest::Order {
            credential: None,
            signed: false,
            request: call::rest(frame, path, written(order))?,
        },
        envelope: Envelope::Around(head, "]}".to_owned()),
    })
}

/// The header, as it goes out.
fn header_of(mut members: Members<'_>) -> Result<String, ReadError> {
    let time = members.text("X-BAPI-TIMESTAMP")?;
    if time.len() != 13 || !time.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ReadError::ParameterValue("X-BAPI-TIMESTAMP".to_owned()));
    }
    let window = match members.take("X-BAPI-RECV-WINDOW") {
        None => None,
        Some(Value::Text(text) | Value::Number(text)) => {
            let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            let ms = text.parse::<u64>().ok().filter(|ms| is_number && *ms > 0);
            Some(ms.ok_or_else(|| ReadError::ParameterValue("X-BAPI-RECV-WINDOW".to_owned()))?)
        }
        Some(_) => return Err(ReadError::ParameterValue("X-BAPI-RECV-WINDOW".to_owned())),
    };
    members.end()?;
    let window = match window.filter(|ms| *ms <= WINDOW_MAX_MS) {
        Some(ms) => format!(",\"X-BAPI-RECV-WINDOW\":\"{ms}\""),
        None => String::new(),
    };
    Ok(format!("{{\"X-BAPI-TIMESTAMP\":\"{time}\"{window}}}"))
}
