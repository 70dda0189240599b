//! Secrets from a prompt or stdin.

use std::io::{IsTerminal as _, Read as _};
use std::path::Path;

use serde::Deserialize;
use vault_client::SecretBytes;
use vault_client::v1::CredentialSecret;
use zeroize::{Zeroize as _, Zeroizing};

use crate::fault::{Fault, file};

/// A passphrase: asked for without echo if stdin is a terminal, else stdin's first line.
pub fn passphrase(prompt: &str) -> Result<SecretBytes, Fault> {
    let bytes = if std::io::stdin().is_terminal() {
        ask(prompt)?
    } else {
        let mut input = stdin()?;
        let end = input.iter().position(|&b| b == b'\n').unwrap_or(input.len());
        let line = input[..end].strip_suffix(b"\r").unwrap_or(&input[..end]);
        let line = line.to_vec();
        input.zeroize();
        line
    };
    let secret = SecretBytes::new(bytes);
    if secret.is_empty() { Err(Fault::usage("no passphrase was given")) } else { Ok(secret) }
}

/// Where a credential's secret comes from.
pub enum Source<'a> {
    /// Prompts for everything.
    Prompt,
    /// A PEM key or a secret from a file or, for `-`, from stdin; prompts for the rest.
    KeyFile(&'a Path),
    /// Everything from stdin: a JSON object, or a line each for API key, secret (a PEM key has
    /// several) and passphrase.
    Stdin,
}

/// Reads a credential's secret.
pub fn credential(source: Source<'_>) -> Result<CredentialSecret, Fault> {
    let secret = match source {
        Source::Stdin => parse(&stdin()?)?,
        Source::KeyFile(path) => {
            let text = if path == Path::new("-") { stdin()? } else { read_file(path)? };
            let mut secret = prompt_api_key()?;
            secret.passphrase = ask("Passphrase (empty for none): ")?;
            if is_pem(&text) {
                secret.private_key_pem = text.to_vec();
            } else {
                // Editors end a file with a line feed that is no part of a secret.
                secret.secret = text.trim_ascii_end().to_vec();
            }
            secret
        }
        Source::Prompt => {
            let mut secret = prompt_api_key()?;
            secret.secret = ask("Secret: ")?;
            secret.passphrase = ask("Passphrase (empty for none): ")?;
            secret
        }
    };
    if secret.api_key.is_empty() {
        return Err(Fault::usage("no API key was given"));
    }
    if secret.secret.is_empty() == secret.private_key_pem.is_empty() {
        return Err(Fault::usage("give a secret or a private key, and not both"));
    }
    Ok(secret)
}

fn prompt_api_key() -> Result<CredentialSecret, Fault> {
    let api_key = String::from_utf8(ask("API key: ")?)
        .map_err(|_| Fault::usage("the API key is not UTF-8"))?;
    Ok(CredentialSecret { api_key, ..CredentialSecret::default() })
}

/// Asks on the terminal itself, without echo.
fn ask(prompt: &str) -> Result<Vec<u8>, Fault> {
    rpassword::prompt_password(prompt).map(String::into_bytes).map_err(|error| {
        Fault::other(format!("no terminal to ask on: {error}")).with_hint("give it on stdin")
    })
}

/// What stdin may hold as JSON. All of it moves into the [`CredentialSecret`], which is wiped when
/// it has been sealed.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Input {
    api_key: String,
    secret: String,
    passphrase: String,
    private_key_pem: String,
}

fn parse(text: &[u8]) -> Result<CredentialSecret, Fault> {
    // Neither error may show the input.
    let text = std::str::from_utf8(text).map_err(|_| Fault::usage("stdin is not UTF-8"))?;
    let input = if text.trim_start().starts_with('{') {
        serde_json::from_str::<Input>(text).map_err(|error| {
            Fault::usage(format!(
                "stdin is not the JSON object that is due (line {}, column {})",
                error.line(),
                error.column()
            ))
            .with_hint("keys: api_key, secret, passphrase, private_key_pem; all are strings")
        })?
    } else {
        let (api_key, rest) = first_line(text);
        let (secret, private_key_pem, rest) = match pem_block(rest) {
            Some((pem, rest)) => ("", pem, rest),
            None => {
                let (secret, rest) = first_line(rest);
                (secret, "", rest)
            }
        };
        let (passphrase, rest) = first_line(rest);
        if rest.lines().any(|line| !line.is_empty()) {
            return Err(Fault::usage("stdin has more lines than there are secrets")
                .with_hint("API key, secret or PEM key, passphrase"));
        }
        Input {
            api_key: api_key.to_owned(),
            secret: secret.to_owned(),
            passphrase: passphrase.to_owned(),
            private_key_pem: private_key_pem.to_owned(),
        }
    };
    Ok(CredentialSecret {
        api_key: input.api_key,
        secret: input.secret.into_bytes(),
        passphrase: input.passphrase.into_bytes(),
        private_key_pem: input.private_key_pem.into_bytes(),
    })
}

