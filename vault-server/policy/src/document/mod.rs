//! Scopes as operators write them and as they are stored.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use vault_model::{Class, Mode, Name, Product};

use crate::grant::Grant;
use crate::parse::{self, ScopeError};
use crate::rule::network::{NetworkError, check_network};
use crate::rule::symbol::Symbol;

/// One scope. Everything that is not in it is denied.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ScopeDocument {
    /// Its name.
    pub name: Name,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The credentials it may use.
    #[serde(default)]
    pub credentials: BTreeSet<Name>,
    /// The classes it may use; never `withdraw`, `keys` or `other`.
    #[serde(default, deserialize_with = "grantable_classes")]
    pub classes: BTreeSet<Class>,
    /// Operations of class `other` that it may use, each as `METHOD path`.
    #[serde(default, deserialize_with = "plain_operations")]
    pub operations: BTreeSet<String>,
    /// How its requests may reach the venue.
    #[serde(default)]
    pub modes: BTreeSet<Mode>,
    /// The products it may touch.
    #[serde(default)]
    pub products: Grant<Product>,
    /// The symbols that its writes and cancels may touch, by venue.
    #[serde(default)]
    pub symbols: BTreeMap<Name, Grant<Symbol>>,
    /// Where its requests may come from.
    #[serde(default)]
    pub network: NetworkDocument,
}

/// Where requests may come from. Denied networks win over allowed ones.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, try_from = "Networks")]
pub struct NetworkDocument {
    /// Networks from which requests may come.
    #[serde(default)]
    pub allow: BTreeSet<IpNet>,
    /// Networks from which they may not.
    #[serde(default)]
    pub deny: BTreeSet<IpNet>,
    /// Lets `allow` have a network of every address.
    #[serde(default)]
    pub allow_any: bool,
}

/// [`NetworkDocument`] before its networks are checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Networks {
    #[serde(default)]
    allow: BTreeSet<IpNet>,
    #[serde(default)]
    deny: BTreeSet<IpNet>,
    #[serde(default)]
    allow_any: bool,
}

impl TryFrom<Networks> for NetworkDocument {
    type Error = NetworkError;

    fn try_from(raw: Networks) -> Result<Self, NetworkError> {
        raw.allow.iter().try_for_each(|network| check_network(*network, raw.allow_any))?;
        raw.deny.iter().try_for_each(|network| check_network(*network, true))?;
        Ok(Self { allow: raw.allow, deny: raw.deny, allow_any: raw.allow_any })
    }
}

impl ScopeDocument {
    /// A scope that grants nothing.
    pub fn new(name: Name) -> Self {
        Self {
            name,
            description: String::new(),
            credentials: BTreeSet::new(),
            classes: BTreeSet::new(),
            operations: BTreeSet::new(),
            modes: BTreeSet::new(),
            products: Grant::default(),
            symbols: BTreeMap::new(),
            network: NetworkDocument::default(),
        }
    }

    /// Reads a scope as people write it.
    ///
    /// # Errors
    ///
    /// [`ScopeError`] names the place by line and column.
    pub fn from_toml(text: &str) -> Result<Self, ScopeError> {
        parse::parse(text)
    }

    /// Writes it as people read it; [`ScopeDocument::from_toml`] reads the same back.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("texts, lists of texts and tables of them can all be written")
    }
}

/// Whether a scope may grant the class by its word.
pub(crate) fn is_grantable(class: Class) -> bool {
    !matches!(class, Class::Keys | Class::Other | Class::Withdraw)
}

/// Whether it is `METHOD path`, both plain.
pub(crate) fn is_operation(text: &str) -> bool {
    let path_fits = |path: &str| {
        path.starts_with('/')
            && path.len() <= 256
            && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"_./:-".contains(&b))
    };
    text.split_once(' ').is_some_and(|(method, path)| {
        (1..=16).contains(&method.len())
            && method.bytes().all(|b| b.is_ascii_uppercase())
            && path_fits(path)
    })
}

fn grantable_classes<'de, D>(deserializer: D) -> Result<BTreeSet<Class>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    let classes = BTreeSet::<Class>::deserialize(deserializer)?;
    if classes.iter().all(|class| is_grantable(*class)) {
        Ok(classes)
    } else {
        Err(serde::de::Error::custom("a class that cannot be granted"))
    }
}

fn plain_operations<'de, D>(deserializer: D) -> Result<BTreeSet<String>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    let operations = BTreeSet::<String>::deserialize(deserializer)?;
    if operations.iter().all(|operation| is_operation(operation)) {
        Ok(operations)
    } else {
        Err(serde::de::Error::custom("an operation that is not METHOD path"))
    }
}
