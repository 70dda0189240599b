//! Passphrases: from a prompt without echo or from stdin, never from arguments or the environment.

use std::io::{IsTerminal as _, Read};

use vault_model::SecretBytes;
use zeroize::Zeroizing;

use crate::fault::Fault;

/// Longest input taken from stdin, in bytes.
const INPUT_BYTES_MAX: usize = 4 << 10;

/// Asks once, without echo.
pub fn ask(prompt: &str) -> Result<SecretBytes, Fault> {
    if !std::io::stdin().is_terminal() {
        return Err(Fault::usage("stdin is no terminal, so there is nobody to ask")
            .with_hint("give the passphrase on stdin with --passphrase-stdin"));
    }
    let text = rpassword::prompt_password(prompt)
        .map_err(|error| Fault::other(format!("no terminal to ask on: {error}")))?;
    not_empty(SecretBytes::new(text.into_bytes()))
}

/// Asks twice; both must be the same.
pub fn ask_new() -> Result<SecretBytes, Fault> {
    let first = ask("New passphrase: ")?;
    let second = ask("Once more: ")?;
    if first.ct_eq(&second) { Ok(first) } else { Err(Fault::usage("the two passphrases differ")) }
}

/// The first line of stdin.
pub fn from_stdin() -> Result<SecretBytes, Fault> {
    first_line(std::io::stdin().lock())
}

fn first_line(from: impl Read) -> Result<SecretBytes, Fault> {
    // The buffer never grows, which would leave copies behind.
    let mut input = Zeroizing::new(Vec::with_capacity(INPUT_BYTES_MAX + 1));
    from.take(INPUT_BYTES_MAX as u64 + 1)
        .read_to_end(&mut input)
        .map_err(|error| Fault::other(format!("stdin: {error}")))?;
    if input.len() > INPUT_BYTES_MAX {
        return Err(Fault::usage("stdin holds more than a passphrase can"));
    }
    let line = input.split(|&b| b == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    not_empty(SecretBytes::new(line.to_vec()))
}

fn not_empty(passphrase: SecretBytes) -> Result<SecretBytes, Fault> {
    if passphrase.is_empty() {
        Err(Fault::usage("no passphrase was given"))
    } else {
        Ok(passphrase)
    }
}

#[cfg(test)]
mod tests {
    use super::{INPUT_BYTES_MAX, first_line};

    #[test]
    fn takes_the_first_line_and_nothing_else() {
        for text in ["pass word\n", "pass word\r\n", "pass word", "pass word\nmore\n"] {
            let secret = first_line(text.as_bytes()).expect("a passphrase");
            assert_eq!(secret.expose_secret(), b"pass word", "{text:?}");
        }
    }

    #[test]
    fn refuses_nothing_and_too_much() {
        assert!(first_line("\nlater".as_bytes()).is_err());
        assert!(first_line("".as_bytes()).is_err());
        let long = "a".repeat(INPUT_BYTES_MAX + 1);
        let fault = first_line(long.as_bytes()).expect_err("too long");
        assert!(!fault.message.contains('a'.to_string().repeat(9).as_str()));
    }
}
