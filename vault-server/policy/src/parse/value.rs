//! Reads single values.

use std::collections::BTreeSet;
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use vault_model::Money;

use super::{Fault, Located};
use crate::document::NotADocument;

pub(super) type Node<'t> = Spanned<DeValue<'t>>;

pub(super) fn words<T: ToString>(all: &'static [T]) -> impl Fn() -> Fault {
    || Fault::Word(all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
}

pub(super) fn word<'v>(value: &'v Node<'_>) -> Located<&'v str> {
    match value.get_ref() {
        DeValue::String(text) => Ok(text),
        _ => Err((value.span(), Fault::WrongType("a text"))),
    }
}

pub(super) fn parsed<T: FromStr>(value: &Node<'_>, fault: impl Fn() -> Fault) -> Located<T> {
    word(value)?.parse().map_err(|_| (value.span(), fault()))
}

pub(super) fn list<'v, 't>(value: &'v Node<'t>) -> Located<&'v [Node<'t>]> {
    match value.get_ref() {
        DeValue::Array(items) => Ok(items),
        _ => Err((value.span(), Fault::WrongType("a list"))),
    }
}

pub(super) fn table<'v, 't>(value: &'v Node<'t>) -> Located<&'v DeTable<'t>> {
    match value.get_ref() {
        DeValue::Table(table) => Ok(table),
        _ => Err((value.span(), Fault::WrongType("a table"))),
    }
}

pub(super) fn set<T: FromStr + Ord>(
    value: &Node<'_>,
    fault: impl Fn() -> Fault,
) -> Located<BTreeSet<T>> {
    list(value)?.iter().map(|item| parsed(item, &fault)).collect()
}

pub(super) fn boolean(value: &Node<'_>) -> Located<bool> {
    match value.get_ref() {
        DeValue::Boolean(boolean) => Ok(*boolean),
        _ => Err((value.span(), Fault::WrongType("true or false"))),
    }
}

/// An exact decimal: a text, or a whole number as it stands. A floating-point number may be another
/// one than the digits say.
pub(super) fn decimal(value: &Node<'_>) -> Located<Money> {
    let text = match value.get_ref() {
        DeValue::String(text) => text.as_ref(),
        DeValue::Integer(number) if number.radix() == 10 => number.as_str(),
        DeValue::Float(_) => return Err((value.span(), Fault::DecimalUnquoted)),
        _ => return Err((value.span(), Fault::Decimal)),
    };
    text.parse().map_err(|_| (value.span(), Fault::Decimal))
}

pub(super) fn count(value: &Node<'_>) -> Located<u64> {
    match value.get_ref() {
        DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix())
            .map_err(|_| (value.span(), Fault::Value(NotADocument::Count))),
        _ => Err((value.span(), Fault::WrongType("a whole number"))),
    }
}

/// A value that an inline table must have.
pub(super) fn required<T>(value: Option<T>, around: &Node<'_>, key: &'static str) -> Located<T> {
    value.ok_or((around.span(), Fault::Missing(key)))
}
