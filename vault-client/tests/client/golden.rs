//! Golden files of the wire formats, made by `tests/vectors/golden/make_wire.py`: this code reads
//! what that wrote, and writes the same.

use std::path::Path;

use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable as _, Kem, OpModeR};
use prost::Message;
use ring::signature::{ECDSA_P256_SHA256_ASN1, ED25519, UnparsedPublicKey};
use serde_json::Value;
use vault_client::v1::{self, SealTicket, SignedCommand};
use vault_ipc::{Barrier, BarrierDone, CommandCall, Decoder, Kind, PullCall, Reply, Restart};
use vault_ipc::{Frame, SignCall, State};
use vault_proto::token::Token;
use vault_proto::{command, enroll, sealed};
use zeroize::Zeroizing;

fn golden(name: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/golden/wire");
    let text = std::fs::read_to_string(folder.join(name)).expect("a golden file");
    serde_json::from_str(&text).expect("JSON")
}

fn text<'a>(record: &'a Value, key: &str) -> &'a str {
    record[key].as_str().unwrap_or_else(|| panic!("{key} is a text"))
}

fn bytes(record: &Value, key: &str) -> Vec<u8> {
    hex::decode(text(record, key)).unwrap_or_else(|_| panic!("{key} is hex"))
}

fn array<const N: usize>(record: &Value, key: &str) -> [u8; N] {
    bytes(record, key).try_into().unwrap_or_else(|_| panic!("{key} has another length"))
}

fn number(record: &Value, key: &str) -> i64 {
    record[key].as_i64().unwrap_or_else(|| panic!("{key} is a number"))
}

#[test]
fn invite_token() {
    let record = golden("invite_token.json");
    let token = Token::decode(text(&record, "text")).expect("a token");
    let made = Token::new(
        array(&record, "id"),
        Zeroizing::new(array(&record, "secret")),
        array(&record, "ca_fingerprint"),
        array(&record, "core_fingerprint"),
        number(&record, "expires_at_ms"),
        text(&record, "address").to_owned(),
    );

    assert_eq!(made.encode().as_str(), text(&record, "text"));
    assert_eq!(token.encode().as_str(), text(&record, "text"));
    assert_eq!(token.address, text(&record, "address"));
    assert_eq!(token.public_key(), array::<32>(&record, "public_key"));
}

#[test]
fn enroll_proof() {
    let record = golden("enroll_proof.json");
    let token = Token::decode(text(&record, "token")).expect("a token");
    let csr = bytes(&record, "csr");

    let message = enroll::signing_bytes(&token.id, &csr).expect("short");
    assert_eq!(message, bytes(&record, "signing_bytes"));
    // Ed25519 is deterministic.
    assert_eq!(token.prove(&csr), bytes(&record, "proof"));
}

#[test]
fn signed_command() {
    let record = golden("signed_command.json");
    let body = v1::DeleteScopeCommand { name: text(&record, "name").to_owned() }.encode_to_vec();
    assert_eq!(body, bytes(&record, "body"));
    let message = command::signing_bytes(
        text(&record, "method"),
        &array(&record, "serial"),
        &bytes(&record, "nonce"),
        number(&record, "expires_at_ms"),
        &body,
    )
    .expect("short");
    assert_eq!(message, bytes(&record, "signing_bytes"));

    let p256 = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, bytes(&record, "p256_public_key"));
    p256.verify(&message, &bytes(&record, "p256_signature")).expect("verifies");
    let ed25519 = UnparsedPublicKey::new(&ED25519, bytes(&record, "ed25519_public_key"));
    ed25519.verify(&message, &bytes(&record, "ed25519_signature")).expect("verifies");

    let encoded = bytes(&record, "signed_command_ed25519");
    let signed = SignedCommand::decode(encoded.as_slice()).expect("a message");
    assert_eq!(signed.method, text(&record, "method"));
    assert_eq!(signed.signature, bytes(&record, "ed25519_signature"));
    assert_eq!(signed.encode_to_vec(), encoded);
}

fn ticket(record: &Value) -> SealTicket {
    SealTicket {
        id: bytes(record, "id"),
        purpose: text(record, "purpose").to_owned(),
        public_key: bytes(record, "public_key"),
        expires_at_ms: number(record, "expires_at_ms"),
        signature: bytes(record, "signature"),
        core_public_key: bytes(record, "core_public_key"),
        instance_id: bytes(record, "instance_id"),
    }
}

#[test]
fn seal_ticket() {
    let record = golden("ticket.json");
    let mut ticket = ticket(&record);
    let fingerprint = array(&record, "core_fingerprint");

    assert_eq!(sealed::ticket_signing_bytes(&ticket), bytes(&record, "signing_bytes"));
    sealed::verify_ticket(&ticket, sealed::IMPORT, &fingerprint).expect("verifies");
    ticket.expires_at_ms += 1;
    assert!(sealed::verify_ticket(&ticket, sealed::IMPORT, &fingerprint).is_err());
}

