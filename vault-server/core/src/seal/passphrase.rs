//! Which passphrases may guard a vault, and making one that may.
//!
//! Whoever has a copy of the database guesses at about two seconds and 512 MiB per try, for as long
//! as he likes; so a passphrase must be worth 70 bits, or be eight words long.

use std::convert::Infallible;

use ring::rand::SecureRandom;
use vault_model::SecretBytes;

use crate::crypto::envelope::{EnvelopeError, random_secret};

/// The least a passphrase must be worth, in bits of [`estimate_bits`].
pub const STRENGTH_BITS_MIN: u32 = 70;

/// So many different words are enough, whatever their letters are worth.
pub const WORDS_MIN: usize = 8;

/// The longest passphrase, in bytes.
pub const PASSPHRASE_BYTES_MAX: usize = 1_024;

/// Why a passphrase may not guard a vault.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PassphraseError {
    /// Nothing, or spaces only.
    #[error("passphrase is empty")]
    Empty,
    /// Longer than [`PASSPHRASE_BYTES_MAX`].
    #[error("passphrase is longer than {PASSPHRASE_BYTES_MAX} bytes")]
    TooLong,
    /// Neither strong by estimate nor long in words.
    #[error("passphrase is too weak: use {WORDS_MIN} random words, or take the generated code")]
    TooWeak,
}

/// Makes a recovery code: 28 random letters of Crockford's base32 (lower case, no `i l o u`), in
/// seven groups of four joined by hyphens.
///
/// Codes that [`estimate_bits`] would not take (about one in seven) are drawn again, which leaves
/// more than 139 of the 140 bits.
///
/// # Errors
///
/// [`EnvelopeError::Random`].
pub fn generate_passphrase(rng: &dyn SecureRandom) -> Result<SecretBytes, EnvelopeError> {
    for _ in 0..DRAWS_MAX {
        let random = random_secret(CODE_LETTERS, rng)?;
        let code = SecretBytes::build(CODE_LETTERS + CODE_LETTERS / GROUP_LETTERS, |code| {
            let mut written = 0;
            for (at, byte) in random.expose_secret().iter().enumerate() {
                if at > 0 && at % GROUP_LETTERS == 0 {
                    code[written] = b'-';
                    written += 1;
                }
                // 32 divides 256: every letter is as likely as any other.
                code[written] = ALPHABET[usize::from(byte % 32)];
                written += 1;
            }
            Ok::<_, EnvelopeError>(written)
        })?;
        if check_passphrase(&code).is_ok() {
            return Ok(code);
        }
    }
    // Only a generator that repeats itself comes here.
    Err(EnvelopeError::Random)
}

/// Checks that a passphrase is strong enough to guard a vault.
///
/// # Errors
///
/// [`PassphraseError`].
pub fn check_passphrase(passphrase: &SecretBytes) -> Result<(), PassphraseError> {
    let bytes = trimmed(passphrase);
    if bytes.is_empty() {
        return Err(PassphraseError::Empty);
    }
    if bytes.len() > PASSPHRASE_BYTES_MAX {
        return Err(PassphraseError::TooLong);
    }
    if distinct_words(bytes) >= WORDS_MIN || estimate_bits(bytes) >= STRENGTH_BITS_MIN {
        Ok(())
    } else {
        Err(PassphraseError::TooWeak)
    }
}

