//! Forms, pair by pair and as they were written: nothing is decoded.

use std::collections::BTreeMap;

/// A body as a form. JSON, bytes that are no text and nothing at all are none.
pub(super) fn of(body: &[u8]) -> Option<&str> {
    let is_json = matches!(body.trim_ascii_start().first(), None | Some(b'{' | b'['));
    if is_json { None } else { std::str::from_utf8(body).ok() }
}

/// Names and values. A pair without `=` has an empty value.
pub(super) fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split('&').map(split)
}

/// How often each of the names that are asked for is there, in all of these texts together.
pub(super) fn counts<'t>(
    texts: &[&'t str],
    is_asked: impl Fn(&str) -> bool,
) -> BTreeMap<&'t str, usize> {
    let mut counts = BTreeMap::new();
    let names = texts.iter().flat_map(|text| pairs(text)).map(|(name, _)| name);
    for name in names.filter(|name| is_asked(name)) {
        *counts.entry(name).or_default() += 1;
    }
    counts
}

/// The form without some of its pairs; one that loses none is as it was.
pub(super) fn without(text: &str, goes: impl Fn(&str, &str) -> bool) -> String {
    let kept = text.split('&').filter(|pair| {
        let (name, value) = split(pair);
        !goes(name, value)
    });
    kept.collect::<Vec<_>>().join("&")
}

fn split(pair: &str) -> (&str, &str) {
    pair.split_once('=').unwrap_or((pair, ""))
}
