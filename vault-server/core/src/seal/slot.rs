//! Slots: each holds the root key, wrapped under an unseal key of its own, as in LUKS.
//!
//! A slot's document is canonical JSON (RFC 8785): what is needed to make the unseal key again
//! (never the key), and one VE1 envelope. Nobody vouches for a slot but its envelope: a changed
//! parameter gives another unseal key, which does not open it.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use ring::rand::SecureRandom;
use serde::{Deserialize, Serialize};
use vault_model::{SecretBytes, Timestamp};
use zeroize::Zeroize;

use super::passphrase::{PASSPHRASE_BYTES_MAX, PassphraseError, check_passphrase, trimmed};
use crate::crypto::envelope::{
    self, Aad, EnvelopeError, KEK_BYTES, Kek, hkdf_sha256, random_secret,
};
use crate::storage::hex::{Hex, HexBytes};

/// The version of the first root key, and of the unseal keys, which have no others.
pub const FIRST_VERSION: u32 = 1;

/// Why a slot was not made or not opened.
#[derive(Debug, thiserror::Error)]
pub enum SlotError {
    /// The envelope could not be made, or is not one.
    #[error("slot envelope is unusable")]
    Envelope(#[source] EnvelopeError),
    /// A key file that holds neither 32 bytes nor 64 hex digits.
    #[error("a key file holds 32 bytes, or the same as 64 hex digits")]
    KeyFile,
    /// A passphrase for a key file slot, or the other way round.
    #[error("slot is of another kind")]
    Kind,
    /// Argon2 did not get its memory.
    #[error("not enough memory to derive the unseal key")]
    Memory,
    /// Argon2 parameters outside the limits.
    #[error("key derivation parameters are outside the limits")]
    Params,
    /// The new passphrase may not guard a vault.
    #[error("passphrase is refused")]
    Passphrase(#[from] PassphraseError),
    /// The passphrase or key does not open this slot.
    #[error("wrong passphrase or key")]
    Wrong,
}

impl From<EnvelopeError> for SlotError {
    fn from(error: EnvelopeError) -> Self {
        Self::Envelope(error)
    }
}

/// The root key: wraps the keyring, and lies in every slot. Random, 32 bytes.
#[derive(Debug)]
pub struct RootKey(Kek);

impl RootKey {
    /// Makes a new root key.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError::Random`].
    pub fn generate(rng: &dyn SecureRandom) -> Result<Self, EnvelopeError> {
        Kek::generate(FIRST_VERSION, rng).map(Self)
    }

    pub(super) fn kek(&self) -> &Kek {
        &self.0
    }
}

/// Cost of Argon2id (version 0x13, 32 bytes out).
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Argon2Params {
    /// Memory in KiB.
    pub m_kib: u32,
    /// Lanes.
    pub p: u32,
    /// Passes.
    pub t: u32,
}

impl Argon2Params {
    /// 512 MiB, 3 passes, 4 lanes: about two seconds.
    pub const DEFAULT: Self = Self { m_kib: 512 * 1_024, p: 4, t: 3 };
    /// The least outside development: RFC 9106's second choice, 64 MiB, 3 passes, 4 lanes.
    pub const FLOOR: Self = Self { m_kib: 64 * 1_024, p: 4, t: 3 };
    /// 1 MiB, one pass, one lane: for tests and demonstrations. Guards nothing.
    pub const LIGHT: Self = Self { m_kib: 1_024, p: 1, t: 1 };

    /// Whether these are weaker than outside development they may be.
    pub fn is_light(self) -> bool {
        self.m_kib < Self::FLOOR.m_kib || self.t < Self::FLOOR.t
    }

    /// An edited slot must not make the vault ask for all memory, or compute for a day.
    fn checked(self) -> Result<Params, SlotError> {
        if self.m_kib > 4 * 1_024 * 1_024 || self.t > 64 || self.p > 64 {
            return Err(SlotError::Params);
        }
        Params::new(self.m_kib, self.t, self.p, Some(KEK_BYTES)).map_err(|_| SlotError::Params)
    }
}

/// How a slot's unseal key is made.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case", tag = "kind")]
pub enum Kdf {
    /// HKDF-SHA256 of 32 random bytes that lie in a file or a systemd credential.
    KeyFile {
        /// HKDF salt.
        salt: Hex<32>,
    },
    /// Argon2id of a passphrase.
    Passphrase {
        /// Cost.
        argon2: Argon2Params,
        /// Argon2 salt.
        salt: Hex<32>,
    },
}

impl Kdf {
    /// The word in the AAD's `alg`, and for people.
    pub fn alg(&self) -> &'static str {
        match self {
            Self::KeyFile { .. } => "hkdf-sha256",
            Self::Passphrase { .. } => "argon2id",
        }
    }
}

/// What somebody brings to open a slot.
#[derive(Debug)]
pub enum UnsealInput {
    /// The content of a key file: 32 bytes, or 64 hex digits with or without a line feed.
    KeyFile(SecretBytes),
    /// A passphrase; white space at its ends does not count.
    Passphrase(SecretBytes),
}

/// One slot as it is stored.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SlotRecord {
    /// When it was made.
    pub created_at: Timestamp,
    /// Number of the slot.
    pub id: u32,
    /// How its unseal key is made.
    pub kdf: Kdf,
    /// Version of the root key inside.
    pub root_key_version: u32,
    /// VE1 of the root key under the unseal key.
    pub wrapped: HexBytes,
}

