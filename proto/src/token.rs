//! Invite tokens: what a person hands to whoever is to enrol.
//!
//! `cs1_` and base64url (no padding) of: `u8 version = 1 | token id 16 | secret 32 | CA fingerprint
//! 32 | core fingerprint 32 | i64 BE expires_at_ms | u8 address length | address ("host:port") |
//! u32 BE CRC-32C of all before`. The secret is an Ed25519 seed; the vault knows the public half.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::signature::{Ed25519KeyPair, KeyPair};
use zeroize::Zeroizing;

use crate::enroll;

/// Why a text is not a token.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TokenError {
    /// A character is missing, added or altered.
    #[error("the token is damaged or incomplete")]
    Damaged,
    /// Not `cs1_...`.
    #[error("this is not an invite token")]
    NotAToken,
}

/// An invite token. Whoever holds it can enrol once, until it expires.
pub struct Token {
    /// Names the invitation; not secret.
    pub id: [u8; 16],
    secret: Zeroizing<[u8; 32]>,
    /// SHA-256 of the CA certificate (DER).
    pub ca_fingerprint: [u8; 32],
    /// SHA-256 of the core identity's public key.
    pub core_fingerprint: [u8; 32],
    /// Milliseconds since the Unix epoch.
    pub expires_at_ms: i64,
    /// `host:port` of the enrol listener.
    pub address: String,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(redacted)")
    }
}

impl Token {
    /// Makes a token from 32 secret random bytes and a random id.
    pub fn new(
        id: [u8; 16],
        secret: Zeroizing<[u8; 32]>,
        ca_fingerprint: [u8; 32],
        core_fingerprint: [u8; 32],
        expires_at_ms: i64,
        address: String,
    ) -> Self {
        Self { id, secret, ca_fingerprint, core_fingerprint, expires_at_ms, address }
    }

    /// The public half of the secret, which the vault keeps: Ed25519, 32 bytes.
    pub fn public_key(&self) -> [u8; 32] {
        let mut public_key = [0; 32];
        public_key.copy_from_slice(self.key_pair().public_key().as_ref());
        public_key
    }

    /// Proves possession of the token for one CSR (DER): an Ed25519 signature, 64 bytes.
    pub fn prove(&self, csr: &[u8]) -> Vec<u8> {
        // A CSR beyond 4 GiB cannot be sent; its proof is empty and is refused.
        enroll::signing_bytes(&self.id, csr)
            .map(|bytes| self.key_pair().sign(&bytes).as_ref().to_vec())
            .unwrap_or_default()
    }

    /// The token as text, to be shown once.
    pub fn encode(&self) -> Zeroizing<String> {
        let address = &self.address.as_bytes()[..self.address.len().min(255)];
        let mut bytes = Zeroizing::new(Vec::with_capacity(HEAD_BYTES + address.len() + 4));
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.id);
        bytes.extend_from_slice(self.secret.as_slice());
        bytes.extend_from_slice(&self.ca_fingerprint);
        bytes.extend_from_slice(&self.core_fingerprint);
        bytes.extend_from_slice(&self.expires_at_ms.to_be_bytes());
        bytes.push(address.len() as u8);
        bytes.extend_from_slice(address);
        let check = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&check.to_be_bytes());
        let mut text =
            Zeroizing::new(String::with_capacity(PREFIX.len() + bytes.len() * 4 / 3 + 4));
        text.push_str(PREFIX);
        BASE64_URL_SAFE_NO_PAD.encode_string(bytes.as_slice(), &mut text);
        text
    }

    /// Reads a token; surrounding white space is ignored.
    ///
    /// # Errors
    ///
    /// [`TokenError`].
    pub fn decode(text: &str) -> Result<Self, TokenError> {
        let text = text.trim().strip_prefix(PREFIX).ok_or(TokenError::NotAToken)?;
        let bytes =
            Zeroizing::new(BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenError::Damaged)?);
        let (body, check) = bytes.split_last_chunk::<4>().ok_or(TokenError::Damaged)?;
        if crc32c::crc32c(body) != u32::from_be_bytes(*check) {
            return Err(TokenError::Damaged);
        }
        let mut rest = body;
        if take::<1>(&mut rest)? != [VERSION] {
            return Err(TokenError::NotAToken);
        }
        let id = take(&mut rest)?;
        let secret = Zeroizing::new(take(&mut rest)?);
        let ca_fingerprint = take(&mut rest)?;
        let core_fingerprint = take(&mut rest)?;
        let expires_at_ms = i64::from_be_bytes(take(&mut rest)?);
        let [address_bytes] = take::<1>(&mut rest)?;
        if rest.len() != usize::from(address_bytes) {
            return Err(TokenError::Damaged);
        }
        let address = std::str::from_utf8(rest).map_err(|_| TokenError::Damaged)?.to_owned();
        Ok(Self { id, secret, ca_fingerprint, core_fingerprint, expires_at_ms, address })
    }

    fn key_pair(&self) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(self.secret.as_slice()).expect("the seed is 32 bytes")
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], TokenError> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(TokenError::Damaged)?;
    *rest = tail;
    Ok(*head)
}

const PREFIX: &str = "cs1_";
const VERSION: u8 = 1;
const HEAD_BYTES: usize = 1 + 16 + 32 + 32 + 32 + 8 + 1;

#[cfg(test)]
mod tests {
    use ring::signature::{ED25519, UnparsedPublicKey};
    use zeroize::Zeroizing;

    use super::{Token, TokenError};

    fn token() -> Token {
        Token::new(
            [1; 16],
            Zeroizing::new([2; 32]),
            [3; 32],
            [4; 32],
            1_800_000_000_000,
            "vault.example:7443".to_owned(),
        )
    }

    #[test]
    fn reads_back() {
        let text = token().encode();
        let read = Token::decode(&format!("  {}\n", text.as_str())).expect("a token");

        assert_eq!(read.encode(), text);
        assert_eq!(read.address, "vault.example:7443");
        assert_eq!(read.public_key(), token().public_key());
    }

    #[test]
    fn refuses_every_altered_character() {
        let text = token().encode();

        for at in 4..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(bytes).expect("ASCII");
            assert_eq!(Token::decode(&altered).err(), Some(TokenError::Damaged), "{at}");
            assert!(Token::decode(&text[..at]).is_err(), "{at}");
        }
        assert_eq!(Token::decode("hello").err(), Some(TokenError::NotAToken));
    }

    #[test]
    fn proves_one_csr() {
        let token = token();
        let proof = token.prove(b"csr");
        let key = UnparsedPublicKey::new(&ED25519, token.public_key());
        let bytes = |csr| crate::enroll::signing_bytes(&token.id, csr).expect("short");

        assert!(key.verify(&bytes(b"csr"), &proof).is_ok());
        assert!(key.verify(&bytes(b"csx"), &proof).is_err());
    }
}
