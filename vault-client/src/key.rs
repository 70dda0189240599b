//! The private key of an identity.

use std::path::Path;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rcgen::PublicKeyData as _;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use vault_model::SecretBytes;
use zeroize::Zeroizing;

use crate::error::IdentityError;

/// What kind of key an identity has.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum KeyType {
    /// Ed25519.
    Ed25519,
    /// ECDSA with P-256 and SHA-256.
    #[default]
    P256,
}

/// A private key, held in memory as PKCS#8. Its `Debug` shows the type only.
pub(crate) struct SigningKey {
    pair: Pair,
    pkcs8: SecretBytes,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(redacted)")
    }
}

/// The system's randomness or the key's arithmetic failed: neither is to be worked around.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct KeyFault;

impl SigningKey {
    /// Makes a key from the system's randomness.
    pub(crate) fn generate(key_type: KeyType) -> Result<Self, KeyFault> {
        let random = SystemRandom::new();
        let document = match key_type {
            KeyType::Ed25519 => Ed25519KeyPair::generate_pkcs8v1(&random),
            KeyType::P256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random),
        };
        let pkcs8 = SecretBytes::new(document.map_err(|_| KeyFault)?.as_ref().to_vec());
        Self::from_pkcs8(pkcs8).ok_or(KeyFault)
    }

    fn from_pkcs8(pkcs8: SecretBytes) -> Option<Self> {
        let der = pkcs8.expose_secret();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der)
            .map(Pair::P256)
            .or_else(|_| Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map(Pair::Ed25519))
            .ok()?;
        Some(Self { pair, pkcs8 })
    }

    /// Reads a PEM file's text; `path` is for the error only.
    pub(crate) fn from_pem(text: &[u8], path: &Path) -> Result<Self, IdentityError> {
        decode_pem(text)
            .and_then(Self::from_pkcs8)
            .ok_or_else(|| IdentityError::Key(path.to_owned()))
    }

    /// PKCS#8 as PEM.
    pub(crate) fn to_pem(&self) -> Zeroizing<String> {
        let der = self.pkcs8.expose_secret();
        // Room for all of it: a text that grew would leave a copy behind.
        let mut text = Zeroizing::new(String::with_capacity(der.len() * 2 + 128));
        text.push_str(PEM_HEAD);
        text.push('\n');
        for line in der.chunks(48) {
            BASE64_STANDARD.encode_string(line, &mut text);
            text.push('\n');
        }
        text.push_str(PEM_FOOT);
        text.push('\n');
        text
    }

    pub(crate) fn key_type(&self) -> KeyType {
        match self.pair {
            Pair::Ed25519(_) => KeyType::Ed25519,
            Pair::P256(_) => KeyType::P256,
        }
    }

    /// The public key as SubjectPublicKeyInfo, DER.
    pub(crate) fn spki(&self) -> Vec<u8> {
        self.subject_public_key_info()
    }

    /// Signs: ECDSA P-256 with SHA-256 in ASN.1 DER, or Ed25519.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyFault> {
        match &self.pair {
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Pair::P256(pair) => pair
                .sign(&SystemRandom::new(), message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| KeyFault),
        }
    }

    /// A CSR of this key: PKCS#10, DER, without names or extensions.
    pub(crate) fn csr(&self) -> Result<Vec<u8>, KeyFault> {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let csr = params.serialize_request(self).map_err(|_| KeyFault)?;
        Ok(csr.der().to_vec())
    }

    /// The key in the form that TLS wants.
    pub(crate) fn for_tls(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.pkcs8.expose_secret().to_vec()))
    }
}

impl rcgen::PublicKeyData for SigningKey {
    fn der_bytes(&self) -> &[u8] {
        match &self.pair {
            Pair::Ed25519(pair) => pair.public_key().as_ref(),
            Pair::P256(pair) => pair.public_key().as_ref(),
        }
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        match self.pair {
            Pair::Ed25519(_) => &rcgen::PKCS_ED25519,
            Pair::P256(_) => &rcgen::PKCS_ECDSA_P256_SHA256,
        }
    }
}

impl rcgen::SigningKey for SigningKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Self::sign(self, message).map_err(|_| rcgen::Error::RingUnspecified)
    }
}

fn decode_pem(text: &[u8]) -> Option<SecretBytes> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let inner = text.strip_prefix(PEM_HEAD)?.strip_suffix(PEM_FOOT)?;
    let mut packed = Zeroizing::new(Vec::with_capacity(inner.len()));
    packed.extend(inner.bytes().filter(|b| !b.is_ascii_whitespace()));
    // Room for all of it, as above.
    let mut der = Vec::with_capacity(packed.len());
    let decoded = BASE64_STANDARD.decode_vec(packed.as_slice(), &mut der);
    let der = SecretBytes::new(der);
    decoded.ok().map(|()| der)
}

const PEM_HEAD: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_FOOT: &str = "-----END PRIVATE KEY-----";

#[cfg(test)]
mod tests {
    use std::path::Path;

    use x509_parser::prelude::{FromDer as _, X509CertificationRequest};

    use super::{KeyType, SigningKey};

    #[test]
    fn keys_read_back_from_pem() {
        for key_type in [KeyType::Ed25519, KeyType::P256] {
            let key = SigningKey::generate(key_type).expect("randomness");
            let read =
                SigningKey::from_pem(key.to_pem().as_bytes(), Path::new("key.pem")).expect("ours");

            assert_eq!(read.key_type(), key_type);
            assert_eq!(read.spki(), key.spki());
        }
    }

    #[test]
    fn refuses_what_is_no_key() {
        let pem = SigningKey::generate(KeyType::P256).expect("randomness").to_pem();
        for text in ["", "key", &pem[..pem.len() / 2], &pem.replace("PRIVATE", "EC PRIVATE")] {
            assert!(SigningKey::from_pem(text.as_bytes(), Path::new("key.pem")).is_err());
        }
    }

    #[test]
    fn a_csr_has_no_names_and_its_own_signature() {
        for key_type in [KeyType::Ed25519, KeyType::P256] {
            let key = SigningKey::generate(key_type).expect("randomness");
            let der = key.csr().expect("signed");
            let (rest, csr) = X509CertificationRequest::from_der(&der).expect("a CSR");
            let info = &csr.certification_request_info;

            assert!(rest.is_empty());
            csr.verify_signature().expect("its own signature");
            assert_eq!(info.subject.iter().count(), 0);
            assert!(info.attributes().is_empty());
            assert_eq!(info.subject_pki.raw, key.spki());
        }
    }

    #[test]
    fn debug_shows_nothing() {
        let key = SigningKey::generate(KeyType::P256).expect("randomness");

        assert_eq!(format!("{key:?}"), "SigningKey(redacted)");
    }
}