impl SlotRecord {
    /// Makes a slot that a passphrase opens.
    ///
    /// `params` below [`Argon2Params::FLOOR`] are taken only with `light_allowed`, which the caller
    /// grants in development alone.
    ///
    /// # Errors
    ///
    /// [`SlotError::Passphrase`] for a weak one, [`SlotError::Params`], [`SlotError::Memory`].
    pub fn with_passphrase(
        place: SlotPlace<'_>,
        root_key: &RootKey,
        passphrase: &SecretBytes,
        params: Argon2Params,
        light_allowed: bool,
        rng: &dyn SecureRandom,
    ) -> Result<Self, SlotError> {
        check_passphrase(passphrase)?;
        if params.is_light() && !light_allowed {
            return Err(SlotError::Params);
        }
        let kdf = Kdf::Passphrase { argon2: params, salt: random_salt(rng)? };
        let unseal_key = unseal_key(&kdf, passphrase)?;
        Self::wrap(place, root_key, kdf, &unseal_key, rng)
    }

    /// Makes a slot that a key file (32 bytes, or 64 hex digits) opens.
    ///
    /// # Errors
    ///
    /// [`SlotError::KeyFile`].
    pub fn with_key_file(
        place: SlotPlace<'_>,
        root_key: &RootKey,
        content: &SecretBytes,
        rng: &dyn SecureRandom,
    ) -> Result<Self, SlotError> {
        let kdf = Kdf::KeyFile { salt: random_salt(rng)? };
        let unseal_key = unseal_key(&kdf, content)?;
        Self::wrap(place, root_key, kdf, &unseal_key, rng)
    }

    /// Opens the slot. A passphrase takes as long as its parameters say (seconds) and their memory.
    ///
    /// # Errors
    ///
    /// [`SlotError::Wrong`] for the wrong passphrase or key, and for a slot that was changed: the
    /// two cannot be told apart.
    pub fn open(&self, instance_id: &str, input: &UnsealInput) -> Result<RootKey, SlotError> {
        let secret = match (&self.kdf, input) {
            (Kdf::KeyFile { .. }, UnsealInput::KeyFile(secret))
            | (Kdf::Passphrase { .. }, UnsealInput::Passphrase(secret)) => secret,
            _ => return Err(SlotError::Kind),
        };
        let unseal_key = unseal_key(&self.kdf, secret)?;
        let row = self.id.to_string();
        let root_key = envelope::open(&unseal_key, &self.aad(instance_id, &row), &self.wrapped.0)
            .map_err(|error| match error {
            EnvelopeError::Commitment | EnvelopeError::Forged => SlotError::Wrong,
            other => SlotError::Envelope(other),
        })?;
        Ok(RootKey(Kek::new(root_key, self.root_key_version)?))
    }

    /// Whether its parameters are for development only.
    pub fn is_light(&self) -> bool {
        matches!(&self.kdf, Kdf::Passphrase { argon2, .. } if argon2.is_light())
    }

