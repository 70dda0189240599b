//! A line of the log and its leaf hash, which is computed once.

use crate::tree::{Hash, leaf_hash};

/// A line, with its leaf hash.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Line {
    bytes: Vec<u8>,
    leaf_hash: Hash,
}

impl Line {
    /// Hashes a line.
    pub fn new(bytes: Vec<u8>) -> Self {
        let leaf_hash = leaf_hash(&bytes);
        Self { bytes, leaf_hash }
    }

    /// Without line feed.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256 of a zero byte and the line (RFC 6962).
    pub fn leaf_hash(&self) -> Hash {
        self.leaf_hash
    }
}