/// A line without its end, and what follows it.
fn first_line(text: &str) -> (&str, &str) {
    let (line, rest) = text.split_once('\n').unwrap_or((text, ""));
    (line.strip_suffix('\r').unwrap_or(line), rest)
}

/// The PEM block that a text begins with, its line feeds included, and what follows its last line.
fn pem_block(text: &str) -> Option<(&str, &str)> {
    is_pem(text.as_bytes()).then_some(())?;
    let end = text.find("\n-----END ")? + 1;
    let end = text[end..].find('\n').map_or(text.len(), |line_feed| end + line_feed + 1);
    Some(text.split_at(end))
}

fn is_pem(text: &[u8]) -> bool {
    text.trim_ascii_start().starts_with(b"-----BEGIN ")
}

fn stdin() -> Result<Zeroizing<Vec<u8>>, Fault> {
    read_all(std::io::stdin().lock())
        .map_err(|error| Fault::other(format!("stdin: {error}")))?
        .ok_or_else(|| Fault::usage("stdin holds more than a secret can"))
}

fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, Fault> {
    read_all(std::fs::File::open(path).map_err(file(path))?)
        .map_err(file(path))?
        .ok_or_else(|| Fault::usage("the key file is larger than a key can be"))
}

/// Reads to the end; `None` beyond 64 KiB. The buffer never grows, which would leave copies behind.
fn read_all(mut from: impl std::io::Read) -> std::io::Result<Option<Zeroizing<Vec<u8>>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(INPUT_BYTES_MAX + 1));
    from.by_ref().take(INPUT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= INPUT_BYTES_MAX).then_some(bytes))
}

const INPUT_BYTES_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn reads_lines_or_json() {
        let lines = parse(b"key\r\nsecret\npass word\n").expect("lines");
        let json = parse(br#" {"secret": "secret", "api_key": "key", "passphrase": "pass word"}"#)
            .expect("json");

        assert!(lines == json);
        assert_eq!(
            (lines.api_key.as_str(), lines.secret.as_slice()),
            ("key", b"secret".as_slice())
        );
        assert_eq!(parse(b"key\nsecret").expect("two lines").passphrase, b"");
    }

    #[test]
    fn a_pem_key_among_lines_keeps_its_own() {
        const PEM: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQ\n-----END PRIVATE KEY-----\n";
        for (text, passphrase) in [
            (format!("key\n{PEM}"), ""),
            (format!("key\n{PEM}pass\n"), "pass"),
            (format!("key\r\n{PEM}pass\r\n\n"), "pass"),
        ] {
            let read = parse(text.as_bytes()).expect("lines");

            assert_eq!(read.api_key, "key");
            assert_eq!(read.private_key_pem, PEM.as_bytes());
            assert_eq!(read.passphrase, passphrase.as_bytes());
            assert!(read.secret.is_empty());
        }
        // The last line feed may be missing; without an end it is no key.
        let read = parse(format!("key\n{}", PEM.trim_end()).as_bytes()).expect("lines");
        assert_eq!(read.private_key_pem, PEM.trim_end().as_bytes());
        assert!(parse(b"key\n-----BEGIN PRIVATE KEY-----\nMC4CAQ\nMC4CAQ\n").is_err());
    }

    #[test]
    fn says_nothing_of_what_it_refuses() {
        for text in ["{\"canary\": 1}", "a\nb\nc\ncanary", "{canary"] {
            let fault = parse(text.as_bytes()).expect_err("refused");
            assert!(!fault.message.contains("canary"), "{}", fault.message);
        }
    }
}
