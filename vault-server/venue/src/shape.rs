//! Whether an object of parameters fits a shape.

use crate::catalog::{Catalog, Items, Kind, Param, Shape};
use crate::json::{Field, Value};
use crate::value;

/// What does not fit. Names are those of the catalogue.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Misfit<'c> {
    /// One of these parameters is missing.
    Missing(&'c [String]),
    /// This parameter is known, and no rule could judge what it does.
    Refused(&'c str),
    /// At most one of these parameters may be there.
    Together(&'c [String]),
    /// A parameter that the shape does not know.
    Unknown,
    /// This parameter has a value that it does not take.
    Value(&'c str),
}

/// How strictly a request is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Strictness {
    /// The head of a value counts as a value, and the end of a name as a name.
    pub cuttable: bool,
    /// Optional parameters must be legal too.
    pub optional: bool,
    /// It is what the caller says that it sends, so what is refused or contradicts itself does not
    /// fit. Of what else would take the bytes nothing of that kind is assumed.
    pub stated: bool,
    /// Unknown parameters are a misfit.
    pub unknown: bool,
}

impl Strictness {
    /// Whether the question is if another operation accepts the bytes, not what they mean.
    pub(crate) fn accepting(self) -> bool {
        !self.stated && !self.optional
    }

    /// For the operation that the caller states.
    pub(crate) const STATED: Self =
        Self { cuttable: false, optional: true, stated: true, unknown: true };
}

pub(crate) fn check<'c>(
    catalog: &Catalog,
    shape: &'c Shape,
    fields: &[Field<'_>],
    how: Strictness,
) -> Result<(), Misfit<'c>> {
    let is_required = |field: &&Field<'_>| shape.param(field).is_some_and(|param| param.required);
    if let Some(names) = missing(shape, fields, fields.iter().filter(is_required).count(), how) {
        return Err(Misfit::Missing(names));
    }
    if how.stated {
        let is_there = |name: &&String| is_there(fields, name, how);
        let said = |names: &&Vec<String>| names.iter().filter(is_there).count();
        if let Some(names) = shape.only_one.iter().find(|names| said(names) > 1) {
            return Err(Misfit::Together(names));
        }
    }
    for field in fields {
        let Some(param) = shape.param(field) else {
            if how.unknown {
                return Err(Misfit::Unknown);
            }
            continue;
        };
        if how.stated && param.refused {
            return Err(Misfit::Refused(&param.name));
        }
        let counts = how.optional || param.required;
        if counts && !value::is_legal(catalog, param, &field.value, how) {
            return Err(Misfit::Value(&param.name));
        }
    }
    Ok(())
}

/// Parameters of which one should be there and none is. `required` is how many of those that are
/// required are there.
pub(crate) fn missing<'c>(
    shape: &'c Shape,
    fields: &[Field<'_>],
    required: usize,
    how: Strictness,
) -> Option<&'c [String]> {
    let is_there = |name: &String| is_there(fields, name, how);
    // No name is there twice, so where as many are there as are required, all of them are.
    if required < shape.required.len()
        && let Some(name) = shape.required.iter().find(|name| !is_there(name))
    {
        return Some(std::slice::from_ref(name));
    }
    let names = shape.one_of.iter().find(|names| !names.iter().any(is_there));
    names.map(Vec::as_slice)
}

fn is_there(fields: &[Field<'_>], name: &str, how: Strictness) -> bool {
    fields.iter().any(|field| field.name == name || (how.cuttable && field.name.ends_with(name)))
}

/// Whether a parameter is there that the venue knows and no rule can judge, however deep.
pub(crate) fn has_refused(catalog: &Catalog, shape: &Shape, fields: &[Field<'_>]) -> bool {
    fields
        .iter()
        .any(|field| shape.param(field).is_some_and(|param| refuses(catalog, param, &field.value)))
}

/// Whether a parameter with this value is or has one that no rule can judge.
pub(crate) fn refuses(catalog: &Catalog, param: &Param, value: &Value<'_>) -> bool {
    param.refused
        || match &param.kind {
            Kind::Array { items: Items::Shape(index), .. } | Kind::Object(index) => {
                catalog.shapes.get(*index).is_some_and(|inner| any_refused(catalog, inner, value))
            }
            _ => false,
        }
}

fn any_refused(catalog: &Catalog, shape: &Shape, value: &Value<'_>) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| any_refused(catalog, shape, item)),
        Value::Object(fields) => has_refused(catalog, shape, fields),
        _ => false,
    }
}
