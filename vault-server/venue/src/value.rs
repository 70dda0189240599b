//! Which values a parameter takes.

use chrono::DateTime;
use vault_model::{Side, Timestamp};

use crate::catalog::{Catalog, Items, Kind, Param, Role};
use crate::form::is_plain_value;
use crate::json::Value;
use crate::shape::{self, Strictness};

/// The longest head of a value that is tried, in characters: longer than any word of a catalogue.
const HEAD_MAX: usize = 80;
/// Beyond so many bytes no pattern is asked what a venue might read: a symbol of any kind could be in
/// there, and looking would take each operation of a venue the time of the whole text.
const PATTERNED_MAX: usize = 1_024;
/// How many symbols or ids a comma list may have.
const LIST_MAX: usize = 50;

/// The moment that a deadline names, if it is plain RFC 3339 in UTC: `2021-04-01T00:18:45Z`. Of other
/// spellings nobody knows how a venue reads them.
pub(crate) fn deadline(text: &str) -> Option<Timestamp> {
    let is_plain = text.ends_with('Z') && text.as_bytes().get(10) == Some(&b'T');
    let moment = DateTime::parse_from_rfc3339(text).ok().filter(|_| is_plain)?;
    Some(Timestamp(moment.timestamp_micros()))
}

/// Whether the value is legal for the parameter.
pub(crate) fn is_legal(
    catalog: &Catalog,
    param: &Param,
    value: &Value<'_>,
    how: Strictness,
) -> bool {
    // A name that is there twice: a venue may read any of them.
    if let (Value::Array(values), false, false) =
        (value, how.stated, matches!(param.kind, Kind::Array { .. }))
    {
        return values.iter().any(|value| is_legal(catalog, param, value, how));
    }
    let fits = |value: &Value<'_>| fits(catalog, &param.kind, value, how);
    let constant_holds = |text: &str| {
        param.constant.as_ref().is_none_or(|constant| {
            constant == text || (how.accepting() && constant.eq_ignore_ascii_case(text.trim()))
        })
    };
    // A venue may read "nothing" as "everything": Kraken closes a whole position at volume 0. What a
    // caller states must have a size; of what else would take the bytes nothing is assumed.
    let size_holds = |text: &str| {
        let is_size = matches!(param.role, Some(Role::Quantity | Role::QuoteQuantity));
        !(is_size && how.stated) || text.bytes().any(|b| matches!(b, b'1'..=b'9'))
    };
    let pattern_holds = |text: &str| {
        param.patterns.is_empty()
            || (how.accepting() && text.len() > PATTERNED_MAX)
            || text.split(',').all(|symbol| {
                param.patterns.iter().any(|pattern| {
                    pattern.matches(symbol)
                        || (how.accepting() && pattern.could_match(symbol.trim()))
                })
            })
    };
    match scalar_of(&param.kind, value, how) {
        Some(text) => with_heads(text, how, |text| {
            // Patterns last: a kind tells a text that is too long before they have gone through it.
            constant_holds(text)
                && size_holds(text)
                && is_taken(&param.kind, text, how)
                && pattern_holds(text)
        }),
        None => param.constant.is_none() && fits(value),
    }
}

/// Where a signed text can be cut anywhere, the head of a value is a value too. If any head is
/// legal, a short one is.
fn with_heads(text: &str, how: Strictness, legal: impl Fn(&str) -> bool) -> bool {
    let heads = || text.char_indices().take(HEAD_MAX).map(|(end, _)| &text[..end]);
    legal(text) || (how.cuttable && heads().any(legal))
}

/// The text of a scalar. Of what an operation would accept nothing is assumed about JSON types: the
/// signed text may not even have them.
fn scalar_of<'v>(kind: &Kind, value: &'v Value<'_>, how: Strictness) -> Option<&'v str> {
    match (kind, value) {
        (Kind::Array { .. } | Kind::Object(_), _) => None,
        (_, Value::Number(text)) if how.accepting() => Some(text),
        (_, Value::Bool(true)) if how.accepting() => Some("true"),
        (_, Value::Bool(false)) if how.accepting() => Some("false"),
        _ => scalar(kind, value),
    }
}

/// Whether a kind takes a text: as it must be stated to us, or as some venue might read it.
fn is_taken(kind: &Kind, text: &str, how: Strictness) -> bool {
    if !how.accepting() {
        return is_legal_text(kind, text);
    }
    let text = trimmed(text);
    match kind {
        // `01`, `1e0` and twenty digits are numbers to many parsers.
        Kind::Decimal | Kind::Integer | Kind::SignedDecimal | Kind::Timestamp => {
            is_decimal(text, true)
                || (text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b))
                    && text.parse::<f64>().is_ok())
        }
        // Whatever form we hold them to, venues have others: symbols need not even be ASCII.
        Kind::Id { .. }
        | Kind::Ids
        | Kind::String { .. }
        | Kind::Symbol
        | Kind::Symbols
        | Kind::Text { .. } => !text.is_empty(),
        Kind::Bool => ["true", "false"].iter().any(|word| word.eq_ignore_ascii_case(text)),
        Kind::Enum(words) => words.iter().any(|word| word.eq_ignore_ascii_case(text)),
        Kind::Array { .. } | Kind::Object(_) => false,
    }
}

