//! Venue catalogues: what a venue's operations are, read once from `catalog/<venue>.toml` and
//! compiled into lookup tables. Data only; how bytes are signed is in the scheme's file.

mod compile;
mod raw;

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use sha2::{Digest, Sha256};
use vault_model::{Class, Environment, OrderType, Product, TimeInForce};

use crate::glob::Glob;

/// Why a catalogue cannot be used. Catalogues are ours, so the words may quote them.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CatalogError {
    /// Parses as format 1, but contradicts itself.
    #[error("{venue}: {what}")]
    Inconsistent {
        /// The venue.
        venue: String,
        /// What is wrong, and where.
        what: String,
    },
    /// Not format 1: broken TOML, an unknown key, a wrong word.
    #[error("{venue}: line {line}, column {column}: {what}")]
    Syntax {
        /// The venue.
        venue: String,
        /// From 1.
        line: usize,
        /// In characters, from 1.
        column: usize,
        /// What is wrong.
        what: String,
    },
}

/// A compiled catalogue.
#[derive(Debug)]
pub struct Catalog {
    /// Venue name.
    pub venue: String,
    /// Name for people.
    pub title: String,
    /// SHA-256 of the file.
    pub hash: [u8; 32],
    /// Citations by their keys.
    pub sources: BTreeMap<String, String>,
    /// Facts about the signature.
    pub signature: Signature,
    /// What the venue calls the rights of a key; empty when it is not known.
    pub rights: Vec<String>,
    /// All operations, in the file's order.
    pub operations: Vec<Operation>,
    pub(crate) shapes: Vec<Shape>,
    pub(crate) products: Vec<ProductRule>,
    pub(crate) order_types: HashMap<String, OrderTypeWord>,
    environments: HashMap<Environment, Hosts>,
    /// Method and path to operation.
    by_name: HashMap<(String, String), usize>,
    /// What the signature binds of method and path, to every operation that has it.
    by_bound: HashMap<(Option<String>, Option<String>), Vec<usize>>,
}

/// Facts about a venue's signature.
#[derive(Debug)]
pub struct Signature {
    /// Scheme name.
    pub scheme: String,
    /// Whether the method is signed.
    pub binds_method: bool,
    /// Whether the host is signed.
    pub binds_host: bool,
    /// Whether the path is signed.
    pub binds_path: bool,
    /// Whether the query is signed.
    pub binds_query: bool,
    /// Whether the body is signed.
    pub binds_body: bool,
    /// Whether query and body are signed as one text without a boundary between them.
    pub joined: bool,
    /// How long a released signature can be used, in milliseconds; absent: without end.
    pub usable_ms: Option<u64>,
    /// Whether a passphrase travels beside the signature.
    pub needs_passphrase: bool,
    /// Whether the venue wants strictly increasing nonces.
    pub nonce: bool,
    /// Kinds of keys, such as `hmac`.
    pub key_types: Vec<String>,
    /// Whether the venue takes a client order id twice.
    pub client_order_id_reuse: Reuse,
    /// Parameters that a caller may never send.
    pub reserved: Vec<String>,
    /// Header names, in lower case, that a caller may send along.
    pub caller_headers: Vec<String>,
}

/// Whether a venue takes a client order id again.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Reuse {
    /// Never.
    Never,
    /// Not while the earlier order is open.
    OpenOnly,
    /// Nobody knows.
    Unknown,
}

/// Hosts of one environment, and the headers that select it.
#[derive(Debug)]
pub struct Hosts {
    /// REST hosts; the first is the default.
    pub rest: Vec<String>,
    /// WebSocket hosts.
    pub ws: Vec<String>,
    /// Headers that the vault adds.
    pub headers: Vec<(String, String)>,
}

