//! Messages of Binance's WebSocket APIs: what is in them and how they are written.

use vault_model::{SignedRequest, VenueRequest};

use crate::error::VenueError;
use crate::json::{self, Value};
use crate::scheme::json_string;
use crate::venue::Moment;

/// A call over the WebSocket API.
pub(super) struct Rpc<'a> {
    /// `/ws-api/v3`
    socket: &'a str,
    /// `order.place`
    pub(super) method: &'a str,
    /// As the caller gave them.
    parameters: Vec<(&'a str, Value<'a>)>,
}

impl<'a> Rpc<'a> {
    pub(super) fn read(request: &'a VenueRequest) -> Result<Self, VenueError> {
        // The path of every socket has two segments; a method may have a slash (`v2/account.balance`).
        let at = request.path.match_indices('/').nth(2).map(|(at, _)| at);
        let (socket, method) = request.path.split_at(at.ok_or(VenueError::RequestForm)?);
        let method = &method[1..];
        // What stands in a message as text has to be text that needs no escape.
        let is_plain =
            method.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'/'));
        if method.is_empty() || !is_plain || !request.query.is_empty() {
            return Err(VenueError::RequestForm);
        }
        Ok(Self { socket, method, parameters: parameters(&request.body)? })
    }

    /// The caller's parameters and the vault's.
    pub(super) fn with(
        &self,
        own: &[(&'a str, Value<'a>)],
    ) -> Result<Vec<(&'a str, Value<'a>)>, VenueError> {
        let reserved = ["apiKey", "signature", "timestamp"];
        if self.parameters.iter().any(|(name, _)| reserved.contains(name)) {
            return Err(VenueError::RequestForm);
        }
        Ok(self.parameters.iter().chain(own).cloned().collect())
    }

    pub(super) fn message(
        &self,
        request: &VenueRequest,
        params: &[(&str, Value<'_>)],
        moment: &Moment,
        signature: Vec<u8>,
        secrets: Vec<String>,
    ) -> Result<SignedRequest, VenueError> {
        let members = params
            .iter()
            .map(|(name, value)| {
                let value = match value {
                    Value::Text(text) => json_string(text),
                    other => plain(other)?.to_owned(),
                };
                Ok(format!("{}:{value}", json_string(name)))
            })
            .collect::<Result<Vec<_>, VenueError>>()?;
        let message = format!(
            r#"{{"id":"{}","method":"{}","params":{{{}}}}}"#,
            hex::encode(moment.unique),
            self.method,
            members.join(","),
        );
        Ok(SignedRequest {
            method: request.method.clone(),
            url: format!("wss://{}{}", request.host, self.socket),
            headers: Vec::new(),
            body: message.into_bytes(),
            signature,
            secrets,
        })
    }
}

pub(super) fn text(value: &str) -> Value<'_> {
    Value::Text(value.into())
}

/// A JSON object of scalars; no body has none.
pub(super) fn parameters(body: &[u8]) -> Result<Vec<(&str, Value<'_>)>, VenueError> {
    if body.is_empty() {
        return Ok(Vec::new());
    }
    match json::parse(body, &|_| None) {
        Ok(Value::Object(members)) => {
            Ok(members.into_iter().map(|field| (field.name, field.value)).collect())
        }
        _ => Err(VenueError::RequestForm),
    }
}

/// The text of a scalar, as it is signed: numbers as they were written.
fn plain<'v>(value: &'v Value<'_>) -> Result<&'v str, VenueError> {
    match value {
        Value::Bool(true) => Ok("true"),
        Value::Bool(false) => Ok("false"),
        Value::Number(text) | Value::Text(text) => Ok(text),
        Value::Array(_) | Value::Null | Value::Object(_) => Err(VenueError::RequestForm),
    }
}

/// The string-to-sign of a message.
pub(super) fn sorted(params: &[(&str, Value<'_>)]) -> Result<String, VenueError> {
    let mut pairs = params
        .iter()
        .map(|(name, value)| Ok((*name, plain(value)?)))
        .collect::<Result<Vec<_>, VenueError>>()?;
    // Nothing is encoded here: an `&` inside a value would be signed as if it were between two.
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    if pairs.iter().any(|(name, value)| !is_name(name) || value.contains('&')) {
        return Err(VenueError::RequestForm);
    }
    pairs.sort_unstable();
    Ok(pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&"))
}
