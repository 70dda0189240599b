//! Bodies of requests, written from what was read of a message.

use vault_model::VenueRequest;

use crate::error::ReadError;
use crate::json::Value;
use crate::scheme::json_string;
use crate::socket::Frame;

/// A value as JSON: numbers as they were written, nothing between the parts.
pub(super) fn written(value: &Value<'_>) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

fn write(value: &Value<'_>, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(text) => out.push_str(text),
        Value::Text(text) => out.push_str(&json_string(text)),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            out.push('{');
            for (at, field) in fields.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                out.push_str(&json_string(field.name));
                out.push(':');
                write(&field.value, out);
            }
            out.push('}');
        }
    }
}

/// The request over REST that says what a message says, to the first of the venue's hosts in the
/// socket's environment that is of its site.
pub(super) fn rest(frame: &Frame<'_>, path: &str, body: String) -> Result<VenueRequest, ReadError> {
    let catalog = &frame.venue.catalog;
    let operation = catalog.operation("POST", path).ok_or(ReadError::OperationUnknown)?;
    let environment = frame.socket.environments.first().ok_or(ReadError::EnvironmentUnknown)?;
    let hosts = catalog.hosts(*environment).ok_or(ReadError::EnvironmentUnknown)?;
    let is_near = |host: &&String| hosts.sites.meet(host, &frame.socket.host);
    let host = hosts.of(operation).iter().find(is_near).ok_or(ReadError::HostUnknown)?;
    Ok(VenueRequest {
        method: "POST".to_owned(),
        scheme: "https".to_owned(),
        host: host.clone(),
        path: path.to_owned(),
        query: String::new(),
        body: body.into_bytes(),
        headers: Vec::new(),
    })
}

/// A request over the socket itself, such as a log-on.
pub(super) fn over_socket(
    frame: &Frame<'_>,
    method: &str,
    path: &str,
    body: String,
) -> VenueRequest {
    VenueRequest {
        method: method.to_owned(),
        scheme: "wss".to_owned(),
        host: frame.socket.host.clone(),
        path: path.to_owned(),
        query: String::new(),
        body: body.into_bytes(),
        headers: Vec::new(),
    }
}
