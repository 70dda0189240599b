//! "Did you mean": names near to one that is not there.

use vault_venue::Catalog;

/// The operations whose names are nearest to a method and a path, the nearest first.
pub fn operations(catalog: &Catalog, method: &str, path: &str) -> Vec<String> {
    let path = path.to_ascii_lowercase();
    let reach = path.chars().count() / 4 + 1;
    let mut near: Vec<(usize, &str)> = catalog
        .operations
        .iter()
        .filter_map(|operation| {
            let other = operation.path.to_ascii_lowercase();
            let away = match distance(&path, &other) {
                // The version or the family is missing: `/order` for `/api/v3/order`.
                away if away > reach && path.len() >= 4 && other.ends_with(&path) => reach,
                away => away,
            };
            let method_away = usize::from(!operation.method.eq_ignore_ascii_case(method));
            (away <= reach).then_some((2 * away + method_away, &*operation.name))
        })
        .collect();
    near.sort_unstable();
    near.into_iter().take(SHOWN).map(|(_, name)| name.to_owned()).collect()
}

/// The words nearest to one, the nearest first.
pub fn words<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> Vec<&'w str> {
    let word = word.to_ascii_lowercase();
    let reach = word.chars().count() / 3 + 1;
    let mut near: Vec<(usize, &str)> = known
        .map(|other| (distance(&word, &other.to_ascii_lowercase()), other))
        .filter(|(away, _)| *away <= reach)
        .collect();
    near.sort_unstable();
    near.into_iter().take(SHOWN).map(|(_, other)| other).collect()
}

/// How many characters must be put in, left out or changed (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, c) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, d) in other.iter().enumerate() {
            let changed = diagonal + usize::from(c != *d);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

/// How many are offered.
const SHOWN: usize = 3;

#[cfg(test)]
mod tests {
    use super::{distance, words};

    #[test]
    fn counts_edits() {
        for (one, other, edits) in
            [("", "", 0), ("", "abc", 3), ("order", "orders", 1), ("kitten", "sitting", 3)]
        {
            assert_eq!(distance(one, other), edits);
            assert_eq!(distance(other, one), edits);
        }
    }

    #[test]
    fn offers_what_is_near_and_nothing_else() {
        let known = ["binance", "bybit", "okx"];
        assert_eq!(words("binanse", known.into_iter()), ["binance"]);
        assert_eq!(words("OKX", known.into_iter()), ["okx"]);
        assert!(words("coinbase", known.into_iter()).is_empty());
    }
}
