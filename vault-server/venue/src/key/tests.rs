//! Private keys in every dress that owners have them in, and what is none.

use aws_lc_rs::encoding::AsBigEndian;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    EcdsaKeyPair, Ed25519KeyPair, KeyPair, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use vault_model::SecretBytes;

use super::{KeyType, PrivateKey, pem};
use crate::error::VenueError;
use crate::scheme::{SCHEMES, Scheme, known};
use crate::venue::Key;

const LABELS: &[&str] = &["EC PRIVATE KEY", "PRIVATE KEY", "RSA PRIVATE KEY"];

fn secret(text: impl AsRef<[u8]>) -> SecretBytes {
    SecretBytes::new(text.as_ref().to_vec())
}

fn wrap(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

fn der(pem: &str) -> Vec<u8> {
    pem::decode(pem.as_bytes()).expect("PEM").1.expose_secret().to_vec()
}

fn read(text: impl AsRef<[u8]>) -> Result<KeyType, VenueError> {
    PrivateKey::from_pem(&secret(text)).map(|private| private.key_type())
}

fn p256_pkcs8() -> Vec<u8> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("generated");
    pair.to_pkcs8v1().expect("PKCS#8").as_ref().to_vec()
}

/// PKCS#1 with a modulus of `bits` bits, and nothing after it.
fn pkcs1(bits: usize) -> Vec<u8> {
    let mut modulus = vec![0xff; bits.div_ceil(8)];
    modulus[0] = 0xff >> (modulus.len() * 8 - bits);
    let integer = |bytes: &[u8]| {
        let mut value = vec![0x02, 0x82];
        value.extend(u16::try_from(bytes.len() + 1).expect("short").to_be_bytes());
        value.push(0);
        value.extend(bytes);
        value
    };
    let contents = [&[0x02, 0x01, 0x00][..], &integer(&modulus)].concat();
    let length = u16::try_from(contents.len()).expect("short").to_be_bytes();
    [&[0x30, 0x82][..], &length, &contents].concat()
}

#[test]
fn words_and_types_belong_together() {
    for key_type in KeyType::ALL {
        assert_eq!(key_type.to_string().parse(), Ok(*key_type));
    }
    assert_eq!("legacy-hmac".parse(), Ok(KeyType::LegacyHmac));
    for word in ["", "RSA", "rsa ", "ecdsa"] {
        assert_eq!(word.parse::<KeyType>(), Err(VenueError::KeyTypeUnknown));
    }
}

#[test]
fn reads_every_kind_of_private_key() {
    let inner = super::der::pkcs8_key(&der(known::RSA)).expect("PKCS#8").to_vec();
    let ed25519 = Ed25519KeyPair::generate().expect("generated");
    for (text, key_type) in [
        (known::ED25519.to_owned(), KeyType::Ed25519),
        (wrap("PRIVATE KEY", ed25519.to_pkcs8().expect("v2").as_ref()), KeyType::Ed25519),
        (wrap("PRIVATE KEY", ed25519.to_pkcs8v1().expect("v1").as_ref()), KeyType::Ed25519),
        (known::P256.to_owned(), KeyType::Es256),
        (wrap("PRIVATE KEY", &p256_pkcs8()), KeyType::Es256),
        (known::RSA.to_owned(), KeyType::Rsa),
        (wrap("RSA PRIVATE KEY", &inner), KeyType::Rsa),
    ] {
        assert_eq!(read(&text), Ok(key_type), "{text}");
    }
}

#[test]
fn line_breaks_may_be_of_any_kind() {
    let crlf = known::P256.replace('\n', "\r\n");
    let literal = known::P256.replace('\n', "\\n");
    let spaces = known::P256.replace('\n', " ");
    let none = known::P256.replace('\n', "");
    let around = format!("\n \t{}\r\n\n", known::P256);
    let parameters =
        "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    let openssl = format!("{parameters}{}", known::P256);

    for text in [crlf, literal, spaces, none, around, openssl] {
        assert_eq!(read(&text), Ok(KeyType::Es256), "{text:?}");
    }
    assert_eq!(read(parameters), Err(VenueError::PemForm));
}

