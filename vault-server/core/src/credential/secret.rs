//! The secret of a credential: as an import brings it, as a venue signs with it, and as bytes to be
//! encrypted.

use std::cell::OnceCell;
use std::sync::Arc;

use prost::Message;
use vault_ipc::proto::v1;
use vault_model::SecretBytes;
use vault_venue::{Key, KeyType, PrivateKey, Venue, VenueError};

use crate::error::VaultError;

/// The secret of a credential, opened. Wiped on drop, with the private key that was parsed from it.
pub struct OpenSecret {
    api_key: String,
    secret: SecretBytes,
    passphrase: Option<SecretBytes>,
    /// Once it was asked for; `None` in it: a shared secret.
    private_key: OnceCell<Option<Arc<PrivateKey>>>,
}

impl OpenSecret {
    fn new(api_key: String, secret: SecretBytes, passphrase: Option<SecretBytes>) -> Self {
        Self { api_key, secret, passphrase, private_key: OnceCell::new() }
    }

    /// As a venue signs with it once: a private key is parsed for it.
    pub fn key(&self, key_type: KeyType) -> Key<'_> {
        Key {
            api_key: &self.api_key,
            secret: &self.secret,
            passphrase: self.passphrase.as_ref(),
            key_type,
            private_key: None,
        }
    }

    /// As a venue signs with it again and again: a private key is parsed once.
    ///
    /// # Errors
    ///
    /// [`VaultError::Venue`] if it cannot be parsed.
    pub fn parsed_key(&self, venue: &Venue, key_type: KeyType) -> Result<Key<'_>, VaultError> {
        let key = self.key(key_type);
        let private_key = match self.private_key.get() {
            Some(private_key) => private_key,
            None => {
                let private_key = venue.private_key(&key)?.map(Arc::new);
                self.private_key.get_or_init(|| private_key)
            }
        };
        Ok(Key { private_key: private_key.as_deref(), ..key })
    }

    /// The private key, if it was parsed. Whoever keeps it keeps it open.
    pub fn private_key(&self) -> Option<&Arc<PrivateKey>> {
        self.private_key.get()?.as_ref()
    }

    /// One like any other.
    #[cfg(test)]
    pub(crate) fn for_test() -> Self {
        Self::new("key".to_owned(), SecretBytes::copy_of(b"secret"), None)
    }

    /// One with a private key, in PEM.
    #[cfg(test)]
    pub(crate) fn with_pem(pem: &str) -> Self {
        Self::new("key".to_owned(), SecretBytes::copy_of(pem.as_bytes()), None)
    }

    /// `u8 version = 1`, then api key, secret and passphrase, each as `u16 BE length | bytes`.
    pub(super) fn encode(&self) -> Result<SecretBytes, VaultError> {
        let passphrase = self.passphrase.as_ref().map_or(&[][..], SecretBytes::expose_secret);
        let fields = [self.api_key.as_bytes(), self.secret.expose_secret(), passphrase];
        let len = 7 + fields.iter().map(|field| field.len()).sum::<usize>();
        SecretBytes::build(len, |bytes| {
            bytes[0] = SECRET_VERSION;
            let mut at = 1;
            for field in fields {
                let len = u16::try_from(field.len())
                    .map_err(|_| VaultError::Field("a secret is longer than 65,535 bytes"))?;
                bytes[at..at + 2].copy_from_slice(&len.to_be_bytes());
                at += 2;
                bytes[at..at + field.len()].copy_from_slice(field);
                at += field.len();
            }
            Ok(len)
        })
    }

    pub(super) fn decode(bytes: &SecretBytes) -> Option<Self> {
        let (&SECRET_VERSION, mut rest) = bytes.expose_secret().split_first()? else {
            return None;
        };
        let mut field = || {
            let (len, tail) = rest.split_first_chunk::<2>()?;
            let (field, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
            rest = tail;
            Some(field)
        };
        let api_key = std::str::from_utf8(field()?).ok()?.to_owned();
        let secret = SecretBytes::copy_of(field()?);
        let passphrase = SecretBytes::copy_of(field()?);
        let passphrase = (!passphrase.is_empty()).then_some(passphrase);
        rest.is_empty().then_some(Self::new(api_key, secret, passphrase))
    }
}

/// What a secret is: the venue finds the type, and signs with it once.
pub(super) fn proven_key_type(
    venue: &Venue,
    secret: &OpenSecret,
    stated: &str,
) -> Result<KeyType, VaultError> {
    let stated: Option<KeyType> = match stated {
        "" => None,
        word => Some(word.parse().map_err(VaultError::VenueKey)?),
    };
    let found = venue.key_type_of(&secret.secret).map_err(VaultError::VenueKey)?;
    if stated.is_some_and(|stated| stated != found) {
        return Err(VaultError::VenueKey(VenueError::KeyTypeWrong));
    }
    venue.check_key(&secret.key(found)).map_err(VaultError::VenueKey)?;
    Ok(found)
}

