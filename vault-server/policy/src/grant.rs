//! A list that grants what is in it, or everything.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The word for everything.
pub(crate) const EVERY: &str = "*";

/// What a dimension grants: written as a list of words, or as `["*"]` alone. The empty list grants
/// nothing.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
#[serde(bound(deserialize = "T: FromStr + Ord", serialize = "T: Clone + Display"))]
pub enum Grant<T> {
    /// All there is and all there will be.
    Every,
    /// These.
    Only(BTreeSet<T>),
}

/// `"*"` is not alone, or a word is none of the dimension's.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a list has \"*\" beside other words, or a word that does not belong there")]
pub struct NotAGrant;

impl<T> Default for Grant<T> {
    fn default() -> Self {
        Self::Only(BTreeSet::new())
    }
}

impl<T: Ord> Grant<T> {
    /// Grants these.
    pub fn only(words: impl IntoIterator<Item = T>) -> Self {
        Self::Only(words.into_iter().collect())
    }

    /// Whether all that `self` grants, `other` grants too.
    pub(crate) fn is_within(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Every) => true,
            (Self::Every, Self::Only(_)) => false,
            (Self::Only(own), Self::Only(others)) => own.is_subset(others),
        }
    }
}

impl<T: FromStr + Ord> TryFrom<Vec<String>> for Grant<T> {
    type Error = NotAGrant;

    fn try_from(words: Vec<String>) -> Result<Self, NotAGrant> {
        if words == [EVERY] {
            return Ok(Self::Every);
        }
        let words = words.iter().map(|word| word.parse().map_err(|_| NotAGrant));
        words.collect::<Result<_, _>>().map(Self::Only)
    }
}

impl<T: Display> From<Grant<T>> for Vec<String> {
    fn from(grant: Grant<T>) -> Self {
        match grant {
            Grant::Every => vec![EVERY.to_owned()],
            Grant::Only(words) => words.iter().map(ToString::to_string).collect(),
        }
    }
}
