//! Whether an object of parameters fits a shape.

use crate::catalog::{Catalog, Shape};
use crate::json::Value;
use crate::value;

/// What does not fit. Names are those of the catalogue.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Misfit {
    /// This parameter, or one of these, is missing.
    Missing(String),
    /// A parameter that the shape does not know.
    Unknown,
    /// This parameter has a value that it does not take.
    Value(String),
}

/// How strictly a request is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strictness {
    /// The head of a value counts as a value.
    pub cuttable: bool,
    /// Optional parameters must be legal too.
    pub optional: bool,
    /// Unknown parameters are a misfit.
    pub unknown: bool,
}

impl Strictness {
    /// For the operation that the caller states.
    pub(crate) const STATED: Self = Self { cuttable: false, optional: true, unknown: true };
}

pub(crate) fn check(
    catalog: &Catalog,
    shape: &Shape,
    fields: &[(String, Value)],
    how: Strictness,
) -> Result<(), Misfit> {
    let is_there = |name: &String| fields.iter().any(|(field, _)| field == name);
    if let Some(name) = shape.required.iter().find(|name| !is_there(name)) {
        return Err(Misfit::Missing(name.clone()));
    }
    if let Some(names) = shape.one_of.iter().find(|names| !names.iter().any(is_there)) {
        return Err(Misfit::Missing(names.join(" or ")));
    }
    for (name, field) in fields {
        let Some(param) = shape.params.get(name) else {
            if how.unknown {
                return Err(Misfit::Unknown);
            }
            continue;
        };
        let counts = how.optional || shape.required.contains(name);
        if counts && !value::is_legal(catalog, param, field, how) {
            return Err(Misfit::Value(name.clone()));
        }
    }
    Ok(())
}
