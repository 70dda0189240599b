//! Halts.

use serde::{Deserialize, Serialize};

use crate::Name;
use crate::class::{UnknownWord, words};
use std::fmt;
use std::str::FromStr;

words! {
    /// How much a halt stops.
    HaltLevel {
        /// Only what reads or cancels passes.
        NoNewRisk = "NO_NEW_RISK",
        /// No signature at all.
        Nothing = "NOTHING",
    }
}

/// What a halt stops. Written `all`, `venue:okx`, `credential:okx-main`, `client:mm-1`.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum HaltTarget {
    /// Everything.
    All,
    /// One client.
    Client(Name),
    /// One credential.
    Credential(Name),
    /// One venue.
    Venue(Name),
}

impl fmt::Display for HaltTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Client(name) => write!(f, "client:{name}"),
            Self::Credential(name) => write!(f, "credential:{name}"),
            Self::Venue(name) => write!(f, "venue:{name}"),
        }
    }
}

impl FromStr for HaltTarget {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let named = |name: &str| name.parse::<Name>().ok();
        match text.split_once(':') {
            None if text == "all" => Some(Self::All),
            Some(("client", name)) => named(name).map(Self::Client),
            Some(("credential", name)) => named(name).map(Self::Credential),
            Some(("venue", name)) => named(name).map(Self::Venue),
            _ => None,
        }
        .ok_or_else(|| UnknownWord {
            expected: "all, venue:NAME, credential:NAME, client:NAME".to_owned(),
        })
    }
}

impl TryFrom<String> for HaltTarget {
    type Error = UnknownWord;

    fn try_from(text: String) -> Result<Self, UnknownWord> {
        text.parse()
    }
}

impl From<HaltTarget> for String {
    fn from(target: HaltTarget) -> Self {
        target.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::HaltTarget;

    #[test]
    fn targets_read_back() {
        for text in ["all", "venue:okx", "credential:okx-main", "client:mm-1"] {
            let target: HaltTarget = text.parse().expect("a target");
            assert_eq!(target.to_string(), text);
        }
        for text in ["", "everything", "venue:", "symbol:BTC-USDT", "client:A"] {
            assert!(text.parse::<HaltTarget>().is_err(), "{text:?}");
        }
    }
}
