//! What the messages of all venues have in common.

use crate::catalog::SocketRule;
use crate::content::Fields;
use crate::error::ReadError;
use crate::json::{self, Value};
use crate::socket::{MessageId, Socket};
use crate::venue::Venue;

/// A message, and where it was said.
pub(crate) struct Frame<'a> {
    pub venue: &'a Venue,
    pub socket: &'a Socket,
    pub rule: &'a SocketRule,
    pub text: &'a str,
}

impl<'a> Frame<'a> {
    /// The members of a message that is a JSON object of the strict kind.
    pub(super) fn members(&self) -> Result<Members<'a>, ReadError> {
        let table = &self.venue.catalog.table;
        match json::parse(self.text.as_bytes(), &|name| table.number(name)) {
            Ok(Value::Object(fields)) => Ok(Members(fields)),
            _ => Err(ReadError::BodyMalformed),
        }
    }
}

/// Members of an object, each taken at most once; what is left over is not known.
#[derive(Debug)]
pub(super) struct Members<'t>(pub Fields<'t>);

impl<'t> Members<'t> {
    /// The members of a value that is an object.
    pub(super) fn of(value: Value<'t>) -> Result<Self, ReadError> {
        match value {
            Value::Object(fields) => Ok(Self(fields)),
            _ => Err(ReadError::BodyMalformed),
        }
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Value<'t>> {
        let at = self.0.iter().position(|field| field.name == name)?;
        Some(self.0.remove(at).value)
    }

    /// A text that has to be there.
    pub(super) fn text(&mut self, name: &'static str) -> Result<String, ReadError> {
        match self.take(name) {
            Some(Value::Text(text)) => Ok(text.into_owned()),
            Some(_) => Err(ReadError::ParameterValue(name.to_owned())),
            None => Err(ReadError::ParameterMissing(name.to_owned())),
        }
    }

    /// A list that has to be there and is not empty.
    pub(super) fn list(&mut self, name: &'static str) -> Result<Vec<Value<'t>>, ReadError> {
        match self.take(name) {
            Some(Value::Array(items)) if items.is_empty() => Err(ReadError::ArrayLength),
            Some(Value::Array(items)) => Ok(items),
            Some(_) => Err(ReadError::ParameterValue(name.to_owned())),
            None => Err(ReadError::ParameterMissing(name.to_owned())),
        }
    }

    /// The id of the message.
    pub(super) fn id(&mut self, name: &'static str) -> Result<Option<MessageId>, ReadError> {
        self.take(name).map(|value| MessageId::of(name, &value)).transpose()
    }

    /// Ends the reading: nothing is left that was not read.
    pub(super) fn end(self) -> Result<(), ReadError> {
        if self.0.is_empty() { Ok(()) } else { Err(ReadError::ParameterUnknown) }
    }
}

impl MessageId {
    /// The id in a message.
    pub(super) fn of(name: &'static str, value: &Value<'_>) -> Result<Self, ReadError> {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        let value = match value {
            Value::Text(text) if (1..=64).contains(&text.len()) && text.bytes().all(is_plain) => {
                format!("\"{text}\"")
            }
            Value::Number(text) if text.len() <= 20 && text.bytes().all(|b| b.is_ascii_digit()) => {
                text.clone().into_owned()
            }
            _ => return Err(ReadError::ParameterValue(name.to_owned())),
        };
        Ok(Self { name, value })
    }

    /// The member, as it stands in a message with others after it.
    pub(super) fn member(&self) -> String {
        format!("\"{}\":{},", self.name, self.value)
    }
}