    fn wrap(
        place: SlotPlace<'_>,
        root_key: &RootKey,
        kdf: Kdf,
        unseal_key: &Kek,
        rng: &dyn SecureRandom,
    ) -> Result<Self, SlotError> {
        let mut slot = Self {
            created_at: place.created_at,
            id: place.id,
            kdf,
            root_key_version: root_key.kek().version(),
            wrapped: HexBytes(Vec::new()),
        };
        let row = slot.id.to_string();
        slot.wrapped = HexBytes(envelope::seal(
            unseal_key,
            &slot.aad(place.instance_id, &row),
            root_key.kek().secret().expose_secret(),
            rng,
        )?);
        Ok(slot)
    }

    fn aad<'a>(&self, instance_id: &'a str, row: &'a str) -> Aad<'a> {
        Aad {
            instance_id,
            table: "slot",
            row,
            version: self.root_key_version,
            venue: "",
            alg: self.kdf.alg(),
            usage: "root_key",
            created_at: self.created_at,
        }
    }
}

/// Where and when a new slot stands.
#[derive(Clone, Copy, Debug)]
pub struct SlotPlace<'a> {
    /// Id of the vault, 32 lower-case hex digits.
    pub instance_id: &'a str,
    /// Number of the slot.
    pub id: u32,
    /// Now.
    pub created_at: Timestamp,
}

/// Makes the content of a new key file: 32 random bytes as 64 hex digits and a line feed.
///
/// # Errors
///
/// [`EnvelopeError::Random`].
pub fn generate_key_file(rng: &dyn SecureRandom) -> Result<SecretBytes, EnvelopeError> {
    let key = random_secret(KEK_BYTES, rng)?;
    SecretBytes::build(2 * KEK_BYTES + 1, |content| {
        content[2 * KEK_BYTES] = b'\n';
        hex::encode_to_slice(key.expose_secret(), &mut content[..2 * KEK_BYTES])
            .map_err(|_| EnvelopeError::KeyLength)?;
        Ok(content.len())
    })
}

fn unseal_key(kdf: &Kdf, secret: &SecretBytes) -> Result<Kek, SlotError> {
    let derived = SecretBytes::build(KEK_BYTES, |derived| {
        match kdf {
            Kdf::KeyFile { salt } => {
                let content = key_file_bytes(secret)?;
                hkdf_sha256(content.expose_secret(), &salt.0, &[KEY_FILE_INFO], derived)
                    .ok_or(SlotError::KeyFile)?;
            }
            Kdf::Passphrase { argon2, salt } => {
                let passphrase = trimmed(secret);
                if passphrase.len() > PASSPHRASE_BYTES_MAX {
                    return Err(SlotError::Wrong);
                }
                argon2id(*argon2, passphrase, &salt.0, derived)?;
            }
        }
        Ok(KEK_BYTES)
    })?;
    Ok(Kek::new(derived, FIRST_VERSION)?)
}

fn argon2id(
    params: Argon2Params,
    passphrase: &[u8],
    salt: &[u8],
    out: &mut [u8],
) -> Result<(), SlotError> {
    let params = params.checked()?;
    let mut memory: Vec<Block> = Vec::new();
    memory.try_reserve_exact(params.block_count()).map_err(|_| SlotError::Memory)?;
    memory.resize(params.block_count(), Block::default());

    let hashed = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(passphrase, salt, out, &mut memory);
    for block in &mut memory {
        block.zeroize();
    }
    hashed.map_err(|_| SlotError::Params)
}

fn key_file_bytes(content: &SecretBytes) -> Result<SecretBytes, SlotError> {
    let bytes = content.expose_secret();
    if bytes.len() == KEK_BYTES {
        return Ok(SecretBytes::copy_of(bytes));
    }
    SecretBytes::build(KEK_BYTES, |decoded| {
        hex::decode_to_slice(bytes.trim_ascii(), decoded).map_err(|_| SlotError::KeyFile)?;
        Ok(KEK_BYTES)
    })
}

fn random_salt(rng: &dyn SecureRandom) -> Result<Hex<32>, EnvelopeError> {
    let mut salt = [0; 32];
    rng.fill(&mut salt).map_err(|_| EnvelopeError::Random)?;
    Ok(Hex(salt))
}

