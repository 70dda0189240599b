//! The keyring: every key of the vault that the root key wraps.

use std::collections::BTreeMap;

use aws_lc_rs::rand::SystemRandom as KeyRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use ring::rand::SecureRandom;
use vault_model::{SecretBytes, Timestamp};

use super::slot::{FIRST_VERSION, RootKey};
use crate::crypto::envelope::{self, Aad, EnvelopeError, Kek, random_secret};

/// Why the keyring did not open, or could not be made.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// There are two records for one key.
    #[error("keyring has {name}/{version} twice")]
    Duplicate {
        /// Name of the key.
        name: &'static str,
        /// Its version.
        version: u32,
    },
    /// A record does not open under this root key.
    #[error("keyring record does not open")]
    Envelope(#[from] EnvelopeError),
    /// The CA key could not be made.
    #[error("key generation failed")]
    Generate,
    /// A key has the wrong length or form.
    #[error("keyring key {name} is malformed")]
    Malformed {
        /// Name of the key.
        name: &'static str,
    },
    /// A key is missing.
    #[error("keyring has no {name}")]
    Missing {
        /// Name of the key.
        name: &'static str,
    },
    /// A record that this version does not know.
    #[error("keyring has a record of an unknown key")]
    Unknown,
}

/// One wrapped key as it is stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyringRecord {
    /// When the key was made.
    pub created_at: Timestamp,
    /// Name of the key: `audit_mac`, `ca`, `kek`, `log` or `state_mac`.
    pub name: String,
    /// Its version, from 1.
    pub version: u32,
    /// VE1 of the key under the root key.
    pub wrapped: Vec<u8>,
}

/// The keys of an open vault. Wiped on drop.
#[derive(Debug)]
pub struct Keyring {
    audit_macs: BTreeMap<u32, SecretBytes>,
    ca_key_pkcs8: SecretBytes,
    created_at: BTreeMap<(&'static str, u32), Timestamp>,
    keks: BTreeMap<u32, Kek>,
    log_seed: SecretBytes,
    state_mac: SecretBytes,
}

impl Keyring {
    /// Makes every key anew.
    ///
    /// # Errors
    ///
    /// [`KeyringError::Envelope`] without random numbers, [`KeyringError::Generate`].
    pub fn create(now: Timestamp, rng: &dyn SecureRandom) -> Result<Self, KeyringError> {
        // aws-lc draws from its own generator; its document is wiped on drop.
        let ca_key =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &KeyRandom::new())
                .map_err(|_| KeyringError::Generate)?;
        Ok(Self {
            audit_macs: BTreeMap::from([(FIRST_VERSION, random_secret(KEY_BYTES, rng)?)]),
            ca_key_pkcs8: SecretBytes::copy_of(ca_key.as_ref()),
            created_at: NAMES.iter().map(|name| ((*name, FIRST_VERSION), now)).collect(),
            keks: BTreeMap::from([(FIRST_VERSION, Kek::generate(FIRST_VERSION, rng)?)]),
            log_seed: random_secret(KEY_BYTES, rng)?,
            state_mac: random_secret(KEY_BYTES, rng)?,
        })
    }

    /// Wraps every key under the root key, for storage; by name and version.
    ///
    /// # Errors
    ///
    /// [`KeyringError::Envelope`] without random numbers.
    pub fn wrap(
        &self,
        instance_id: &str,
        root_key: &RootKey,
        rng: &dyn SecureRandom,
    ) -> Result<Vec<KeyringRecord>, KeyringError> {
        let keks = self.keks.iter().map(|(version, kek)| ("kek", *version, kek.secret()));
        let audit_macs = self.audit_macs.iter().map(|(version, key)| ("audit_mac", *version, key));
        let single = [
            ("ca", FIRST_VERSION, &self.ca_key_pkcs8),
            ("log", FIRST_VERSION, &self.log_seed),
            ("state_mac", FIRST_VERSION, &self.state_mac),
        ];
        let mut keys: Vec<_> = audit_macs.chain(keks).chain(single).collect();
        keys.sort_by_key(|(name, version, _)| (*name, *version));
        keys.into_iter()
            .map(|(name, version, key)| {
                let created_at =
                    *self.created_at.get(&(name, version)).ok_or(KeyringError::Missing { name })?;
                let aad = aad(instance_id, name, version, created_at);
                let wrapped = envelope::seal(root_key.kek(), &aad, key.expose_secret(), rng)?;
                Ok(KeyringRecord { created_at, name: name.to_owned(), version, wrapped })
            })
            .collect()
    }

