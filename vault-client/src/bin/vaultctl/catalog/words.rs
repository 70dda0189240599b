//! Facts of a catalogue in words.

use std::collections::BTreeMap;

use vault_venue::{Binds, Facts, Joined, KeyType, Reuse, Signature};

/// The parts of a request in the order in which they are written, and whether they are bound.
pub fn parts(binds: Binds) -> [(&'static str, bool); 5] {
    [
        ("method", binds.method),
        ("host", binds.host),
        ("path", binds.path),
        ("query", binds.query),
        ("body", binds.body),
    ]
}

/// The parts that are bound, or those that are not.
pub fn bound(binds: Binds, wanted: bool) -> Vec<&'static str> {
    parts(binds).into_iter().filter(|(_, is)| *is == wanted).map(|(part, _)| part).collect()
}

/// The facts of a signature, each with the types of keys for which they hold.
pub fn facts(signature: &Signature) -> Vec<(Vec<KeyType>, &Facts)> {
    let mut found: Vec<(Vec<KeyType>, &Facts)> = Vec::new();
    for &key_type in &signature.key_types {
        let facts = signature.facts(key_type);
        match found.iter_mut().find(|(_, other)| *other == facts) {
            Some((key_types, _)) => key_types.push(key_type),
            None => found.push((vec![key_type], facts)),
        }
    }
    found
}

/// `5 s`, `without end`.
pub fn usable(usable_ms: Option<u64>) -> String {
    match usable_ms {
        None => "without end".to_owned(),
        Some(ms) if ms % 1_000 == 0 => format!("{} s", ms / 1_000),
        Some(ms) => format!("{ms} ms"),
    }
}

/// What follows when query and body are signed as one text.
pub fn joined(joined: Option<Joined>) -> &'static str {
    match joined {
        None => "",
        Some(Joined::Concatenated) => {
            "one text, the body after the query, without a boundary: whoever has the signature may \
             cut it anywhere"
        }
        Some(Joined::Either) => "one of the two is signed, and nothing says which",
    }
}

/// The key of [`joined`] in JSON.
pub fn joined_key(joined: Option<Joined>) -> Option<&'static str> {
    joined.map(|joined| match joined {
        Joined::Concatenated => "concatenated",
        Joined::Either => "either",
    })
}

/// Whether a client order id is taken again.
pub fn reuse(reuse: Reuse) -> &'static str {
    match reuse {
        Reuse::Never => "never",
        Reuse::OpenOnly => "open_only",
        Reuse::Unknown => "unknown",
    }
}

/// Names with a space between them.
pub fn listed<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// `3 trade, 1 read`: the most dangerous first.
pub fn per_class(classes: impl Iterator<Item = vault_model::Class>) -> String {
    let mut counts = BTreeMap::new();
    for class in classes {
        *counts.entry(class).or_insert(0_usize) += 1;
    }
    let words: Vec<String> =
        counts.iter().rev().map(|(class, count)| format!("{count} {class}")).collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use vault_model::Class;

    use super::{per_class, usable};

    #[test]
    fn times_are_read_by_people() {
        assert_eq!(usable(Some(5_000)), "5 s");
        assert_eq!(usable(Some(1_500)), "1500 ms");
        assert_eq!(usable(None), "without end");
    }

    #[test]
    fn the_most_dangerous_class_comes_first() {
        let classes = [Class::Read, Class::Withdraw, Class::Cancel, Class::Read];
        assert_eq!(per_class(classes.into_iter()), "1 withdraw, 1 cancel, 2 read");
        assert_eq!(per_class(std::iter::empty()), "");
    }
}
