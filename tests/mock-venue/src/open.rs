//! Public data: what the venues tell anybody. Small, well-formed, always the same.
//!
//! Kept in `data/<venue>.json`, a list of entries `{"path", "query", "answer"}`. An entry answers
//! a `GET` of its path whose query has every parameter of `query`; the first that fits answers. In
//! an answer, the texts `$now_ms` and `$now_s` stand for the time as a number.
//!
//! The shapes are those that the parsers of ccxt 4.5.90 read and quote from the venues'
//! documentation; the figures are made up. An entry with `"signed": true` is no public one: its
//! endpoint answers with it once a request has passed the checks of its venue.

use std::sync::LazyLock;

use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::account::Venue;
use crate::http::Incoming;
use crate::parse::read_form;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    path: String,
    #[serde(default)]
    query: Map<String, Value>,
    #[serde(default)]
    signed: bool,
    answer: Value,
}

static ENTRIES: LazyLock<Vec<(Venue, Vec<Entry>)>> = LazyLock::new(|| {
    let read = |(venue, text): (Venue, &str)| {
        // Part of this crate, and read by its tests.
        (venue, serde_json::from_str(text).expect("data of this crate"))
    };
    FILES.into_iter().map(read).collect()
});

const FILES: [(Venue, &str); 5] = [
    (Venue::Binance, include_str!("../data/binance.json")),
    (Venue::Bybit, include_str!("../data/bybit.json")),
    (Venue::Coinbase, include_str!("../data/coinbase.json")),
    (Venue::Kraken, include_str!("../data/kraken.json")),
    (Venue::Okx, include_str!("../data/okx.json")),
];

/// The answer to a public request; `None` for all others.
pub(crate) fn answer(request: &Incoming, now_ms: i64) -> Option<(Venue, Value)> {
    if request.method != Method::GET {
        return None;
    }
    let (venue, entries) = ENTRIES.iter().find(|(_, entries)| {
        entries.iter().any(|entry| !entry.signed && entry.path == request.path)
    })?;
    let query = read_form(request.query.as_bytes())?;
    let fits = |entry: &&Entry| {
        let here = |(name, value): (&String, &Value)| query.get(name) == Some(value);
        !entry.signed && entry.path == request.path && entry.query.iter().all(here)
    };
    let entry = entries.iter().find(fits)?;
    let mut answer = entry.answer.clone();
    fill_in(&mut answer, now_ms);
    Some((*venue, answer))
}

/// What a signed endpoint answers that always says the same; `Null` if there is no such entry.
pub(crate) fn signed(venue: Venue, path: &str, now_ms: i64) -> Value {
    let entries = ENTRIES.iter().filter(|(known, _)| *known == venue).flat_map(|(_, all)| all);
    let entry = entries.into_iter().find(|entry| entry.signed && entry.path == path);
    let mut answer = entry.map(|entry| entry.answer.clone()).unwrap_or_default();
    fill_in(&mut answer, now_ms);
    answer
}

fn fill_in(value: &mut Value, now_ms: i64) {
    match value {
        Value::String(text) => match text.as_str() {
            "$now_ms" => *value = Value::from(now_ms),
            "$now_s" => *value = Value::from(now_ms.div_euclid(1000)),
            _ => {}
        },
        Value::Array(items) => items.iter_mut().for_each(|item| fill_in(item, now_ms)),
        Value::Object(members) => members.values_mut().for_each(|item| fill_in(item, now_ms)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_read() {
        for (venue, entries) in ENTRIES.iter() {
            assert!(entries.iter().any(|entry| !entry.signed), "{venue:?}");
            for entry in entries {
                assert!(entry.path.starts_with('/'), "{}", entry.path);
                assert!(entry.query.values().all(Value::is_string), "{}", entry.path);
            }
        }
    }

    #[test]
    fn fills_in_the_time() {
        let mut value = serde_json::json!({ "a": ["$now_ms", 1], "b": { "c": "$now_s" } });
        fill_in(&mut value, 1_712_345_678_901);
        assert_eq!(value["a"][0], 1_712_345_678_901_i64);
        assert_eq!(value["b"]["c"], 1_712_345_678_i64);
    }
}
