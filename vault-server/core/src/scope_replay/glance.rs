//! What a replay reads of an entry: no more than it needs, and without copies where it can.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use vault_model::Leg;

use crate::history::Noted;

/// The fields of an entry about a request that a replay needs: `sign`, `execute.intent`, and their
/// denials.
#[derive(Default, Deserialize)]
pub struct Glance<'a> {
    #[serde(borrow)]
    pub class: Option<Text<'a>>,
    #[serde(borrow)]
    pub client: Option<Text<'a>>,
    #[serde(borrow)]
    pub client_order_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub closure_hash: Option<Text<'a>>,
    #[serde(borrow)]
    pub closure_widest: Option<Text<'a>>,
    #[serde(borrow)]
    pub credential: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub detail: Noted<'a>,
    #[serde(borrow)]
    pub ip: Option<Text<'a>>,
    /// It has fields that are not as this build writes them: the rest of it was left unread.
    #[serde(skip)]
    pub is_foreign: bool,
    #[serde(default)]
    pub legs: Vec<Leg>,
    #[serde(borrow)]
    pub mode: Option<Text<'a>>,
    #[serde(borrow)]
    pub notional: Option<Text<'a>>,
    #[serde(borrow)]
    pub operation: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub prices: Pairs<'a>,
    #[serde(borrow)]
    pub product: Option<Text<'a>>,
    #[serde(borrow)]
    pub reason: Option<Text<'a>>,
    #[serde(borrow)]
    pub scope: Option<Text<'a>>,
    pub scope_rev: Option<u64>,
    pub ts: i64,
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    pub venue: Option<Text<'a>>,
}

impl<'a> Glance<'a> {
    /// Reads a line; `None` for what is of another kind, or no entry, or a public endpoint's: such
    /// requests are logged only where they are refused.
    pub fn read(line: &'a [u8]) -> Option<Self> {
        if !is_request(line) {
            return None;
        }
        let glance: Self =
            serde_json::from_slice(line).ok().or_else(|| Outline::read(line).map(Self::from))?;
        let is_denied = matches!(glance.kind.as_str(), "execute.denied" | "sign.denied");
        let is_public = glance.class.as_ref().is_some_and(|class| class.as_str() == "public")
            && glance.credential.is_none();
        (glance.is_allowed() || is_denied && !is_public).then_some(glance)
    }

    /// Whether it was signed.
    pub fn is_allowed(&self) -> bool {
        matches!(self.kind.as_str(), "execute.intent" | "sign")
    }
}

/// What there is to say of a request that cannot be read otherwise.
#[derive(Deserialize)]
struct Outline<'a> {
    #[serde(borrow)]
    client: Option<Text<'a>>,
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    operation: Option<Text<'a>>,
    #[serde(borrow)]
    reason: Option<Text<'a>>,
    ts: i64,
}

impl<'a> Outline<'a> {
    fn read(line: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }
}

impl<'a> From<Outline<'a>> for Glance<'a> {
    fn from(outline: Outline<'a>) -> Self {
        let Outline { client, kind, operation, reason, ts } = outline;
        Self { client, is_foreign: true, kind, operation, reason, ts, ..Self::default() }
    }
}

/// The time of any entry, in microseconds.
pub fn ts(line: &[u8]) -> Option<i64> {
    #[derive(Deserialize)]
    struct Time {
        ts: i64,
    }
    serde_json::from_slice::<Time>(line).ok().map(|time| time.ts)
}

/// Whether a line can be of one of the kinds. It is looked for from the end, near which it
/// stands; a quote inside of a text is escaped, so no text can look like it.
fn is_request(line: &[u8]) -> bool {
    let mut places = line.windows(MARK.len() + LETTERS).rev();
    let kind = places.find_map(|window| window.strip_prefix(MARK));
    kind.is_some_and(|letters| matches!(letters, b"exec" | b"sign"))
}

const MARK: &[u8] = br#""type":""#;
/// How much of a kind is looked at.
const LETTERS: usize = 4;

/// A text of a line.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Text<'a>(Cow<'a, str>);

impl Text<'_> {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsText;
        impl<'de> Visitor<'de> for AsText {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(AsText)
    }
}

/// A map of texts, as a list.
#[derive(Default)]
pub struct Pairs<'a>(pub Vec<(Text<'a>, Text<'a>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsPairs;
        impl<'de> Visitor<'de> for AsPairs {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(AsPairs)
    }
}

#[cfg(test)]
mod tests {
    use super::{Glance, Text, ts};

    #[test]
    fn a_request_is_read_and_everything_else_is_not() {
        let line = br#"{"client":"mm","detail":{"clock":"17","else":"\"type\":\"sign\""},"legs":[{"symbol":"BTC-USDT","type":"LIMIT"}],"prices":{"BTC/USD":"60000"},"ts":5,"type":"sign","v":1,"venue":"okx"}"#;
        let glance = Glance::read(line).expect("a request");
        assert!(glance.is_allowed());
        assert_eq!(glance.client.as_ref().map(Text::as_str), Some("mm"));
        assert_eq!(glance.detail.clock.as_deref(), Some("17"));
        assert_eq!(glance.legs[0].symbol.as_deref(), Some("BTC-USDT"));
        assert_eq!(glance.prices.0[0].1.as_str(), "60000");
        assert_eq!((glance.ts, ts(line)), (5, Some(5)));

        for line in [
            br#"{"ts":5,"type":"admin.applied","v":1}"#.as_slice(),
            br#"{"detail":{"x":"\"type\":\"sign\""},"ts":5,"type":"seal","v":1}"#,
            br#"{"ts":5,"type":"sign.aborted","v":1}"#,
            br#"{"ts":"5","type":"sign","v":1}"#,
            br#"{"ts":5,"type":"sign""#,
            b"",
        ] {
            assert!(Glance::read(line).is_none());
        }
    }

    #[test]
    fn what_was_sent_is_read_as_what_was_signed_is() {
        let read = |line: &str| Glance::read(line.as_bytes()).map(|glance| glance.is_allowed());
        let line = |kind: &str| format!(r#"{{"client":"mm","ts":5,"type":"{kind}","v":1}}"#);
        assert_eq!(read(&line("execute.intent")), Some(true));
        assert_eq!(read(&line("execute.denied")), Some(false));
        assert_eq!(read(&line("execute.outcome")), None);
        assert_eq!(read(&line("export")), None);
        // Public endpoints: what was let through is not in the log.
        let public = r#"{"class":"public","client":"mm","ts":5,"type":"execute.denied","v":1}"#;
        assert_eq!(read(public), None);
    }

    #[test]
    fn of_a_request_that_another_build_wrote_there_is_an_outline() {
        let line = br#"{"client":"mm","legs":"none","operation":"POST /x","ts":5,"type":"sign.denied","v":1}"#;
        let glance = Glance::read(line).expect("a request");
        assert!(glance.is_foreign && !glance.is_allowed());
        assert_eq!(glance.operation.as_ref().map(Text::as_str), Some("POST /x"));
        let line = br#"{"class":"magic","client":"mm","ts":5,"type":"sign","v":1}"#;
        assert!(Glance::read(line).is_some_and(|glance| !glance.is_foreign));
    }

    #[test]
    fn escapes_are_read_too() {
        let line = br#"{"client_order_id":"a\"b","ts":5,"type":"sign.denied","v":1}"#;
        let glance = Glance::read(line).expect("a request");
        assert!(!glance.is_allowed());
        assert_eq!(glance.client_order_id.as_ref().map(Text::as_str), Some("a\"b"));
    }
}
