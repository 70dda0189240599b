//! What an approval signs, against `tests/vectors/golden/wire/approval.json`, which other software
//! made from `docs/reference/formats.md`.

use ring::signature::{ECDSA_P256_SHA256_ASN1, ED25519, UnparsedPublicKey};
use serde_json::Value;
use vault_policy::ScopeDocument;
use vault_proto::approval;
use vault_wire::scope_hash;

fn golden() -> Value {
    serde_json::from_str(include_str!("../../../tests/vectors/golden/wire/approval.json"))
        .expect("a golden file")
}

fn text<'a>(record: &'a Value, key: &str) -> &'a str {
    record[key].as_str().unwrap_or_else(|| panic!("{key} is a text"))
}

fn bytes(record: &Value, key: &str) -> Vec<u8> {
    hex::decode(text(record, key)).unwrap_or_else(|_| panic!("{key} is hex"))
}

#[test]
fn an_approval_signs_the_bytes_of_the_format() {
    let record = golden();
    let revision = text(&record, "expected_revision").strip_prefix("0x").expect("hex");
    let document: ScopeDocument = serde_json::from_str(text(&record, "document")).expect("a scope");
    let hash = scope_hash(&document).expect("canonical JSON");
    assert_eq!(hash.as_slice(), bytes(&record, "document_sha256"));

    let message = approval::signing_bytes(
        &bytes(&record, "instance_id").try_into().expect("16 bytes"),
        text(&record, "method"),
        &hash,
        u64::from_str_radix(revision, 16).expect("a number"),
        record["expires_at_ms"].as_i64().expect("a number"),
    )
    .expect("short");
    assert_eq!(hex::encode(&message), text(&record, "signing_bytes"));
    assert_eq!(text(&record, "method"), approval::SCOPE_PUT);

    let p256 = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, bytes(&record, "p256_public_key"));
    p256.verify(&message, &bytes(&record, "p256_signature")).expect("verifies");
    let ed25519 = UnparsedPublicKey::new(&ED25519, bytes(&record, "ed25519_public_key"));
    ed25519.verify(&message, &bytes(&record, "ed25519_signature")).expect("verifies");
}

#[test]
fn an_approval_travels_as_the_text_of_the_format() {
    let record = golden();
    let text_form = text(&record, "text_ed25519");
    let read = approval::from_text(text_form).expect("an approval");

    assert_eq!(read.operator, text(&record, "operator"));
    assert_eq!(Some(read.expires_at_ms), record["expires_at_ms"].as_i64());
    assert_eq!(read.signature, bytes(&record, "ed25519_signature"));
    assert_eq!(approval::to_text(&read), text_form);
}
