//! A strict reader for queries and form-encoded bodies.
//!
//! Takes `name=value` pairs joined by `&` and nothing that readers treat differently: no empty
//! pair, no name without `=`, no percent-encoding in names, no `+`, no `;`. Values are
//! percent-decoded once; what comes out must be UTF-8 without control characters and without
//! `& = % # +`, since several venues sign the *decoded* text, in which those would make new pairs.
//! Equal names are for the operation to take or refuse.

use std::borrow::Cow;

use crate::json::has_control;

/// The text is no strict form.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FormError;

/// Where a form text stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// In a body, where the marks of JSON need no encoding.
    Body,
    /// In a query.
    Query,
}

/// The longest parameter name taken, in bytes.
const NAME_MAX: usize = 64;
/// The most pairs taken.
const PAIRS_MAX: usize = 256;

/// Reads a query (without its question mark) or a form body. The empty text has no pairs.
///
/// # Errors
///
/// [`FormError`].
pub fn parse(text: &str, place: Place) -> Result<Vec<(&str, Cow<'_, str>)>, FormError> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let mut pairs = Vec::with_capacity(8);
    let mut rest = Some(text);
    while let Some(text) = rest {
        let (pair, after) = cut(text, b'&');
        let (name, Some(raw)) = cut(pair, b'=') else {
            return Err(FormError);
        };
        rest = after;
        if !is_plain_name(name) || pairs.len() == PAIRS_MAX {
            return Err(FormError);
        }
        pairs.push((name, decode(raw, place).ok_or(FormError)?));
    }
    Ok(pairs)
}

/// What stands before the first of an ASCII byte, and what stands after it, if there is one.
fn cut(text: &str, at: u8) -> (&str, Option<&str>) {
    match text.bytes().position(|byte| byte == at) {
        Some(place) => (&text[..place], Some(&text[place + 1..])),
        None => (text, None),
    }
}

/// Whether a parameter name is of plain form: `[A-Za-z0-9_.\[\]-]`, 1 to 64 bytes, a letter first.
/// Bybit signs a number and the query after it, with nothing between them, so a name may not go on
/// as a number either: `e9` would.
pub fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_MAX
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && !continues_a_number(name)
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'[' | b']'))
}

fn continues_a_number(name: &str) -> bool {
    let exponent = name.strip_prefix(['e', 'E']);
    exponent.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit() || c == '-'))
}

/// Whether a decoded value is free of control characters and of `& = % # +`.
pub fn is_plain_value(value: &str) -> bool {
    !has_control(value) && !value.bytes().any(|b| matches!(b, b'&' | b'=' | b'%' | b'#' | b'+'))
}

fn decode(raw: &str, place: Place) -> Option<Cow<'_, str>> {
    let is_open = |b: u8| {
        b.is_ascii_alphanumeric()
            || b"-._~!*'(),:@/[]".contains(&b)
            || (place == Place::Body && matches!(b, b'"' | b'{' | b'}'))
    };
    // None of the open bytes is one that a decoded value may not have.
    if raw.bytes().all(is_open) {
        return Some(Cow::Borrowed(raw));
    }
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        match first {
            b'%' => {
                let (digits, tail) = rest.split_at_checked(2)?;
                let mut byte = [0];
                hex::decode_to_slice(digits, &mut byte).ok()?;
                bytes.push(byte[0]);
                rest = tail;
            }
            open if is_open(open) => bytes.push(open),
            _ => return None,
        }
    }
    let value = String::from_utf8(bytes).ok()?;
    is_plain_value(&value).then_some(Cow::Owned(value))
}

#[cfg(test)]
mod tests {
    use super::{FormError, Place, parse};

    #[test]
    fn decodes_values_once() {
        let text = "a=BTC-USDT%2CETH-USDT&b=&c=na%c3%afve%20x";
        let pairs = parse(text, Place::Query).expect("plain");

        let expected = [("a", "BTC-USDT,ETH-USDT"), ("b", ""), ("c", "naïve x")];
        assert_eq!(pairs, expected.map(|(n, v)| (n, v.into())));
        assert_eq!(parse("", Place::Query), Ok(Vec::new()));
    }

    #[test]
    fn takes_json_unescaped_in_a_body_alone() {
        let text = r#"list=[{"symbol":"BTCUSDT"}]"#;
        let pairs = parse(text, Place::Body).expect("plain");
        assert_eq!(pairs, [("list", r#"[{"symbol":"BTCUSDT"}]"#.into())]);
        assert_eq!(parse(text, Place::Query), Err(FormError));
    }

    #[test]
    fn refuses_a_flood_of_pairs() {
        let flood = |pairs: usize| vec!["a=1"; pairs].join("&");
        assert!(parse(&flood(256), Place::Query).is_ok());
        assert_eq!(parse(&flood(257), Place::Query), Err(FormError));
    }

    #[test]
    fn refuses_what_readers_treat_differently() {
        let texts = [
            "a",
            "&",
            "a=1&",
            "&a=1",
            "a=1&&b=2",
            "=1",
            "0a=1",
            ".a=1",
            "_a=1",
            "-a=1",
            "e9=1",
            "E-9=1",
            "%61=1",
            "a%5B0%5D=1",
            "a=1+2",
            "a=1;b=2",
            "a=%",
            "a=%4",
            "a=%zz",
            "a=%00",
            "a=%0d%0a",
            "a=%7f",
            "a=%26b",
            "a=%3D",
            "a=%25",
            "a=%23",
            "a=%2B",
            "a=%ff",
            "a=1#x",
            "a= 1",
            "a=1\r\n",
            "a b=1",
            "a=é",
            "a=b=c",
            "a=\"",
            "a={}",
            "a=%c2%85",
        ];
        for text in texts {
            assert_eq!(parse(text, Place::Query), Err(FormError), "{text:?}");
        }
    }
}
