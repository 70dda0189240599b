//! Secrets sealed to the core, so that nothing between the person and the core can read them.
//!
//! HPKE (RFC 9180) base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.
//! `info = "countersign sealed v1\0" | instance id 16`, `aad = purpose length u8 | purpose |
//! ticket id 16 | SHA-256(metadata)`. A sealed secret is `encapsulated key 32 | ciphertext | tag 16`.

use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::v1::SealTicket;

/// Purpose of a ticket for an unseal passphrase.
pub const UNSEAL: &str = "unseal";
/// Purpose of a ticket for a credential.
pub const IMPORT: &str = "import";

/// Why a secret could not be sealed or opened. Says nothing of the secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SealedError {
    /// The ticket is not signed by the pinned core, or a part of it has the wrong length.
    #[error("the ticket is not from the core that was pinned")]
    Ticket,
    /// The sealed bytes do not open with this key, ticket and metadata.
    #[error("the sealed secret does not open")]
    Open,
}

/// What the core identity signs: `"countersign ticket v1\0" | instance id 16 | purpose length u8 |
/// purpose | ticket id 16 | public key 32 | i64 BE expires_at_ms`.
pub fn ticket_signing_bytes(ticket: &SealTicket) -> Vec<u8> {
    let mut bytes = b"countersign ticket v1\0".to_vec();
    bytes.extend_from_slice(&ticket.instance_id);
    bytes.push(u8::try_from(ticket.purpose.len()).unwrap_or(u8::MAX));
    bytes.extend_from_slice(ticket.purpose.as_bytes());
    bytes.extend_from_slice(&ticket.id);
    bytes.extend_from_slice(&ticket.public_key);
    bytes.extend_from_slice(&ticket.expires_at_ms.to_be_bytes());
    bytes
}

/// Checks that a ticket comes from the core whose key has the pinned fingerprint (SHA-256 of the
/// 32-byte public key) and is for `purpose`.
///
/// # Errors
///
/// [`SealedError::Ticket`].
pub fn verify_ticket(
    ticket: &SealTicket,
    purpose: &str,
    core_fingerprint: &[u8; 32],
) -> Result<(), SealedError> {
    let lengths_fit = ticket.id.len() == 16
        && ticket.public_key.len() == 32
        && ticket.core_public_key.len() == 32
        && ticket.instance_id.len() == 16;
    let pinned = Sha256::digest(&ticket.core_public_key).as_slice() == core_fingerprint;
    if !lengths_fit || !pinned || ticket.purpose != purpose {
        return Err(SealedError::Ticket);
    }
    ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, &ticket.core_public_key)
        .verify(&ticket_signing_bytes(ticket), &ticket.signature)
        .map_err(|_| SealedError::Ticket)
}

/// Seals a secret to a ticket. `metadata` is authenticated with it, byte for byte.
///
/// # Errors
///
/// [`SealedError::Ticket`] if the ticket's key is no point of the curve.
pub fn seal(ticket: &SealTicket, metadata: &[u8], secret: &[u8]) -> Result<Vec<u8>, SealedError> {
    let public_key = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(&ticket.public_key)
        .map_err(|_| SealedError::Ticket)?;
    let (encapsulated, ciphertext) =
        hpke::single_shot_seal::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
            &OpModeS::Base,
            &public_key,
            &info(&ticket.instance_id),
            secret,
            &aad(&ticket.purpose, &ticket.id, metadata),
        )
        .map_err(|_| SealedError::Ticket)?;
    Ok([encapsulated.to_bytes().as_slice(), &ciphertext].concat())
}

/// The core's half of one ticket: opens what was sealed to it.
pub struct TicketKey {
    private_key: <X25519HkdfSha256 as Kem>::PrivateKey,
    public_key: [u8; 32],
}

impl TicketKey {
    /// Makes a new key pair from the system's randomness.
    pub fn generate() -> Self {
        let (private_key, public_key) = X25519HkdfSha256::gen_keypair();
        Self { private_key, public_key: public_key.to_bytes().into() }
    }

    /// The public key that goes into the ticket.
    pub fn public_key(&self) -> [u8; 32] {
        self.public_key
    }

