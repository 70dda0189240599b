//! Public keys that customers upload, and what verifies with them. All of it by `ring`, none by
//! the vault's own crypto.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};

/// A public key from a PEM file of type `PUBLIC KEY` (SubjectPublicKeyInfo).
pub(crate) struct PublicKey {
    pub(crate) algorithm: Algorithm,
    /// What `ring` takes: 32 bytes, an uncompressed point, or a DER `RSAPublicKey`.
    raw: Vec<u8>,
}

/// How a key signs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Algorithm {
    Ed25519,
    /// ECDSA over P-256 with SHA-256; the signature is r and s, 32 bytes each.
    P256,
    /// PKCS#1 v1.5 with SHA-256, 2048 to 8192 bits.
    Rsa,
}

// AlgorithmIdentifier, DER: the content of the inner sequence.
const ED25519: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];
const P256: &[u8] = &[
    0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, // id-ecPublicKey
    0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, // prime256v1
];
const RSA: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;

impl PublicKey {
    /// Whether the text claims to be PEM of any kind.
    pub(crate) fn is_pem(text: &str) -> bool {
        text.trim_start().starts_with("-----BEGIN")
    }

    /// Reads one PEM block of type `PUBLIC KEY`. `None` for anything else: a venue never sees a
    /// private key.
    pub(crate) fn parse(pem: &str) -> Option<Self> {
        let body = pem.trim().strip_prefix("-----BEGIN PUBLIC KEY-----")?;
        let body = body.strip_suffix("-----END PUBLIC KEY-----")?;
        let text: String = body.split_whitespace().collect();
        let der = STANDARD.decode(text).ok()?;

        let (key, rest) = element(&der, SEQUENCE)?;
        let (identifier, key) = element(key, SEQUENCE)?;
        let (bits, after) = element(key, BIT_STRING)?;
        let (&unused, raw) = bits.split_first()?;
        if !rest.is_empty() || !after.is_empty() || unused != 0 {
            return None;
        }
        let algorithm = match identifier {
            ED25519 if raw.len() == 32 => Algorithm::Ed25519,
            P256 if raw.len() == 65 && raw[0] == 4 => Algorithm::P256,
            RSA => Algorithm::Rsa,
            _ => return None,
        };
        Some(Self { algorithm, raw: raw.to_vec() })
    }

    /// Whether the signature is this key's over the message.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let algorithm: &dyn VerificationAlgorithm = match self.algorithm {
            Algorithm::Ed25519 => &signature::ED25519,
            Algorithm::P256 => &signature::ECDSA_P256_SHA256_FIXED,
            Algorithm::Rsa => &signature::RSA_PKCS1_2048_8192_SHA256,
        };
        UnparsedPublicKey::new(algorithm, &self.raw).verify(message, signature).is_ok()
    }
}

/// The content of a DER element with this tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
        0x82 => (usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?])), rest.get(2..)?),
        _ => return None,
    };
    let content = rest.get(..length)?;
    (found == tag).then_some((content, &rest[length..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Source: the key pair of the vectors `binance-ed25519-rest-*`.
    const PEM: &str = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEAi2tEZlgyv3G6BTunniRao8b6Eb8tneD/de7fN2e0R8k=\n\
        -----END PUBLIC KEY-----\n";

    #[test]
    fn reads_a_public_key_and_nothing_else() {
        let key = PublicKey::parse(PEM).expect("public key");
        assert_eq!(key.algorithm, Algorithm::Ed25519);
        assert!(!key.verifies(b"", &[0; 64]));
        for damaged in [
            PEM.replace("PUBLIC", "PRIVATE"),
            PEM.replace("MCow", "MCsw"),
            PEM.replace("BQYDK2Vw", "BQYDK2Vu"),
            PEM.replace("R8k=", "R8kA"),
            PEM.replace("-----END PUBLIC KEY-----", ""),
            String::new(),
        ] {
            assert!(PublicKey::parse(&damaged).is_none(), "{damaged}");
        }
    }
}
