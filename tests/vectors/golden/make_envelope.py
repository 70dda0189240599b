#!/usr/bin/env python3
"""Makes the golden files in envelope/: VE1, slots, row and payload MACs, state root.

Independent of the Rust code: HMAC and SHA-256 from the standard library, HKDF written out here from
RFC 5869, the RFC 6962 tree from its definition, AES-GCM and Argon2id from the `cryptography`
package (OpenSSL). Every input is fixed, so a second run writes the same bytes.

    pip install cryptography
    python3 make_envelope.py
"""

import hashlib
import hmac
import json
import pathlib
import struct

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

OUT = pathlib.Path(__file__).parent / "envelope"
INSTANCE = "00112233445566778899aabbccddeeff"
CREATED_AT = 1_760_000_000_000_000
SOURCE = "tests/vectors/golden/make_envelope.py (Python hashlib and hmac; AES-GCM and Argon2id of pyca/cryptography)"


def fixed(label, length=32):
    """Bytes that look random and are the same in every run."""
    out = b""
    while len(out) < length:
        out += hashlib.sha256(f"{label}/{len(out)}".encode()).digest()
    return out[:length]


def hkdf(ikm, salt, info, length):
    prk = hmac.new(salt, ikm, hashlib.sha256).digest()
    okm, block, counter = b"", b"", 1
    while len(okm) < length:
        block = hmac.new(prk, block + info + bytes([counter]), hashlib.sha256).digest()
        okm += block
        counter += 1
    return okm[:length]


