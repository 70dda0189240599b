//! The one type for secrets.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Secret bytes of any length: wiped on drop, never printed, never cloned.
///
/// Holds the caller's `Vec` as it came: shrinking it to a boxed slice could move the
/// bytes and leave the old copy behind.
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Takes ownership of the bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes themselves. Every use of a secret in this repository is a call to this
    /// method, so `git grep expose_secret` is the list to review.
    pub fn expose_secret(&self) -> &[u8] {
        &self.0
    }

    /// Compares in time that depends on the lengths only.
    pub fn ct_eq(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::SecretBytes;

    #[test]
    fn debug_shows_nothing() {
        let secret = SecretBytes::new(b"canary".to_vec());

        assert_eq!(format!("{secret:?}"), "SecretBytes(redacted)");
    }

    #[test]
    fn compares_by_content() {
        let secret = SecretBytes::new(b"canary".to_vec());

        assert!(secret.ct_eq(&SecretBytes::new(b"canary".to_vec())));
        assert!(!secret.ct_eq(&SecretBytes::new(b"canarz".to_vec())));
        assert!(!secret.ct_eq(&SecretBytes::new(b"canary2".to_vec())));
    }
}
