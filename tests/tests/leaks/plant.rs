//! What is searched for: made here, or taken from what the vault and the harness have made.

use std::path::Path;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use vault_client::Signed;
use vault_client::proto::token::Token;

use crate::search::Canary;

pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("randomness");
    bytes
}

/// 40 digits and upper-case letters: plain wherever a text is taken.
pub fn random_text() -> String {
    hex::encode_upper(random::<20>())
}

/// The secret within a token's text.
pub fn token_secret(token: &Token) -> Vec<u8> {
    let text = token.encode();
    let text = text.strip_prefix("cs1_").expect("a token");
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).expect("a token");
    // Behind a version and an id of 16 bytes.
    bytes[17..49].to_vec()
}

/// The private scalar of a P-256 key in PKCS#8.
pub fn private_key(pem: &Path) -> Vec<u8> {
    p256_scalar(PrivateKeyDer::from_pem_file(pem).expect("a key").secret_der())
}

/// The same, of a key that is in memory.
pub fn p256_scalar(der: &[u8]) -> Vec<u8> {
    const BEFORE: &[u8] = &[0x02, 0x01, 0x01, 0x04, 0x20];
    let at = der.windows(BEFORE.len()).position(|window| window == BEFORE).expect("P-256");
    der[at + BEFORE.len()..][..32].to_vec()
}

/// The first prime of an RSA key in PKCS#8. Whoever has it has the key.
pub fn rsa_prime(der: &[u8]) -> Vec<u8> {
    // Version, modulus and both exponents are before it, each as long as it says.
    let start = |from: usize| {
        let sequence = der[from..].windows(2).position(|window| window == [0x30, 0x82]);
        from + sequence.expect("a sequence") + 4
    };
    let mut at = start(start(0));
    let mut integer = || {
        assert_eq!(der[at], 0x02, "an integer");
        let (length, head) = match der[at + 1] {
            0x81 => (usize::from(der[at + 2]), 3),
            0x82 => (usize::from(u16::from_be_bytes([der[at + 2], der[at + 3]])), 4),
            short => (usize::from(short), 2),
        };
        let integer = &der[at + head..][..length];
        at += head + length;
        integer
    };
    let prime = (0..5).map(|_| integer()).last().expect("five integers");
    prime.strip_prefix(&[0]).unwrap_or(prime).to_vec()
}

/// The CA's private key cannot be known from outside. Its PKCS#8 form can: the public point stands in
/// it behind bytes that it stands behind nowhere else.
pub fn ca_key_mark(ca: &Path) -> Canary {
    const BEFORE_IN_KEY: &[u8] = &[0xa1, 0x44, 0x03, 0x42, 0x00, 0x04];
    let ca = CertificateDer::from_pem_file(ca).expect("a CA");
    // One piece of 12 bytes: more of the point alone is public.
    let bytes = [BEFORE_IN_KEY, &public_point(&ca)[..6]].concat();
    Canary { name: "CA's private key".to_owned(), bytes, allowed: &[] }
}

/// Both coordinates of the P-256 key that a certificate is for.
pub fn public_point(certificate: &[u8]) -> Vec<u8> {
    const BEFORE: &[u8] = &[0x03, 0x42, 0x00, 0x04];
    let mut windows = certificate.windows(BEFORE.len());
    let at = windows.position(|window| window == BEFORE).expect("P-256");
    certificate[at + BEFORE.len()..][..64].to_vec()
}

pub fn signature(signed: &Signed) -> Vec<u8> {
    let mut headers = signed.request.headers.iter();
    let header =
        headers.find(|header| matches!(header.name.as_str(), "OK-ACCESS-SIGN" | "API-Sign"));
    BASE64_STANDARD.decode(&header.expect("a signature").value).expect("base64")
}
