//! Reads scopes from TOML, with line and column of whatever is wrong. The words of an error are
//! ours, never the file's.

use std::ops::Range;

use toml::de::DeTable;
use vault_model::{Class, Mode, Name, Product};

use crate::document::{Misfit, NotADocument, ScopeDocument, is_grantable};
use crate::grant::{EVERY, Grant};

mod fault;
mod place;
mod table;
mod value;

pub use fault::{Fault, ScopeError};

use value::{Node, parsed, set, word, words};

/// What was read, or where it went wrong and how.
type Located<T> = Result<T, (Range<usize>, Fault)>;

pub(crate) fn parse(text: &str) -> Result<ScopeDocument, ScopeError> {
    document(text).map_err(|(span, fault)| {
        let before = text.get(..span.start.min(text.len())).unwrap_or_default();
        ScopeError {
            line: before.matches('\n').count() + 1,
            column: before.chars().rev().take_while(|&c| c != '\n').count() + 1,
            fault,
        }
    })
}

fn document(text: &str) -> Located<ScopeDocument> {
    let root = DeTable::parse(text)
        .map_err(|error| (error.span().unwrap_or(0..0), Fault::Syntax))?
        .into_inner();
    let name = root.iter().find(|(key, _)| key.get_ref() == "name").map(|(_, value)| value);
    let name = name.ok_or((0..0, Fault::Missing("name")))?;
    let mut scope = ScopeDocument::new(parsed(name, || Fault::Name)?);
    for (key, value) in &root {
        match key.get_ref().as_ref() {
            "name" => {}
            "description" => scope.description = word(value)?.to_owned(),
            "credentials" => scope.credentials = set(value, || Fault::Name)?,
            "classes" => scope.classes = set(value, class_words)?,
            "operations" => scope.operations = set(value, of(NotADocument::Operation))?,
            "modes" => scope.modes = set(value, words::<Mode>(Mode::ALL))?,
            "products" => scope.products = grant(value, words::<Product>(Product::ALL))?,
            "symbols" => scope.symbols = table::symbols(value)?,
            "network" => scope.network = table::network(value)?,
            "orders" => scope.orders = table::orders(value)?,
            "pricing" => scope.pricing = table::pricing(value)?,
            "cumulative" => scope.cumulative = table::cumulative(value)?,
            "hours" => scope.hours = Some(table::hours(value)?),
            "duplicates" => scope.duplicates = table::duplicates(value)?,
            "withdrawal" => scope.withdrawal = Some(table::withdrawal(value)?),
            "shadow" => scope.shadow = Some(parsed::<Name>(value, || Fault::Name)?),
            _ => return Err((key.span(), Fault::UnknownKey(KEYS))),
        }
    }
    scope.check_places().map_err(|(Misfit { dimension, fault }, at)| {
        (place::find(&root, dimension, &at), Fault::Value(fault))
    })?;
    Ok(scope)
}

fn class_words() -> Fault {
    let words = Class::ALL.iter().filter(|class| is_grantable(**class));
    Fault::Word(words.map(|class| class.as_str()).collect::<Vec<_>>().join(", "))
}

/// A list of words, or `"*"` alone.
fn grant<T: std::str::FromStr + Ord>(
    value: &Node<'_>,
    fault: impl Fn() -> Fault,
) -> Located<Grant<T>> {
    let items = value::list(value)?;
    for item in items {
        if word(item)? == EVERY {
            return match items.len() {
                1 => Ok(Grant::Every),
                _ => Err((item.span(), Fault::EveryNotAlone)),
            };
        }
    }
    set(value, fault).map(Grant::Only)
}

/// A fault of a value that has a type of its own.
fn of(fault: NotADocument) -> impl Fn() -> Fault {
    move || Fault::Value(fault)
}

const KEYS: &str = "name, description, credentials, classes, operations, modes, products, symbols, \
                    network, orders, pricing, cumulative, hours, duplicates, withdrawal, shadow";
