//! The name of a log.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

/// A text that is no origin.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("an origin is <trust-domain>/audit/<node>/<epoch>")]
pub struct OriginError;

/// `<trust-domain>/audit/<node>/<epoch>`: names one log for ever, and its key.
///
/// Trust domain and node are 1 to 63 of `a-z 0-9 . _ -`; the epoch is decimal without leading zeros.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Origin {
    text: String,
    node_at: usize,
    epoch_at: usize,
    epoch: u32,
}

impl Origin {
    /// The origin of a node's log.
    ///
    /// # Errors
    ///
    /// [`OriginError`] if a part has other characters or another length than allowed.
    pub fn new(trust_domain: &str, node: &str, epoch: u32) -> Result<Self, OriginError> {
        format!("{trust_domain}/audit/{node}/{epoch}").parse()
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The node's name.
    pub fn node(&self) -> &str {
        &self.text[self.node_at..self.epoch_at - 1]
    }

    /// How often the log of this node was begun anew.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The first 24 bytes of the SHA-256 of the text: what a segment's header holds.
    pub(crate) fn short_hash(&self) -> [u8; 24] {
        let digest = Sha256::digest(self.text.as_bytes());
        let mut short = [0; 24];
        short.copy_from_slice(&digest[..24]);
        short
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let parts: Vec<&str> = text.split('/').collect();
        let &[trust_domain, "audit", node, epoch_text] = parts.as_slice() else {
            return Err(OriginError);
        };
        let epoch: u32 = epoch_text.parse().map_err(|_| OriginError)?;
        if !is_plain(trust_domain) || !is_plain(node) || epoch.to_string() != epoch_text {
            return Err(OriginError);
        }
        let node_at = trust_domain.len() + "/audit/".len();
        let epoch_at = node_at + node.len() + 1;
        Ok(Self { text: text.to_owned(), node_at, epoch_at, epoch })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn is_plain(part: &str) -> bool {
    let allowed =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
    (1..=63).contains(&part.len()) && part.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::{Origin, OriginError};

    #[test]
    fn reads_back_its_parts() {
        let origin = Origin::new("vault.example", "node-1", 7).expect("origin");

        assert_eq!(origin.as_str(), "vault.example/audit/node-1/7");
        assert_eq!((origin.node(), origin.epoch()), ("node-1", 7));
        assert_eq!(origin.as_str().parse(), Ok(origin));
    }

    #[test]
    fn refuses_other_texts() {
        for text in [
            "",
            "a/audit/b",
            "a/audit/b/01",
            "a/log/b/1",
            "a b/audit/c/1",
            "a/audit/c+d/1",
            "A/audit/b/1",
        ] {
            assert_eq!(text.parse::<Origin>(), Err(OriginError), "{text}");
        }
    }
}