/// A text without the space around it. Most have none, which one look at both ends tells.
fn trimmed(text: &str) -> &str {
    match text.as_bytes() {
        [first, .., last] if first.is_ascii_graphic() && last.is_ascii_graphic() => text,
        _ => text.trim(),
    }
}

fn fits(catalog: &Catalog, kind: &Kind, value: &Value<'_>, how: Strictness) -> bool {
    match (kind, value) {
        // What our strict reader takes for no JSON, or what is left of it after a cut, may be JSON
        // to another.
        (Kind::Array { .. } | Kind::Object(_), Value::Text(text)) => {
            how.accepting() && !text.is_empty()
        }
        (Kind::Array { .. } | Kind::Object(_), _) if how.accepting() && how.cuttable => true,
        (Kind::Array { items, max }, Value::Array(values)) => {
            let fits_item = |value: &Value<'_>| match items {
                Items::Scalars(kind) => scalar_of(kind, value, how)
                    .is_some_and(|text| with_heads(text, how, |t| is_taken(kind, t, how))),
                Items::Shape(index) => fits_shape(catalog, *index, value, how),
            };
            if how.accepting() {
                // A venue may answer item by item, and take the first few of too many.
                values.iter().any(fits_item)
            } else {
                (1..=*max).contains(&values.len()) && values.iter().all(fits_item)
            }
        }
        (Kind::Object(index), value) => fits_shape(catalog, *index, value, how),
        _ => false,
    }
}

fn fits_shape(catalog: &Catalog, index: usize, value: &Value<'_>, how: Strictness) -> bool {
    // That a venue refuses parameters which it does not know says nothing about what is inside one.
    let how = Strictness { unknown: how.unknown && !how.accepting(), ..how };
    match (catalog.shapes.get(index), value) {
        (Some(shape), Value::Object(fields)) => shape::check(catalog, shape, fields, how).is_ok(),
        _ => false,
    }
}

/// The text of a scalar, if its JSON type is one that the kind may be written in.
pub(crate) fn scalar<'v>(kind: &Kind, value: &'v Value<'_>) -> Option<&'v str> {
    match (kind, value) {
        (Kind::Array { .. } | Kind::Object(_), _) => None,
        (_, Value::Text(text)) => Some(text),
        (
            Kind::Decimal
            | Kind::Enum(_)
            | Kind::Id { .. }
            | Kind::Integer
            | Kind::SignedDecimal
            | Kind::Timestamp,
            Value::Number(text),
        ) => Some(text),
        (Kind::Bool | Kind::Enum(_), Value::Bool(true)) => Some("true"),
        (Kind::Bool | Kind::Enum(_), Value::Bool(false)) => Some("false"),
        _ => None,
    }
}

fn is_legal_text(kind: &Kind, text: &str) -> bool {
    match kind {
        Kind::Array { .. } | Kind::Object(_) => false,
        Kind::Bool => matches!(text, "true" | "false"),
        Kind::Decimal => is_decimal(text, false),
        Kind::Enum(words) => words.iter().any(|word| word == text),
        Kind::Id { max } => text.len() <= *max && is_id(text),
        Kind::Ids => is_list(text, is_id),
        Kind::Integer => is_decimal(text, false) && !text.contains('.'),
        Kind::SignedDecimal => is_decimal(text, true),
        Kind::String { max } => {
            (1..=*max).contains(&text.len())
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.:/,@~*() ".contains(&b))
        }
        Kind::Symbol => is_symbol(text),
        Kind::Symbols => is_list(text, is_symbol),
        Kind::Text { max } => (1..=*max).contains(&text.len()) && is_plain_value(text),
        Kind::Timestamp => {
            (1..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
        }
    }
}

/// A decimal of at most 18 digits on either side, without exponent or leading zeros.
pub(crate) fn is_decimal(text: &str, signed: bool) -> bool {
    let text = if signed { text.strip_prefix('-').unwrap_or(text) } else { text };
    let digits =
        |part: &str| (1..=18).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    let whole_fits = |whole: &str| digits(whole) && (whole == "0" || !whole.starts_with('0'));
    match text.bytes().position(|b| b == b'.') {
        Some(at) => whole_fits(&text[..at]) && digits(&text[at + 1..]),
        None => whole_fits(text),
    }
}

/// The side that a venue's word means.
pub(crate) fn side(text: &str) -> Option<Side> {
    match text {
        "buy" | "BUY" | "Buy" => Some(Side::Buy),
        "sell" | "SELL" | "Sell" => Some(Side::Sell),
        _ => None,
    }
}

fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// Whether a symbol is of plain form.
pub(crate) fn is_symbol(text: &str) -> bool {
    (1..=40).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'/' | b'_' | b'.'))
}

fn is_list(text: &str, item: impl Fn(&str) -> bool) -> bool {
    text.split(',').count() <= LIST_MAX && text.split(',').all(item)
}

#[cfg(test)]
mod tests {
    use super::is_decimal;

    #[test]
    fn decimals_are_exact_and_short() {
        for text in ["0", "1", "0.001", "60000", "999999999999999999.999999999999999999"] {
            assert!(is_decimal(text, false), "{text}");
        }
        let long = "1".repeat(40);
        for text in
            ["", "1e9", "NaN", "-1", "+1", "01", "00", ".5", "1.", "1,0", " 1", "Infinity", &long]
        {
            assert!(!is_decimal(text, false), "{text}");
        }
        assert!(is_decimal("-1.5", true));
        assert!(!is_decimal("--1", true));
    }
}
