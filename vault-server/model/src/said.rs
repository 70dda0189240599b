//! What parsers of others say, fit to be told.

/// What `serde` says of a document that does not fit its type, without what it has read there: a secret in
/// the wrong place must not go from a file to a terminal and on into a log. Line and column, which come
/// beside it, say where to look.
///
/// ```
/// use vault_model::without_input;
///
/// let said = "invalid type: string \"hunter2\", expected u64";
/// assert_eq!(without_input(said), "invalid type, expected u64");
/// assert_eq!(without_input("missing field `venue`"), "missing field `venue`");
/// ```
pub fn without_input(said: &str) -> String {
    let Some(kind) = WITH_INPUT.iter().find(|kind| said.starts_with(**kind)) else {
        return said.to_owned();
    };
    // What was read comes before it, whatever that is; what is expected is words of ours.
    match said.rsplit_once(EXPECTED) {
        Some((_, expected)) => format!("{kind}{EXPECTED}{expected}"),
        None => (*kind).to_owned(),
    }
}

/// How `serde` begins what it says with a value or a name out of the document.
const WITH_INPUT: [&str; 6] = [
    "duplicate key",
    "invalid length",
    "invalid type",
    "invalid value",
    "unknown field",
    "unknown variant",
];
const EXPECTED: &str = ", expected ";

#[cfg(test)]
mod tests {
    use super::without_input;

    #[test]
    fn what_was_read_is_not_repeated() {
        for (said, told) in [
            (
                "unknown field `my, expected x`, expected one of `a`, `b`",
                "unknown field, expected one of `a`, `b`",
            ),
            ("unknown variant `x`, expected `a` or `b`", "unknown variant, expected `a` or `b`"),
            ("unknown field `x`, there are no fields", "unknown field"),
            ("invalid type: integer `7`, expected a string", "invalid type, expected a string"),
            ("invalid value: string \"\\n\", expected one", "invalid value, expected one"),
            ("missing field `venue`", "missing field `venue`"),
        ] {
            assert_eq!(without_input(said), told);
        }
    }
}
