//! Single values out of a venue's JSON, without building it up in memory.
//!
//! What is asked for are JSON pointers (RFC 6901), each with at most one part `*`, which stands for
//! every element of a list. The document is read once; what no pointer leads to is skipped. Numbers
//! keep the text in which they were written.

use std::borrow::Cow;
use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

/// Longest value that is taken, in bytes.
const VALUE_BYTES: usize = 256;
/// Parts of a pointer; longer ones lead nowhere.
const PARTS_MAX: usize = 16;
/// The part that stands for every element of a list.
const EACH: &str = "*";

/// A value, and where it was.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Found {
    /// Which pointer led to it.
    pub(crate) at: usize,
    /// Which element `*` stood for; 0 without one.
    pub(crate) row: usize,
    /// Strings without their quotes and escapes, numbers as written, `true`, `false`. 1 to 256
    /// printable characters of ASCII.
    pub(crate) text: String,
    /// Whether it is a string.
    pub(crate) is_text: bool,
}

/// What was found.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Findings {
    /// In the order of the document.
    pub(crate) found: Vec<Found>,
    /// Whether there was more than was to be taken.
    pub(crate) is_cut: bool,
}

/// The document cannot be told from another: it is no JSON, or says twice what was asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Unclear;

/// Looks up to `most` values up.
///
/// # Errors
///
/// [`Unclear`].
pub(crate) fn find<'p>(
    json: &[u8],
    pointers: impl IntoIterator<Item = &'p String>,
    most: usize,
) -> Result<Findings, Unclear> {
    let paths: Vec<Vec<String>> = pointers.into_iter().map(|pointer| parts(pointer)).collect();
    // What leads nowhere keeps its number, and is never active.
    let active = paths.iter().enumerate().filter(|(_, path)| !path.is_empty());
    let active = active.map(|(at, _)| at).collect();
    let mut findings = Findings::default();
    let mut reader = serde_json::Deserializer::from_slice(json);
    let walk = Walk { paths: &paths, active, depth: 0, row: 0, most, findings: &mut findings };
    walk.deserialize(&mut reader).map_err(|_| Unclear)?;
    reader.end().map_err(|_| Unclear)?;
    Ok(findings)
}

/// The parts of a pointer; none if it leads nowhere.
fn parts(pointer: &str) -> Vec<String> {
    let Some(rest) = pointer.strip_prefix('/') else { return Vec::new() };
    let parts: Vec<String> =
        rest.split('/').map(|part| part.replace("~1", "/").replace("~0", "~")).collect();
    let is_one = parts.iter().filter(|part| *part == EACH).count() <= 1;
    if parts.len() > PARTS_MAX || !is_one { Vec::new() } else { parts }
}

/// Reads one value, which the first `depth` parts of the active pointers have led to.
struct Walk<'a> {
    paths: &'a [Vec<String>],
    active: Vec<usize>,
    depth: usize,
    row: usize,
    most: usize,
    findings: &'a mut Findings,
}

impl Walk<'_> {
    /// Goes one part further.
    fn step(&mut self, active: Vec<usize>, row: usize) -> Walk<'_> {
        Walk {
            paths: self.paths,
            active,
            depth: self.depth + 1,
            row,
            most: self.most,
            findings: self.findings,
        }
    }

    fn part(&self, at: usize) -> &str {
        self.paths[at].get(self.depth).map_or("", String::as_str)
    }

    /// The active pointers whose next part fits.
    fn fitting(&self, fits: impl Fn(&str) -> bool) -> Vec<usize> {
        self.active.iter().copied().filter(|&at| fits(self.part(at))).collect()
    }

    fn take(&mut self, at: usize, value: &RawValue) {
        let Some((text, is_text)) = scalar(value) else { return };
        let fits = (1..=VALUE_BYTES).contains(&text.len())
            && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if !fits {
            return;
        }
        if self.findings.found.len() >= self.most {
            self.findings.is_cut = true;
        } else {
            let found = Found { at, row: self.row, text: text.into_owned(), is_text };
            self.findings.found.push(found);
        }
    }
}

