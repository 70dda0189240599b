#!/usr/bin/env python3
"""Makes the golden files of the log's formats, and verifies exports, independently of the vault.

    make_log.py                writes ./log/ beside this file
    make_log.py --check        makes them again and compares
    make_log.py --verify DIR   verifies an export folder (entries.jsonl, checkpoint, log.vkey)

Written from docs/reference/formats.md, RFC 6962, RFC 8785 and the C2SP texts signed-note and
tlog-checkpoint. Standard library and `cryptography` only; Ed25519 is deterministic (RFC 8032), so
equal bytes mean that each side accepts what the other makes.
"""

import base64
import hashlib
import json
import pathlib
import struct
import sys

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

HERE = pathlib.Path(__file__).resolve().parent / "log"
ORIGIN = "vault.example/audit/node-1/0"
SEED = bytes(range(32))
NODE, EPOCH = "node-1", 0
SEGMENT_BYTES = 65536  # the smallest; golden segments are shown both preallocated and closed


# --- crc32c (Castagnoli, reflected 0x82F63B78) -------------------------------------------------

def crc_table():
    table = []
    for n in range(256):
        for _ in range(8):
            n = (n >> 1) ^ 0x82F63B78 if n & 1 else n >> 1
        table.append(n)
    return table


CRC_TABLE = crc_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


assert crc32c(b"123456789") == 0xE3069283  # check value of CRC-32/ISCSI


# --- RFC 6962 tree, word for word ---------------------------------------------------------------

def leaf_hash(line):
    return hashlib.sha256(b"\0" + line).digest()


def root_of(leaves):
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\1" + root_of(leaves[:k]) + root_of(leaves[k:])).digest()


# --- signed notes -------------------------------------------------------------------------------

def key_id(name, public):
    return hashlib.sha256(name.encode() + b"\n\x01" + public).digest()[:4]


def vkey(name, public):
    return f"{name}+{key_id(name, public).hex()}+{base64.b64encode(bytes([1]) + public).decode()}"


def sign_checkpoint(private, public, name, size, root):
    text = f"{name}\n{size}\n{base64.b64encode(root).decode()}\n"
    signature = key_id(name, public) + private.sign(text.encode())
    return f"{text}\n\u2014 {name} {base64.b64encode(signature).decode()}\n"


def open_checkpoint(note, vkey_text):
    name, id_hex, key_text = vkey_text.rstrip("\n").split("+", 2)
    key = base64.b64decode(key_text, validate=True)
    assert key[0] == 1 and len(key) == 33, "not an Ed25519 verifier key"
    assert key_id(name, key[1:]).hex() == id_hex, "key id does not fit"
    text, signatures = note.rsplit("\n\n", 1)
    text += "\n"
    assert signatures.endswith("\n")
    verified = False
    for line in signatures[:-1].split("\n"):
        dash, signer, encoded = line.split(" ")
        assert dash == "\u2014"
        raw = base64.b64decode(encoded, validate=True)
        if signer == name and raw[:4].hex() == id_hex:
            Ed25519PublicKey.from_public_bytes(key[1:]).verify(raw[4:], text.encode())
            verified = True
    assert verified, "not signed by this key"
    origin, size, root, rest = text.split("\n")
    assert origin == name and rest == "" and str(int(size)) == size
    return int(size), base64.b64decode(root, validate=True)


# --- canonical JSON: our entries hold no floats -------------------------------------------------

