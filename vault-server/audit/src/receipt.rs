//! What a client gets with each answer: where its entry is.

use serde::{Deserialize, Serialize};

use crate::Hash;
use crate::entry::hex32;

/// Says that an entry is in a log. Together with a later checkpoint it proves a deletion.
///
/// As a file it is one JSON object: `{"index":0,"leaf_hash":"64 hex digits","origin":".."}`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// Index of the entry, from 0.
    pub index: u64,
    /// Its leaf hash.
    #[serde(with = "hex32")]
    pub leaf_hash: Hash,
    /// The log's origin.
    pub origin: String,
}

#[cfg(test)]
mod tests {
    use super::Receipt;

    #[test]
    fn is_one_json_object() {
        let receipt =
            Receipt { index: 3, leaf_hash: [0xab; 32], origin: "v.example/audit/n/0".to_owned() };
        let text = serde_json::to_string(&receipt).expect("json");

        assert_eq!(
            text,
            format!(
                r#"{{"index":3,"leaf_hash":"{}","origin":"v.example/audit/n/0"}}"#,
                "ab".repeat(32)
            )
        );
        assert_eq!(serde_json::from_str::<Receipt>(&text).expect("reads back"), receipt);
        assert!(serde_json::from_str::<Receipt>(&text.replace("abab", "ABab")).is_err());
    }
}
