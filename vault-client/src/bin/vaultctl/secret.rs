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
    /// A PEM key from a file or, for `-`, from stdin; prompts for the rest.
    KeyFile(&'a Path),
    /// Everything from stdin: a JSON object, or a line each for API key, secret and passphrase.
    Stdin,
}

/// Reads a credential's secret.
pub fn credential(source: Source<'_>) -> Result<CredentialSecret, Fault> {
    let secret = match source {
        Source::Stdin => parse(&stdin()?)?,
        Source::KeyFile(path) => {
            let private_key_pem = if path == Path::new("-") { stdin()? } else { read_file(path)? };
            let private_key_pem = Zeroizing::new(private_key_pem.to_vec());
            let mut secret = prompt_api_key()?;
            secret.passphrase = ask("Passphrase (empty for none): ")?;
            secret.private_key_pem.clone_from(&private_key_pem);
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
        let mut lines = text.lines();
        let mut line = || lines.next().unwrap_or_default().to_owned();
        let input =
            Input { api_key: line(), secret: line(), passphrase: line(), ..Input::default() };
        if lines.any(|line| !line.is_empty()) {
            return Err(Fault::usage("stdin has more than three lines")
                .with_hint("API key, secret, passphrase; give a PEM key with --key-file"));
        }
        input
    };
    Ok(CredentialSecret {
        api_key: input.api_key,
        secret: input.secret.into_bytes(),
        passphrase: input.passphrase.into_bytes(),
        private_key_pem: input.private_key_pem.into_bytes(),
    })
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
    fn says_nothing_of_what_it_refuses() {
        for text in ["{\"canary\": 1}", "a\nb\nc\ncanary", "{canary"] {
            let fault = parse(text.as_bytes()).expect_err("refused");
            assert!(!fault.message.contains("canary"), "{}", fault.message);
        }
    }
}
