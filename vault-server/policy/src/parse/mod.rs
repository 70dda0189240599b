//! Reads scopes from TOML, with line and column of whatever is wrong. The words of an error are
//! ours, never the file's.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::str::FromStr;

use ipnet::IpNet;
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use vault_model::{Class, Mode, Name, Product};

use crate::document::{NetworkDocument, ScopeDocument, is_grantable, is_operation};
use crate::grant::{EVERY, Grant};
use crate::rule::network::{NetworkError, parse_network};
use crate::rule::symbol::Symbol;

/// What is wrong with a scope, and where.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line}, column {column}: {fault}")]
pub struct ScopeError {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a scope.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Fault {
    /// A class that no scope can grant.
    #[error("class {0} cannot be granted yet")]
    ClassNotGrantable(&'static str),
    /// `other` among the classes.
    #[error("class other is granted by the names of its operations, under operations")]
    ClassOther,
    /// `"*"` beside other words.
    #[error("\"*\" stands alone")]
    EveryNotAlone,
    /// A key that has to be there.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// Not a name.
    #[error("a name is 1 to 63 of a-z, 0-9, '.', '_' and '-', and begins with a letter or digit")]
    Name,
    /// Not a network that can be used.
    #[error("{0}")]
    Network(#[from] NetworkError),
    /// A dimension that is to come.
    #[error("{0} is not supported yet")]
    NotSupportedYet(&'static str),
    /// Not an operation's name.
    #[error("an operation is written METHOD /path")]
    Operation,
    /// Not a symbol.
    #[error("a symbol is 1 to 40 of letters, digits, '-', '/', '_' and '.'")]
    Symbol,
    /// Not TOML.
    #[error("not valid TOML")]
    Syntax,
    /// A key that scopes do not have.
    #[error("unknown key; expected one of: {0}")]
    UnknownKey(&'static str),
    /// A word that does not belong there.
    #[error("expected one of: {0}")]
    Word(String),
    /// A value of another type.
    #[error("expected {0}")]
    WrongType(&'static str),
}

const KEYS: &str =
    "name, description, credentials, classes, operations, modes, products, symbols, network";
const NETWORK_KEYS: &str = "allow, deny, allow_any";

/// Dimensions of the design that this build does not judge; granting them would be a lie.
const TO_COME: &[&str] = &["countries", "cumulative", "hours", "orders", "withdrawal"];

type Located<T> = Result<T, (Range<usize>, Fault)>;
type Node<'t> = Spanned<DeValue<'t>>;

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
            "classes" => scope.classes = classes(value)?,
            "operations" => scope.operations = operations(value)?,
            "modes" => scope.modes = set(value, words::<Mode>(Mode::ALL))?,
            "products" => scope.products = grant(value, words::<Product>(Product::ALL))?,
            "symbols" => scope.symbols = symbols(value)?,
            "network" => scope.network = network(value)?,
            other => return Err((key.span(), unknown_key(other, KEYS))),
        }
    }
    Ok(scope)
}

fn unknown_key(key: &str, expected: &'static str) -> Fault {
    match TO_COME.iter().find(|to_come| **to_come == key) {
        Some(to_come) => Fault::NotSupportedYet(to_come),
        None => Fault::UnknownKey(expected),
    }
}

fn words<T: ToString>(all: &'static [T]) -> impl Fn() -> Fault {
    || Fault::Word(all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
}

fn word<'v>(value: &'v Node<'_>) -> Located<&'v str> {
    match value.get_ref() {
        DeValue::String(text) => Ok(text),
        _ => Err((value.span(), Fault::WrongType("a text"))),
    }
}

fn parsed<T: FromStr>(value: &Node<'_>, fault: impl Fn() -> Fault) -> Located<T> {
    word(value)?.parse().map_err(|_| (value.span(), fault()))
}

fn list<'v, 't>(value: &'v Node<'t>) -> Located<&'v [Node<'t>]> {
    match value.get_ref() {
        DeValue::Array(items) => Ok(items),
        _ => Err((value.span(), Fault::WrongType("a list of texts"))),
    }
}

fn table<'v, 't>(value: &'v Node<'t>) -> Located<&'v DeTable<'t>> {
    match value.get_ref() {
        DeValue::Table(table) => Ok(table),
        _ => Err((value.span(), Fault::WrongType("a table"))),
    }
}

fn set<T: FromStr + Ord>(value: &Node<'_>, fault: impl Fn() -> Fault) -> Located<BTreeSet<T>> {
    list(value)?.iter().map(|item| parsed(item, &fault)).collect()
}

fn grant<T: FromStr + Ord>(value: &Node<'_>, fault: impl Fn() -> Fault) -> Located<Grant<T>> {
    let items = list(value)?;
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

fn classes(value: &Node<'_>) -> Located<BTreeSet<Class>> {
    let grantable = || {
        let words = Class::ALL.iter().filter(|class| is_grantable(**class));
        Fault::Word(words.map(|class| class.as_str()).collect::<Vec<_>>().join(", "))
    };
    let mut classes = BTreeSet::new();
    for item in list(value)? {
        let class: Class = parsed(item, grantable)?;
        if class == Class::Other {
            return Err((item.span(), Fault::ClassOther));
        }
        if !is_grantable(class) {
            return Err((item.span(), Fault::ClassNotGrantable(class.as_str())));
        }
        classes.insert(class);
    }
    Ok(classes)
}

fn operations(value: &Node<'_>) -> Located<BTreeSet<String>> {
    let mut operations = BTreeSet::new();
    for item in list(value)? {
        let operation = word(item)?;
        if !is_operation(operation) {
            return Err((item.span(), Fault::Operation));
        }
        operations.insert(operation.to_owned());
    }
    Ok(operations)
}

fn symbols(value: &Node<'_>) -> Located<BTreeMap<Name, Grant<Symbol>>> {
    let mut symbols = BTreeMap::new();
    for (venue, list) in table(value)? {
        let venue: Name = venue.get_ref().parse().map_err(|_| (venue.span(), Fault::Name))?;
        symbols.insert(venue, grant(list, || Fault::Symbol)?);
    }
    Ok(symbols)
}

fn network(value: &Node<'_>) -> Located<NetworkDocument> {
    let table = table(value)?;
    let mut network = NetworkDocument::default();
    for (key, value) in table {
        if key.get_ref() == "allow_any" {
            network.allow_any = match value.get_ref() {
                DeValue::Boolean(allow_any) => *allow_any,
                _ => return Err((value.span(), Fault::WrongType("true or false"))),
            };
        }
    }
    for (key, value) in table {
        match key.get_ref().as_ref() {
            "allow" => network.allow = networks(value, network.allow_any)?,
            "deny" => network.deny = networks(value, true)?,
            "allow_any" => {}
            other => return Err((key.span(), unknown_key(other, NETWORK_KEYS))),
        }
    }
    Ok(network)
}

fn networks(value: &Node<'_>, allow_any: bool) -> Located<BTreeSet<IpNet>> {
    let mut networks = BTreeSet::new();
    for item in list(value)? {
        let network = parse_network(word(item)?, allow_any);
        networks.insert(network.map_err(|error| (item.span(), Fault::Network(error)))?);
    }
    Ok(networks)
}
