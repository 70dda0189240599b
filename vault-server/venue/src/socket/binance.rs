//! Messages of Binance: of its WebSocket APIs and of its market streams.
//!
//! Source: binance/binance-spot-api-docs@a5e0bc3ddc0fd7e6bb696849323b74423fa3a54d,
//! `web-socket-api.md` and `web-socket-streams.md`; ccxt 4.5.90 `pro/binance.py`.
//!
//! A request is `{"id","method":"order.place","params":{..., "apiKey","timestamp","signature"}}`, and
//! each has a signature of its own: the vault's goes in its place, with the same id. `session.logon`,
//! after which requests need none, is refused, and so is what works after it only. A market stream is
//! asked for by `{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}`.

use vault_model::{Class, VenueRequest};

use crate::catalog::{SocketKind, is_handle, is_stream};
use crate::content::Fields;
use crate::error::ReadError;
use crate::json::{Field, Value};
use crate::key::KeyType;
use crate::placeholder;
use crate::read::{self, Standing};
use crate::socket::call::{self, written};
use crate::socket::frame::Members;
use crate::socket::{Dialect, Envelope, Frame, Message, MessageId, StreamRequest, subscription};

/// See the module.
pub(super) struct Binance;

const ID: &str = "id";

/// Subscribes to the events of the account, with a signature.
const SUBSCRIBE: &str = "userDataStream.subscribe.signature";

/// Subscribes to the events of a margin account, with a token.
const SUBSCRIBE_BY_TOKEN: &str = "userDataStream.subscribe.listenToken";

/// Ends a subscription of this connection.
const UNSUBSCRIBE: &str = "userDataStream.unsubscribe";

/// The parameter of a token.
const TOKEN: &str = "listenToken";

impl Dialect for Binance {
    fn id_names(&self) -> &'static [&'static str] {
        &[ID]
    }

    fn read(&self, frame: &Frame<'_>) -> Result<Message, ReadError> {
        let mut members = frame.members()?;
        let id = members.id(ID)?;
        let method = members.text("method")?;
        match frame.rule.kind {
            SocketKind::Public => streams(id, &method, members),
            SocketKind::Rpc => call(frame, id, &method, members),
            SocketKind::Listen | SocketKind::Private => Err(ReadError::OperationUnknown),
        }
    }
}

fn streams(
    id: Option<MessageId>,
    method: &str,
    mut members: Members<'_>,
) -> Result<Message, ReadError> {
    // What lists streams, or sets how they are written, has no use for a bot that subscribed to them.
    if !matches!(method, "SUBSCRIBE" | "UNSUBSCRIBE") {
        return Err(ReadError::OperationUnknown);
    }
    let names = members.list("params")?;
    members.end()?;
    // A listen key is a stream's name too: none of those below can be one.
    if !names.iter().all(|name| matches!(name, Value::Text(name) if is_stream(name))) {
        return Err(ReadError::ParameterValue("params".to_owned()));
    }
    Ok(Message::as_it_stands(id, StreamRequest::Open { public: true }))
}

fn call(
    frame: &Frame<'_>,
    id: Option<MessageId>,
    method: &str,
    mut members: Members<'_>,
) -> Result<Message, ReadError> {
    let params = members.take("params").map_or(Ok(Members(Fields::new())), Members::of)?;
    members.end()?;
    if method == SUBSCRIBE_BY_TOKEN {
        return by_token(frame, id, params);
    }
    let path = format!("{}/{method}", frame.socket.path);
    let operation = frame.venue.catalog.operation("WS", &path);
    let operation = operation.filter(|operation| operation.rpc && operation.path == path);
    let operation = operation.ok_or(ReadError::OperationUnknown)?;
    if method == UNSUBSCRIBE || (!operation.signed && operation.class == Class::Public) {
        let request = call::over_socket(frame, "WS", &path, body(params.0));
        return open(frame, id, operation.class == Class::Public, &request);
    }
    // Behind a log-on of the connection, orders would go without signature; and what is opened by the
    // API key alone answers with a capability.
    if !operation.signed || method == "session.logon" {
        return Err(ReadError::OperationUnknown);
    }
    let (credential, params) = undressed(frame, params)?;
    let request = call::over_socket(frame, "WS", &path, body(params));
    let request = if method == SUBSCRIBE {
        StreamRequest::Logon { credential, request }
    } else {
        StreamRequest::Order { credential: Some(credential), signed: true, request }
    };
    Ok(Message { id, handles: Vec::new(), request, envelope: Envelope::Signed })
}

/// A request that nobody signs: read like any other, and sent as it came.
fn open(
    frame: &Frame<'_>,
    id: Option<MessageId>,
    public: bool,
    request: &VenueRequest,
) -> Result<Message, ReadError> {
    let environment = frame.socket.environments.first().ok_or(ReadError::EnvironmentUnknown)?;
    let standing = Standing {
        environment: *environment,
        sites: None,
        venue_checks: true,
        rights: None,
        key_type: KeyType::Hmac,
    };
    read::read(frame.venue.name(), &frame.venue.catalog, request, &standing)?;
    Ok(Message::as_it_stands(id, StreamRequest::Open { public }))
}

fn by_token(
    frame: &Frame<'_>,
    id: Option<MessageId>,
    params: Members<'_>,
) -> Result<Message, ReadError> {
    let token = params.0.iter().find(|field| field.name == TOKEN).map(|field| field.value.clone());
    let Some(Value::Text(token)) = token.filter(|_| frame.socket.path == "/ws-api/v3") else {
        return Err(ReadError::ParameterMissing(TOKEN.to_owned()));
    };
    if !is_handle(&token) {
        return Err(ReadError::ParameterValue(TOKEN.to_owned()));
    }
    let mut message = subscription(frame, id, vec![(SUBSCRIBE_BY_TOKEN, params.0)])?;
    message.handles.push(token.into_owned());
    Ok(message)
}

/// The credential that the parameters name, and those that are the bot's own.
fn undressed<'t>(
    frame: &Frame<'_>,
    mut params: Members<'t>,
) -> Result<(String, Fields<'t>), ReadError> {
    let credential = placeholder::name_of(&params.text("apiKey")?)?.to_owned();
    for name in ["timestamp", "signature"] {
        params.take(name);
    }
    // As over REST: a window that is wider than the vault signs is left out.
    if let Some(window) = &frame.venue.catalog.signature.window {
        let is_wide = |field: &Field<'_>| {
            let (Value::Text(text) | Value::Number(text)) = &field.value else {
                return false;
            };
            field.name == window.name && text.parse::<u64>().is_ok_and(|ms| ms > window.max_ms)
        };
        params.0.retain(|field| !is_wide(field));
    }
    Ok((credential, params.0))
}

fn body(params: Fields<'_>) -> String {
    written(&Value::Object(params))
}
