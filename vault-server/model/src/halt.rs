//! Halts.

use serde::{Deserialize, Serialize};

use crate::Name;
use crate::class::{UnknownWord, words};
use std::fmt;
use std::str::FromStr;

words! {
    /// How much a halt stops.
    HaltLevel {
        /// Only what reads, cancels or surely reduces a position passes.
        NoNewRisk = "NO_NEW_RISK",
        /// No signature at all.
        Nothing = "NOTHING",
    }
}

/// What a halt stops. Written `all`, `venue:okx`, `credential:okx-main`, `client:mm-1`,
/// `symbol:okx/BTC-USDT`.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum HaltTarget {
    /// Everything.
    All,
    /// One client.
    Client(Name),
    /// One credential.
    Credential(Name),
    /// What touches one symbol of a venue: its writes and cancels, not its reads.
    Symbol {
        /// The venue.
        venue: Name,
        /// As the venue writes it: 1 to 40 of letters, digits, `-`, `/`, `_`, `.`.
        symbol: String,
    },
    /// One venue.
    Venue(Name),
}

impl fmt::Display for HaltTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Client(name) => write!(f, "client:{name}"),
            Self::Credential(name) => write!(f, "credential:{name}"),
            Self::Symbol { venue, symbol } => write!(f, "symbol:{venue}/{symbol}"),
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
            Some(("symbol", place)) => symbol(place),
            Some(("venue", name)) => named(name).map(Self::Venue),
            _ => None,
        }
        .ok_or_else(|| UnknownWord {
            expected: "all, venue:NAME, credential:NAME, client:NAME, symbol:VENUE/SYMBOL"
                .to_owned(),
        })
    }
}

/// Reads `VENUE/SYMBOL`. A venue has no `/`, a symbol may.
fn symbol(place: &str) -> Option<HaltTarget> {
    let (venue, symbol) = place.split_once('/')?;
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'/' | b'_' | b'.');
    if !(1..=40).contains(&symbol.len()) || !symbol.bytes().all(fits) {
        return None;
    }
    Some(HaltTarget::Symbol { venue: venue.parse().ok()?, symbol: symbol.to_owned() })
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
        for text in [
            "all",
            "venue:okx",
            "credential:okx-main",
            "client:mm-1",
            "symbol:okx/BTC-USDT",
            "symbol:kraken/XBT/USD",
            "symbol:made/PI_XBT.F",
        ] {
            let target: HaltTarget = text.parse().expect("a target");
            assert_eq!(target.to_string(), text);
        }
        for text in [
            "",
            "everything",
            "venue:",
            "client:A",
            "symbol:",
            "symbol:BTC-USDT",
            "symbol:okx/",
            "symbol:/BTC-USDT",
            "symbol:OKX/BTC-USDT",
            "symbol:okx/BTC USDT",
            "symbol:okx/BTC:USDT",
        ] {
            assert!(text.parse::<HaltTarget>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_symbol_has_40_characters_at_most_and_its_venue_ends_at_the_first_slash() {
        let long = |length| format!("symbol:okx/{}", "A".repeat(length));
        assert!(long(40).parse::<HaltTarget>().is_ok());
        assert!(long(41).parse::<HaltTarget>().is_err());
        let target: HaltTarget = "symbol:kraken/XBT/USD".parse().expect("a target");
        let venue = "kraken".parse().expect("a name");
        assert_eq!(target, HaltTarget::Symbol { venue, symbol: "XBT/USD".to_owned() });
    }
}
