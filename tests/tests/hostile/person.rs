//! Operators and clients: a key, and the certificate that the core gave for it.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use prost::Message;
use sha2::{Digest as _, Sha256};
use vault_client::v1;
use vault_ipc::{Caller, Listener};
use vault_proto::command::{NONCE_BYTES, signing_bytes};

/// A key that nobody has certified yet.
pub struct Key(Ed25519KeyPair);

impl Key {
    pub fn new() -> Self {
        Self(Ed25519KeyPair::generate().expect("randomness"))
    }

    /// PKCS#10, DER.
    pub fn csr(&self) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.serialize_request(self).expect("a request").der().to_vec()
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }
}

impl rcgen::PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ED25519
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(Self::sign(self, message))
    }
}

/// Somebody with a certificate.
pub struct Person {
    pub role: v1::Role,
    pub key: Key,
    pub serial: [u8; 16],
    pub fingerprint: [u8; 32],
    /// Where an honest front would see this person.
    pub address: [u8; 4],
}

impl Person {
    /// From the answer to an enrolment.
    pub fn new(key: Key, answer: &v1::EnrollResponse, address: [u8; 4]) -> Self {
        Self {
            role: answer.role(),
            key,
            serial: serial(&answer.certificate),
            fingerprint: Sha256::digest(&answer.certificate).into(),
            address,
        }
    }

    pub fn is_operator(&self) -> bool {
        !matches!(self.role, v1::Role::Bot | v1::Role::Pricer)
    }

    /// The caller as an honest front says it.
    pub fn caller(&self) -> Caller {
        let listener = if self.is_operator() { Listener::Operator } else { Listener::Bot };
        Caller {
            serial: self.serial.to_vec(),
            fingerprint: self.fingerprint.to_vec(),
            address: self.address.to_vec(),
            via: "direct".to_owned(),
            listener: listener.into(),
        }
    }

    /// Signs a command that ends in so many milliseconds.
    pub fn command_for(
        &self,
        method: &str,
        body: Vec<u8>,
        nonce: [u8; NONCE_BYTES],
        life_ms: i64,
    ) -> v1::SignedCommand {
        let expires_at_ms = now_ms().saturating_add(life_ms);
        let message = signing_bytes(method, &self.serial, &nonce, expires_at_ms, &body);
        let signature = self.key.sign(&message.expect("short"));
        v1::SignedCommand {
            method: method.to_owned(),
            body,
            nonce: nonce.to_vec(),
            expires_at_ms,
            signature,
        }
    }

    /// Signs a command as a client library does.
    pub fn command(&self, method: &str, body: &impl Message) -> v1::SignedCommand {
        self.command_for(method, body.encode_to_vec(), random(), 55_000)
    }
}

/// Random bytes.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("randomness");
    bytes
}

/// Milliseconds since the epoch.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("a date")
}

/// The serial of a certificate, which follows the version.
fn serial(certificate: &[u8]) -> [u8; 16] {
    const VERSION: [u8; 6] = [0xa0, 3, 2, 1, 2, 2];
    let at = certificate.windows(6).position(|window| window == VERSION).expect("version 3") + 6;
    let integer = &certificate[at + 1..][..usize::from(certificate[at])];
    let digits = integer.strip_prefix(&[0]).unwrap_or(integer);
    let mut serial = [0; 16];
    serial[16 - digits.len()..].copy_from_slice(digits);
    serial
}
