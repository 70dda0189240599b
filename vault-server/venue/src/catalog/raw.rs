//! Catalogue files as they are written: format 1, key by key. Unknown keys are errors.
//!
//! A venue's catalogue is one file or several parts. Each says `format` and `venue`; one of them,
//! the head, says the rest of what concerns the venue as a whole.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;
use vault_model::{Class, MarginMode, OrderType, Product, TimeInForce};

use super::Role;
use super::own::{RawAnswer, RawCancelAll, RawCheck};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    pub format: u32,
    pub venue: String,
    #[serde(default)]
    pub title: Option<String>,
    #[serde(default)]
    pub sources: BTreeMap<String, String>,
    #[serde(default)]
    pub environments: BTreeMap<String, Environment>,
    #[serde(default)]
    pub signature: Option<Signature>,
    #[serde(default)]
    pub response: Option<Response>,
    #[serde(default)]
    pub answer: Option<RawAnswer>,
    #[serde(default)]
    pub check: Option<RawCheck>,
    #[serde(default)]
    pub cancel_all: Vec<RawCancelAll>,
    #[serde(default)]
    pub rights: Option<Rights>,
    #[serde(default)]
    pub defaults: Option<Defaults>,
    #[serde(default)]
    pub order_type: Vec<OrderTypeWord>,
    #[serde(default)]
    pub tif: Vec<TifWord>,
    #[serde(default)]
    pub product: Vec<ProductRule>,
    #[serde(default)]
    pub size: Vec<SizeRule>,
    #[serde(default)]
    pub margin_mode: Vec<MarginModeWord>,
    #[serde(default)]
    pub shape: BTreeMap<String, Spanned<Shape>>,
    #[serde(default)]
    pub operation: Vec<Spanned<Operation>>,
    #[serde(default)]
    pub socket: Vec<Spanned<Socket>>,
    /// What can be subscribed to on WebSockets with account data; none of it is signed, so none of it
    /// is among the operations.
    #[serde(default)]
    pub channel: Vec<Spanned<Operation>>,
}

/// WebSockets that the vault serves.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Socket {
    pub kind: super::SocketKind,
    pub environments: Vec<vault_model::Environment>,
    pub hosts: Vec<String>,
    pub paths: Vec<String>,
    /// Whole queries; none: it takes no query.
    #[serde(default)]
    pub queries: Vec<String>,
    #[serde(default)]
    pub public_channels: Vec<String>,
    pub source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Environment {
    pub hosts: Vec<String>,
    #[serde(default)]
    pub ws_hosts: Vec<String>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Path prefixes that live on other hosts; the longest that fits wins.
    #[serde(default)]
    pub routes: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub ws_routes: BTreeMap<String, Vec<String>>,
    /// Hosts by the accounts that they know, if not all know the same.
    #[serde(default)]
    pub sites: BTreeMap<String, Site>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Site {
    pub hosts: Vec<String>,
    pub source: String,
}

/// What holds for operations that are no `GET` and do not say.
#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Defaults {
    #[serde(default)]
    pub params_in: Option<ParamsIn>,
    #[serde(default)]
    pub body: Option<BodyForm>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Signature {
    pub scheme: String,
    pub binds: Vec<Bound>,
    #[serde(default)]
    pub joined: Option<super::Joined>,
    #[serde(default)]
    pub window: Option<Window>,
    #[serde(default)]
    pub usable_ms: Option<u64>,
    pub source: String,
    #[serde(default)]
    pub needs_passphrase: bool,
    #[serde(default)]
    pub nonce: bool,
    #[serde(default)]
    pub key_types: Vec<String>,
    pub client_order_id_reuse: super::Reuse,
    #[serde(default)]
    pub client_order_id_source: Option<String>,
    #[serde(default)]
    pub reserved: Vec<String>,
    #[serde(default)]
    pub caller_headers: Vec<String>,
    #[serde(default)]
    pub variant: Vec<Variant>,
}

/// Where answers have what is reported of them: JSON pointers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Response {
    #[serde(default)]
    pub order_id: Vec<String>,
    #[serde(default)]
    pub error_code: Vec<String>,
    pub source: String,
}

/// A parameter by which a caller may narrow the time in which a signature is good.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Window {
    pub name: String,
    pub max_ms: u64,
}

/// Other facts for some types of keys.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Variant {
    pub key_types: Vec<String>,
    pub binds: Vec<Bound>,
    #[serde(default)]
    pub usable_ms: Option<u64>,
    pub source: String,
}

