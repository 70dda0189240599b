//! What is traded, and what it is worth.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Money, Name, Product};

/// A currency or coin, as people write it: 1 to 20 of letters, digits, `.`, `_`, `-`.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Asset(String);

/// Not an asset, or not a pair of assets.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotAPair {
    /// Not an asset.
    #[error("an asset is 1 to 20 of letters, digits, '.', '_' and '-'")]
    Asset,
    /// Not two different assets with `/` between them.
    #[error("a pair is written BASE/QUOTE, such as BTC/USD")]
    Pair,
}

impl Asset {
    /// The unit of account: every cap on notional is in it.
    pub fn usd() -> Self {
        Self("USD".to_owned())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Asset {
    type Err = NotAPair;

    fn from_str(text: &str) -> Result<Self, NotAPair> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if (1..=20).contains(&text.len()) && text.bytes().all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAPair::Asset)
        }
    }
}

impl fmt::Display for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Asset {
    type Error = NotAPair;

    fn try_from(text: String) -> Result<Self, NotAPair> {
        text.parse()
    }
}

impl From<Asset> for String {
    fn from(asset: Asset) -> Self {
        asset.0
    }
}

/// What a price is of: so much of `quote` for one `base`. Written `BTC/USD`.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pair {
    /// What is priced.
    pub base: Asset,
    /// In what.
    pub quote: Asset,
}

impl Pair {
    /// A pair.
    pub fn new(base: Asset, quote: Asset) -> Self {
        Self { base, quote }
    }
}

impl FromStr for Pair {
    type Err = NotAPair;

    fn from_str(text: &str) -> Result<Self, NotAPair> {
        let (base, quote) = text.split_once('/').ok_or(NotAPair::Pair)?;
        let pair = Self { base: base.parse()?, quote: quote.parse()? };
        if pair.base == pair.quote { Err(NotAPair::Pair) } else { Ok(pair) }
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.quote)
    }
}

impl TryFrom<String> for Pair {
    type Error = NotAPair;

    fn try_from(text: String) -> Result<Self, NotAPair> {
        text.parse()
    }
}

impl From<Pair> for String {
    fn from(pair: Pair) -> Self {
        pair.to_string()
    }
}

/// In what the size of a contract is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SizeUnit {
    /// In the base asset: spot, linear, options.
    Base,
    /// In the quote asset: inverse contracts.
    Quote,
}

/// One instrument of a venue, as an admin approved it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Instrument {
    /// What is traded.
    pub base: Asset,
    /// The size of one unit of an order's quantity, in `size_unit`; above 0. 1 where orders are in
    /// the base asset.
    pub contract_size: Money,
    /// The smallest step of a price, if the venue says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_tick: Option<Money>,
    /// Its product; what is traded on margin is the spot instrument.
    pub product: Product,
    /// The smallest step of a quantity, if the venue says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity_step: Option<Money>,
    /// In what its price is.
    pub quote: Asset,
    /// Whose price stands for what it is worth: that of `base` in `quote`, but for options, where it
    /// is that of what they are on.
    pub reference: Pair,
    /// In what `contract_size` is.
    pub size_unit: SizeUnit,
    /// As the venue writes it.
    pub symbol: String,
    /// Its venue.
    pub venue: Name,
}

/// A moment on the vault's own clock, in microseconds: it goes on through restarts, never back, and
/// no step of the wall clock moves it. Time in which no vault ran may be missing from it.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
#[serde(transparent)]
pub struct ClockTime(pub u64);

impl ClockTime {
    /// That much later.
    #[must_use]
    pub fn plus(self, time: std::time::Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX)))
    }

    /// How long ago `earlier` was; nothing if it is still to come.
    pub fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests {
    use super::{Asset, Pair};

    #[test]
    fn pairs_read_back() {
        for text in ["BTC/USD", "1INCH/USDT", "XBT.F/ZUSD"] {
            let pair: Pair = text.parse().expect("a pair");
            assert_eq!(pair.to_string(), text);
        }
        for text in ["", "BTC", "BTC/", "/USD", "BTC/USD/X", "USD/USD", "B C/USD", "BTC-USD"] {
            assert!(text.parse::<Pair>().is_err(), "{text}");
        }
        assert!("A".repeat(21).parse::<Asset>().is_err());
        assert_eq!(Asset::usd().as_str(), "USD");
    }
}
