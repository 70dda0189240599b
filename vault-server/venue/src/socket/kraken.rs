//! Messages of Kraken's WebSocket API v2.
//!
//! Source: <https://docs.kraken.com/api/docs/websocket-v2/> (stored copies of `add_order`,
//! `amend_order`, `cancel_order`, `cancel_all`, `cancel_after`, read 2026-11-22); ccxt 4.5.90
//! `pro/kraken.py`.
//!
//! Each message to `ws-auth.kraken.com` that is about an account has a token of
//! `GetWebSocketsToken`, of which the bot has a handle. A subscription is
//! `{"method":"subscribe","params":{"channel":"executions","token"},"req_id"}`. An order has other
//! names here than over REST; it is judged as the REST request that says the same, and written anew
//! from the very values that were judged. What has no such counterpart is refused: triggers,
//! conditional closes, quantities in the quote currency, start and expiry times, margin.
//!
//! Version 1 is not served.

use std::borrow::Cow;

use crate::catalog::{SocketKind, is_handle};
use crate::content::Fields;
use crate::error::ReadError;
use crate::json::Value;
use crate::socket::call::{self, written};
use crate::socket::frame::Members;
use crate::socket::{Dialect, Envelope, Frame, Message, MessageId, StreamRequest, subscription};

/// See the module.
pub(super) struct Kraken;

const ID: &str = "req_id";

const TOKEN: &str = "token";

/// A request: its name, the path of the same request over REST, and its parameters.
struct Request {
    method: &'static str,
    path: &'static str,
    params: &'static [Param],
}

/// A parameter: its name, the name of the same over REST, and how the one becomes the other.
struct Param(&'static str, &'static str, Form);

#[derive(Clone, Copy)]
enum Form {
    /// The same value.
    Same,
    /// A number, written without an exponent.
    Decimal,
    /// `true` is the flag `post`, `false` is none.
    PostFlag,
    /// `gtc` and `ioc` are in upper case there. `gtd` needs an expiry, which is written otherwise.
    Tif,
}

const REQUESTS: &[Request] = &[
    Request {
        method: "add_order",
        path: "/0/private/AddOrder",
        params: &[
            Param("order_type", "ordertype", Form::Same),
            Param("side", "type", Form::Same),
            Param("order_qty", "volume", Form::Decimal),
            Param("symbol", "pair", Form::Same),
            Param("limit_price", "price", Form::Decimal),
            Param("display_qty", "displayvol", Form::Decimal),
            Param("time_in_force", "timeinforce", Form::Tif),
            Param("post_only", "oflags", Form::PostFlag),
            Param("cl_ord_id", "cl_ord_id", Form::Same),
            Param("order_userref", "userref", Form::Same),
            Param("deadline", "deadline", Form::Same),
            Param("validate", "validate", Form::Same),
        ],
    },
    Request {
        method: "amend_order",
        path: "/0/private/AmendOrder",
        params: &[
            Param("order_id", "txid", Form::Same),
            Param("cl_ord_id", "cl_ord_id", Form::Same),
            Param("order_qty", "order_qty", Form::Decimal),
            Param("display_qty", "display_qty", Form::Decimal),
            Param("limit_price", "limit_price", Form::Decimal),
            Param("post_only", "post_only", Form::Same),
            Param("deadline", "deadline", Form::Same),
        ],
    },
    Request { method: "cancel_all", path: "/0/private/CancelAll", params: &[] },
    Request {
        method: "cancel_all_orders_after",
        path: "/0/private/CancelAllOrdersAfter",
        params: &[Param("timeout", "timeout", Form::Same)],
    },
    Request {
        method: "cancel_order",
        path: "/0/private/CancelOrderBatch",
        params: &[
            Param("order_id", "orders", Form::Same),
            Param("cl_ord_id", "cl_ord_ids", Form::Same),
        ],
    },
];

impl Dialect for Kraken {
    fn id_names(&self) -> &'static [&'static str] {
        &[ID]
    }

    fn read(&self, frame: &Frame<'_>) -> Result<Message, ReadError> {
        let mut members = frame.members()?;
        let id = members.id(ID)?;
        let method = members.text("method")?;
        let params = members.take("params").map_or(Ok(Members(Fields::new())), Members::of)?;
        members.end()?;
        match method.as_str() {
            "ping" => {
                params.end()?;
                Ok(Message::as_it_stands(id, StreamRequest::Open { public: false }))
            }
            "subscribe" | "unsubscribe" => subscribe(frame, id, params),
            method if frame.rule.kind == SocketKind::Private => request(frame, id, method, params),
            _ => Err(ReadError::OperationUnknown),
        }
    }
}