const KEY_FILE_INFO: &[u8] = b"countersign-slot-key-file-v1";

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use serde::Deserialize;
    use vault_model::{SecretBytes, Timestamp};

    use super::{
        Argon2Params, Kdf, RootKey, SlotError, SlotPlace, SlotRecord, UnsealInput,
        generate_key_file,
    };
    use crate::seal::passphrase::PassphraseError;

    const INSTANCE: &str = "00112233445566778899aabbccddeeff";
    const PLACE: SlotPlace<'_> =
        SlotPlace { instance_id: INSTANCE, id: 1, created_at: Timestamp(1_760_000_000_000_000) };
    const GOOD: &str = "orbit velvet cactus plum raven tulip mango frost";

    fn secret(text: &str) -> SecretBytes {
        SecretBytes::new(text.as_bytes().to_vec())
    }

    fn passphrase(text: &str) -> UnsealInput {
        UnsealInput::Passphrase(secret(text))
    }

    fn light_slot(root_key: &RootKey) -> SlotRecord {
        let (params, rng) = (Argon2Params::LIGHT, SystemRandom::new());
        SlotRecord::with_passphrase(PLACE, root_key, &secret(GOOD), params, true, &rng)
            .expect("a slot")
    }

    #[test]
    fn a_passphrase_opens_its_slot_and_no_other_does() {
        let root_key = RootKey::generate(&SystemRandom::new()).expect("random numbers");
        let slot = light_slot(&root_key);

        for text in [GOOD, &format!("{GOOD}\n")] {
            let opened = slot.open(INSTANCE, &passphrase(text)).expect("opens");
            assert!(opened.kek().secret().ct_eq(root_key.kek().secret()));
        }
        for text in ["", "wrong", &GOOD.to_uppercase(), &"x".repeat(5_000)] {
            assert!(matches!(slot.open(INSTANCE, &passphrase(text)), Err(SlotError::Wrong)));
        }
        assert!(matches!(
            slot.open(INSTANCE, &UnsealInput::KeyFile(secret(GOOD))),
            Err(SlotError::Kind)
        ));
    }

    #[test]
    fn a_changed_or_moved_slot_does_not_open() {
        let root_key = RootKey::generate(&SystemRandom::new()).expect("random numbers");
        let slot = light_slot(&root_key);
        let changes: [fn(&mut SlotRecord); 5] = [
            |s| s.id = 2,
            |s| s.created_at = Timestamp(0),
            |s| s.root_key_version = 2,
            |s| s.wrapped.0[80] ^= 1,
            |s| {
                if let Kdf::Passphrase { argon2, .. } = &mut s.kdf {
                    argon2.t = 2;
                }
            },
        ];

        for change in changes {
            let mut changed = slot.clone();
            change(&mut changed);
            assert!(matches!(changed.open(INSTANCE, &passphrase(GOOD)), Err(SlotError::Wrong)));
        }
        assert!(matches!(slot.open("ff", &passphrase(GOOD)), Err(SlotError::Wrong)));
    }

    #[test]
    fn absurd_parameters_are_refused_before_any_work() {
        let root_key = RootKey::generate(&SystemRandom::new()).expect("random numbers");
        let slot = light_slot(&root_key);

        for params in [
            Argon2Params { m_kib: u32::MAX, ..Argon2Params::LIGHT },
            Argon2Params { t: 65, ..Argon2Params::LIGHT },
            Argon2Params { t: 0, ..Argon2Params::LIGHT },
            Argon2Params { p: 65, ..Argon2Params::LIGHT },
            Argon2Params { m_kib: 0, ..Argon2Params::LIGHT },
        ] {
            let mut changed = slot.clone();
            if let Kdf::Passphrase { argon2, .. } = &mut changed.kdf {
                *argon2 = params;
            }
            assert!(matches!(changed.open(INSTANCE, &passphrase(GOOD)), Err(SlotError::Params)));
        }
    }

    #[test]
    fn light_parameters_and_weak_passphrases_make_no_slot() {
        let rng = SystemRandom::new();
        let root_key = RootKey::generate(&rng).expect("random numbers");
        let make = |text: &str, params, light_allowed| {
            SlotRecord::with_passphrase(
                PLACE,
                &root_key,
                &secret(text),
                params,
                light_allowed,
                &rng,
            )
        };

        assert!(matches!(make(GOOD, Argon2Params::LIGHT, false), Err(SlotError::Params)));
        assert!(matches!(
            make("hunter2", Argon2Params::LIGHT, true),
            Err(SlotError::Passphrase(PassphraseError::TooWeak))
        ));
        let floor = make(GOOD, Argon2Params::FLOOR, false).expect("the floor itself");
        assert!(!floor.is_light());
        assert!(light_slot(&root_key).is_light());
        assert!(!Argon2Params::DEFAULT.is_light());
    }

    #[test]
    fn a_key_file_opens_its_slot_raw_or_in_hex() {
        let rng = SystemRandom::new();
        let root_key = RootKey::generate(&rng).expect("random numbers");
        let content = generate_key_file(&rng).expect("random numbers");
        let slot = SlotRecord::with_key_file(PLACE, &root_key, &content, &rng).expect("a slot");
        let raw = hex::decode(content.expose_secret().trim_ascii()).expect("hex");

        for bytes in [raw.clone(), content.expose_secret().to_vec()] {
            let input = UnsealInput::KeyFile(SecretBytes::new(bytes));
            let opened = slot.open(INSTANCE, &input).expect("opens");
            assert!(opened.kek().secret().ct_eq(root_key.kek().secret()));
        }
        let mut other = raw.clone();
        other[31] ^= 1;
        let input = UnsealInput::KeyFile(SecretBytes::new(other));
        assert!(matches!(slot.open(INSTANCE, &input), Err(SlotError::Wrong)));
        for bytes in [&b""[..], &raw[..31], b"not hex"] {
            let input = UnsealInput::KeyFile(SecretBytes::new(bytes.to_vec()));
            assert!(matches!(slot.open(INSTANCE, &input), Err(SlotError::KeyFile)));
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let root_key = RootKey::generate(&SystemRandom::new()).expect("random numbers");
        let shown = format!("{root_key:?} {:?} {:?}", light_slot(&root_key), passphrase(GOOD));

        assert!(!shown.contains("orbit"));
        assert!(!shown.contains(&hex::encode(root_key.kek().secret().expose_secret())));
        assert_eq!(shown.matches("redacted").count(), 2);
    }

    #[derive(Deserialize)]
    struct Golden {
        instance_id: String,
        root_key: String,
        slots: Vec<GoldenSlot>,
    }

    #[derive(Deserialize)]
    struct GoldenSlot {
        doc: String,
        input: String,
    }

    #[test]
    fn golden_slots_open() {
        let golden: Golden = serde_json::from_str(include_str!(
            "../../../../tests/vectors/golden/envelope/slot.json"
        ))
        .expect("golden file");

        assert_eq!(golden.slots.len(), 2);
        for GoldenSlot { doc, input } in &golden.slots {
            let slot: SlotRecord = serde_json::from_str(doc).expect("a slot document");
            assert_eq!(&serde_jcs::to_string(&slot).expect("canonical"), doc);
            let input = SecretBytes::new(hex::decode(input).expect("hex"));
            let input = match &slot.kdf {
                Kdf::KeyFile { .. } => UnsealInput::KeyFile(input),
                Kdf::Passphrase { .. } => UnsealInput::Passphrase(input),
            };
            let root_key = slot.open(&golden.instance_id, &input).expect("opens");
            assert_eq!(hex::encode(root_key.kek().secret().expose_secret()), golden.root_key);
        }
    }

    #[test]
    fn unknown_fields_and_kinds_are_refused() {
        let root_key = RootKey::generate(&SystemRandom::new()).expect("random numbers");
        let doc = serde_jcs::to_string(&light_slot(&root_key)).expect("canonical");

        assert!(serde_json::from_str::<SlotRecord>(&doc).is_ok());
        for (from, to) in [
            ("\"id\":1", "\"id\":1,\"extra\":1"),
            ("\"kind\":\"passphrase\"", "\"kind\":\"none\""),
            ("\"p\":1", "\"p\":1,\"extra\":1"),
            ("\"id\":1", "\"id\":-1"),
        ] {
            let changed = doc.replace(from, to);
            assert_ne!(changed, doc);
            assert!(serde_json::from_str::<SlotRecord>(&changed).is_err(), "{changed}");
        }
    }
}