/// Opens with the parts that the file names, so that neither `info` nor `aad` is this code's own.
fn open(record: &Value, sealed: &[u8]) -> Option<Vec<u8>> {
    let key = bytes(record, "private_key");
    let (encapsulated, ciphertext) = sealed.split_at_checked(32)?;
    hpke::single_shot_open::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        &<X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(&key).ok()?,
        &<X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(encapsulated).ok()?,
        &bytes(record, "info"),
        ciphertext,
        &bytes(record, "aad"),
    )
    .ok()
}

#[test]
fn sealed_secret() {
    let record = golden("sealed_secret.json");
    let plain = bytes(&record, "plain");
    let theirs = bytes(&record, "sealed");
    assert_eq!(open(&record, &theirs).as_ref(), Some(&plain));

    let ours = sealed::seal(&ticket(&golden("ticket.json")), &bytes(&record, "metadata"), &plain)
        .expect("sealed");
    assert_ne!(ours, theirs);
    assert_eq!(open(&record, &ours).as_ref(), Some(&plain));
    for at in 0..theirs.len() {
        let mut damaged = theirs.clone();
        damaged[at] ^= 1;
        assert_eq!(open(&record, &damaged), None, "byte {at}");
    }

    let metadata =
        v1::CredentialMetadata::decode(bytes(&record, "metadata").as_slice()).expect("a message");
    assert_eq!((metadata.name.as_str(), metadata.venue.as_str()), ("okx-main", "okx"));
    let secret = v1::CredentialSecret::decode(plain.as_slice()).expect("a message");
    assert_eq!(secret.secret, b"the secret");
}

#[test]
fn frames() {
    let record = golden("frames.json");
    let stream = bytes(&record, "stream");
    let mut decoder = Decoder::default();
    decoder.extend(&stream);
    let listed = record["frames"].as_array().expect("a list");
    assert_eq!(listed.len(), 10);
    for each in listed {
        let name = text(each, "name");
        let frame = decoder.next_frame().expect("ours").expect("whole");
        assert_eq!(i64::from(frame.kind.code()), number(each, "kind"), "{name}");
        assert_eq!(frame.correlation as i64, number(each, "correlation"), "{name}");
        assert_eq!(frame.body, bytes(each, "body"), "{name}");
        assert_eq!(reencoded(&frame), bytes(each, "frame"), "{name}");
    }
    assert!(decoder.is_empty());
}

#[test]
fn frames_say_what_was_put_in() {
    let record = golden("frames.json");
    let frame = |wanted: &str| {
        let listed = record["frames"].as_array().expect("a list");
        let each = listed.iter().find(|each| each["name"] == wanted).expect("there");
        bytes(each, "body")
    };

    let sign = SignCall::decode(frame("sign").as_slice()).expect("a message");
    assert_eq!(sign.caller.address, [192, 0, 2, 7]);
    assert_eq!(sign.request.request_id, "req-1");
    assert_eq!(sign.deadline_us, 1_800_000_000_000_000);
    let reply = Reply::decode(frame("reply_failure").as_slice()).expect("a message");
    let failure = reply.failure.expect("a failure");
    assert_eq!(failure.reason, "SYMBOL_NOT_GRANTED");
    assert_eq!(failure.entry_index, Some(12));
    let reply = Reply::decode(frame("reply").as_slice()).expect("a message");
    assert!(reply.releases);
    let barrier = Barrier::decode(frame("barrier").as_slice()).expect("a message");
    assert_eq!((barrier.id, barrier.cut_serials.len()), (300, 1));
}

/// Decodes the body and writes the frame again.
fn reencoded(frame: &Frame) -> Vec<u8> {
    fn again<M: Message + Default>(frame: &Frame) -> Vec<u8> {
        let message: M = frame.message().expect("decodes");
        let mut out = Vec::new();
        vault_ipc::encode(frame.kind, frame.correlation, &message, &mut out).expect("short");
        out
    }
    match frame.kind {
        Kind::Sign => again::<SignCall>(frame),
        Kind::Command => again::<CommandCall>(frame),
        Kind::BarrierDone => again::<BarrierDone>(frame),
        Kind::Pull => again::<PullCall>(frame),
        Kind::Shutdown | Kind::State => again::<State>(frame),
        Kind::Reply => again::<Reply>(frame),
        Kind::Barrier => again::<Barrier>(frame),
        Kind::Restart => again::<Restart>(frame),
        other => panic!("{other:?} is not among them"),
    }
}
