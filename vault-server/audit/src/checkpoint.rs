//! Signed tree heads: C2SP tlog-checkpoint.
//!
//! Source: <https://c2sp.org/tlog-checkpoint>, text of C2SP/C2SP read 2026-11-21. The note's text is
//! `origin LF size LF base64(root) LF`; this log writes no extension lines and accepts none.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::note::{LogSigner, LogVerifier, NoteError};
use crate::{Hash, Origin};

/// The size and root of a log at one moment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Checkpoint {
    /// The log.
    pub origin: Origin,
    /// Number of entries.
    pub size: u64,
    /// RFC 6962 root over them.
    pub root: Hash,
}

impl Checkpoint {
    /// The signed note: text, empty line, one signature line.
    pub fn sign(&self, signer: &LogSigner) -> String {
        signer.sign_note(&format!(
            "{}\n{}\n{}\n",
            self.origin,
            self.size,
            STANDARD.encode(self.root)
        ))
    }

    /// Reads a signed note of the log that the verifier's key belongs to.
    ///
    /// # Errors
    ///
    /// [`NoteError`] if it is not a checkpoint, is another log's, or its signature is wrong.
    pub fn open(note: &[u8], verifier: &LogVerifier) -> Result<Self, NoteError> {
        let text = verifier.open_note(note)?;
        let lines: Vec<&str> = text.split('\n').collect();
        let &[origin, size_text, root_text, ""] = lines.as_slice() else {
            return Err(NoteError::Malformed);
        };
        if origin != verifier.origin().as_str() {
            return Err(NoteError::OtherLog);
        }
        let size: u64 = size_text.parse().map_err(|_| NoteError::Malformed)?;
        let root = STANDARD.decode(root_text).map_err(|_| NoteError::Malformed)?;
        let root: Hash = root.try_into().map_err(|_| NoteError::Malformed)?;
        if size.to_string() != size_text || STANDARD.encode(root) != root_text {
            return Err(NoteError::Malformed);
        }
        Ok(Self { origin: verifier.origin().clone(), size, root })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use vault_model::SecretBytes;

    use super::Checkpoint;
    use crate::{LogSigner, LogVerifier, NoteError, Origin};

    fn signer(seed: u8, node: &str) -> LogSigner {
        let origin = Origin::new("vault.example", node, 0).expect("origin");
        LogSigner::from_seed(origin, &SecretBytes::new(vec![seed; 32])).expect("seed")
    }

    #[test]
    fn opens_only_with_the_right_key_and_name() {
        let signer_one = signer(1, "n");
        let checkpoint =
            Checkpoint { origin: signer_one.origin().clone(), size: 12, root: [7; 32] };
        let note = checkpoint.sign(&signer_one);
        let open = |with: &LogSigner| Checkpoint::open(note.as_bytes(), &with.verifier());

        assert_eq!(open(&signer_one), Ok(checkpoint.clone()));
        assert_eq!(open(&signer(2, "n")), Err(NoteError::NoSignature));
        assert_eq!(open(&signer(1, "m")), Err(NoteError::NoSignature));
    }

    #[test]
    fn refuses_every_flipped_bit() {
        let signer = signer(1, "n");
        let checkpoint = Checkpoint { origin: signer.origin().clone(), size: 12, root: [7; 32] };
        let note = checkpoint.sign(&signer).into_bytes();
        for bit in 0..note.len() * 8 {
            let mut bad = note.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Checkpoint::open(&bad, &signer.verifier()).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn refuses_leading_zeros_extension_lines_and_other_logs() {
        let signer = signer(1, "n");
        let root = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
        let name = signer.origin().as_str();
        for (text, error) in [
            (format!("{name}\n012\n{root}\n"), NoteError::Malformed),
            (format!("{name}\n+12\n{root}\n"), NoteError::Malformed),
            (format!("{name}\n12\n{root}\nmore\n"), NoteError::Malformed),
            (format!("{name}\n12\n"), NoteError::Malformed),
            (format!("v.example/audit/m/0\n12\n{root}\n"), NoteError::OtherLog),
        ] {
            let note = signer.sign_note(&text);
            assert_eq!(Checkpoint::open(note.as_bytes(), &signer.verifier()), Err(error), "{text}");
        }
    }

    #[test]
    fn ignores_signatures_of_others() {
        let signer_one = signer(1, "n");
        let checkpoint =
            Checkpoint { origin: signer_one.origin().clone(), size: 12, root: [7; 32] };
        let note = checkpoint.sign(&signer_one);
        let other = checkpoint.sign(&signer(9, "w"));
        let line = other.lines().last().expect("signature line");

        let both = format!("{note}{line}\n");
        assert_eq!(Checkpoint::open(both.as_bytes(), &signer_one.verifier()), Ok(checkpoint));
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "(\\PC|\n|\u{2014} ){0,200}", bytes: Vec<u8>) {
            let verifier = signer(1, "n").verifier();
            let _ = LogVerifier::from_vkey(&text);
            prop_assert!(Checkpoint::open(text.as_bytes(), &verifier).is_err());
            prop_assert!(Checkpoint::open(&bytes, &verifier).is_err());
            let short = format!("x\n\n\u{2014} {} AAAAAAA=\n", verifier.origin());
            prop_assert!(Checkpoint::open(short.as_bytes(), &verifier).is_err());
        }
    }
}
