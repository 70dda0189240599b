//! The parameters of a request, parsed from the one place where an operation reads them.

use crate::catalog::{BodyForms, Location, Operation};
use crate::error::ReadError;
use crate::form::{self, FormError};
use crate::json::{self, Value};

/// Named values of one object.
pub(crate) type Fields = Vec<(String, Value)>;

/// Parameters: one object, or the objects of a top-level array.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Content {
    pub is_array: bool,
    pub objects: Vec<Fields>,
}

impl Content {
    /// No parameters at all.
    pub(crate) fn none() -> Self {
        Self { is_array: false, objects: vec![Vec::new()] }
    }

    /// Whether a parameter of this name is there, however deep.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.objects.iter().any(|fields| has(fields, name))
    }

    /// Whether all names and texts are of plain form, however deep.
    pub(crate) fn is_plain(&self) -> bool {
        self.objects
            .iter()
            .flatten()
            .all(|(name, value)| form::is_plain_name(name) && is_plain(value))
    }
}

fn has(fields: &[(String, Value)], name: &str) -> bool {
    fields.iter().any(|(field, value)| field == name || value_has(value, name))
}

fn value_has(value: &Value, name: &str) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| value_has(item, name)),
        Value::Object(fields) => has(fields, name),
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::Text(_) => false,
    }
}

fn is_plain(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().all(is_plain),
        Value::Object(fields) => {
            fields.iter().all(|(name, value)| form::is_plain_name(name) && is_plain(value))
        }
        Value::Text(text) => form::is_plain_value(text),
        Value::Bool(_) | Value::Null | Value::Number(_) => true,
    }
}

/// Reads the text of the place where the operation reads its parameters.
pub(crate) fn parse(operation: &Operation, text: &[u8]) -> Result<Content, ReadError> {
    match operation.location {
        Location::Nowhere => Ok(Content::none()),
        Location::Query => parse_form(text, ReadError::QueryMalformed),
        Location::Body if text.is_empty() => Ok(Content::none()),
        Location::Body if is_json(operation.body, text) => parse_json(operation, text),
        Location::Body => parse_form(text, ReadError::BodyMalformed),
    }
}

/// Whether a body is to be read as JSON: the first byte decides where both forms are taken, and no
/// form begins with a bracket that is not part of a name.
fn is_json(forms: BodyForms, text: &[u8]) -> bool {
    let opens = matches!(text.trim_ascii_start().first(), Some(b'{' | b'['));
    forms.json && (opens || !forms.form)
}

fn parse_form(text: &[u8], malformed: ReadError) -> Result<Content, ReadError> {
    let Ok(text) = std::str::from_utf8(text) else {
        return Err(malformed);
    };
    let pairs = form::parse(text).map_err(|error| match error {
        FormError::Duplicate => ReadError::ParameterDuplicate,
        FormError::Malformed => malformed,
    })?;
    let fields = pairs.into_iter().map(|(name, text)| (name, Value::Text(text))).collect();
    Ok(Content { is_array: false, objects: vec![fields] })
}

fn parse_json(operation: &Operation, text: &[u8]) -> Result<Content, ReadError> {
    let value = json::parse(text).map_err(|json::NotStrict| ReadError::BodyMalformed)?;
    match (value, operation.array_max) {
        (Value::Object(fields), None) => Ok(Content { is_array: false, objects: vec![fields] }),
        (Value::Array(items), max) if max.is_some() || operation.shape.is_none() => {
            if max.is_some_and(|max| items.is_empty() || items.len() > max) {
                return Err(ReadError::ArrayLength);
            }
            let objects = items.into_iter().map(|item| match item {
                Value::Object(fields) => Ok(fields),
                _ => Err(ReadError::BodyMalformed),
            });
            Ok(Content { is_array: true, objects: objects.collect::<Result<_, _>>()? })
        }
        _ => Err(ReadError::BodyMalformed),
    }
}