def canonical(value):
    """RFC 8785 for what is used here: ASCII, integers, no floats."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def aad_bytes(aad):
    fields = ["vault-ve1", aad["instance_id"], aad["table"], aad["row"], str(aad["version"]),
              aad["venue"], aad["alg"], aad["usage"], str(aad["created_at"])]
    return b"".join(struct.pack(">H", len(f.encode())) + f.encode() for f in fields)


def ve1(kek, kek_version, aad, plaintext, salt):
    bound = aad_bytes(aad)
    okm = hkdf(kek, salt, b"VE1" + bound, 64)
    sealed = AESGCM(okm[:32]).encrypt(bytes(12), plaintext, bound)
    return b"VE1\x01" + struct.pack(">I", kek_version) + salt + okm[32:] + sealed


def aad(table, row, version, venue, alg, usage):
    return {"instance_id": INSTANCE, "table": table, "row": row, "version": version,
            "venue": venue, "alg": alg, "usage": usage, "created_at": CREATED_AT}


def flip(envelope, at):
    return envelope[:at] + bytes([envelope[at] ^ 1]) + envelope[at + 1:]


def ve1_cases():
    cases = []

    def case(name, kek, version, bound, envelope, plaintext=None, error=None):
        cases.append({"name": name, "kek": kek.hex(), "kek_version": version, "aad": bound,
                      "aad_bytes": aad_bytes(bound).hex(), "envelope": envelope.hex(),
                      **({"plaintext": plaintext.hex()} if error is None else {"error": error})})

    kek, dek = fixed("kek"), fixed("dek")
    good = [
        ("dek of a credential version", kek, 1,
         aad("credential_version", "okx-main", 1, "okx", "hmac-sha256", "dek"), dek),
        ("secret of a credential version", dek, 1,
         aad("credential_version", "okx-main", 1, "okx", "hmac-sha256", "secret"),
         b'{"secret":"not a real secret"}'),
        ("kek in the keyring", fixed("root"), 1,
         aad("keyring", "kek", 1, "", "aes-256-gcm", "keyring"), kek),
        ("empty plaintext, high versions, non-ASCII row", kek, 0xFFFFFFFE,
         aad("credential_version", "ключ", 4_000_000_000, "kraken", "hmac-sha512", "secret"), b""),
        ("long plaintext", kek, 7,
         aad("keyring", "ca", 1, "", "p256-pkcs8", "keyring"), fixed("long", 1_000)),
    ]
    for name, key, version, bound, plaintext in good:
        case(name, key, version, bound, ve1(key, version, bound, plaintext, fixed("salt " + name)), plaintext)

    bound = aad("credential_version", "okx-main", 1, "okx", "hmac-sha256", "dek")
    envelope = ve1(kek, 1, bound, dek, fixed("salt of the failures"))
    case("bit flipped in the salt", kek, 1, bound, flip(envelope, 8), error="commitment")
    case("bit flipped in the commitment", kek, 1, bound, flip(envelope, 71), error="commitment")
    case("bit flipped in the ciphertext", kek, 1, bound, flip(envelope, 72), error="forged")
    case("bit flipped in the tag", kek, 1, bound, flip(envelope, len(envelope) - 1), error="forged")
    case("last byte cut off", kek, 1, bound, envelope[:-1], error="forged")
    case("shorter than any envelope", kek, 1, bound, envelope[:87], error="malformed")
    case("nothing", kek, 1, bound, b"", error="malformed")
    case("another magic", kek, 1, bound, b"VE2" + envelope[3:], error="malformed")
    case("another algorithm", kek, 1, bound, b"VE1\x02" + envelope[4:], error="malformed")
    case("another key", fixed("other kek"), 1, bound, envelope, error="commitment")
    case("another key version", kek, 2, bound, envelope, error="key_version")
    for field, value in [("instance_id", INSTANCE[::-1]), ("table", "keyring"), ("row", "okx-other"),
                         ("version", 2), ("venue", "kraken"), ("alg", "ed25519"),
                         ("usage", "secret"), ("created_at", CREATED_AT + 1)]:
        case(f"wrong {field}", kek, 1, {**bound, field: value}, envelope, error="commitment")
    return {"source": SOURCE, "cases": cases}


def slots():
    root_key = fixed("root key")
    passphrase = b"orbit velvet cactus plum raven tulip mango frost"
    key_file = fixed("key file")

    def slot(number, kdf, alg, unseal_key):
        bound = aad("slot", str(number), 1, "", alg, "root_key")
        return canonical({"created_at": CREATED_AT, "id": number, "kdf": kdf, "root_key_version": 1,
                          "wrapped": ve1(unseal_key, 1, bound, root_key, fixed(f"slot {number}")).hex()})

    salt = fixed("argon2 salt")
    by_passphrase = Argon2id(salt=salt, length=32, iterations=1, lanes=1, memory_cost=1024).derive(passphrase)
    salt_file = fixed("key file salt")
    by_file = hkdf(key_file, salt_file, b"countersign-slot-key-file-v1", 32)
    return {"source": SOURCE, "instance_id": INSTANCE, "root_key": root_key.hex(), "slots": [
        {"doc": slot(1, {"kind": "passphrase", "argon2": {"m_kib": 1024, "p": 1, "t": 1}, "salt": salt.hex()},
                     "argon2id", by_passphrase), "input": passphrase.hex()},
        {"doc": slot(2, {"kind": "key_file", "salt": salt_file.hex()}, "hkdf-sha256", by_file),
         "input": (key_file.hex() + "\n").encode().hex()},
    ]}


def mac_fields(key, fields):
    return hmac.new(key, b"".join(struct.pack(">I", len(f)) + f for f in fields), hashlib.sha256).digest()


def row_mac(key, table, row_key, doc):
    return mac_fields(key, [b"countersign-row-v1", INSTANCE.encode(), table.encode(), row_key.encode(), doc.encode()])


def documents():
    """One row or more of every table: (table, key, document)."""
    t = CREATED_AT
    serial, older = fixed("serial", 16).hex(), fixed("older serial", 16).hex()
    token = fixed("token", 16).hex()
    client = {"created_at": t, "name": "mm-1", "networks": ["192.0.2.0/24", "2001:db8::/32"],
              "revoke_reason": None, "revoked_at": None, "role": "bot", "scope": "mm-okx", "state": "active"}
    return [
        ("client", "mm-1", client),
        ("client", "mm-2", {**client, "name": "mm-2", "networks": [], "revoke_reason": "leaked", "revoked_at": t + 1,
                            "scope": None, "state": "revoked"}),
        ("operator", "alice", {"created_at": t, "name": "alice", "revoked_at": None, "role": "admin", "state": "active"}),
        ("certificate", serial, {"fingerprint": fixed("fingerprint").hex(), "holder": {"client": "mm-1"}, "issued_at": t,
                                 "not_after": t + 86_400_000_000, "parent": older, "public_key": fixed("spki", 91).hex(),
                                 "serial": serial, "state": "active"}),
        ("scope", "mm-okx", {"document": {"classes": ["read", "trade"], "symbols": {"allow": ["BTC-USDT"]}},
                             "name": "mm-okx", "revision": 3, "updated_at": t}),
        ("credential", "okx-main", {"assume": ["no_withdraw"], "created_at": t, "disclose_passphrase": True,
                                    "environment": "live", "name": "okx-main", "nonce_floor": "18446744073709551615",
                                    "rights": ["read", "trade"], "state": "enabled", "venue": "okx", "version": 1}),
        ("credential_version", "okx-main/1", {"created_at": t, "credential": "okx-main", "key_type": "hmac-sha256",
                                              "sealed_secret": fixed("sealed", 120).hex(), "version": 1,
                                              "wrapped_dek": fixed("wrapped", 120).hex()}),
        ("invite", token, {"certificate": None, "created_by": "alice", "expires_at": t + 900_000_000, "name": "mm-3",
                           "networks": ["192.0.2.7/32"], "public_key": fixed("token key").hex(), "role": "pricer",
                           "scope": None, "token_id": token, "used_at": None, "used_key": None}),
        ("halt", "venue:okx", {"at": t, "by": "alice", "level": "NO_NEW_RISK", "reason": "maintenance",
                               "target": "venue:okx"}),
        ("feed", "BTC/USD", {"document": {"agree_within": "0.005", "anchor": "60000", "max_age": "30s", "max_step": "0.02",
                                          "pair": "BTC/USD", "pricers": ["pricer-1", "pricer-2"], "step_every": "1m"},
                             "pair": "BTC/USD", "revision": 4, "updated_at": t}),
        ("instrument", "okx/linear/BTC-USDT-SWAP", {
            "instrument": {"base": "BTC", "contract_size": "0.01", "price_tick": "0.1", "product": "linear",
                           "quantity_step": "0.01", "quote": "USDT", "reference": "BTC/USDT", "size_unit": "base",
                           "symbol": "BTC-USDT-SWAP", "venue": "okx"},
            "updated_at": t}),
        ("instrument", "kraken/spot/XBT/USD", {
            "instrument": {"base": "XBT", "contract_size": "1", "product": "spot", "quote": "USD", "reference": "XBT/USD",
                           "size_unit": "base", "symbol": "XBT/USD", "venue": "kraken"},
            "updated_at": t + 1}),
    ]


def macs():
    key = fixed("state mac")
    rows = []
    for table, row_key, document in documents():
        doc = canonical(document)
        rows.append({"table": table, "key": row_key, "doc": doc, "mac": row_mac(key, table, row_key, doc).hex()})
    request = {"method": "POST", "scheme": "https", "host": "www.okx.com", "path": "/api/v5/trade/order", "query": "a=b",
               "body": list(b'{"instId":"BTC-USDT"}'), "headers": [["x-a", "1"], ["x-b", ""]]}
    fields = [b"countersign-payload-v1", INSTANCE.encode(), b"okx"]
    fields += [request[part].encode() for part in ("method", "scheme", "host", "path", "query")]
    fields += [bytes(request["body"])] + [part.encode() for header in request["headers"] for part in header]
    return {"source": SOURCE, "key": key.hex(), "instance_id": INSTANCE, "rows": rows,
            "payload": {"venue": "okx", "request": request, "mac": mac_fields(key, fields).hex()}}


def tree_root(leaves):
    """RFC 6962, section 2.1."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + tree_root(leaves[:split]) + tree_root(leaves[split:])).digest()


def state_roots():
    """The root over the first n rows of mac.json, for every n."""
    roots = []
    rows = macs()["rows"]
    for count in range(len(rows) + 1):
        ordered = sorted(rows[:count], key=lambda row: (row["table"].encode(), row["key"].encode()))
        leaves = [row["table"].encode() + b"\0" + row["key"].encode() + b"\0" + bytes.fromhex(row["mac"]) for row in ordered]
        roots.append({"rows": count, "root": tree_root(leaves).hex()})
    return {"source": SOURCE, "roots": roots}


def main():
    OUT.mkdir(exist_ok=True)
    for name, content in [("ve1", ve1_cases()), ("slot", slots()), ("mac", macs()), ("state_root", state_roots())]:
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        (OUT / f"{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
