//! Keys of venues: their types, and private keys out of the text that an owner has.
//!
//! A private key comes as PEM (PKCS#8, PKCS#1 or SEC 1, in clear), or, at Coinbase, as base64 of an
//! Ed25519 seed and its public half. What is decoded on the way is wiped. The parsed key lies on the
//! heap of aws-lc, which wipes all that it frees, for as long as whoever asked for it keeps it. RSA,
//! Ed25519 and ECDSA are those of aws-lc-rs: its signatures take time that does not depend on the key,
//! which a pure Rust RSA does not promise (RUSTSEC-2023-0071).

mod der;
mod pem;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use vault_model::SecretBytes;

use crate::error::VenueError;
use der::Algorithm;
use pem::Label;

/// What kind of key a venue issued or was given.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum KeyType {
    /// ECDSA with P-256 and SHA-256; signatures are `r` and `s`, 32 bytes each.
    Es256,
    /// Ed25519.
    Ed25519,
    /// A shared secret, used as the text that it is or decoded, as the venue says.
    Hmac,
    /// A shared secret of a scheme that the venue has left behind (Coinbase `CB-ACCESS-*`).
    LegacyHmac,
    /// RSA of 2,048 to 4,096 bits; PKCS#1 v1.5 with SHA-256.
    Rsa,
}

impl KeyType {
    /// Every type.
    pub const ALL: &[Self] = &[Self::Es256, Self::Ed25519, Self::Hmac, Self::LegacyHmac, Self::Rsa];

    /// The word for it, in catalogues and in commands.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "es256",
            Self::Ed25519 => "ed25519",
            Self::Hmac => "hmac",
            Self::LegacyHmac => "legacy-hmac",
            Self::Rsa => "rsa",
        }
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for KeyType {
    type Err = VenueError;

    fn from_str(word: &str) -> Result<Self, VenueError> {
        let known = Self::ALL.iter().copied().find(|key_type| key_type.as_str() == word);
        known.ok_or(VenueError::KeyTypeUnknown)
    }
}

/// The fewest bits of an RSA key.
const RSA_BITS_MIN: usize = 2048;

/// The most bits of an RSA key: above it one signature takes longer than a batch should.
const RSA_BITS_MAX: usize = 4096;

/// A private key, parsed: it signs as often as anybody likes, on any thread. Wiped on drop, by the
/// library that keeps it.
pub struct PrivateKey(Pair);

enum Pair {
    Es256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.key_type())
    }
}

impl PrivateKey {
    /// Whether a secret is meant to be PEM. Every other text is a shared secret or a raw key.
    pub(crate) fn is_pem(secret: &SecretBytes) -> bool {
        pem::is_pem(secret.expose_secret())
    }