fn subscribe(
    frame: &Frame<'_>,
    id: Option<MessageId>,
    mut params: Members<'_>,
) -> Result<Message, ReadError> {
    let channel = params.text("channel")?;
    let token = match frame.rule.kind {
        SocketKind::Private => Some(token(&mut params)?),
        // Market data has no token: one that is there is meant for something else.
        _ if params.0.iter().any(|field| field.name == TOKEN) => {
            return Err(ReadError::ParameterUnknown);
        }
        _ => None,
    };
    let mut message = subscription(frame, id, vec![(&channel, params.0)])?;
    message.handles.extend(token);
    Ok(message)
}

fn token(params: &mut Members<'_>) -> Result<String, ReadError> {
    let token = params.text(TOKEN)?;
    if is_handle(&token) { Ok(token) } else { Err(ReadError::ParameterValue(TOKEN.to_owned())) }
}

fn request(
    frame: &Frame<'_>,
    id: Option<MessageId>,
    method: &str,
    mut params: Members<'_>,
) -> Result<Message, ReadError> {
    let request = REQUESTS.iter().find(|request| request.method == method);
    let request = request.ok_or(ReadError::OperationUnknown)?;
    let token = token(&mut params)?;
    let (mut sent, mut judged) = (Vec::new(), Vec::new());
    // In the order of the table: no value is read twice, and none is left over.
    for Param(name, rest_name, form) in request.params {
        let Some(value) = params.take(name) else {
            continue;
        };
        let refused = || ReadError::ParameterValue((*name).to_owned());
        let (value, judged_value) = form.of(value).ok_or_else(refused)?;
        sent.push(format!("\"{name}\":{value}"));
        judged.extend(judged_value.map(|value| format!("\"{rest_name}\":{value}")));
    }
    params.end()?;
    sent.push(format!("\"{TOKEN}\":\"{token}\""));
    let body = format!("{{{}}}", judged.join(","));
    let named = id.as_ref().map(MessageId::member).unwrap_or_default();
    let text = format!("{{{named}\"method\":\"{method}\",\"params\":{{{}}}}}", sent.join(","));
    Ok(Message {
        id,
        handles: vec![token],
        envelope: Envelope::Translated { body: body.clone().into_bytes(), text },
        request: StreamRequest::Order {
            credential: None,
            signed: false,
            request: call::rest(frame, request.path, body)?,
        },
    })
}

impl Form {
    /// The value as it is sent, and as it is judged; judged is nothing that says nothing.
    fn of(self, value: Value<'_>) -> Option<(String, Option<String>)> {
        let same = |value: &Value<'_>| (written(value), Some(written(value)));
        match (self, value) {
            (_, Value::Null) => None,
            (Self::Same, value) => Some(same(&value)),
            (Self::Decimal, Value::Number(text)) => {
                let plain = without_exponent(&text)?.into_owned();
                Some((plain.clone(), Some(plain)))
            }
            (Self::PostFlag, value @ Value::Bool(says)) => {
                Some((written(&value), says.then(|| "\"post\"".to_owned())))
            }
            (Self::Tif, Value::Text(text)) => {
                let word = match &*text {
                    "gtc" => "\"GTC\"",
                    "ioc" => "\"IOC\"",
                    _ => return None,
                };
                Some((format!("\"{text}\""), Some(word.to_owned())))
            }
            _ => None,
        }
    }
}

/// The longest run of zeros that an exponent may stand for.
const ZEROS_MAX: usize = 18;

/// A number of JSON without its exponent: Python writes 0.00005 as `5e-05`.
fn without_exponent(number: &str) -> Option<Cow<'_, str>> {
    let Some((digits, exponent)) = number.split_once(['e', 'E']) else {
        return Some(Cow::Borrowed(number));
    };
    // Large quantities have none, in any library.
    let places: usize = exponent.strip_prefix('-')?.parse().ok()?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if places > ZEROS_MAX || !(1..=ZEROS_MAX).contains(&whole.len()) || whole.starts_with('-') {
        return None;
    }
    let whole = format!("{}{whole}", "0".repeat(places + 1));
    let (whole, moved) = whole.split_at(whole.len() - places);
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(Cow::Owned(if places == 0 && fraction.is_empty() {
        whole.to_owned()
    } else {
        format!("{whole}.{moved}{fraction}")
    }))
}

#[cfg(test)]
mod tests {
    use super::without_exponent;

    #[test]
    fn an_exponent_moves_the_point_and_nothing_else() {
        for (number, plain) in [
            ("5e-05", "0.00005"),
            ("5E-5", "0.00005"),
            ("1.25e-07", "0.000000125"),
            ("12.5e-1", "1.25"),
            ("123e-2", "1.23"),
            ("5e-0", "5"),
            ("0.5e-0", "0.5"),
            ("0.1", "0.1"),
            ("7", "7"),
        ] {
            assert_eq!(without_exponent(number).as_deref(), Some(plain), "{number}");
        }
        for number in ["5e5", "5e+5", "5e-19", "-5e-5", "5e-99999999999999999999", "5e--5"] {
            assert_eq!(without_exponent(number), None, "{number}");
        }
    }
}