#[test]
fn says_what_a_secret_is_that_cannot_be_used() {
    let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).expect("generated");
    let p384 = p384.to_pkcs8v1().expect("PKCS#8");
    // id-RSASSA-PSS, and id-ecPublicKey with secp256k1.
    let oid = |from: &[u8], to: &[u8], der: Vec<u8>| {
        let at = der.windows(from.len()).position(|window| window == from).expect("there");
        [&der[..at], to, &der[at + from.len()..]].concat()
    };
    let pss = oid(
        &[0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01],
        &[0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a],
        der(known::RSA),
    );
    let p521_oid = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x06];
    let p256_oid = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    let other_sec1 = oid(&p256_oid, &p521_oid, der(known::P256));
    let proc_type = known::P256.replacen(
        "KEY-----\n",
        "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n",
        1,
    );
    for (text, error) in [
        (wrap("ENCRYPTED PRIVATE KEY", b"x"), VenueError::PrivateKeyEncrypted),
        (proc_type, VenueError::PrivateKeyEncrypted),
        (wrap("PUBLIC KEY", b"x"), VenueError::NotPrivateKey),
        (wrap("RSA PUBLIC KEY", b"x"), VenueError::NotPrivateKey),
        (wrap("CERTIFICATE", b"x"), VenueError::NotPrivateKey),
        (wrap("CERTIFICATE REQUEST", b"x"), VenueError::NotPrivateKey),
        (wrap("DSA PRIVATE KEY", b"x"), VenueError::PrivateKeyAlgorithm),
        (wrap("PRIVATE KEY", p384.as_ref()), VenueError::PrivateKeyAlgorithm),
        (wrap("PRIVATE KEY", &pss), VenueError::PrivateKeyAlgorithm),
        (wrap("EC PRIVATE KEY", &other_sec1), VenueError::PrivateKeyAlgorithm),
        (wrap("OPENSSH PRIVATE KEY", b"x"), VenueError::PemForm),
        (format!("{}{}", known::P256, known::P256), VenueError::PemForm),
        (format!("{}x", known::P256), VenueError::PemForm),
        (known::P256.replacen("END EC", "END", 1), VenueError::PemForm),
        (known::P256.replace('=', ""), VenueError::PemForm),
        (known::P256.replacen('M', "*", 1), VenueError::PemForm),
        (" ".repeat(17_000) + known::P256, VenueError::PemForm),
        ("-----BEGIN".to_owned(), VenueError::PemForm),
        (String::new(), VenueError::PemForm),
        (wrap("PRIVATE KEY", b""), VenueError::PrivateKeyBroken),
        (wrap("EC PRIVATE KEY", &der(known::RSA)), VenueError::PrivateKeyBroken),
        (wrap("PRIVATE KEY", &der(known::P256)), VenueError::PrivateKeyBroken),
    ] {
        assert_eq!(read(&text), Err(error), "{text}");
    }
}

#[test]
fn rsa_keys_have_2048_to_4096_bits() {
    for (bits, error) in [
        (1024, VenueError::RsaKeySize),
        (2047, VenueError::RsaKeySize),
        // Of a size that is taken, but no key.
        (2048, VenueError::PrivateKeyBroken),
        (4096, VenueError::PrivateKeyBroken),
        (4097, VenueError::RsaKeySize),
        (8192, VenueError::RsaKeySize),
    ] {
        assert_eq!(read(wrap("RSA PRIVATE KEY", &pkcs1(bits))), Err(error), "{bits}");
    }
}

#[test]
fn halves_belong_together() {
    let flip_last = |mut der: Vec<u8>| {
        *der.last_mut().expect("not empty") ^= 1;
        der
    };
    let ed25519 = Ed25519KeyPair::generate().expect("generated");
    let pkcs8 = ed25519.to_pkcs8().expect("PKCS#8").as_ref().to_vec();
    for text in [
        wrap("EC PRIVATE KEY", &flip_last(der(known::P256))),
        wrap("PRIVATE KEY", &flip_last(p256_pkcs8())),
        wrap("PRIVATE KEY", &flip_last(pkcs8)),
        wrap("PRIVATE KEY", &flip_last(der(known::RSA))),
    ] {
        assert_eq!(read(text), Err(VenueError::PrivateKeyBroken));
    }
}

#[test]
fn a_seed_with_its_public_half_is_an_ed25519_key() {
    let pair = Ed25519KeyPair::generate().expect("generated");
    let seed = pair.seed().expect("seed").as_be_bytes().expect("32 bytes");
    let mut halves = [seed.as_ref(), pair.public_key().as_ref()].concat();
    let read = |text: &str| {
        let private = PrivateKey::from_seed_and_public(&secret(text));
        private.map(|private| private.map(|private| private.key_type()))
    };

    let text = STANDARD.encode(&halves);
    assert_eq!(read(&text), Ok(Some(KeyType::Ed25519)));
    assert_eq!(read(&format!("{text}\n")), Ok(Some(KeyType::Ed25519)));
    // Others are no such key, and may be a shared secret.
    for other in [&text[..87], &text[..86], "", &"x".repeat(88), &STANDARD.encode([7; 32])] {
        assert_eq!(read(other), Ok(None), "{other}");
    }
    halves[63] ^= 1;
    assert_eq!(read(&STANDARD.encode(&halves)), Err(VenueError::PrivateKeyBroken));
}

#[test]
fn a_key_signs_as_its_own_type_alone() {
    let private = PrivateKey::from_pem(&secret(known::RSA)).expect("RSA");

    assert_eq!(private.check_type(KeyType::Rsa), Ok(()));
    for key_type in [KeyType::Ed25519, KeyType::Es256, KeyType::Hmac, KeyType::LegacyHmac] {
        assert_eq!(private.check_type(key_type), Err(VenueError::KeyTypeWrong));
    }
}

