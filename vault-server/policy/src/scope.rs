//! Scopes compiled for judging.

use std::collections::{HashMap, HashSet};

use ipnet::IpNet;
use vault_model::{Class, Mode, Name, Product};

use crate::document::ScopeDocument;
use crate::grant::Grant;

/// A scope, compiled. See [`ScopeDocument`] for what it means.
#[derive(Clone, Debug)]
pub struct Scope {
    pub(crate) credentials: HashSet<Name>,
    pub(crate) classes: HashSet<Class>,
    pub(crate) operations: HashSet<String>,
    pub(crate) modes: HashSet<Mode>,
    pub(crate) allowed_networks: Vec<IpNet>,
    pub(crate) denied_networks: Vec<IpNet>,
    products: Words<Product>,
    symbols: HashMap<Name, Words<String>>,
}

#[derive(Clone, Debug)]
enum Words<T> {
    Every,
    Only(HashSet<T>),
}

impl Scope {
    /// Compiles a document.
    pub fn compile(document: &ScopeDocument) -> Self {
        let symbols = document.symbols.iter().map(|(venue, grant)| {
            let words = match grant {
                Grant::Every => Words::Every,
                Grant::Only(symbols) => {
                    Words::Only(symbols.iter().map(|symbol| symbol.as_str().to_owned()).collect())
                }
            };
            (venue.clone(), words)
        });
        Self {
            credentials: document.credentials.iter().cloned().collect(),
            classes: document.classes.iter().copied().collect(),
            operations: document.operations.iter().cloned().collect(),
            modes: document.modes.iter().copied().collect(),
            allowed_networks: document.network.allow.iter().copied().collect(),
            denied_networks: document.network.deny.iter().copied().collect(),
            products: match &document.products {
                Grant::Every => Words::Every,
                Grant::Only(products) => Words::Only(products.iter().copied().collect()),
            },
            symbols: symbols.collect(),
        }
    }

    pub(crate) fn grants_every_product(&self) -> bool {
        matches!(self.products, Words::Every)
    }

    pub(crate) fn grants_product(&self, product: Product) -> bool {
        match &self.products {
            Words::Every => true,
            Words::Only(products) => products.contains(&product),
        }
    }

    pub(crate) fn grants_every_symbol(&self, venue: &str) -> bool {
        matches!(self.symbols.get(venue), Some(Words::Every))
    }

    pub(crate) fn grants_symbol(&self, venue: &str, symbol: &str) -> bool {
        match self.symbols.get(venue) {
            Some(Words::Every) => true,
            Some(Words::Only(symbols)) => symbols.contains(symbol),
            None => false,
        }
    }
}
