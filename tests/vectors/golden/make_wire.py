#!/usr/bin/env python3
"""Makes the golden files of what crosses the wire.

    make_wire.py           writes ./wire/ beside this file
    make_wire.py --check   makes them again and compares

Independent of the Rust code: written from docs/reference/formats.md, with Python's standard library
and `cryptography` alone. HPKE (RFC 9180) is spelled out here, and held against the HPKE of the library
where that is new enough to have one.

Everything is deterministic but the ECDSA signature, which is kept if it still verifies.
"""

import base64
import hashlib
import hmac
import json
import pathlib
import struct
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

OUT = pathlib.Path(__file__).parent / "wire"
SOURCE = "tests/vectors/golden/make_wire.py (Python, cryptography)"
RAW = (serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def u8(n):
    return struct.pack(">B", n)


def u16(n):
    return struct.pack(">H", n)


def u32(n):
    return struct.pack(">I", n)


def u64(n):
    return struct.pack(">Q", n)


def i64(n):
    return struct.pack(">q", n)


def sha256(data):
    return hashlib.sha256(data).digest()


def crc32c(data):
    """CRC-32C (Castagnoli), bit by bit: polynomial 0x1EDC6F41, reflected."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def write(name, record):
    text = json.dumps({"source": SOURCE, **record}, indent=2, ensure_ascii=True)
    if "--check" in sys.argv[1:]:
        assert (OUT / name).read_text() == text + "\n", f"{name} differs"
    else:
        (OUT / name).write_text(text + "\n")


# Protobuf: the wire types that the records below need.


def varint(n):
    out = b""
    while n > 0x7F:
        out += u8(n & 0x7F | 0x80)
        n >>= 7
    return out + u8(n)


def field_bytes(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def field_varint(number, n):
    return varint(number << 3) + varint(n)


# Invite token.


def token():
    token_id = bytes(range(16))
    seed = bytes(range(32, 64))
    ca_fingerprint = sha256(b"CA certificate")
    core_fingerprint = sha256(b"core public key")
    expires_at_ms = 1_800_000_000_000
    address = "vault.example:7443"
    body = (
        u8(1) + token_id + seed + ca_fingerprint + core_fingerprint + i64(expires_at_ms)
        + u8(len(address)) + address.encode()
    )
    packed = body + u32(crc32c(body))
    text = "cs1_" + base64.urlsafe_b64encode(packed).rstrip(b"=").decode()
    key = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
    csr = b"stands for a PKCS#10 request in DER"
    message = b"countersign enroll v1\0" + token_id + u32(len(csr)) + csr
    write("invite_token.json", {
        "id": token_id.hex(),
        "secret": seed.hex(),
        "ca_fingerprint": ca_fingerprint.hex(),
        "core_fingerprint": core_fingerprint.hex(),
        "expires_at_ms": expires_at_ms,
        "address": address,
        "bytes": packed.hex(),
        "text": text,
        "public_key": key.public_key().public_bytes(*RAW).hex(),
    })
    write("enroll_proof.json", {
        "token": text,
        "csr": csr.hex(),
        "signing_bytes": message.hex(),
        "proof": key.sign(message).hex(),
    })


# SignedCommand.


def command():
    method = "vault.v1.ScopeService/Delete"
    serial = bytes(range(100, 116))
    nonce = bytes(range(200, 216))
    expires_at_ms = 1_800_000_055_000
    body = field_bytes(1, b"okx-mm")  # DeleteScopeCommand { name }
    message = (
        b"countersign command v1\0" + u16(len(method)) + method.encode() + serial + nonce
        + i64(expires_at_ms) + u32(len(body)) + body
    )
    p256 = ec.derive_private_key(0x1234567890ABCDEF, ec.SECP256R1())
    ed = ed25519.Ed25519PrivateKey.from_private_bytes(b"\x07" * 32)
    p256_public = p256.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    write("signed_command.json", {
        "method": method,
        "serial": serial.hex(),
        "nonce": nonce.hex(),
        "expires_at_ms": expires_at_ms,
        "name": "okx-mm",
        "body": body.hex(),
        "signing_bytes": message.hex(),
        "ed25519_public_key": ed.public_key().public_bytes(*RAW).hex(),
        "ed25519_signature": ed.sign(message).hex(),
        "p256_public_key": p256_public.hex(),
        "p256_signature": p256_signature(p256, message).hex(),
        "signed_command_ed25519": (
            field_bytes(1, method.encode()) + field_bytes(2, body) + field_bytes(3, nonce)
            + field_varint(4, expires_at_ms) + field_bytes(5, ed.sign(message))
        ).hex(),
    })


def p256_signature(key, message, name="signed_command.json"):
    """The signature that is there, if it fits; else a new one: ECDSA is random."""
    path = OUT / name
    if path.exists():
        signature = bytes.fromhex(json.loads(path.read_text())["p256_signature"])
        try:
            key.public_key().verify(signature, message, ec.ECDSA(hashes.SHA256()))
            return signature
        except InvalidSignature:
            pass
    return key.sign(message, ec.ECDSA(hashes.SHA256()))


# Approval.


def approval():
    method = "vault.v1.ScopeService/Put"
    instance_id = bytes(range(16))
    document = (
        '{"classes":["read","withdraw"],"credentials":["kraken-main"],"modes":["sign"],'
        '"name":"treasury","network":{"allow":[],"allow_any":false,"deny":[]},"operations":[],'
        '"products":[],"symbols":{},"withdrawal":{"addresses":[{"address":"cold storage",'
        '"asset":"XBT","venue":"kraken"}],"per_day":[{"asset":"XBT","at_most":"0.5",'
        '"venue":"kraken"}]}}'
    )
    # RFC 8785 of what stands there: sorted keys, no space, ASCII alone.
    assert json.dumps(json.loads(document), sort_keys=True, separators=(",", ":")) == document
    expected_revision = 0x0102030405060708
    expires_at_ms = 1_800_000_000_000
    message = (
        b"countersign approval v1\0" + instance_id + u16(len(method)) + method.encode()
        + sha256(document.encode()) + u64(expected_revision) + i64(expires_at_ms)
    )
    p256 = ec.derive_private_key(0x1234567890ABCDEF, ec.SECP256R1())
    ed = ed25519.Ed25519PrivateKey.from_private_bytes(b"\x07" * 32)
    p256_public = p256.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    encoded = (
        field_bytes(1, b"bob") + field_varint(2, expires_at_ms) + field_bytes(3, ed.sign(message))
    )
    write("approval.json", {
        "method": method,
        "instance_id": instance_id.hex(),
        "document": document,
        "document_sha256": sha256(document.encode()).hex(),
        "expected_revision": f"{expected_revision:#x}",
        "expires_at_ms": expires_at_ms,
        "operator": "bob",
        "signing_bytes": message.hex(),
        "ed25519_public_key": ed.public_key().public_bytes(*RAW).hex(),
        "ed25519_signature": ed.sign(message).hex(),
        "p256_public_key": p256_public.hex(),
        "p256_signature": p256_signature(p256, message, "approval.json").hex(),
        "text_ed25519": base64.urlsafe_b64encode(encoded).rstrip(b"=").decode(),
    })


# HPKE, RFC 9180, base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.

KEM_SUITE = b"KEM" + u16(0x0020)
HPKE_SUITE = b"HPKE" + u16(0x0020) + u16(0x0001) + u16(0x0002)


def extract(salt, ikm):
    return hmac.new(salt or bytes(32), ikm, hashlib.sha256).digest()


def expand(prk, info, length):
    out = block = b""
    for n in range(1, -(-length // 32) + 1):
        block = hmac.new(prk, block + info + u8(n), hashlib.sha256).digest()
        out += block
    return out[:length]


def labeled_extract(suite, salt, label, ikm):
    return extract(salt, b"HPKE-v1" + suite + label + ikm)


def labeled_expand(suite, prk, label, info, length):
    return expand(prk, u16(length) + b"HPKE-v1" + suite + label + info, length)


def key_and_nonce(dh, encapsulated, recipient, info):
    prk = labeled_extract(KEM_SUITE, b"", b"eae_prk", dh)
    shared = labeled_expand(KEM_SUITE, prk, b"shared_secret", encapsulated + recipient, 32)
    psk_id_hash = labeled_extract(HPKE_SUITE, b"", b"psk_id_hash", b"")
    info_hash = labeled_extract(HPKE_SUITE, b"", b"info_hash", info)
    context = u8(0) + psk_id_hash + info_hash
    secret = labeled_extract(HPKE_SUITE, shared, b"secret", b"")
    return (
        labeled_expand(HPKE_SUITE, secret, b"key", context, 32),
        labeled_expand(HPKE_SUITE, secret, b"base_nonce", context, 12),
    )


def hpke_seal(recipient, ephemeral, info, aad, plain):
    encapsulated = ephemeral.public_key().public_bytes(*RAW)
    dh = ephemeral.exchange(x25519.X25519PublicKey.from_public_bytes(recipient))
    key, nonce = key_and_nonce(dh, encapsulated, recipient, info)
    return encapsulated + AESGCM(key).encrypt(nonce, plain, aad)


def hpke_open(private, info, aad, sealed):
    encapsulated, ciphertext = sealed[:32], sealed[32:]
    dh = private.exchange(x25519.X25519PublicKey.from_public_bytes(encapsulated))
    recipient = private.public_key().public_bytes(*RAW)
    key, nonce = key_and_nonce(dh, encapsulated, recipient, info)
    return AESGCM(key).decrypt(nonce, ciphertext, aad)


def check_hpke():
    """Against the HPKE of `cryptography` 47 and later, whose interface has no aad."""
    try:
        from cryptography.hazmat.primitives import hpke
    except ImportError:
        return
    suite = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    private = x25519.X25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
    sealed = suite.encrypt(b"plain", private.public_key(), info=b"info")
    assert hpke_open(private, b"info", b"", sealed) == b"plain"


def ticket_and_sealed():
    instance_id = bytes(range(16, 32))
    ticket_id = bytes(range(64, 80))
    purpose = "import"
    expires_at_ms = 1_800_000_600_000
    private = x25519.X25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
    public_key = private.public_key().public_bytes(*RAW)
    core = ed25519.Ed25519PrivateKey.from_private_bytes(b"\x09" * 32)
    core_public_key = core.public_key().public_bytes(*RAW)
    message = (
        b"countersign ticket v1\0" + instance_id + u8(len(purpose)) + purpose.encode()
        + ticket_id + public_key + i64(expires_at_ms)
    )
    write("ticket.json", {
        "instance_id": instance_id.hex(),
        "id": ticket_id.hex(),
        "purpose": purpose,
        "public_key": public_key.hex(),
        "expires_at_ms": expires_at_ms,
        "core_public_key": core_public_key.hex(),
        "core_fingerprint": sha256(core_public_key).hex(),
        "signing_bytes": message.hex(),
        "signature": core.sign(message).hex(),
    })

    metadata = field_bytes(1, b"okx-main") + field_bytes(2, b"okx") + field_bytes(3, b"live")
    plain = field_bytes(1, b"the api key") + field_bytes(2, b"the secret")
    info = b"countersign sealed v1\0" + instance_id
    aad = u8(len(purpose)) + purpose.encode() + ticket_id + sha256(metadata)
    ephemeral = x25519.X25519PrivateKey.from_private_bytes(bytes(range(33, 65)))
    sealed = hpke_seal(public_key, ephemeral, info, aad, plain)
    assert hpke_open(private, info, aad, sealed) == plain
    write("sealed_secret.json", {
        "private_key": private.private_bytes(
            serialization.Encoding.Raw,
            serialization.PrivateFormat.Raw,
            serialization.NoEncryption(),
        ).hex(),
        "public_key": public_key.hex(),
        "instance_id": instance_id.hex(),
        "ticket_id": ticket_id.hex(),
        "purpose": purpose,
        "metadata": metadata.hex(),
        "info": info.hex(),
        "aad": aad.hex(),
        "plain": plain.hex(),
        "sealed": sealed.hex(),
    })


# Frames between processes.


def frame(kind, correlation, body):
    return struct.pack("<IBBHQ", len(body), 1, kind, 0, correlation) + body


def frames():
    caller = (
        field_bytes(1, bytes(range(16))) + field_bytes(2, bytes(32)) + field_bytes(3, bytes([192, 0, 2, 7]))
        + field_bytes(4, b"direct") + field_varint(5, 1)
    )
    venue_request = (
        field_bytes(1, b"GET") + field_bytes(2, b"https") + field_bytes(3, b"www.okx.com")
        + field_bytes(4, b"/api/v5/account/balance") + field_bytes(5, b"ccy=BTC")
    )
    sign_request = (
        field_bytes(1, b"req-1") + field_bytes(2, b"okx-main") + field_bytes(3, venue_request)
    )
    sign_call = field_bytes(1, caller) + field_bytes(2, sign_request) + field_varint(3, 1_800_000_000_000_000)
    command = field_bytes(1, b"vault.v1.SealService/Seal") + field_bytes(3, bytes(range(16)))
    command_call = (
        field_bytes(1, caller) + field_bytes(2, b"vault.v1.SealService/Seal") + field_bytes(3, command)
    )
    failure = (
        field_varint(1, 4) + field_bytes(2, b"SYMBOL_NOT_GRANTED") + field_bytes(3, b"denied by policy")
        + field_bytes(5, b"okx POST /api/v5/trade/order") + field_varint(6, 12)
    )
    records = [
        ("sign", 1, 7, sign_call),
        ("command", 3, 8, command_call),
        ("barrier_done", 4, 0, field_varint(1, 300)),
        ("pull", 5, 9, field_varint(1, 2) + field_varint(2, 1_000)),
        ("shutdown", 7, 0, b""),
        ("reply", 64, 7, field_bytes(1, b"an encoded response") + field_varint(3, 1)),
        ("reply_failure", 64, 8, field_bytes(2, failure)),
        ("state_sealed", 66, 0, field_varint(1, 1)),
        ("barrier", 67, 0, field_varint(1, 300) + field_bytes(2, bytes(range(16)))),
        ("restart", 68, 0, field_varint(1, 1)),
    ]
    listed = [
        {
            "name": name,
            "kind": kind,
            "correlation": correlation,
            "body": body.hex(),
            "frame": frame(kind, correlation, body).hex(),
        }
        for name, kind, correlation, body in records
    ]
    write("frames.json", {"frames": listed, "stream": "".join(each["frame"] for each in listed)})


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    assert crc32c(b"123456789") == 0xE3069283
    check_hpke()
    token()
    command()
    approval()
    ticket_and_sealed()
    frames()