    /// Opens a stored keyring.
    ///
    /// # Errors
    ///
    /// [`KeyringError`]: a record does not open, or one is missing, doubled or unknown.
    pub fn open(
        instance_id: &str,
        root_key: &RootKey,
        records: &[KeyringRecord],
    ) -> Result<Self, KeyringError> {
        let mut keys: BTreeMap<(&'static str, u32), SecretBytes> = BTreeMap::new();
        let mut created_at = BTreeMap::new();
        for record in records {
            let name =
                *NAMES.iter().find(|name| **name == record.name).ok_or(KeyringError::Unknown)?;
            let version = record.version;
            let aad = aad(instance_id, name, version, record.created_at);
            let key = envelope::open(root_key.kek(), &aad, &record.wrapped)?;
            if name != "ca" && key.len() != KEY_BYTES {
                return Err(KeyringError::Malformed { name });
            }
            created_at.insert((name, version), record.created_at);
            if keys.insert((name, version), key).is_some() {
                return Err(KeyringError::Duplicate { name, version });
            }
        }

        let mut single =
            |name| keys.remove(&(name, FIRST_VERSION)).ok_or(KeyringError::Missing { name });
        let ca_key_pkcs8 = single("ca")?;
        let log_seed = single("log")?;
        let state_mac = single("state_mac")?;
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, ca_key_pkcs8.expose_secret())
            .map_err(|_| KeyringError::Malformed { name: "ca" })?;

        let (mut audit_macs, mut keks) = (BTreeMap::new(), BTreeMap::new());
        for ((name, version), key) in keys {
            match name {
                "audit_mac" => drop(audit_macs.insert(version, key)),
                "kek" => drop(keks.insert(version, Kek::new(key, version)?)),
                // A second version of a key that has only one.
                _ => return Err(KeyringError::Unknown),
            }
        }
        if audit_macs.is_empty() {
            return Err(KeyringError::Missing { name: "audit_mac" });
        }
        if keks.is_empty() {
            return Err(KeyringError::Missing { name: "kek" });
        }
        Ok(Self { audit_macs, ca_key_pkcs8, created_at, keks, log_seed, state_mac })
    }

    /// The KEK that new DEKs are wrapped under: the newest.
    pub fn current_kek(&self) -> &Kek {
        self.keks.last_key_value().expect("made and opened with one KEK or more").1
    }

    /// The KEK of one version, for DEKs wrapped earlier.
    pub fn kek(&self, version: u32) -> Option<&Kek> {
        self.keks.get(&version)
    }

    /// Version and key of the log's payload MAC: the newest.
    pub fn current_audit_mac(&self) -> (u32, &SecretBytes) {
        let (version, key) =
            self.audit_macs.last_key_value().expect("made and opened with one audit MAC or more");
        (*version, key)
    }

    /// The payload MAC key of one version, to check earlier entries.
    pub fn audit_mac(&self, version: u32) -> Option<&SecretBytes> {
        self.audit_macs.get(&version)
    }

    /// The CA's P-256 key as PKCS#8 DER.
    pub fn ca_key_pkcs8(&self) -> &SecretBytes {
        &self.ca_key_pkcs8
    }

    /// The log's Ed25519 seed, 32 bytes.
    pub fn log_seed(&self) -> &SecretBytes {
        &self.log_seed
    }

    /// The key of the row MACs, 32 bytes.
    pub fn state_mac(&self) -> &SecretBytes {
        &self.state_mac
    }
}

fn aad<'a>(
    instance_id: &'a str,
    name: &'static str,
    version: u32,
    created_at: Timestamp,
) -> Aad<'a> {
    let alg = match name {
        "ca" => "p256-pkcs8",
        "kek" => "aes-256-gcm",
        "log" => "ed25519-seed",
        _ => "hmac-sha256",
    };
    Aad {
        instance_id,
        table: "keyring",
        row: name,
        version,
        venue: "",
        alg,
        usage: "keyring",
        created_at,
    }
}

const KEY_BYTES: usize = 32;
const NAMES: [&str; 5] = ["audit_mac", "ca", "kek", "log", "state_mac"];

