//! Spans of time.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::NotADocument;

/// A span of time: 1 second to 31 days. Written `10s`, `5m`, `24h`, `30d`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(u32);

impl Span {
    /// 24 hours.
    pub const DAY: Self = Self(86_400);

    /// The longest.
    pub const MAX: Self = Self(31 * 86_400);

    /// Of so many seconds, 1 to 31 days of them.
    pub fn seconds(seconds: u32) -> Option<Self> {
        (1..=Self::MAX.0).contains(&seconds).then_some(Self(seconds))
    }

    /// Its length in seconds.
    pub fn as_seconds(self) -> u32 {
        self.0
    }

    /// Its length in microseconds.
    pub fn as_micros(self) -> u64 {
        u64::from(self.0) * 1_000_000
    }
}

impl FromStr for Span {
    type Err = NotADocument;

    fn from_str(text: &str) -> Result<Self, NotADocument> {
        let number = text.trim_end_matches(|c: char| c.is_ascii_lowercase());
        let plain = (1..=7).contains(&number.len())
            && number.bytes().all(|b| b.is_ascii_digit())
            && !number.starts_with('0');
        let each = match &text[number.len()..] {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return Err(NotADocument::Span),
        };
        let seconds = plain.then(|| number.parse::<u32>().ok()).flatten();
        seconds
            .and_then(|number| number.checked_mul(each))
            .and_then(Self::seconds)
            .ok_or(NotADocument::Span)
    }
}

impl fmt::Display for Span {
    /// In the largest unit that leaves nothing over: `60s` is `1m`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(86_400, 'd'), (3_600, 'h'), (60, 'm')];
        match units.into_iter().find(|(each, _)| self.0.is_multiple_of(*each)) {
            Some((each, unit)) => write!(f, "{}{unit}", self.0 / each),
            None => write!(f, "{}s", self.0),
        }
    }
}

impl TryFrom<String> for Span {
    type Error = NotADocument;

    fn try_from(text: String) -> Result<Self, NotADocument> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}
