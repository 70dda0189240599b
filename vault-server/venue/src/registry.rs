//! All venues that this build knows.

use std::collections::BTreeMap;

use crate::catalog::CatalogError;
use crate::venue::Venue;

/// Venue names and their catalogues. A new venue is a line here.
pub const VENUES: &[(&str, &str)] = &[
    ("kraken", include_str!("../catalog/kraken.toml")),
    ("okx", include_str!("../catalog/okx.toml")),
];

/// Venues by name.
#[derive(Debug)]
pub struct Registry(BTreeMap<&'static str, Venue>);

impl Registry {
    /// Loads the catalogues that are part of this build.
    ///
    /// # Errors
    ///
    /// [`CatalogError`] if one of them is broken: a test keeps that from happening.
    pub fn bundled() -> Result<Self, CatalogError> {
        let venues = VENUES.iter().map(|&(name, text)| Ok((name, Venue::load(name, text)?)));
        venues.collect::<Result<_, _>>().map(Self)
    }

    /// The venue of this name.
    pub fn venue(&self, name: &str) -> Option<&Venue> {
        self.0.get(name)
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }
}