pub(super) fn read_secret(encoded: &SecretBytes) -> Result<OpenSecret, VaultError> {
    let mut secret = v1::CredentialSecret::default();
    let read = secret.merge(encoded.expose_secret());
    // Whatever comes of it, all of them are wiped: also what was read before the reading failed.
    let passphrase = SecretBytes::new(secret.passphrase);
    let text = SecretBytes::new(secret.secret);
    let private_key_pem = SecretBytes::new(secret.private_key_pem);
    read.map_err(|_| VaultError::SealedSecret)?;
    let secret_text = match (text.is_empty(), private_key_pem.is_empty()) {
        (_, true) => text,
        (true, false) => private_key_pem,
        (false, false) => {
            return Err(VaultError::Field("give a secret or a private key, and not both"));
        }
    };
    let passphrase = (!passphrase.is_empty()).then_some(passphrase);
    Ok(OpenSecret::new(secret.api_key, secret_text, passphrase))
}

const SECRET_VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::AsBigEndian;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    };
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use prost::Message;
    use vault_ipc::proto::v1;
    use vault_model::SecretBytes;
    use vault_venue::{KeyType, Registry};

    use super::{OpenSecret, proven_key_type, read_secret};

    #[test]
    fn secrets_read_back() {
        // The second is longer than any PEM of an RSA key with 4,096 bits.
        for secret in [b"canary".to_vec(), [b"line\n".as_slice(); 1_000].concat()] {
            for passphrase in [None, Some(SecretBytes::new(b"phrase".to_vec()))] {
                let secret = SecretBytes::new(secret.clone());
                let secret = OpenSecret::new("key".to_owned(), secret, passphrase);
                let bytes = secret.encode().expect("short");
                let read = OpenSecret::decode(&bytes).expect("reads back");

                assert_eq!(read.api_key, "key");
                assert_eq!(read.secret.expose_secret(), secret.secret.expose_secret());
                assert_eq!(read.passphrase.is_some(), secret.passphrase.is_some());
                for end in (0..bytes.len()).step_by(7) {
                    let cut = SecretBytes::new(bytes.expose_secret()[..end].to_vec());
                    assert!(OpenSecret::decode(&cut).is_none());
                }
            }
        }
    }

    fn uploaded(secret: &str, pem: &str) -> Result<OpenSecret, &'static str> {
        let encoded = v1::CredentialSecret {
            api_key: "key".to_owned(),
            secret: secret.into(),
            passphrase: Vec::new(),
            private_key_pem: pem.into(),
        }
        .encode_to_vec();
        read_secret(&SecretBytes::new(encoded)).map_err(|error| error.reason())
    }

    #[test]
    fn a_private_key_takes_the_place_of_a_secret() {
        const PEM: &str = "-----BEGIN X-----\nYQ==\n-----END X-----\n";
        let pem = uploaded("", PEM).expect("a key");
        assert_eq!(pem.secret.expose_secret(), PEM.as_bytes());
        assert_eq!(uploaded("text", "").expect("a secret").secret.expose_secret(), b"text");
        assert_eq!(uploaded("text", PEM).err(), Some("BAD_FIELD"));
    }

    #[test]
    fn private_keys_are_taken_where_the_venue_takes_them() {
        let registry = Registry::bundled().expect("catalogues");
        let proven = |venue: &str, secret: &str, pem: &str| {
            let secret = uploaded(secret, pem).expect("read");
            let venue = registry.venue(venue).expect("a venue");
            proven_key_type(venue, &secret, "").map_err(|error| error.reason())
        };
        let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        let p256 = crate::server::pem("PRIVATE KEY", p256.to_pkcs8v1().expect("a key").as_ref());
        let ed25519 = Ed25519KeyPair::generate().expect("a key");
        let seed = ed25519.seed().expect("its seed").as_be_bytes().expect("its bytes");
        let halves = [seed.as_ref(), ed25519.public_key().as_ref()].concat();
        let ed25519 = BASE64_STANDARD.encode(halves);

        assert_eq!(proven("coinbase", "", &p256), Ok(KeyType::Es256));
        assert_eq!(proven("coinbase", &ed25519, ""), Ok(KeyType::Ed25519));
        assert_eq!(proven("bybit", "", &p256), Err("KEY_TYPE_NOT_TAKEN"));
        let cut = p256.get(..p256.len() / 2).expect("ASCII");
        assert_eq!(proven("coinbase", "", cut), Err("PEM_FORM"));
    }

    #[test]
    fn a_key_is_what_it_proves_to_be() {
        let registry = Registry::bundled().expect("catalogues");
        let venue = registry.venue("kraken").expect("a venue");
        let proven = |secret: &str, stated: &str| {
            let secret = uploaded(secret, "").expect("read");
            proven_key_type(venue, &secret, stated).map_err(|error| error.reason())
        };
        // 64 bytes of zero, as Kraken writes a secret.
        let text = format!("{}A==", "A".repeat(85));

        assert_eq!(proven(&text, ""), Ok(KeyType::Hmac));
        assert_eq!(proven(&text, "hmac"), Ok(KeyType::Hmac));
        assert_eq!(proven(&text, "rsa"), Err("KEY_TYPE_WRONG"));
        assert_eq!(proven(&text, "Hmac"), Err("KEY_TYPE_UNKNOWN"));
        assert!(proven("not base64!", "").is_err());
    }
}
