//! The one type for secrets.

use std::fmt;

use subtle::ConstantTimeEq;
use vault_arena::Block;
use zeroize::Zeroizing;

/// Secret bytes of any length: in locked memory where the process has an arena, wiped on drop, never
/// printed, never cloned.
pub struct SecretBytes(Block);

impl SecretBytes {
    /// Takes the bytes over: copies them into the arena and wipes the `Vec`, all of its capacity.
    ///
    /// What grew while it was filled has left copies behind that nobody can wipe: give a `Vec` that
    /// had its size from the beginning, or use [`SecretBytes::build`].
    pub fn new(bytes: Vec<u8>) -> Self {
        Self::copy_of(&Zeroizing::new(bytes))
    }

    /// Copies bytes that somebody else wipes.
    pub fn copy_of(bytes: &[u8]) -> Self {
        Self(Block::copy_of(bytes))
    }

    /// Makes a secret where it will lie: `fill` gets `len` zero bytes and says how many of them, from
    /// the first, are the secret. The rest is wiped, and all of it on an error.
    ///
    /// # Errors
    ///
    /// Those of `fill`.
    pub fn build<E>(
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<Self, E> {
        let mut block = Block::zeroed(len);
        let filled = fill(block.as_mut_slice())?;
        block.truncate(filled);
        Ok(Self(block))
    }

    /// The bytes themselves. Every use of a secret in this repository is a call to this
    /// method, so `git grep expose_secret` is the list to review.
    pub fn expose_secret(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// Compares in time that depends on the lengths only.
    pub fn ct_eq(&self, other: &Self) -> bool {
        self.expose_secret().ct_eq(other.expose_secret()).into()
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.expose_secret().is_empty()
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.expose_secret().len()
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
    #[test]
    fn is_built_in_place_and_only_whole() {
        let built = SecretBytes::build(8, |bytes| {
            assert_eq!(bytes, [0; 8]);
            bytes[..6].copy_from_slice(b"canary");
            Ok::<_, ()>(6)
        });
        assert_eq!(built.expect("built").expose_secret(), b"canary");
        assert_eq!(SecretBytes::build(8, |_| Err("no")).err(), Some("no"));
        let whole = SecretBytes::build(3, |_| Ok::<_, ()>(9)).expect("built");
        assert_eq!(whole.len(), 3);
        assert!(SecretBytes::copy_of(b"").is_empty());
    }
}
