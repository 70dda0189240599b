//! Closed parameter lists: every parameter is known, well formed, and there if it must be.

use serde_json::{Map, Value};

use crate::parse::read_json;

/// One parameter of an endpoint.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) required: bool,
}

/// What a parameter's value looks like.
pub(crate) enum Kind {
    /// A list of objects that the endpoint looks into itself.
    List,
    /// A positive decimal as text, up to 18 digits on each side.
    Decimal,
    /// `true` or `false`, as such or as text.
    Flag,
    /// ASCII letters and digits, and the marks given, up to so many characters.
    Id(usize, &'static str),
    /// An integer, as such or as text.
    Integer,
    /// A JSON array of objects, written as text of up to 4096 bytes.
    JsonList,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A positive decimal as text, or a JSON number.
    Number,
    /// An object that the endpoint looks into itself.
    Object,
    /// A price: a decimal, relative (`+`, `-`, `#`) or in percent.
    Price,
    /// Text of 1 to 256 bytes.
    Text,
    /// A list of 1 to 100 such texts.
    Texts,
}

/// Why a parameter list is refused. Names only parameters of our own tables.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    Malformed(&'static str),
    Missing(&'static str),
    Unknown,
}

/// A parameter that must be there.
pub(crate) const fn must(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, required: true }
}

/// A parameter that may be left out.
pub(crate) const fn may(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, required: false }
}

/// Checks a parameter list against its table.
pub(crate) fn check(values: &Map<String, Value>, fields: &[Field]) -> Result<(), Fault> {
    if values.keys().any(|name| fields.iter().all(|field| field.name != name)) {
        return Err(Fault::Unknown);
    }
    for field in fields {
        match values.get(field.name) {
            Some(value) if fits(value, &field.kind) => {}
            Some(_) => return Err(Fault::Malformed(field.name)),
            None if field.required => return Err(Fault::Missing(field.name)),
            None => {}
        }
    }
    Ok(())
}

fn fits(value: &Value, kind: &Kind) -> bool {
    match (kind, value) {
        (Kind::List, Value::Array(items)) => items.iter().all(Value::is_object),
        (Kind::Object, Value::Object(_)) => true,
        (Kind::Texts, Value::Array(items)) => {
            (1..=100).contains(&items.len()) && items.iter().all(|item| fits(item, &Kind::Text))
        }
        (Kind::Flag, Value::Bool(_)) => true,
        (Kind::Integer, Value::Number(number)) => number.is_i64(),
        (Kind::Number, Value::Number(number)) => number.as_f64().is_some_and(|n| n > 0.0),
        (kind, Value::String(text)) => text_fits(text, kind),
        _ => false,
    }
}

fn text_fits(text: &str, kind: &Kind) -> bool {
    match kind {
        Kind::Decimal | Kind::Number => is_decimal(text),
        // `True` and `False` are what Python's str() makes of a flag; that the venues take
        // them is unverified.
        Kind::Flag => ["true", "false", "True", "False"].contains(&text),
        Kind::Id(length, marks) => {
            let allowed = |c: char| c.is_ascii_alphanumeric() || marks.contains(c);
            (1..=*length).contains(&text.len()) && text.chars().all(allowed)
        }
        Kind::Integer => text.len() <= 20 && text.parse::<i64>().is_ok(),
        Kind::JsonList => text.len() <= 4096 && json_list(text).is_some(),
        Kind::List | Kind::Object | Kind::Texts => false,
        Kind::OneOf(words) => words.contains(&text),
        Kind::Price => {
            let bare = text.strip_prefix(['+', '-', '#']).unwrap_or(text);
            is_decimal(bare.strip_suffix('%').unwrap_or(bare))
        }
        Kind::Text => (1..=256).contains(&text.len()),
    }
}

/// The objects of a JSON array that is written as text.
pub(crate) fn json_list(text: &str) -> Option<Vec<Map<String, Value>>> {
    let Some(Value::Array(items)) = read_json(text.as_bytes()) else {
        return None;
    };
    let objects = items.into_iter().map(|item| match item {
        Value::Object(fields) => Some(fields),
        _ => None,
    });
    objects.collect()
}

fn is_decimal(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| {
        (1..=18).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let positive = text.bytes().any(|byte| (b'1'..=b'9').contains(&byte));
    digits(whole) && digits(fraction) && positive
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_plain_positive_decimals_only() {
        for text in ["1", "0.1", "2.15", "999999999999999999.000000000000000001"] {
            assert!(is_decimal(text), "{text}");
        }
        let wrong = ["", "0", "0.0", "1e9", "-1", "+1", "NaN", ".5", "1.", "1.2.3", " 1", "1,5"];
        for text in wrong.into_iter().chain(["1234567890123456789"]) {
            assert!(!is_decimal(text), "{text}");
        }
    }

    #[test]
    fn refuses_what_the_table_does_not_hold() {
        let table = [must("size", Kind::Decimal), may("flag", Kind::Flag)];
        let read = |text: &str| serde_json::from_str::<Map<String, Value>>(text).expect("object");
        assert_eq!(check(&read(r#"{"size":"1","flag":true}"#), &table), Ok(()));
        assert_eq!(check(&read(r#"{"size":"1","more":"1"}"#), &table), Err(Fault::Unknown));
        assert_eq!(check(&read("{}"), &table), Err(Fault::Missing("size")));
        assert_eq!(check(&read(r#"{"size":1}"#), &table), Err(Fault::Malformed("size")));
    }
}