def canonical(value):
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(f"{canonical(n)}:{canonical(value[n])}" for n in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(canonical(item) for item in value) + "]"
    if isinstance(value, bool) or isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    assert isinstance(value, int) and 0 <= value < 2**53, value
    return str(value)


# --- segments -----------------------------------------------------------------------------------

def header(first_index):
    head = struct.pack("<8sIIQII24sI", b"CSSEG\0\0\0", 1, 64, first_index, EPOCH, 0,
                       hashlib.sha256(ORIGIN.encode()).digest()[:24], 0)
    assert len(head) == 60
    return head + struct.pack("<I", crc32c(head))


def entry_frame(index, line):
    assert 1 <= len(line) <= 8192
    body = struct.pack("<Q", index) + line
    frame = struct.pack("<II", len(line), crc32c(body)) + body
    return frame + bytes(-len(frame) % 8)


def commit_frame(size, root, previous):
    body = struct.pack("<Q32sQ", size, root, previous)
    return struct.pack("<II", 0x80000028, crc32c(body)) + body


def segment(first_index, leaves_before, batches):
    out, leaves, previous = header(first_index), list(leaves_before), 0
    for batch in batches:
        for line in batch:
            out += entry_frame(len(leaves), line)
            leaves.append(leaf_hash(line))
        here = len(out)
        out += commit_frame(len(leaves), root_of(leaves), previous)
        previous = here
    return out, leaves


# --- the entries --------------------------------------------------------------------------------

def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


def base(kind, idx, outcome="ok", **fields):
    return {"v": 1, "idx": idx, "ts": 1795300000000000 + idx, "node": NODE, "epoch": EPOCH,
            "type": kind, "outcome": outcome, "build": "golden", **fields}


def every_field(idx):
    leg = {"product": "spot", "symbol": "BTC-USDT", "side": "buy", "type": "STOP_LIMIT",
           "tif": "GTC", "quantity": "0.010", "quote_quantity": "640.05", "price": "64005",
           "trigger_price": "64000.5", "reduce_only": False, "post_only": True, "leverage": "3"}
    return base(
        "sign", idx, reason="OK", request_id="01J-abc_DEF", client="mm-1",
        serial="000102030405060708090a0b0c0d0e0f", ip="2001:db8::1", ip_via="proxy:edge",
        credential="okx-main", version=2, venue="okx", environment="demo", mode="sign",
        assume=["key-has-no-withdraw", "sub-account"], operation="POST /api/v5/trade/order",
        **{"class": "trade"}, product="spot", legs=[leg, {"symbol": "\u5e01\u5b89\"\\\b\f\r\t\x1f/<"}],
        closure_hash=sha("closure"), closure_widest="POST /api/v5/trade/order", notional="640.05",
        prices={"BTC-USDT": "64001.25", "\U00010000": "1", "\ue000": "2"},
        limits_left={"daily_notional": "99359.95"}, nonce="1795300000000001",
        client_order_id="bot0001", scope="mm-okx", scope_rev=7, catalog_hash=sha("catalog"),
        state_rev=2**53 - 1, state_root=sha("state"), payload_mac=sha("mac"), mac_key=1,
        sig_sha256=sha("signature"), seq=41, change_id="chg-1", hash_before=sha("before"),
        hash_after=sha("after"), detail={"note": "every field at once"},
        approvals=[{"approver": "alice", "method": "command", "sig_sha256": sha("approval")},
                   {"approver": "bob", "method": "command"}])


def first_batches():
    return [
        [base("log.started", 0)],
        [base("unseal.denied", 1, "denied", reason="WRONG_PASSPHRASE", ip="192.0.2.1", ip_via="local"),
         base("unseal", 2, client="alice"),
         base("admin.intent", 3, client="alice", change_id="chg-1", state_rev=1),
         base("admin.applied", 4, client="alice", change_id="chg-1", state_rev=2)],
        [every_field(5),
         base("sign.denied", 6, "denied", reason="CLASS_NOT_GRANTED", client="mm-1", seq=42),
         base("sign.aborted", 7, "error", reason="SIGNER_FAILED", client="mm-1", seq=43)],
    ]


def second_batches():
    return [
        [base("admin.aborted", 8, "error"), base("admin.denied", 9, "denied"),
         base("auth.denied", 10, "denied", detail={"count": "12"}),
         base("client.enrolled", 11, client="mm-2"), base("cert.issued", 12, client="mm-2")],
        [base("clock.jump", 13, detail={"jump_us": "-6000000"}), base("export", 14),
         base("log.recovered", 15, detail={"cut_bytes": "120", "torn_file": "torn-1795300000000000"}),
         base("seal", 16),
         base("execute.intent", 17, client="mm-1", credential="okx-main", mode="execute"),
         base("execute.denied", 18, "denied", reason="CLASS_NOT_GRANTED", client="mm-1"),
         base("execute.outcome", 19, "error", reason="CONNECTION_LOST", client="mm-1",
              detail={"attempts": "1", "intent": "17", "latency_us": "1500", "sent": "yes",
                      "problem": "CONNECTION_LOST"})],
    ]


def make():
    """All golden files by name."""
    private = Ed25519PrivateKey.from_private_bytes(SEED)
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    lines = [[[canonical(e).encode() for e in b] for b in part]
             for part in (first_batches(), second_batches())]
    one, leaves_one = segment(0, [], lines[0])
    two, leaves = segment(len(leaves_one), leaves_one, lines[1])
    flat = [line for part in lines for batch in part for line in batch]
    signed = len(flat) - len(lines[1][1])  # all but the last batch
    receipt = {"origin": ORIGIN, "index": 5, "leaf_hash": leaves[5].hex()}
    expected = {
        "source": "make_log.py beside this folder: Python, hashlib and cryptography",
        "origin": ORIGIN, "seed": SEED.hex(), "segment_bytes": SEGMENT_BYTES,
        "batches": [[len(batch) for batch in part] for part in lines],
        "leaf_hashes": [leaf.hex() for leaf in leaves],
        "roots": [root_of(leaves[:n]).hex() for n in range(len(leaves) + 1)],
        "signed_entries": signed,
    }
    return {
        f"seg-{0:020}.seg": one,
        f"seg-{len(leaves_one):020}.seg": two,
        "preallocated.bin": one[:64] + entry_frame(0, flat[0]) + commit_frame(1, leaves[0], 0) + bytes(64),
        "entries.jsonl": b"".join(line + b"\n" for line in flat),
        "checkpoint": sign_checkpoint(private, public, ORIGIN, signed, root_of(leaves[:signed])).encode(),
        "log.vkey": (vkey(ORIGIN, public) + "\n").encode(),
        "receipt.json": canonical(receipt).encode(),
        "expected.json": (json.dumps(expected, indent=1) + "\n").encode(),
    }


def verify(folder):
    folder = pathlib.Path(folder)
    size, root = open_checkpoint((folder / "checkpoint").read_text(encoding="utf-8"),
                                 (folder / "log.vkey").read_text(encoding="utf-8"))
    data = (folder / "entries.jsonl").read_bytes()
    assert data == b"" or data.endswith(b"\n")
    lines = data.split(b"\n")[:-1]
    for idx, line in enumerate(lines):
        entry = json.loads(line)
        assert entry["idx"] == idx, f"entry {idx} is out of place"
        assert canonical(entry).encode() == line, f"entry {idx} is not canonical"
    assert size <= len(lines), f"entries from {len(lines)} on are missing"
    assert root_of([leaf_hash(line) for line in lines[:size]]) == root, "root differs"
    print(f"ok: {len(lines)} entries, {size} signed, root {root.hex()}")


def main():
    if sys.argv[1:2] == ["--verify"] and len(sys.argv) == 3:
        verify(sys.argv[2])
        return
    files = make()
    if sys.argv[1:] == ["--check"]:
        for name, data in files.items():
            assert (HERE / name).read_bytes() == data, f"{name} differs"
        print(f"ok: {len(files)} files")
    elif not sys.argv[1:]:
        HERE.mkdir(exist_ok=True)
        for name, data in files.items():
            (HERE / name).write_bytes(data)
        verify(HERE)
    else:
        sys.exit(__doc__)


main()