#[cfg(test)]
mod tests {
    use rcgen::KeyPair;
    use ring::rand::SystemRandom;
    use rustls_pki_types::PrivatePkcs8KeyDer;
    use vault_model::Timestamp;

    use super::{Keyring, KeyringError, KeyringRecord};
    use crate::crypto::envelope::EnvelopeError;
    use crate::seal::slot::RootKey;

    const INSTANCE: &str = "00112233445566778899aabbccddeeff";
    const NOW: Timestamp = Timestamp(1_760_000_000_000_000);

    fn stored() -> (Keyring, RootKey, Vec<KeyringRecord>) {
        let rng = SystemRandom::new();
        let keyring = Keyring::create(NOW, &rng).expect("keys");
        let root_key = RootKey::generate(&rng).expect("random numbers");
        let records = keyring.wrap(INSTANCE, &root_key, &rng).expect("wraps");
        (keyring, root_key, records)
    }

    #[test]
    fn opens_what_it_wrapped() {
        let (keyring, root_key, records) = stored();
        let opened = Keyring::open(INSTANCE, &root_key, &records).expect("opens");

        assert_eq!(records.len(), 5);
        assert!(opened.current_kek().secret().ct_eq(keyring.current_kek().secret()));
        assert!(opened.ca_key_pkcs8().ct_eq(keyring.ca_key_pkcs8()));
        assert!(opened.log_seed().ct_eq(keyring.log_seed()));
        assert!(opened.state_mac().ct_eq(keyring.state_mac()));
        assert_eq!(opened.current_audit_mac().0, 1);
        assert!(opened.current_audit_mac().1.ct_eq(keyring.current_audit_mac().1));
        assert!(opened.kek(1).is_some() && opened.kek(2).is_none());
        assert!(opened.audit_mac(1).is_some() && opened.audit_mac(2).is_none());
        assert!(!opened.state_mac().ct_eq(opened.log_seed()));
        // What was opened can be wrapped again: a change of root key needs no more.
        let rng = SystemRandom::new();
        let other = RootKey::generate(&rng).expect("random numbers");
        let again = opened.wrap(INSTANCE, &other, &rng).expect("wraps");
        assert!(Keyring::open(INSTANCE, &other, &again).is_ok());
    }

    #[test]
    fn the_ca_key_is_one_that_certificates_are_signed_with() {
        let (keyring, ..) = stored();
        let der = PrivatePkcs8KeyDer::from(keyring.ca_key_pkcs8().expose_secret());

        let pair = KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_ECDSA_P256_SHA256);
        assert!(pair.is_ok());
    }

    #[test]
    fn another_root_key_or_vault_opens_nothing() {
        let (_, root_key, records) = stored();
        let other = RootKey::generate(&SystemRandom::new()).expect("random numbers");

        for opened in
            [Keyring::open(INSTANCE, &other, &records), Keyring::open("ff", &root_key, &records)]
        {
            assert!(matches!(opened, Err(KeyringError::Envelope(EnvelopeError::Commitment))));
        }
    }

    #[test]
    fn swapped_missing_doubled_and_unknown_records_are_noticed() {
        let (_, root_key, records) = stored();
        let open = |records: &[KeyringRecord]| Keyring::open(INSTANCE, &root_key, records);

        for at in 0..records.len() {
            let mut fewer = records.clone();
            let removed = fewer.remove(at);
            assert!(matches!(
                open(&fewer),
                Err(KeyringError::Missing { name }) if name == removed.name
            ));

            let mut doubled = records.clone();
            doubled.push(removed);
            assert!(matches!(open(&doubled), Err(KeyringError::Duplicate { .. })));
        }
        let mut swapped = records.clone();
        let last = swapped.len() - 1;
        swapped[0].wrapped = records[last].wrapped.clone();
        swapped[last].wrapped = records[0].wrapped.clone();
        assert!(matches!(open(&swapped), Err(KeyringError::Envelope(_))));
        let mut unknown = records;
        unknown[0].name = "other".to_owned();
        assert!(matches!(open(&unknown), Err(KeyringError::Unknown)));
    }

    #[test]
    fn debug_shows_no_key() {
        let (keyring, ..) = stored();
        let shown = format!("{keyring:?}");

        assert_eq!(shown.matches("SecretBytes(redacted)").count(), 5);
        assert!(!shown.contains(&format!("{:?}", keyring.log_seed().expose_secret())));
    }
}
