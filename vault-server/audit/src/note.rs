//! Signed notes and the log's Ed25519 key.
//!
//! Source: <https://c2sp.org/signed-note>, text of C2SP/C2SP read 2026-11-21.
//! A note is `text LF` (the text ends in LF) and one or more lines
//! `U+2014 SP name SP base64(key id (4) || signature (64)) LF`;
//! key id = first 4 bytes of SHA-256(name || 0x0A || 0x01 || public key);
//! a verifier key is `name+hex(key id)+base64(0x01 || public key)`.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use vault_model::SecretBytes;

use crate::Origin;

/// Why a note, a verifier key or a seed is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoteError {
    /// The signature of the known key is wrong.
    #[error("the signature does not verify")]
    BadSignature,
    /// The bytes are not of the format.
    #[error("not a signed note of this format")]
    Malformed,
    /// No verifier key is there to check with.
    #[error("log.vkey is missing")]
    NoKey,
    /// No signature line is by the known key.
    #[error("not signed by this log's key")]
    NoSignature,
    /// The text is about another log.
    #[error("belongs to another log")]
    OtherLog,
    /// A seed is not 32 bytes.
    #[error("a log key's seed is 32 bytes")]
    Seed,
    /// Not a verifier key of an Ed25519 log key.
    #[error("not a verifier key")]
    Vkey,
}

/// The log's signing key; its name is the log's origin.
pub struct LogSigner {
    pair: Ed25519KeyPair,
    verifier: LogVerifier,
}

impl LogSigner {
    /// From the 32-byte Ed25519 seed (RFC 8032 private key).
    ///
    /// # Errors
    ///
    /// [`NoteError::Seed`] for any other length.
    pub fn from_seed(origin: Origin, seed: &SecretBytes) -> Result<Self, NoteError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose_secret())
            .map_err(|_| NoteError::Seed)?;
        let public_key = pair.public_key().as_ref().try_into().map_err(|_| NoteError::Seed)?;
        Ok(Self { pair, verifier: LogVerifier::new(origin, public_key) })
    }

    /// The log it signs for.
    pub fn origin(&self) -> &Origin {
        &self.verifier.origin
    }

    /// The public half.
    pub fn verifier(&self) -> LogVerifier {
        self.verifier.clone()
    }

    /// The note over a text that ends in LF, with this key's signature line.
    pub(crate) fn sign_note(&self, text: &str) -> String {
        let signature = self.pair.sign(text.as_bytes());
        let signed = [self.verifier.key_id().as_slice(), signature.as_ref()].concat();
        format!("{text}\n\u{2014} {} {}\n", self.verifier.origin, STANDARD.encode(signed))
    }
}

/// The log's public key and name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogVerifier {
    origin: Origin,
    public_key: [u8; 32],
}

impl LogVerifier {
    /// From an Ed25519 public key (RFC 8032 encoding).
    pub fn new(origin: Origin, public_key: [u8; 32]) -> Self {
        Self { origin, public_key }
    }

    /// Reads a verifier key; one line feed at the end is allowed.
    ///
    /// # Errors
    ///
    /// [`NoteError::Vkey`] if it is not one, or its key id does not fit its key.
    pub fn from_vkey(text: &str) -> Result<Self, NoteError> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        // Neither a name nor hex holds a plus sign; base64 may.
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(_), Some(key_text)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(NoteError::Vkey);
        };
        let origin = name.parse().map_err(|_| NoteError::Vkey)?;
        let key_bytes = STANDARD.decode(key_text).map_err(|_| NoteError::Vkey)?;
        let Some((&SIGNATURE_TYPE, public_key)) = key_bytes.split_first() else {
            return Err(NoteError::Vkey);
        };
        let public_key = public_key.try_into().map_err(|_| NoteError::Vkey)?;
        let verifier = Self::new(origin, public_key);
        if verifier.vkey() == text { Ok(verifier) } else { Err(NoteError::Vkey) }
    }

    /// The verifier key as text, without a line feed.
    pub fn vkey(&self) -> String {
        let key = [[SIGNATURE_TYPE].as_slice(), &self.public_key].concat();
        format!("{}+{}+{}", self.origin, hex::encode(self.key_id()), STANDARD.encode(key))
    }

    /// The log it verifies.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    fn key_id(&self) -> [u8; 4] {
        let digest = Sha256::new()
            .chain_update(self.origin.as_str())
            .chain_update([b'\n', SIGNATURE_TYPE])
            .chain_update(self.public_key)
            .finalize();
        [digest[0], digest[1], digest[2], digest[3]]
    }

    /// The text of a note that this key signed. Signatures of other keys are ignored.
    pub(crate) fn open_note<'n>(&self, note: &'n [u8]) -> Result<&'n str, NoteError> {
        let note = std::str::from_utf8(note).map_err(|_| NoteError::Malformed)?;
        if note.bytes().any(|b| b < 0x20 && b != b'\n') {
            return Err(NoteError::Malformed);
        }
        let gap = note.rfind("\n\n").ok_or(NoteError::Malformed)?;
        let (text, signatures) = (&note[..=gap], &note[gap + 2..]);
        let lines = signatures.strip_suffix('\n').ok_or(NoteError::Malformed)?;
        let mut found = false;
        for (nth, line) in lines.split('\n').enumerate() {
            if nth >= SIGNATURES_MAX {
                return Err(NoteError::Malformed);
            }
            let (name, signature) = signature_line(line).ok_or(NoteError::Malformed)?;
            let (key_id, signature) = signature.split_at(4);
            if name != self.origin.as_str() || key_id != self.key_id() {
                continue;
            }
            UnparsedPublicKey::new(&ED25519, &self.public_key)
                .verify(text.as_bytes(), signature)
                .map_err(|_| NoteError::BadSignature)?;
            found = true;
        }
        if found { Ok(text) } else { Err(NoteError::NoSignature) }
    }
}

/// Name and decoded bytes (more than 4) of `— name base64`.
fn signature_line(line: &str) -> Option<(&str, Vec<u8>)> {
    let (name, text) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    let bytes = STANDARD.decode(text).ok()?;
    let name_fits = !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == '+');
    (name_fits && bytes.len() > 4).then_some((name, bytes))
}

/// Ed25519, of the note's own text.
const SIGNATURE_TYPE: u8 = 1;
/// More signature lines than a log and its witnesses ever need.
const SIGNATURES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use vault_model::SecretBytes;

    use super::{LogSigner, LogVerifier, NoteError};
    use crate::Origin;

    #[test]
    fn vkey_reads_back_and_knows_its_id() {
        let origin = Origin::new("vault.example", "n", 0).expect("origin");
        let signer =
            LogSigner::from_seed(origin, &SecretBytes::new(vec![3; 32])).expect("32 bytes");
        let vkey = signer.verifier().vkey();

        assert_eq!(LogVerifier::from_vkey(&vkey), Ok(signer.verifier()));
        assert_eq!(LogVerifier::from_vkey(&format!("{vkey}\n")), Ok(signer.verifier()));
        assert_eq!(LogVerifier::from_vkey(&vkey.replace("/n/0", "/n/1")), Err(NoteError::Vkey));
        assert_eq!(LogVerifier::from_vkey("a+b"), Err(NoteError::Vkey));
    }

    #[test]
    fn refuses_seeds_of_other_lengths() {
        let origin = Origin::new("vault.example", "n", 0).expect("origin");
        let short = LogSigner::from_seed(origin, &SecretBytes::new(vec![3; 31]));

        assert_eq!(short.err(), Some(NoteError::Seed));
    }
}
