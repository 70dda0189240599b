//! Messages of OKX v5.
//!
//! Source: OKX API v5 documentation, <https://www.okx.com/docs-v5/en/#overview-websocket> and the
//! WebSocket parts of "Order Book Trading"; ccxt 4.5.90 `pro/okx.py`.
//!
//! A log-on is `{"op":"login","args":[{"apiKey","passphrase","timestamp","sign"}]}`, a subscription
//! `{"op":"subscribe","args":[{"channel":"orders", ...}]}`, a request `{"id","op":"order","args":[{...}]}`
//! with the body of `POST /api/v5/trade/order` as its argument: it needs no signature once the socket
//! is logged on. `expTime` can only end a request sooner.

use crate::catalog::SocketKind;
use crate::content::Fields;
use crate::error::ReadError;
use crate::json::Value;
use crate::placeholder;
use crate::socket::call::{self, written};
use crate::socket::frame::Members;
use crate::socket::{Dialect, Envelope, Frame, Message, StreamRequest, subscription};

/// See the module.
pub(super) struct Okx;

const ID: &str = "id";

/// What a request is called, the path of the same request over REST, and whether that takes a list.
const REQUESTS: &[(&str, &str, bool)] = &[
    ("amend-order", "/api/v5/trade/amend-order", false),
    ("batch-amend-orders", "/api/v5/trade/amend-batch-orders", true),
    ("batch-cancel-orders", "/api/v5/trade/cancel-batch-orders", true),
    ("batch-orders", "/api/v5/trade/batch-orders", true),
    ("cancel-order", "/api/v5/trade/cancel-order", false),
    ("mass-cancel", "/api/v5/trade/mass-cancel", false),
    ("order", "/api/v5/trade/order", false),
];

impl Dialect for Okx {
    fn id_names(&self) -> &'static [&'static str] {
        &[ID]
    }

    fn read(&self, frame: &Frame<'_>) -> Result<Message, ReadError> {
        if frame.text == "ping" {
            return Ok(Message::as_it_stands(None, StreamRequest::Open { public: false }));
        }
        let mut members = frame.members()?;
        let op = members.text("op")?;
        let is_public = frame.rule.kind == SocketKind::Public;
        match op.as_str() {
            "subscribe" | "unsubscribe" => {
                let id = members.id(ID)?;
                let wanted = members.list("args")?;
                members.end()?;
                let wanted = wanted.into_iter().map(channel).collect::<Result<Vec<_>, _>>()?;
                let wanted = wanted.iter().map(|(name, fields)| (name.as_str(), fields.clone()));
                subscription(frame, id, wanted.collect())
            }
            _ if is_public => Err(ReadError::OperationUnknown),
            "login" => log_on(frame, members),
            op => request(frame, op, members),
        }
    }
}

/// The name of a channel, and what it is asked with.
fn channel(value: Value<'_>) -> Result<(String, Fields<'_>), ReadError> {
    let mut members = Members::of(value)?;
    let name = members.text("channel")?;
    Ok((name, members.0))
}

fn log_on(frame: &Frame<'_>, mut members: Members<'_>) -> Result<Message, ReadError> {
    let mut accounts = members.list("args")?;
    members.end()?;
    // The venue takes several accounts on one socket; which of them an order is for would be a guess.
    let (Some(account), true) = (accounts.pop(), accounts.is_empty()) else {
        return Err(ReadError::ArrayLength);
    };
    let mut account = Members::of(account)?;
    let credential = placeholder::name_of(&account.text("apiKey")?)?.to_owned();
    for name in ["passphrase", "timestamp", "sign"] {
        account.take(name);
    }
    account.end()?;
    let request = call::over_socket(frame, "GET", "/users/self/verify", String::new());
    Ok(Message {
        id: None,
        handles: Vec::new(),
        request: StreamRequest::Logon { credential, request },
        envelope: Envelope::Signed,
    })
}

fn request(frame: &Frame<'_>, op: &str, mut members: Members<'_>) -> Result<Message, ReadError> {
    let (_, path, is_list) =
        REQUESTS.iter().find(|(name, ..)| *name == op).ok_or(ReadError::OperationUnknown)?;
    if frame.socket.path != "/ws/v5/private" {
        return Err(ReadError::OperationUnknown);
    }
    let id = members.id(ID)?;
    let arguments = members.list("args")?;
    let ends = members.take("expTime").map(|value| end_of(&value)).transpose()?;
    members.end()?;
    // A number in place of the instrument's name: nobody here knows which instrument it is.
    if arguments.iter().any(|order| order.member("instIdCode").is_some()) {
        return Err(ReadError::ParameterRefused("instIdCode".to_owned()));
    }
    let (open, close) = if *is_list { ("", "") } else { ("[", "]") };
    let body = match arguments.as_slice() {
        [only] if !is_list => written(only),
        _ if !is_list => return Err(ReadError::ArrayLength),
        _ => written(&Value::Array(arguments)),
    };
    let named = id.as_ref().map(crate::socket::MessageId::member).unwrap_or_default();
    let head = format!("{{{named}\"op\":\"{op}\",\"args\":{open}");
    let tail = format!("{close}{}}}", ends.unwrap_or_default());
    Ok(Message {
        id,
        handles: Vec::new(),
        request: StreamRequest::Order {
            credential: None,
            signed: false,
            request: call::rest(frame, path, body)?,
        },
        envelope: Envelope::Around(head, tail),
    })
}

/// The member `expTime`: milliseconds.
fn end_of(value: &Value<'_>) -> Result<String, ReadError> {
    match value {
        Value::Text(text) | Value::Number(text)
            if text.len() == 13 && text.bytes().all(|b| b.is_ascii_digit()) =>
        {
            Ok(format!(",\"expTime\":\"{text}\""))
        }
        _ => Err(ReadError::ParameterValue("expTime".to_owned())),
    }
}