#[derive(Clone, Copy, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Bound {
    Body,
    Host,
    Method,
    Path,
    Query,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rights {
    pub names: Vec<String>,
    pub source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OrderTypeWord {
    pub venue: String,
    #[serde(rename = "type")]
    pub order_type: OrderType,
    #[serde(default)]
    pub tif: Option<TimeInForce>,
    #[serde(default)]
    pub post_only: Option<bool>,
}

/// A venue's word for a time in force that is not the vault's own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TifWord {
    pub venue: String,
    pub tif: TimeInForce,
    #[serde(default)]
    pub post_only: Option<bool>,
}

/// A venue's word for a margin mode, in one parameter or in all.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MarginModeWord {
    pub venue: String,
    pub mode: MarginMode,
    #[serde(default)]
    pub param: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProductRule {
    pub product: Product,
    #[serde(default)]
    pub symbol: Option<String>,
    #[serde(default, rename = "where")]
    pub values: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub present: Option<OneOrMany>,
    #[serde(default)]
    pub absent: Vec<String>,
}

/// In what unit the quantity of some orders is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SizeRule {
    pub unit: super::SizeUnit,
    #[serde(default)]
    pub symbol: Option<String>,
    #[serde(default, rename = "where")]
    pub values: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub present: Option<OneOrMany>,
    #[serde(default)]
    pub absent: Vec<String>,
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub(super) fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(word) => vec![word],
            Self::Many(words) => words,
        }
    }
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shape {
    pub source: String,
    #[serde(default)]
    pub include: Vec<String>,
    #[serde(default)]
    pub params: Vec<Param>,
    #[serde(default)]
    pub one_of: Vec<Vec<String>>,
    #[serde(default)]
    pub only_one: Vec<Vec<String>>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Param {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: Kind,
    #[serde(default)]
    pub required: bool,
    #[serde(default)]
    pub role: Option<Role>,
    #[serde(default)]
    pub values: Vec<String>,
    #[serde(default, rename = "const")]
    pub constant: Option<String>,
    #[serde(default)]
    pub max: Option<usize>,
    #[serde(default)]
    pub items: Option<String>,
    #[serde(default)]
    pub of: Option<Kind>,
    #[serde(default)]
    pub items_max: Option<usize>,
    #[serde(default)]
    pub legs: bool,
    #[serde(default)]
    pub merge: bool,
    #[serde(default)]
    pub implies: Option<super::Implied>,
    #[serde(default)]
    pub pattern: Option<OneOrMany>,
    #[serde(default)]
    pub refused: bool,
    #[serde(default)]
    pub repeats: bool,
    #[serde(default)]
    pub products: Vec<Product>,
}

#[derive(Clone, Copy, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Array,
    Bool,
    Decimal,
    Enum,
    Id,
    Ids,
    Integer,
    Object,
    SignedDecimal,
    String,
    Symbol,
    Symbols,
    Text,
    Timestamp,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Operation {
    pub method: String,
    pub path: String,
    pub class: Class,
    pub source: String,
    #[serde(default)]
    pub right: Option<OneOrMany>,
    #[serde(default)]
    pub product: Option<Product>,
    #[serde(default)]
    pub margin_mode: Option<MarginMode>,
    /// Absent: it amends if it is of class `trade` and names orders by their ids.
    #[serde(default)]
    pub amends: Option<bool>,
    #[serde(default)]
    pub binds: Option<Vec<Bound>>,
    #[serde(default)]
    pub domain: Option<String>,
    #[serde(default)]
    pub signed: Option<bool>,
    #[serde(default)]
    pub rpc: bool,
    #[serde(default)]
    pub params_in: Option<ParamsIn>,
    #[serde(default)]
    pub body: Option<BodyForm>,
    #[serde(default)]
    pub array: bool,
    #[serde(default)]
    pub items_max: Option<usize>,
    #[serde(default)]
    pub shape: Option<String>,
    #[serde(default)]
    pub tag: Option<String>,
    #[serde(default)]
    pub note: Option<String>,
    #[serde(default)]
    pub sensitive: Option<String>,
    #[serde(default)]
    pub ws: bool,
    /// Where its answer has a capability: a JSON pointer.
    #[serde(default)]
    pub held: Option<String>,
    /// What it opens or prolongs stays with the vault if the vault sends it.
    #[serde(default)]
    pub kept: bool,
    /// Its parameter with a capability.
    #[serde(default)]
    pub handle: Option<String>,
}

#[derive(Clone, Copy, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(super) enum ParamsIn {
    Body,
    Either,
    None,
    Query,
}

#[derive(Clone, Copy, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(super) enum BodyForm {
    Form,
    Json,
    JsonOrForm,
}
