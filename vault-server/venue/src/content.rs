//! The parameters of a request, parsed from the place where an operation reads them.

use std::borrow::Cow;

use crate::catalog::{BodyForms, Intake, Kind, Location, Shape, Table};
use crate::error::ReadError;
use crate::form::{self, FormError};
use crate::json::{self, Field, Value};

/// Named values of one object.
pub(crate) type Fields<'t> = Vec<Field<'t>>;

/// Parameters: one object, or the objects of a top-level array.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Content<'t> {
    pub is_array: bool,
    /// Whether they were written as form text, where lists and objects are JSON text or repeated
    /// names.
    pub is_form: bool,
    pub objects: Vec<Fields<'t>>,
}

impl<'t> Content<'t> {
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
        self.objects.iter().all(|fields| are_plain(fields))
    }

    /// Takes out a parameter of the outermost objects.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value<'t>> {
        self.objects.iter_mut().find_map(|fields| {
            let at = fields.iter().position(|field| field.name == name)?;
            Some(fields.remove(at).value)
        })
    }

    /// The parameters as an operation with this shape reads them: in form text, lists and objects
    /// are written as JSON or by repeating the name.
    pub(crate) fn seen_by<'s>(&'s self, table: &Table, shape: &Shape) -> Cow<'s, Content<'s>> {
        // Whether its value is such a text.
        let is_written = |field: &Field<'_>| {
            let is_composite = || {
                let kind = shape.param(field).map(|param| &param.kind);
                matches!(kind, Some(Kind::Array { .. } | Kind::Object(_)))
            };
            matches!(field.value, Value::Text(_)) && is_composite()
        };
        if !self.is_form || !shape.is_composite || !self.objects.iter().flatten().any(is_written) {
            return Cow::Borrowed(self);
        }
        let see = |field: &'s Field<'t>| {
            let value = match &field.value {
                Value::Text(text) if is_written(field) => {
                    if shape.param(field).is_some_and(|param| param.repeats) {
                        Value::Array(vec![field.value.clone()])
                    } else {
                        let parsed = json::parse(text.as_bytes(), &|name| table.number(name));
                        parsed.unwrap_or_else(|json::NotStrict| field.value.clone())
                    }
                }
                other => other.clone(),
            };
            Field { name: field.name, number: field.number, value }
        };
        Cow::Owned(Content {
            is_array: self.is_array,
            is_form: self.is_form,
            objects: self.objects.iter().map(|fields| fields.iter().map(see).collect()).collect(),
        })
    }

    /// Whether a name was repeated.
    pub(crate) fn has_repeated(&self) -> bool {
        let is_list = |field: &Field<'_>| matches!(field.value, Value::Array(_));
        self.is_form && self.objects.iter().flatten().any(is_list)
    }

    /// Whether a name was repeated that the shape does not take more than once.
    pub(crate) fn repeats_beyond(&self, shape: Option<&Shape>) -> bool {
        self.is_form
            && self.objects.iter().flatten().any(|field| {
                let taken = || {
                    let param = shape.and_then(|shape| shape.param(field));
                    param.is_some_and(|param| param.repeats)
                };
                matches!(field.value, Value::Array(_)) && !taken()
            })
    }
}

fn has(fields: &[Field<'_>], name: &str) -> bool {
    fields.iter().any(|field| field.name == name || value_has(&field.value, name))
}

fn value_has(value: &Value<'_>, name: &str) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| value_has(item, name)),
        Value::Object(fields) => has(fields, name),
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::Text(_) => false,
    }
}

fn are_plain(fields: &[Field<'_>]) -> bool {
    fields.iter().all(|field| form::is_plain_name(field.name) && is_plain(&field.value))
}

fn is_plain(value: &Value<'_>) -> bool {
    match value {
        Value::Array(items) => items.iter().all(is_plain),
        Value::Object(fields) => are_plain(fields),
        Value::Text(text) => form::is_plain_value(text),
        Value::Bool(_) | Value::Null | Value::Number(_) => true,
    }
}

/// Reads the text of the place where an operation reads its parameters. `in_body` says which place
/// it is, where there are two.
pub(crate) fn parse<'t>(
    table: &Table,
    intake: Intake,
    text: &'t [u8],
    in_body: bool,
) -> Result<Content<'t>, ReadError> {
    match intake.location {
        Location::Nowhere => Ok(Content::none()),
        Location::Query => parse_form(table, text, false),
        Location::Either => parse_form(table, text, in_body),
        Location::Body if text.is_empty() => Ok(Content::none()),
        Location::Body if is_json(intake.body, text) => parse_json(table, intake, text),
        Location::Body => parse_form(table, text, true),
    }
}

/// Whether a body is to be read as JSON: the first byte decides where both forms are taken, and no
/// form begins with a bracket that is not part of a name.
fn is_json(forms: BodyForms, text: &[u8]) -> bool {
    let opens = matches!(text.trim_ascii_start().first(), Some(b'{' | b'['));
    forms.json && (opens || !forms.form)
}

/// Equal names become one array; whether the operation takes that is asked later.
fn parse_form<'t>(table: &Table, text: &'t [u8], in_body: bool) -> Result<Content<'t>, ReadError> {
    let malformed = if in_body { ReadError::BodyMalformed } else { ReadError::QueryMalformed };
    let Ok(text) = std::str::from_utf8(text) else {
        return Err(malformed);
    };
    let place = if in_body { form::Place::Body } else { form::Place::Query };
    let pairs = form::parse(text, place).map_err(|FormError| malformed)?;
    let mut fields: Fields<'_> = Vec::with_capacity(pairs.len());
    for (name, text) in pairs {
        let value = Value::Text(text);
        match fields.iter_mut().find(|field| field.name == name).map(|field| &mut field.value) {
            None => fields.push(Field { name, number: table.number(name), value }),
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.clone(), value]),
        }
    }
    Ok(Content { is_array: false, is_form: true, objects: vec![fields] })
}

fn parse_json<'t>(table: &Table, intake: Intake, text: &'t [u8]) -> Result<Content<'t>, ReadError> {
    let value = json::parse(text, &|name| table.number(name));
    let value = value.map_err(|json::NotStrict| ReadError::BodyMalformed)?;
    match (value, intake.array_max) {
        // Values of a request over a WebSocket become part of a text of `name=value` pairs.
        (Value::Object(fields), None) if intake.rpc => {
            let is_scalar = |field: &Field<'_>| {
                matches!(field.value, Value::Bool(_) | Value::Number(_) | Value::Text(_))
            };
            let scalars = fields.iter().all(is_scalar);
            let content = Content { is_array: false, is_form: false, objects: vec![fields] };
            let plain = scalars && content.is_plain();
            if plain { Ok(content) } else { Err(ReadError::BodyMalformed) }
        }
        (Value::Object(fields), None) => {
            Ok(Content { is_array: false, is_form: false, objects: vec![fields] })
        }
        (Value::Array(items), max) if !intake.rpc && (max.is_some() || !intake.has_shape) => {
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