/// The text of a value that is no list, no object and not `null`.
fn scalar(value: &RawValue) -> Option<(Cow<'_, str>, bool)> {
    let text = value.get();
    match text.as_bytes().first()? {
        b'"' => {
            // Longer by its escapes alone could not be taken either.
            if text.len() > 2 + VALUE_BYTES * 6 {
                return None;
            }
            Some((Cow::Owned(serde_json::from_str(text).ok()?), true))
        }
        b'-' | b'0'..=b'9' | b't' | b'f' => Some((Cow::Borrowed(text), false)),
        _ => None,
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(mut self, deserializer: D) -> Result<(), D::Error> {
        let is_end = |at: &usize| self.paths[*at].len() == self.depth;
        let (ends, further): (Vec<usize>, Vec<usize>) =
            self.active.iter().partition(|at| is_end(at));
        if ends.is_empty() {
            return deserializer.deserialize_any(self);
        }
        let value = <&RawValue as serde::Deserialize>::deserialize(deserializer)?;
        for at in ends {
            self.take(at, value);
        }
        if further.is_empty() {
            return Ok(());
        }
        self.active = further;
        let mut reader = serde_json::Deserializer::from_str(value.get());
        reader.deserialize_any(self).map_err(|_| D::Error::custom("unclear"))
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut seen: Vec<String> = Vec::new();
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            // `*` stands for elements of lists alone.
            let active = self.fitting(|part| part == name && part != EACH);
            if active.is_empty() {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            if seen.iter().any(|seen| *seen == name) {
                return Err(A::Error::custom("said twice"));
            }
            seen.push(name.into_owned());
            let row = self.row;
            map.next_value_seed(self.step(active, row))?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        let mut index = 0;
        loop {
            let number = index.to_string();
            let (each, one): (Vec<usize>, Vec<usize>) = self
                .fitting(|part| part == EACH || part == number)
                .into_iter()
                .partition(|&at| self.part(at) == EACH);
            // Both lead on from here, each with a row of its own: the list is read once, so the
            // element is kept as it stands where both want it.
            let went_on = match (each.is_empty(), one.is_empty()) {
                (true, true) => list.next_element::<IgnoredAny>()?.is_some(),
                (false, true) => list.next_element_seed(self.step(each, index))?.is_some(),
                (true, false) => {
                    let row = self.row;
                    list.next_element_seed(self.step(one, row))?.is_some()
                }
                (false, false) => match list.next_element::<&RawValue>()? {
                    None => false,
                    Some(value) => {
                        let row = self.row;
                        for (active, row) in [(each, index), (one, row)] {
                            let mut reader = serde_json::Deserializer::from_str(value.get());
                            let walk = self.step(active, row);
                            walk.deserialize(&mut reader)
                                .map_err(|_| A::Error::custom("unclear"))?;
                        }
                        true
                    }
                },
            };
            if !went_on {
                return Ok(());
            }
            index += 1;
        }
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::{Found, Unclear, find};

    fn found(json: &str, pointers: &[&str]) -> Vec<(usize, usize, String)> {
        let pointers: Vec<String> = pointers.iter().map(|&text| text.to_owned()).collect();
        let findings = find(json.as_bytes(), &pointers, 4_096).expect("clear");
        assert!(!findings.is_cut);
        findings.found.into_iter().map(|Found { at, row, text, .. }| (at, row, text)).collect()
    }

    fn is(json: &str, pointers: &[&str], expected: &[(usize, usize, &str)]) {
        let expected: Vec<_> =
            expected.iter().map(|&(at, row, text)| (at, row, text.to_owned())).collect();
        assert_eq!(found(json, pointers), expected, "{json}");
    }

    #[test]
    fn values_are_what_was_written() {
        let json = r#"{"a":1.50,"b":"x\u0041\/","c":true,"d":false,"e":null,"f":[1],"g":{},
            "h":12345678901234567890123,"i":1e400,"j":-0,"k":""}"#;
        let pointers = ["/a", "/b", "/c", "/d", "/e", "/f", "/g", "/h", "/i", "/j", "/k"];
        let expected = [
            (0, 0, "1.50"),
            (1, 0, "xA/"),
            (2, 0, "true"),
            (3, 0, "false"),
            (7, 0, "12345678901234567890123"),
            (8, 0, "1e400"),
            (9, 0, "-0"),
        ];
        is(json, &pointers, &expected);
    }

    #[test]
    fn rows_are_those_of_the_list() {
        let json = r#"{"data":[{"id":"1","n":[7,8]},{"id":null},{"id":"3"}],"code":"0"}"#;
        is(json, &["/data/*/id", "/code"], &[(0, 0, "1"), (0, 2, "3"), (1, 0, "0")]);
        is(json, &["/data/0/n/*"], &[(0, 0, "7"), (0, 1, "8")]);
        is(json, &["/data/*/id", "/data/2/id"], &[(0, 0, "1"), (0, 2, "3"), (1, 0, "3")]);
        is(r#"["a","b"]"#, &["/*", "/1"], &[(0, 0, "a"), (0, 1, "b"), (1, 0, "b")]);
        // Not of an object, and not twice.
        is(r#"{"*":1,"a":{"*":2}}"#, &["/*", "/a/*", "/*/*"], &[]);
        is(r#"{"a":{"b":1}}"#, &["/a", "/a/b", "", "a"], &[(1, 0, "1")]);
        is(r#"{"a/b":{"~":1}}"#, &["/a~1b/~0"], &[(0, 0, "1")]);
        is("7", &["/a"], &[]);
    }

    #[test]
    fn what_is_said_twice_or_is_no_json_is_unclear() {
        for json in [
            r#"{"a":1,"a":1}"#,
            r#"{"\u0061":1,"a":2}"#,
            r#"{"a":1"#,
            r#"{"a":1}}"#,
            r#"{"a":01}"#,
            r#"{"a":"\ud800"}"#.trim_end(),
            "",
            "<html>",
        ] {
            let found = find(json.as_bytes(), &["/a".to_owned()], 9);
            if json.contains("ud800") {
                // No text at all: left out.
                assert_eq!(found.expect("JSON").found, []);
            } else {
                assert_eq!(found, Err(Unclear), "{json}");
            }
        }
        // What nobody asks for may be said as often as the venue likes.
        is(r#"{"b":1,"b":1,"a":2}"#, &["/a"], &[(0, 0, "2")]);
    }

    #[test]
    fn there_is_a_bound() {
        let json = format!("[{}1]", "1,".repeat(9));
        let findings = find(json.as_bytes(), &["/*".to_owned()], 10).expect("clear");
        assert_eq!((findings.found.len(), findings.is_cut), (10, false));
        let findings = find(json.as_bytes(), &["/*".to_owned()], 9).expect("clear");
        assert_eq!((findings.found.len(), findings.is_cut), (9, true));
        for (length, count) in [(1, 1), (256, 1), (257, 0)] {
            let json = format!(r#"{{"a":"{}"}}"#, "x".repeat(length));
            let findings = find(json.as_bytes(), &["/a".to_owned()], 10).expect("clear");
            assert_eq!(findings.found.len(), count, "{length}");
        }
        is(r#"{"a":"é","b":"a\nb"}"#, &["/a", "/b"], &[]);
    }

    #[test]
    fn depth_ends_nothing() {
        for deep in ["[".repeat(100_000), r#"{"a":"#.repeat(100_000)] {
            assert_eq!(
                find(deep.as_bytes(), &["/a/a/a".to_owned(), "/0/*".to_owned()], 9),
                Err(Unclear)
            );
        }
        let skipped = format!(r#"{{"b":{}{},"a":1}}"#, "[".repeat(100_000), "]".repeat(100_000));
        is(&skipped, &["/a"], &[(0, 0, "1")]);
        let under = format!(r#"{{"a":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        let _ = find(under.as_bytes(), &["/a".to_owned(), "/a/0/0/*".to_owned()], 9);
    }

    /// Any JSON, and pointers into something like it.
    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-c\"\\\\/é ]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 64, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[ab*0]", inner, 0..4)
                    .prop_map(|all| Value::Object(all.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_bytes_bring_it_down(
            bytes in prop::collection::vec(prop::sample::select(&b"{}[]\",:01.-etrufalsn\\ab*\xff "[..]), 0..64),
            pointers in prop::collection::vec("(/([ab*0]|~[01]?)){0,4}", 0..4),
        ) {
            let _ = find(&bytes, &pointers, 8);
        }

        #[test]
        fn it_finds_what_a_tree_has(
            value in json(),
            pointers in prop::collection::vec("(/[ab0]){1,4}", 1..4),
        ) {
            let text = value.to_string();
            let findings = find(text.as_bytes(), &pointers, 4_096).expect("clear");
            for (at, pointer) in pointers.iter().enumerate() {
                let expected = match value.pointer(pointer) {
                    Some(Value::String(text)) => Some(text.clone()),
                    Some(Value::Number(number)) => Some(number.to_string()),
                    Some(Value::Bool(flag)) => Some(flag.to_string()),
                    _ => None,
                };
                let expected = expected.filter(|text| !text.is_empty() && text.is_ascii());
                let found = findings.found.iter().find(|found| found.at == at);
                prop_assert_eq!(found.map(|found| found.text.clone()), expected);
            }
        }
    }
}
