//! The core's identity: an Ed25519 key outside the seal, pinned by every invite token.
//!
//! It signs what callers must be able to trust while the vault is sealed (the tickets under which
//! passphrases and secrets travel), so that a front that was broken into cannot put a key of its own
//! in the middle. It opens nothing. File `core-identity.key`: the 32-byte seed as 64 hex digits and
//! a line feed, mode 0600.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use ring::rand::SecureRandom;
use sha2::{Digest, Sha256};
use vault_model::SecretBytes;
use zeroize::Zeroizing;

use crate::crypto::envelope::{EnvelopeError, random_secret};

/// The file's name inside the data directory.
pub const FILE_NAME: &str = "core-identity.key";

/// Why there is no identity key.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file could not be read or written, or exists already.
    #[error("core identity key file is unavailable")]
    Io(#[from] io::Error),
    /// Not 64 hex digits.
    #[error("core identity key file is malformed")]
    Malformed,
    /// Others than the owner may read it.
    #[error("core identity key file must have mode 0600")]
    Mode,
    /// No random numbers.
    #[error("random number generator is unavailable")]
    Random(#[from] EnvelopeError),
}

/// The identity key, ready to sign.
pub struct CoreIdentity {
    pair: Ed25519KeyPair,
    public_key: [u8; 32],
}

impl CoreIdentity {
    /// Makes a new key and its file in `directory`, synced. Never overwrites one.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Io`] if the file exists or cannot be written.
    pub fn create(directory: &Path, rng: &dyn SecureRandom) -> Result<Self, IdentityError> {
        let seed = random_secret(SEED_BYTES, rng)?;
        let mut content = Zeroizing::new([b'\n'; FILE_BYTES]);
        hex::encode_to_slice(seed.expose_secret(), &mut content[..2 * SEED_BYTES])
            .map_err(|_| IdentityError::Malformed)?;

        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(directory.join(FILE_NAME))?;
        file.write_all(&*content)?;
        file.sync_all()?;
        File::open(directory)?.sync_all()?;
        Self::from_seed(&seed)
    }

    /// Reads the key from its file in `directory`.
    ///
    /// # Errors
    ///
    /// [`IdentityError`]: missing, malformed, or readable by others.
    pub fn load(directory: &Path) -> Result<Self, IdentityError> {
        let file = File::open(directory.join(FILE_NAME))?;
        if file.metadata()?.mode() & 0o077 != 0 {
            return Err(IdentityError::Mode);
        }
        let mut content = Zeroizing::new(Vec::with_capacity(FILE_BYTES + 1));
        file.take(FILE_BYTES as u64 + 1).read_to_end(&mut content)?;

        let seed = SecretBytes::build(SEED_BYTES, |seed| {
            hex::decode_to_slice(content.trim_ascii_end(), seed)
                .map_err(|_| IdentityError::Malformed)?;
            Ok::<_, IdentityError>(SEED_BYTES)
        })?;
        Self::from_seed(&seed)
    }

    /// Takes a seed of 32 bytes.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Malformed`] for another length.
    pub fn from_seed(seed: &SecretBytes) -> Result<Self, IdentityError> {
        if seed.len() != SEED_BYTES {
            return Err(IdentityError::Malformed);
        }
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose_secret())
            .map_err(|_| IdentityError::Malformed)?;
        let public_key =
            pair.public_key().as_ref().try_into().map_err(|_| IdentityError::Malformed)?;
        Ok(Self { pair, public_key })
    }

    /// Signs a message: 64 bytes.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.pair.sign(message).as_ref());
        signature
    }

    /// The raw public key.
    pub fn public_key(&self) -> [u8; 32] {
        self.public_key
    }

    /// SHA-256 of the raw public key: what invite tokens carry.
    pub fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(self.public_key).into()
    }
}

impl fmt::Debug for CoreIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoreIdentity")
            .field("public_key", &hex::encode(self.public_key))
            .finish_non_exhaustive()
    }
}

const FILE_BYTES: usize = 2 * SEED_BYTES + 1;
const SEED_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
    use ring::rand::SystemRandom;
    use vault_model::SecretBytes;

    use super::{CoreIdentity, FILE_NAME, IdentityError};

    #[test]
    fn reads_back_the_key_it_made() {
        let directory = tempfile::tempdir().expect("a directory");
        let made = CoreIdentity::create(directory.path(), &SystemRandom::new()).expect("a key");
        let loaded = CoreIdentity::load(directory.path()).expect("the key");

        assert_eq!(made.public_key(), loaded.public_key());
        let public_key = UnparsedPublicKey::new(&ED25519, made.public_key());
        assert!(public_key.verify(b"ticket", &loaded.sign(b"ticket")).is_ok());
        assert!(public_key.verify(b"other", &loaded.sign(b"ticket")).is_err());
        let file = directory.path().join(FILE_NAME);
        let mode = fs::metadata(&file).expect("the file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let seed = fs::read_to_string(&file).expect("the file");
        assert!(!format!("{loaded:?}").contains(seed.trim()));
    }

    #[test]
    fn never_overwrites() {
        let directory = tempfile::tempdir().expect("a directory");
        let rng = SystemRandom::new();
        let made = CoreIdentity::create(directory.path(), &rng).expect("a key");

        assert!(matches!(CoreIdentity::create(directory.path(), &rng), Err(IdentityError::Io(_))));
        let kept = CoreIdentity::load(directory.path()).expect("the key");
        assert_eq!(kept.public_key(), made.public_key());
    }

    #[test]
    fn refuses_files_that_are_malformed_or_readable_by_others() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join(FILE_NAME);
        assert!(matches!(CoreIdentity::load(directory.path()), Err(IdentityError::Io(_))));

        fs::write(&file, "00".repeat(32)).expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("mode");
        assert!(matches!(CoreIdentity::load(directory.path()), Err(IdentityError::Mode)));

        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("mode");
        assert!(CoreIdentity::load(directory.path()).is_ok());
        for content in ["", "00", &"zz".repeat(32), &"00".repeat(33), &"00".repeat(4_000)] {
            fs::write(&file, content).expect("written");
            assert!(matches!(CoreIdentity::load(directory.path()), Err(IdentityError::Malformed)));
        }
    }

    /// RFC 8032, section 7.1, test 1.
    #[test]
    fn agrees_with_the_rfc() {
        let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let identity = CoreIdentity::from_seed(&SecretBytes::new(hex::decode(seed).expect("hex")))
            .expect("a seed");

        assert_eq!(
            hex::encode(identity.public_key()),
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        );
    }
}
