//! Catalogue files as they are written: format 1, key by key. Unknown keys are errors.

use std::collections::BTreeMap;

use serde::Deserialize;
use vault_model::{Class, OrderType, Product, TimeInForce};

use super::Role;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub format: u32,
    pub venue: String,
    pub title: String,
    pub sources: BTreeMap<String, String>,
    pub environments: BTreeMap<String, Environment>,
    pub signature: Signature,
    #[serde(default)]
    pub rights: Option<Rights>,
    #[serde(default)]
    pub order_type: Vec<OrderTypeWord>,
    #[serde(default)]
    pub product: Vec<ProductRule>,
    #[serde(default)]
    pub shape: BTreeMap<String, Shape>,
    #[serde(default)]
    pub operation: Vec<Operation>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Environment {
    pub hosts: Vec<String>,
    #[serde(default)]
    pub ws_hosts: Vec<String>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Signature {
    pub scheme: String,
    pub binds: Vec<Part>,
    /// Query and body are signed as one text without a boundary: parameters may move between them.
    #[serde(default)]
    pub joined: bool,
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
}

#[derive(Clone, Copy, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Part {
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
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shape {
    pub source: String,
    pub params: Vec<Param>,
    #[serde(default)]
    pub one_of: Vec<Vec<String>>,
}

#[derive(Deserialize)]
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
    #[serde(default)]
    pub prefixes: Vec<String>,
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
    Price,
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
    pub right: Option<String>,
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
}

#[derive(Clone, Copy, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(super) enum ParamsIn {
    Body,
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