    /// Parses PEM.
    ///
    /// # Errors
    ///
    /// [`VenueError::PemForm`], [`VenueError::NotPrivateKey`],
    /// [`VenueError::PrivateKeyEncrypted`], [`VenueError::PrivateKeyAlgorithm`],
    /// [`VenueError::PrivateKeyBroken`], [`VenueError::RsaKeySize`].
    pub(crate) fn from_pem(secret: &SecretBytes) -> Result<Self, VenueError> {
        let (label, der) = pem::decode(secret.expose_secret())?;
        let der = der.expose_secret();
        if !der::is_one_sequence(der) {
            return Err(VenueError::PrivateKeyBroken);
        }
        let algorithm = match label {
            Label::Pkcs1 => Algorithm::Rsa,
            Label::Pkcs8 => der::pkcs8_algorithm(der).ok_or(VenueError::PrivateKeyBroken)?,
            Label::Sec1 => der::sec1_algorithm(der).ok_or(VenueError::PrivateKeyBroken)?,
        };
        let pair = match algorithm {
            Algorithm::Ed25519 => {
                Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map(Pair::Ed25519)
            }
            Algorithm::Other => return Err(VenueError::PrivateKeyAlgorithm),
            Algorithm::P256 => {
                EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der)
                    .map(Pair::Es256)
            }
            Algorithm::Rsa => return rsa(label, der).map(|pair| Self(Pair::Rsa(pair))),
        };
        pair.map(Self).map_err(|_| VenueError::PrivateKeyBroken)
    }

    /// Parses base64 of an Ed25519 seed (32 bytes) and its public half (32 bytes); `None` for any
    /// other text.
    ///
    /// # Errors
    ///
    /// [`VenueError::PrivateKeyBroken`] if the public half does not belong to the seed.
    pub(crate) fn from_seed_and_public(secret: &SecretBytes) -> Result<Option<Self>, VenueError> {
        let text = secret.expose_secret().trim_ascii();
        if text.len() != SEED_AND_PUBLIC_TEXT_BYTES {
            return Ok(None);
        }
        let decoded = SecretBytes::build(SEED_AND_PUBLIC_TEXT_BYTES / 4 * 3, |bytes| {
            STANDARD.decode_slice(text, bytes)
        });
        let Some((seed, public)) = decoded
            .as_ref()
            .ok()
            .and_then(|bytes| bytes.expose_secret().split_at_checked(HALF_BYTES))
        else {
            return Ok(None);
        };
        if public.len() != HALF_BYTES {
            return Ok(None);
        }
        Ed25519KeyPair::from_seed_and_public_key(seed, public)
            .map(|pair| Some(Self(Pair::Ed25519(pair))))
            .map_err(|_| VenueError::PrivateKeyBroken)
    }

    /// Its type.
    pub fn key_type(&self) -> KeyType {
        match self.0 {
            Pair::Es256(_) => KeyType::Es256,
            Pair::Ed25519(_) => KeyType::Ed25519,
            Pair::Rsa(_) => KeyType::Rsa,
        }
    }

    /// Whether it is of a type.
    ///
    /// # Errors
    ///
    /// [`VenueError::KeyTypeWrong`].
    pub(crate) fn check_type(&self, key_type: KeyType) -> Result<(), VenueError> {
        if self.key_type() == key_type { Ok(()) } else { Err(VenueError::KeyTypeWrong) }
    }

    /// Signs: PKCS#1 v1.5 with SHA-256, Ed25519, or `r` and `s` of ECDSA. The last takes a fresh
    /// random number, so that the same text has another signature each time.
    ///
    /// # Errors
    ///
    /// [`VenueError::Signing`] if the arithmetic or the system's randomness failed.
    pub fn sign(&self, text: &[u8]) -> Result<Vec<u8>, VenueError> {
        let random = SystemRandom::new();
        match &self.0 {
            Pair::Es256(pair) => pair.sign(&random, text).map(|signed| signed.as_ref().to_vec()),
            Pair::Ed25519(pair) => pair.try_sign(text).map(|signed| signed.as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, text, &mut signature).map(|()| signature)
            }
        }
        .map_err(|_| VenueError::Signing)
    }
}

/// Half of what Coinbase calls an Ed25519 secret.
const HALF_BYTES: usize = 32;

/// Base64 of 64 bytes, padded.
const SEED_AND_PUBLIC_TEXT_BYTES: usize = 88;

fn rsa(label: Label, der: &[u8]) -> Result<RsaKeyPair, VenueError> {
    // Asked first, since aws-lc-rs has limits of its own and would call a short key broken.
    let bits = match label {
        Label::Pkcs8 => der::pkcs8_rsa_bits(der),
        Label::Pkcs1 | Label::Sec1 => der::pkcs1_rsa_bits(der),
    };
    let bits = bits.ok_or(VenueError::PrivateKeyBroken)?;
    if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) {
        return Err(VenueError::RsaKeySize);
    }
    let pair = match label {
        Label::Pkcs8 => RsaKeyPair::from_pkcs8(der),
        Label::Pkcs1 | Label::Sec1 => RsaKeyPair::from_der(der),
    };
    pair.map_err(|_| VenueError::PrivateKeyBroken)
}