    /// Opens a sealed secret.
    ///
    /// # Errors
    ///
    /// [`SealedError::Open`] if any byte of the secret, the metadata or the ticket differs.
    pub fn open(
        &self,
        ticket: &SealTicket,
        metadata: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, SealedError> {
        let (encapsulated, ciphertext) = sealed.split_at_checked(32).ok_or(SealedError::Open)?;
        let encapsulated = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(encapsulated)
            .map_err(|_| SealedError::Open)?;
        hpke::single_shot_open::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &self.private_key,
            &encapsulated,
            &info(&ticket.instance_id),
            ciphertext,
            &aad(&ticket.purpose, &ticket.id, metadata),
        )
        .map(Zeroizing::new)
        .map_err(|_| SealedError::Open)
    }
}

fn info(instance_id: &[u8]) -> Vec<u8> {
    [b"countersign sealed v1\0".as_slice(), instance_id].concat()
}

fn aad(purpose: &str, ticket_id: &[u8], metadata: &[u8]) -> Vec<u8> {
    let mut bytes = vec![u8::try_from(purpose.len()).unwrap_or(u8::MAX)];
    bytes.extend_from_slice(purpose.as_bytes());
    bytes.extend_from_slice(ticket_id);
    bytes.extend_from_slice(&Sha256::digest(metadata));
    bytes
}

#[cfg(test)]
mod tests {
    use ring::signature::{Ed25519KeyPair, KeyPair};
    use sha2::{Digest, Sha256};

    use super::{
        IMPORT, SealedError, TicketKey, UNSEAL, seal, ticket_signing_bytes, verify_ticket,
    };
    use crate::v1::SealTicket;

    fn ticket(key: &TicketKey) -> (SealTicket, [u8; 32]) {
        let identity = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("32 bytes");
        let mut ticket = SealTicket {
            id: vec![1; 16],
            purpose: IMPORT.to_owned(),
            public_key: key.public_key().to_vec(),
            expires_at_ms: 5,
            signature: Vec::new(),
            core_public_key: identity.public_key().as_ref().to_vec(),
            instance_id: vec![2; 16],
        };
        ticket.signature = identity.sign(&ticket_signing_bytes(&ticket)).as_ref().to_vec();
        let fingerprint = Sha256::digest(&ticket.core_public_key).into();
        (ticket, fingerprint)
    }

    #[test]
    fn opens_what_was_sealed_to_the_ticket() {
        let key = TicketKey::generate();
        let (ticket, fingerprint) = ticket(&key);

        verify_ticket(&ticket, IMPORT, &fingerprint).expect("a true ticket");
        let sealed = seal(&ticket, b"metadata", b"canary").expect("sealed");
        let opened = key.open(&ticket, b"metadata", &sealed).expect("opened");
        assert_eq!(opened.as_slice(), b"canary");
    }

    #[test]
    fn does_not_open_under_other_metadata_ticket_or_bytes() {
        let key = TicketKey::generate();
        let (mut ticket, _) = ticket(&key);
        let sealed = seal(&ticket, b"metadata", b"canary").expect("sealed");

        assert_eq!(key.open(&ticket, b"metadatb", &sealed), Err(SealedError::Open));
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert_eq!(key.open(&ticket, b"metadata", &damaged), Err(SealedError::Open), "{at}");
            assert_eq!(key.open(&ticket, b"metadata", &sealed[..at]), Err(SealedError::Open));
        }
        ticket.id[0] ^= 1;
        assert_eq!(key.open(&ticket, b"metadata", &sealed), Err(SealedError::Open));
    }

    #[test]
    fn refuses_tickets_of_another_core_or_purpose() {
        let key = TicketKey::generate();
        let (ticket, fingerprint) = ticket(&key);

        assert_eq!(verify_ticket(&ticket, UNSEAL, &fingerprint), Err(SealedError::Ticket));
        assert_eq!(verify_ticket(&ticket, IMPORT, &[0; 32]), Err(SealedError::Ticket));
        let mut forged = ticket.clone();
        forged.public_key[0] ^= 1;
        assert_eq!(verify_ticket(&forged, IMPORT, &fingerprint), Err(SealedError::Ticket));
    }
}
