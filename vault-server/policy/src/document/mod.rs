//! Scopes as operators write them and as they are stored.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use vault_model::{Class, Mode, Name, Product};

mod check;
mod fault;
mod hours;
mod orders;
mod span;
#[cfg(test)]
mod tests;

pub use check::Misfit;
pub(crate) use check::{Step, is_grantable};
pub use fault::NotADocument;
pub use hours::{HoursDocument, Timezone, Window};
pub use orders::{
    AmountCap, CumulativeDocument, DuplicatesDocument, NotionalCap, OrderCap, OrdersDocument,
    PricingDocument, WithdrawalAddress, WithdrawalDocument,
};
pub use span::Span;

use crate::grant::Grant;
use crate::parse::{self, ScopeError};
use crate::rule::symbol::Symbol;

/// One scope. Everything that is not in it is denied.
///
/// Whether it comes as TOML or over the wire, it is one that [`ScopeDocument::check`] lets pass; from
/// a stored row, too, but for the length of its lists.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct ScopeDocument {
    /// Its name.
    pub name: Name,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The credentials it may use.
    #[serde(default)]
    pub credentials: BTreeSet<Name>,
    /// The classes it may use; never `keys` or `other`, and `withdraw` beside `withdrawal` only.
    #[serde(default)]
    pub classes: BTreeSet<Class>,
    /// Operations of class `other` that it may use, each as `METHOD path`.
    #[serde(default)]
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
    /// What every order must be like.
    #[serde(default, skip_serializing_if = "is_default")]
    pub orders: OrdersDocument,
    /// How orders are turned into USD.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pricing: PricingDocument,
    /// How much there may be in a window.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cumulative: CumulativeDocument,
    /// When writes other than cancels may happen; absent: always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<HoursDocument>,
    /// What is refused because it was there already.
    #[serde(default, skip_serializing_if = "is_default")]
    pub duplicates: DuplicatesDocument,
    /// Where value may go; absent: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawal: Option<WithdrawalDocument>,
    /// A scope that judges the same requests, without any effect: where its answer differs, the log
    /// says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Name>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl<'de> Deserialize<'de> for ScopeDocument {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // What is derived is an inherent function of the same name: `remote = "Self"`.
        let document = Self::deserialize(deserializer)?;
        document.check_stored().map_err(serde::de::Error::custom)?;
        Ok(document)
    }
}

impl Serialize for ScopeDocument {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

/// A country: two capital letters, ISO 3166-1 alpha-2.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Country([u8; 2]);

impl Country {
    /// The two letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl std::str::FromStr for Country {
    type Err = NotADocument;

    fn from_str(text: &str) -> Result<Self, NotADocument> {
        match text.as_bytes() {
            [one, other] if one.is_ascii_uppercase() && other.is_ascii_uppercase() => {
                Ok(Self([*one, *other]))
            }
            _ => Err(NotADocument::Country),
        }
    }
}

impl std::fmt::Display for Country {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TryFrom<String> for Country {
    type Error = NotADocument;

    fn try_from(text: String) -> Result<Self, NotADocument> {
        text.parse()
    }
}

impl From<Country> for String {
    fn from(country: Country) -> Self {
        country.to_string()
    }
}

/// Where requests may come from. Denied networks win over allowed ones.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
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
    /// Countries from which requests may come, by the vault's own database; absent: from any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub countries: Option<BTreeSet<Country>>,
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
            orders: OrdersDocument::default(),
            pricing: PricingDocument::default(),
            cumulative: CumulativeDocument::default(),
            hours: None,
            duplicates: DuplicatesDocument::default(),
            withdrawal: None,
            shadow: None,
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
    ///
    /// # Panics
    ///
    /// Never for what [`ScopeDocument::check`] lets pass: a count above it is none that TOML has.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("texts, lists of texts and tables of them can all be written")
    }
}
