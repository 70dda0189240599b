//! The parameters of a request, parsed from the place where an operation reads them.

use std::borrow::Cow;

use crate::catalog::{BodyForms, Kind, Location, Operation, Shape};
use crate::error::ReadError;
use crate::form::{self, FormError};
use crate::json::{self, Value};

/// Named values of one object.
pub(crate) type Fields = Vec<(String, Value)>;

/// Parameters: one object, or the objects of a top-level array.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Content {
    pub is_array: bool,
    /// Whether they were written as form text, where lists and objects are JSON text or repeated
    /// names.
    pub is_form: bool,
    pub objects: Vec<Fields>,
}

impl Content {
    /// No parameters at all.
    pub(crate) fn none() -> Self {
        Self { is_array: false, is_form: true, objects: vec![Vec::new()] }
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

    /// Takes out a parameter of the outermost objects.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        self.objects.iter_mut().find_map(|fields| {
            let at = fields.iter().position(|(field, _)| field == name)?;
            Some(fields.remove(at).1)
        })
    }

    /// The parameters as an operation with this shape reads them: in form text, lists and objects
    /// are written as JSON or by repeating the name.
    pub(crate) fn seen_by(&self, shape: &Shape) -> Cow<'_, Self> {
        let is_written = |(name, value): &(String, Value)| {
            let Some(param) = shape.params.get(name) else {
                return false;
            };
            let composite = matches!(param.kind, Kind::Array { .. } | Kind::Object(_));
            composite && matches!(value, Value::Text(_))
        };
        if !self.is_form || !shape.is_composite || !self.objects.iter().flatten().any(is_written) {
            return Cow::Borrowed(self);
        }
        let mut seen = self.clone();
        for field in seen.objects.iter_mut().flatten() {
            if !is_written(field) {
                continue;
            }
            let repeats = shape.params.get(&field.0).is_some_and(|param| param.repeats);
            if let Value::Text(text) = &field.1 {
                if repeats {
                    field.1 = Value::Array(vec![field.1.clone()]);
                } else if let Ok(value) = json::parse(text.as_bytes()) {
                    field.1 = value;
                }
            }
        }
        Cow::Owned(seen)
    }

    /// Whether a name was repeated that the shape does not take more than once.
    pub(crate) fn repeats_beyond(&self, shape: Option<&Shape>) -> bool {
        self.is_form
            && self.objects.iter().flatten().any(|(name, value)| {
                let taken = shape
                    .and_then(|shape| shape.params.get(name))
                    .is_some_and(|param| param.repeats);
                matches!(value, Value::Array(_)) && !taken
            })
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

/// Reads the text of the place where the operation reads its parameters. `in_body` says which
/// place it is, where there are two.
pub(crate) fn parse(
    operation: &Operation,
    text: &[u8],
    in_body: bool,
) -> Result<Content, ReadError> {
    match operation.location {
        Location::Nowhere => Ok(Content::none()),
        Location::Query => parse_form(text, false),
        Location::Either => parse_form(text, in_body),
        Location::Body if text.is_empty() => Ok(Content::none()),
        Location::Body if is_json(operation.body, text) => parse_json(operation, text),
        Location::Body => parse_form(text, true),
    }
}

/// Whether a body is to be read as JSON: the first byte decides where both forms are taken, and no
/// form begins with a bracket that is not part of a name.
fn is_json(forms: BodyForms, text: &[u8]) -> bool {
    let opens = matches!(text.trim_ascii_start().first(), Some(b'{' | b'['));
    forms.json && (opens || !forms.form)
}

/// Equal names become one array; whether the operation takes that is asked later.
fn parse_form(text: &[u8], in_body: bool) -> Result<Content, ReadError> {
    let malformed = if in_body { ReadError::BodyMalformed } else { ReadError::QueryMalformed };
    let Ok(text) = std::str::from_utf8(text) else {
        return Err(malformed);
    };
    let place = if in_body { form::Place::Body } else { form::Place::Query };
    let pairs = form::parse(text, place).map_err(|FormError| malformed)?;
    let mut fields: Fields = Vec::with_capacity(pairs.len());
    for (name, text) in pairs {
        let value = Value::Text(text);
        match fields.iter_mut().find(|(field, _)| *field == name) {
            None => fields.push((name, value)),
            Some((_, Value::Array(values))) => values.push(value),
            Some((_, first)) => *first = Value::Array(vec![first.clone(), value]),
        }
    }
    Ok(Content { is_array: false, is_form: true, objects: vec![fields] })
}

fn parse_json(operation: &Operation, text: &[u8]) -> Result<Content, ReadError> {
    let value = json::parse(text).map_err(|json::NotStrict| ReadError::BodyMalformed)?;
    match (value, operation.array_max) {
        // Values of a request over a WebSocket become part of a text of `name=value` pairs.
        (Value::Object(fields), None) if operation.rpc => {
            let is_scalar = |(_, value): &(String, Value)| {
                matches!(value, Value::Bool(_) | Value::Number(_) | Value::Text(_))
            };
            let scalars = fields.iter().all(is_scalar);
            let content = Content { is_array: false, is_form: false, objects: vec![fields] };
            let plain = scalars && content.is_plain();
            if plain { Ok(content) } else { Err(ReadError::BodyMalformed) }
        }
        (Value::Object(fields), None) => {
            Ok(Content { is_array: false, is_form: false, objects: vec![fields] })
        }
        (Value::Array(items), max)
            if !operation.rpc && (max.is_some() || operation.shape.is_none()) =>
        {
            if max.is_some_and(|max| items.is_empty() || items.len() > max) {
                return Err(ReadError::ArrayLength);
            }
            let objects = items.into_iter().map(|item| match item {
                Value::Object(fields) => Ok(fields),
                _ => Err(ReadError::BodyMalformed),
            });
            Ok(Content {
                is_array: true,
                is_form: false,
                objects: objects.collect::<Result<_, _>>()?,
            })
        }
        _ => Err(ReadError::BodyMalformed),
    }
}
