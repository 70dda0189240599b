//! Secrets as owners paste them.

use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use vault_model::SecretBytes;
use vault_venue::{Key, KeyType};

use super::{input, mutate, signed};

/// PEM's own words.
pub fn words() -> &'static [String] {
    static WORDS: OnceLock<Vec<String>> = OnceLock::new();
    WORDS.get_or_init(|| {
        let labels = [
            "PRIVATE KEY",
            "RSA PRIVATE KEY",
            "EC PRIVATE KEY",
            "ENCRYPTED PRIVATE KEY",
            "PUBLIC KEY",
            "CERTIFICATE",
            "EC PARAMETERS",
        ];
        let lines = labels.iter().flat_map(|label| {
            [format!("-----BEGIN {label}-----\n"), format!("\n-----END {label}-----\n")]
        });
        let others = ["-----", "\r\n", "Proc-Type: 4,ENCRYPTED\n", "=", "==", "\u{feff}"];
        lines.chain(others.map(str::to_owned)).collect()
    })
}

/// A secret: `venue, stated key type, form`, then the secret (form 0 to 63), or edits to the text
/// (64 to 127) or the DER (128 and more) of one of our keys.
pub fn secret(data: &[u8]) {
    let [venue, stated, form, rest @ ..] = data else {
        return;
    };
    let names: Vec<_> = input::registry().names().collect();
    let venue = input::venue(names[usize::from(*venue) % names.len()]);
    let stated = KeyType::ALL[usize::from(*stated) % KeyType::ALL.len()];
    let pem = [signed::ED25519, signed::P256, signed::RSA][usize::from(*form) % 3];
    let text = match form {
        0..64 => rest.to_vec(),
        64..128 => mutate::edit(pem.as_bytes(), rest),
        128.. => {
            let lines: Vec<_> = pem.lines().collect();
            let [first, inner @ .., last] = lines.as_slice() else {
                return;
            };
            let der = STANDARD.decode(inner.concat()).expect("base64");
            let der = STANDARD.encode(mutate::edit(&der, rest));
            format!("{first}\n{der}\n{last}\n").into_bytes()
        }
    };
    let secret = SecretBytes::new(text);
    let found = venue.key_type_of(&secret);
    assert_eq!(venue.key_type_of(&secret), found, "the same answer");
    match &found {
        Ok(key_type) => assert!(venue.key_types().contains(key_type), "{key_type} is not taken"),
        Err(error) => assert!(error.code().bytes().all(|b| b.is_ascii_uppercase() || b == b'_')),
    }
    let passphrase = SecretBytes::new(b"passphrase".to_vec());
    let key = Key {
        api_key: "the-key",
        secret: &secret,
        passphrase: venue.needs_passphrase().then_some(&passphrase),
        key_type: stated,
        private_key: None,
    };
    let checked = venue.check_key(&key);
    let text = b"a text to sign";
    let signature = venue.scheme().signature(&key, text);
    if checked.is_ok() {
        super::take();
        assert_eq!(found, Ok(stated), "a key of the stated type");
        let signature = signature.expect("a checked key signs");
        assert!(signature.len() >= 32, "{} bytes", signature.len());
        // ECDSA is random, the others are not.
        if stated != KeyType::Es256 {
            assert_eq!(venue.scheme().signature(&key, text), Ok(signature));
        }
    }
}