#[test]
fn says_of_itself_what_it_is_and_no_more() {
    let private = PrivateKey::from_pem(&secret(known::RSA)).expect("RSA");
    assert_eq!(format!("{private:?}"), "PrivateKey(rsa)");
}

/// Every kind of private key in every form that a scheme takes, with who takes it.
fn signers() -> Vec<(&'static dyn Scheme, KeyType, SecretBytes)> {
    let scheme = |name: &str| {
        *SCHEMES.iter().find(|scheme| scheme.name() == name).expect("one of the schemes")
    };
    let pair = Ed25519KeyPair::generate().expect("generated");
    let seed = pair.seed().expect("seed").as_be_bytes().expect("32 bytes");
    let halves = STANDARD.encode([seed.as_ref(), pair.public_key().as_ref()].concat());
    vec![
        (scheme("binance"), KeyType::Ed25519, secret(known::ED25519)),
        (scheme("binance"), KeyType::Rsa, secret(known::RSA)),
        (scheme("bybit"), KeyType::Rsa, secret(known::RSA)),
        (scheme("coinbase"), KeyType::Ed25519, secret(known::ED25519)),
        (scheme("coinbase"), KeyType::Ed25519, secret(halves)),
        (scheme("coinbase"), KeyType::Es256, secret(known::P256)),
    ]
}

#[test]
fn a_key_that_was_parsed_before_signs_as_one_that_is_parsed_for_it() {
    let text = b"timestamp=1712345678901";
    for (scheme, key_type, secret) in signers() {
        let key = |private_key| Key {
            api_key: "key",
            secret: &secret,
            passphrase: None,
            key_type,
            private_key,
        };
        let private = scheme.private_key(&key(None)).expect("parsed").expect("no shared secret");
        let fresh = scheme.signature(&key(None), text).expect("signed");
        for _ in 0..2 {
            let kept = scheme.signature(&key(Some(&private)), text).expect("signed");
            if key_type == KeyType::Es256 {
                let point = STANDARD.decode(known::P256_PUBLIC).expect("a point");
                let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
                assert!(public.verify(text, &kept).is_ok() && kept != fresh);
            } else {
                assert_eq!(kept, fresh, "{} {key_type}", scheme.name());
            }
        }
    }
}

#[test]
fn a_parsed_key_of_another_type_does_not_sign() {
    for (scheme, key_type, secret) in signers() {
        let other = if key_type == KeyType::Rsa { known::ED25519 } else { known::RSA };
        let other = PrivateKey::from_pem(&self::secret(other)).expect("a key");
        let key = Key {
            api_key: "key",
            secret: &secret,
            passphrase: None,
            key_type,
            private_key: Some(&other),
        };
        assert_eq!(scheme.signature(&key, b"text"), Err(VenueError::KeyTypeWrong));
    }
}

#[test]
fn a_shared_secret_has_no_private_key() {
    // As Kraken writes a secret, and as Coinbase writes an Ed25519 key: 64 bytes in base64.
    let secret = secret(STANDARD.encode([7; 64]));
    for scheme in SCHEMES {
        for key_type in [KeyType::Hmac, KeyType::LegacyHmac] {
            let key = Key {
                api_key: "key",
                secret: &secret,
                passphrase: None,
                key_type,
                private_key: None,
            };
            assert!(scheme.private_key(&key).expect("nothing is parsed").is_none());
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let secret = secret(&bytes);
        let _ = PrivateKey::from_pem(&secret);
        let _ = PrivateKey::from_seed_and_public(&secret);
        for label in LABELS {
            let _ = read(wrap(label, &bytes));
        }
    }

    #[test]
    fn no_pem_like_text_makes_a_reader_panic(
        text in r"(-----(BEGIN|END) ?(EC |RSA |ENCRYPTED )?PRIVATE KEY-----|[A-Za-z0-9+/=]{0,9}|\\[nrx]|[ \r\n-]){0,12}"
    ) {
        let _ = read(text);
    }

    #[test]
    fn no_damaged_key_makes_a_reader_panic(
        which in 0..3_usize,
        at in any::<prop::sample::Index>(),
        byte: u8,
        cut in any::<prop::sample::Index>(),
    ) {
        let mut der = der([known::ED25519, known::P256, known::RSA][which]);
        let at = at.index(der.len());
        der[at] = byte;
        for label in LABELS {
            let _ = read(wrap(label, &der));
        }
        // A changed length can make the cut key a whole one of another kind.
        der.truncate(cut.index(der.len()));
        for label in LABELS {
            let _ = read(wrap(label, &der));
        }
    }

    #[test]
    fn a_cut_key_is_none(which in 0..3_usize, cut in any::<prop::sample::Index>()) {
        let mut der = der([known::ED25519, known::P256, known::RSA][which]);
        der.truncate(cut.index(der.len()));
        for label in LABELS {
            prop_assert!(read(wrap(label, &der)).is_err());
        }
    }
}