/// Estimates what a passphrase is worth, in bits, from below.
///
/// White space and hyphens count nothing. Any other character counts 2 bits after one of its own
/// kind (lower case, upper case, digit, other) and 4 bits after another kind. It counts nothing if
/// it repeats or continues the one before it (`aa`, `ab`, `21`), or if the three characters that it
/// ends stood earlier already.
pub fn estimate_bits(passphrase: &[u8]) -> u32 {
    let Ok(letters) = SecretBytes::build(passphrase.len(), |letters| {
        let mut written = 0;
        for byte in passphrase.iter().filter(|byte| !is_separator(**byte)) {
            letters[written] = *byte;
            written += 1;
        }
        Ok::<_, Infallible>(written)
    });
    let letters = letters.expose_secret();

    let mut bits = 0;
    for (at, &byte) in letters.iter().enumerate() {
        let Some(before) = at.checked_sub(1).map(|at| letters[at]) else {
            bits += 4;
            continue;
        };
        let continues = byte.abs_diff(before) <= 1;
        let again = at >= 2 && letters[..at].windows(3).any(|seen| seen == &letters[at - 2..=at]);
        if !continues && !again {
            bits += if kind(byte) == kind(before) { 2 } else { 4 };
        }
    }
    bits
}

/// The passphrase without white space at its ends, as it is hashed: a pasted line feed is no
/// wrong passphrase.
pub(super) fn trimmed(passphrase: &SecretBytes) -> &[u8] {
    passphrase.expose_secret().trim_ascii()
}

/// Different words of three bytes or more.
fn distinct_words(passphrase: &[u8]) -> usize {
    let mut words: Vec<&[u8]> = Vec::new();
    for word in passphrase.split(|byte| is_separator(*byte)) {
        if word.len() >= 3
            && word.iter().all(|b| b.is_ascii_alphabetic() || !b.is_ascii())
            && !words.iter().any(|seen| seen.eq_ignore_ascii_case(word))
        {
            words.push(word);
        }
    }
    words.len()
}

fn is_separator(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == b'-'
}

fn kind(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' => 0,
        b'A'..=b'Z' => 1,
        b'0'..=b'9' => 2,
        _ => 3,
    }
}

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const CODE_LETTERS: usize = 28;
const DRAWS_MAX: usize = 128;
const GROUP_LETTERS: usize = 4;

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use vault_model::SecretBytes;

    use super::{ALPHABET, PassphraseError, check_passphrase, generate_passphrase, trimmed};

    fn check(text: &str) -> Result<(), PassphraseError> {
        check_passphrase(&SecretBytes::new(text.as_bytes().to_vec()))
    }

    #[test]
    fn takes_eight_words_or_seventy_bits() {
        for text in [
            "correct horse battery staple orbit velvet cactus plum",
            "orbit-velvet-cactus-plum-raven-tulip-mango-frost",
            "zurück grün blaue über straße fließt müde schön",
            "kX8#qv2!Lm9@wz4$Rt7&hb",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn refuses_the_weak() {
        for text in [
            "Tr0ub4dor&3",
            "correct horse battery staple",
            "password password password password password password password password password",
            "a b c d e f g h i j k l m n o p",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz0123456789",
            "Abc1!Abc1!Abc1!Abc1!Abc1!Abc1!Abc1!Abc1!Abc1!Abc1!Abc1!Abc1!",
        ] {
            assert_eq!(check(text), Err(PassphraseError::TooWeak), "{text}");
        }
        assert_eq!(check(" \n"), Err(PassphraseError::Empty));
        assert_eq!(check(&"kX8#".repeat(300)), Err(PassphraseError::TooLong));
    }

    #[test]
    fn its_own_codes_always_pass_and_differ() {
        let rng = SystemRandom::new();
        let mut last = Vec::new();
        for _ in 0..200 {
            let code = generate_passphrase(&rng).expect("random numbers");
            let bytes = code.expose_secret();
            assert_eq!(bytes.len(), 34);
            assert!(bytes.iter().all(|b| *b == b'-' || ALPHABET.contains(b)));
            assert_eq!(check_passphrase(&code), Ok(()));
            assert_ne!(bytes, last);
            last = bytes.to_vec();
        }
    }

    #[test]
    fn white_space_at_the_ends_does_not_count() {
        assert_eq!(trimmed(&SecretBytes::new(b" a b\r\n".to_vec())), b"a b");
    }
}