/// One operation.
#[derive(Debug)]
pub struct Operation {
    /// `METHOD path`.
    pub name: String,
    /// An upper-case token.
    pub method: String,
    /// Path.
    pub path: String,
    /// Class.
    pub class: Class,
    /// The right it needs, in the venue's words; absent: none is known.
    pub right: Option<String>,
    /// A WebSocket log-on.
    pub ws: bool,
    /// From `endpoint-classes.json`.
    pub tag: Option<String>,
    /// From `endpoint-classes.json`.
    pub note: Option<String>,
    /// From `endpoint-classes.json`.
    pub sensitive: Option<String>,
    pub(crate) location: Location,
    pub(crate) body: BodyForms,
    /// The body is a JSON array of at most this many shapes.
    pub(crate) array_max: Option<usize>,
    pub(crate) shape: Option<usize>,
}

impl Operation {
    /// Whether its schema is sourced.
    pub fn schema_sourced(&self) -> bool {
        self.shape.is_some()
    }
}

/// Where a venue reads an operation's parameters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Location {
    Body,
    Nowhere,
    Query,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyForms {
    pub form: bool,
    pub json: bool,
}

#[derive(Debug)]
pub(crate) struct Shape {
    pub params: HashMap<String, Param>,
    /// Names of the required ones, sorted.
    pub required: Vec<String>,
    pub one_of: Vec<Vec<String>>,
}

#[derive(Debug)]
pub(crate) struct Param {
    pub kind: Kind,
    pub role: Option<Role>,
    pub constant: Option<String>,
    pub legs: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Array { items: Items, max: usize },
    Bool,
    Decimal,
    Enum(Vec<String>),
    Id { max: usize },
    Ids,
    Integer,
    Object(usize),
    SignedDecimal,
    String { max: usize },
    Symbol,
    Symbols,
    Text { max: usize },
    Timestamp,
}

#[derive(Clone, Debug)]
pub(crate) enum Items {
    Scalars(Box<Kind>),
    Shape(usize),
}

/// What a parameter means for policy.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    Address,
    Amount,
    Asset,
    ClientOrderId,
    Leverage,
    OrderId,
    PostOnly,
    Price,
    Quantity,
    QuoteQuantity,
    ReduceOnly,
    Side,
    Symbol,
    Symbols,
    Tif,
    TriggerPrice,
    Type,
}

#[derive(Debug)]
pub(crate) struct ProductRule {
    pub product: Product,
    pub symbol: Option<Glob>,
    pub values: Vec<(String, Vec<String>)>,
    pub present: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct OrderTypeWord {
    pub order_type: OrderType,
    pub tif: Option<TimeInForce>,
    pub post_only: Option<bool>,
}

impl Catalog {
    /// Reads a catalogue of format 1. `name` is what the venue must be called in it.
    ///
    /// # Errors
    ///
    /// [`CatalogError`] names the place.
    pub fn parse(name: &str, text: &str) -> Result<Self, CatalogError> {
        let file: raw::File = toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start).min(text.len());
            let before = text.get(..start).unwrap_or_default();
            CatalogError::Syntax {
                venue: name.to_owned(),
                line: before.matches('\n').count() + 1,
                column: before.chars().rev().take_while(|&c| c != '\n').count() + 1,
                what: error.message().to_owned(),
            }
        })?;
        let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        compile::compile(name, file, hash)
            .map_err(|what| CatalogError::Inconsistent { venue: name.to_owned(), what })
    }

    /// The operation of this method and path.
    pub fn operation(&self, method: &str, path: &str) -> Option<&Operation> {
        let index = self.by_name.get(&(method.to_owned(), path.to_owned()))?;
        self.operations.get(*index)
    }

    /// The hosts of an environment; absent when the venue has no such environment.
    pub fn hosts(&self, environment: Environment) -> Option<&Hosts> {
        self.environments.get(&environment)
    }

    /// Every operation whose method and path are these as far as the signature binds them, in the
    /// order of their names.
    pub(crate) fn candidates(&self, method: &str, path: &str) -> impl Iterator<Item = &Operation> {
        let key = bound_key(&self.signature, method, path);
        self.by_bound
            .get(&key)
            .into_iter()
            .flatten()
            .filter_map(|&index| self.operations.get(index))
    }
}

fn bound_key(signature: &Signature, method: &str, path: &str) -> (Option<String>, Option<String>) {
    (
        signature.binds_method.then(|| method.to_owned()),
        signature.binds_path.then(|| path.to_owned()),
    )
}
