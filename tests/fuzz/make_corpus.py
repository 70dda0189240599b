#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets (corpus/) and the keys they sign with (keys/) from the vectors.

Seeds written by hand stay. Wants `cryptography`, for CSRs and other forms of the keys.
"""

import base64
import json
import pathlib
import urllib.parse

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

HERE = pathlib.Path(__file__).resolve().parent
VECTORS = HERE.parent / "vectors"
KEY_TYPES = ["es256", "ed25519", "hmac", "legacy-hmac", "rsa"]
# What the vault sets itself: a bot's request has none of it.
OWN = {"timestamp", "recvWindow", "signature", "nonce", "apiKey"}


def write(target, name, data):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())


def pairs(text):
    if text.startswith(("{", "[")):
        value = json.loads(text)
        if isinstance(value, dict):
            value = {k: v for k, v in value.items() if k not in OWN}
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    kept = [pair for pair in text.split("&") if pair and pair.split("=")[0] not in OWN]
    return "&".join(kept)


def stated(key_type, method, path, query, body, checks=False):
    flags = KEY_TYPES.index(key_type) << 2 | (2 if checks else 0)
    line = f"{method} {path}" + (f"?{query}" if query else "")
    return bytes([flags, 0xFF]) + line.encode() + (b"\n" + body.encode() if body else b"")


def records(venue):
    return json.loads((VECTORS / "venue" / f"{venue}.json").read_text())["vectors"]


def requests():
    for venue in ["binance", "bybit", "coinbase", "kraken", "okx"]:
        for at, record in enumerate(r for r in records(venue) if r["kind"] == "rest"):
            request = record["request"]
            query, body = pairs(request["query"] or ""), pairs(request["body"] or "")
            if query and body:
                query = ""
            seed = stated(record["key_type"], request["method"], request["path"], query, body, at % 2 == 1)
            write(venue, record["id"], seed)
            if at % 8 == 0:
                # One of any shape: `venue, flags, held`, then the parts, each ended by a zero byte.
                names = ["binance", "bybit", "coinbase", "kraken", "okx"]
                parts = [request["method"], "https", request["host"], request["path"], query, body]
                write("venue", record["id"], bytes([names.index(venue), 8, 0]) + b"\0".join(p.encode() for p in parts))
    for proof in json.loads((VECTORS / "confusion-proofs.json").read_text()):
        if proof["venue"] not in ("binance", "bybit", "coinbase", "kraken", "okx"):
            continue
        for side in "ab":
            if "url" not in proof[side]:
                continue
            url = urllib.parse.urlsplit(proof[side]["url"])
            query, body = pairs(url.query), pairs(proof[side].get("body") or "")
            if query and body:
                query = ""
            name = "".join(c if c.isalnum() else "-" for c in proof["name"])[:60]
            write(proof["venue"], f"{name}-{side}", stated("hmac", proof[side]["method"], url.path, query, body))
    sockets = {
        "binance": [
            ("WS /ws-api/v3/order.place", '{"symbol":"BTCUSDT","side":"BUY","type":"LIMIT","timeInForce":"GTC","quantity":"1","price":"0.10"}'),
            ("WS /ws-api/v3/openOrders.cancelAll", '{"symbol":"BTCUSDT"}'),
            ("WS /ws-api/v3/session.logon", ""),
        ],
        "bybit": [("GET /realtime", "")],
        "coinbase": [("GET /ws", "")],
        "okx": [("GET /users/self/verify", "")],
    }
    for venue, seeds in sockets.items():
        for at, (line, body) in enumerate(seeds):
            for key_type in ("hmac", "ed25519"):
                method, path = line.split()
                write(venue, f"socket-{at}-{key_type}", stated(key_type, method, path, "", body))


def keys():
    found = {record["key_type"]: record["credential"]["secret"] for record in records("binance") + records("coinbase")}
    for key_type, name in [("ed25519", "ed25519"), ("es256", "p256"), ("rsa", "rsa")]:
        secret = found[key_type] if "BEGIN" in found[key_type] else None
        for record in records("binance"):
            if record["key_type"] == key_type and "BEGIN" in record["credential"]["secret"]:
                secret = record["credential"]["secret"]
        (HERE / "keys" / f"{name}.pem").write_text(secret)
    return found


def secrets(found):
    pem = {name: (HERE / "keys" / f"{name}.pem").read_bytes() for name in ("ed25519", "p256", "rsa")}
    where = {"ed25519": [(0, 1), (2, 1)], "p256": [(2, 0)], "rsa": [(0, 4), (1, 4)]}
    for name, text in pem.items():
        for venue, stated_type in where[name]:
            write("key", f"{name}-{venue}", bytes([venue, stated_type, 0]) + text)
        write("key", f"{name}-text", bytes([*where[name][0], 64 + {"ed25519": 2, "p256": 0, "rsa": 1}[name]]) + bytes([128, 0, 1, 1, 65]))
        write("key", f"{name}-der", bytes([*where[name][0], 128 + {"ed25519": 1, "p256": 2, "rsa": 0}[name]]) + bytes([128, 0, 1, 1, 65]))
        key = serialization.load_pem_private_key(text, None)
        pkcs8 = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        write("key", f"{name}-pkcs8", bytes([*where[name][0], 0]) + pkcs8)
        public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        write("key", f"{name}-public", bytes([*where[name][0], 0]) + public)
        if name == "rsa":
            pkcs1 = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
            write("key", "rsa-pkcs1", bytes([0, 4, 0]) + pkcs1)
        if name in ("ed25519", "p256"):
            algorithm = None if name == "ed25519" else hashes.SHA256()
            if name == "ed25519" or not (HERE / "corpus/csr/p256").exists():
                builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
                write("csr", name, builder.sign(key, algorithm).public_bytes(serialization.Encoding.DER))
    seed = base64.b64encode(base64.b64decode(found["ed25519"])) if "BEGIN" not in found["ed25519"] else None
    for record in records("coinbase"):
        secret = record["credential"]["secret"]
        if record["key_type"] == "ed25519" and "BEGIN" not in secret:
            seed = secret.encode()
    if seed:
        write("key", "coinbase-seed", bytes([2, 1, 0]) + seed)
    for venue, stated_type in [(0, 2), (1, 2), (2, 3), (3, 2), (4, 2)]:
        write("key", f"shared-{venue}", bytes([venue, stated_type, 0]) + b"a" * 64)


def catalogs():
    for venue in range(5):
        for part in range(3):
            write("catalog", f"edit-{venue}-{part}", bytes([130 + venue, part, 0x80, 0, 3, 4]) + b"true")
    shape = '[shape.own]\nsource = "own"\nparams = [{ name = "symbol", type = "symbol", required = true, role = "symbol" }]\n'
    for venue in range(5):
        operation = f'[[operation]]\nmethod = "POST"\npath = "/own/{venue}"\nclass = "trade"\nsource = "own"\nbody = "{"form" if venue in (0, 3) else "json"}"\nshape = "own"\n'
        write("addition", f"write-{venue}", bytes([venue]) + (shape + operation).encode())
        read = f'[[operation]]\nmethod = "GET"\npath = "/own/{{id}}/{venue}"\nclass = "read"\nsource = "own"\n'
        write("addition", f"read-{venue}", bytes([venue]) + read.encode())
    write("addition", "twice", b"\3" + b'[[operation]]\nmethod = "POST"\npath = "/0/private/Balance"\nclass = "read"\nsource = "own"\n')
    write("addition", "whole", b'\xc8format = 1\nvenue = "okx"\n[sources]\nown = "measured"\n')


def readers():
    for at, text in enumerate([
        "symbol=BTCUSDT&limit=5",
        "a=%c3%a9&b[0]=x,y&c=(1)*'~",
        'list=[{"symbol":"BTCUSDT"}]',
        '{"a":1.50,"b":[1,-0,1e9,true,null,"\\u00e9\\ud83d\\ude00"],"c":{"d":{}}}',
        '[{"a":1},{"a":2}]',
        '{"a":1e999}',
        '{"symbol":"BTCUSDT","quantity":"1","reduceOnly":true}',
    ]):
        for operation in range(5):
            write("reader", f"{at}-{operation}", bytes([operation]) + text.encode())


def formats():
    golden = VECTORS / "golden"
    for at, line in enumerate((golden / "log" / "entries.jsonl").read_text().splitlines()[:12]):
        write("entry", "first" if at == 0 else f"entry-{at}", line)
    for frame in json.loads((golden / "wire" / "frames.json").read_text())["frames"]:
        write("frame", frame["name"], bytes.fromhex(frame["frame"]))
    write("note", "vkey", (golden / "log" / "log.vkey").read_bytes())
    write("note", "checkpoint", (golden / "log" / "checkpoint").read_bytes())
    token = json.loads((golden / "wire" / "invite_token.json").read_text())
    write("token", "invite", token["text"])
    parent = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"
    write("traceparent", "sampled", f"00-{parent}-01")
    write("traceparent", "unsampled", f"00-{parent}-00")
    write("traceparent", "later", f"01-{parent}-03-more")
    field = lambda number, value: bytes([number << 3 | 2, len(value)]) + value
    header = field(7, field(1, b"accept") + field(2, b"*/*"))
    request = field(1, b"POST") + field(3, b"www.okx.com") + field(4, b"/api/v5/trade/order")
    sign = lambda request, more=b"": field(1, b"order-1") + field(2, b"okx-main") + field(3, request) + more
    for name, piece, message in [
        ("plain", 255, sign(request + field(6, b"{}") + header + header)),
        ("pieces", 7, sign(request + header)),
        ("unknown-field", 255, sign(request, b"\x40\x01")),
        ("empty-headers", 16, sign(request + field(7, b"") * 20)),
        ("out-of-order", 255, field(3, request) + field(1, b"order-1")),
        ("twice", 255, sign(request) + field(1, b"order-2")),
        ("none", 255, b""),
    ]:
        write("sign", name, bytes([piece, 0]) + len(message).to_bytes(4, "big") + message)
    url = "https://api.binance.com/api/v3/order?symbol=BTCUSDT&newClientOrderId=a%2Fb"
    write("proxy", "plain", "/" + url)
    write("proxy", "encoded", "/" + urllib.parse.quote(url, safe="~()*!.'"))
    url = "wss://stream.binance.com:9443/stream?streams=btcusdt@trade"
    write("proxy", "socket", "/" + url)
    write("proxy", "socket-encoded", "/" + urllib.parse.quote(url, safe="~()*!.'"))
    venue = (HERE.parent / "src" / "venue.rs").read_text()
    for name in ("OKX_SCOPE", "KRAKEN_SCOPE"):
        text = venue.split(f'{name}: &str = r#"', 1)[1].split('"#', 1)[0]
        write("scope", name.split("_")[0].lower(), text)
    write("scope", "wide", 'name = "wide"\ncredentials = ["a", "b"]\nclasses = ["public", "read", "trade", "cancel", "account", "transfer", "logon"]\noperations = ["POST /v5/x"]\nmodes = ["sign"]\nproducts = ["spot", "linear", "inverse"]\n[symbols]\nbinance = ["BTCUSDT"]\n[network]\nallow = ["10.0.0.0/8", "2001:db8::/32"]\ndeny = ["10.1.0.0/16"]\n')


LIMITS = """name = "limits"
credentials = ["a"]
classes = ["read", "trade", "cancel", "withdraw"]
modes = ["execute"]
products = ["spot", "linear"]
shadow = "next"
[symbols]
binance = ["BTCUSDT"]
okx = "*"
[network]
allow = ["10.0.0.0/8"]
countries = ["DE", "FR"]
[orders]
types = ["LIMIT", "MARKET"]
time_in_force = ["GTC", "IOC"]
reduce_only = true
max_notional_usd = "50000.5"
price_band = "0.05"
max_leverage = "3"
margin_modes = ["isolated"]
[orders.max_quantity.binance]
BTCUSDT = "1.5"
[pricing]
usd_par = ["USDT", "USDC"]
slippage = "0.02"
[[cumulative.notional_usd]]
per = "1d"
at_most = "250000"
[[cumulative.orders]]
per = "10s"
at_most = 20
[cumulative]
open_orders = 40
[hours]
timezone = "Europe/Berlin"
windows = ["mon-fri 09:00-17:30"]
[duplicates]
client_order_id = "1d"
order = "5s"
[[withdrawal.addresses]]
venue = "okx"
asset = "BTC"
address = "bc1qexample"
[withdrawal.per_day.okx]
BTC = "0.5"
"""


def scopes():
    page = (HERE.parents[1] / "docs" / "scopes.md").read_text()
    for at, block in enumerate(page.split("```toml\n")[1:]):
        write("scope", f"page-{at}", block.split("```", 1)[0])
    write("scope", "limits", LIMITS)


def message(*fields):
    """A message of protobuf: pairs of number and text, number or list of either."""
    made = b""
    for number, value in fields:
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, int):
                made += bytes([number << 3, one])
            else:
                one = one if isinstance(one, bytes) else one.encode()
                # Field numbers below 16, so one byte; lengths below 16384.
                length = bytes([len(one)]) if len(one) < 128 else bytes([len(one) & 127 | 128, len(one) >> 7])
                made += bytes([number << 3 | 2]) + length + one
    return made


def wires():
    names = [(1, "small"), (3, ["a"]), (4, ["read", "trade"]), (6, ["sign"]), (7, ["*"]), (9, message((1, "10.0.0.0/8")))]
    write("wire", "small", message(*names, (8, message((1, "okx"), (2, ["BTC-USDT"])))))
    orders = [(1, message((1, ["LIMIT", "MARKET"]))), (2, message((1, "GTC"))), (3, 1), (6, "50000.5"), (7, "0.05"), (8, "3")]
    quantity = message((1, message((1, "okx"), (2, "BTC-USDT"), (3, "1.5"))))
    write("wire", "orders", message(*names, (10, message(*orders, (5, quantity), (9, message((1, ["cash", "cross"])))))))
    caps = message((1, message((1, "1d"), (2, "250000"))), (2, message((1, "10s"), (2, 20))))
    write("wire", "caps", message(*names, (11, message((1, ["USDT"]), (2, "0.02"))), (12, caps), (14, message((1, "1d"), (2, "5s")))))
    hours = message((1, "Europe/Berlin"), (2, ["mon-fri 09:00-17:30"]))
    write("wire", "hours", message(*names, (13, hours)))
    out = message((1, message((1, "okx"), (2, "BTC"), (3, "bc1qexample"))), (2, message((1, "okx"), (2, "BTC"), (3, "0.5"))))
    moves = [(1, "moves"), (3, "a"), (4, ["read", "withdraw"]), (6, "execute"), (7, "*"), (9, message((1, "10.0.0.0/8")))]
    write("wire", "withdrawal", message(*moves, (15, out)))
    write("wire", "empty-lists", message((1, "none"), (10, message((1, b""))), (13, b"")))


STEPS = [{"filterType": "PRICE_FILTER", "tickSize": "0.10"}, {"filterType": "LOT_SIZE", "stepSize": "0.001"}]


def listings():
    symbol = {"symbol": "BTCUSDT", "baseAsset": "BTC", "quoteAsset": "USDT", "filters": STEPS}
    option = {"symbol": "BTC-261225-60000-C", "underlying": "BTCUSDT", "unit": 1, "quoteAsset": "USDT", "filters": STEPS}
    contract = {"baseAsset": "BTC", "quoteAsset": "USDT", "underlying": "BTCUSDT"}
    flags = {name: False for name in ("is_disabled", "trading_disabled", "cancel_only", "view_only")}
    coin = {"base_currency_id": "BTC", "quote_currency_id": "USD", "price_increment": "0.01", "base_increment": "0.001"} | flags
    future = {"contract_size": "0.01", "contract_root_unit": "BTC"}
    swap = {"instType": "SWAP", "instId": "BTC-USDT-SWAP", "uly": "BTC-USDT", "ctType": "linear", "ctVal": "0.01", "ctMult": "1", "ctValCcy": "BTC", "settleCcy": "USDT", "tickSz": "0.1", "lotSz": "1", "state": "live"}
    bybit = {"symbol": "BTCUSDT", "status": "Trading", "baseCoin": "BTC", "quoteCoin": "USDT", "contractType": "LinearPerpetual", "priceFilter": {"tickSize": "0.5"}, "lotSizeFilter": {"qtyStep": "1"}}
    answers = {
        "binance-spot": (0, {"symbols": [symbol | {"status": "TRADING"}]}),
        "binance-linear": (0, {"symbols": [symbol | {"status": "TRADING", "contractType": "PERPETUAL"}]}),
        "binance-inverse": (0, {"symbols": [symbol | {"contractStatus": "TRADING", "contractType": "PERPETUAL", "contractSize": 100}]}),
        "binance-option": (0, {"optionContracts": [contract], "optionSymbols": [option]}),
        "bybit-linear": (1, {"retCode": 0, "result": {"category": "linear", "nextPageCursor": "", "list": [bybit]}}),
        "bybit-spot": (1, {"retCode": 0, "result": {"category": "spot", "list": [bybit]}}),
        "coinbase-spot": (2, {"products": [coin | {"product_id": "BTC-USD", "product_type": "SPOT", "status": "online"}]}),
        "coinbase-future": (2, {"products": [coin | {"product_id": "BIT-26APR24-CDE", "product_type": "FUTURE", "status": "", "future_product_details": future}]}),
        "kraken": (3, {"error": [], "result": {"XXBTZUSD": {"altname": "XBTUSD", "wsname": "XBT/USD", "aclass_base": "currency", "base": "XXBT", "aclass_quote": "currency", "quote": "ZUSD", "lot": "unit", "lot_decimals": 8, "lot_multiplier": 1, "tick_size": "0.1", "status": "online"}}}),
        "okx-swap": (4, {"code": "0", "data": [swap]}),
        "okx-inverse": (4, {"code": "0", "data": [swap | {"instId": "BTC-USD-SWAP", "uly": "BTC-USD", "ctType": "inverse", "ctVal": "100", "ctValCcy": "USD"}]}),
        "okx-spot": (4, {"code": "0", "data": [{"instType": "SPOT", "instId": "BTC-USDT", "baseCcy": "BTC", "quoteCcy": "USDT", "state": "live", "tickSz": "0.1", "lotSz": "0.01"}]}),
        "okx-error": (4, {"code": "51000", "data": []}),
    }
    for name, (venue, answer) in answers.items():
        write("listing", name, bytes([venue]) + json.dumps(answer, separators=(",", ":")).encode())


def prices():
    """`who, later (2), price (2)`: little-endian; the price is in hundredths, from 60,000 on."""
    put = lambda who, later, cents: bytes([who]) + later.to_bytes(2, "little") + cents.to_bytes(2, "little", signed=True)
    write("price", "steps", b"\0" + b"".join(put(0, 2100, 5000 * at) for at in range(1, 7)))
    write("price", "too-far", b"\0" + put(0, 9, 6000) + put(0, 9, 6001) + put(0, 9, -6000))
    write("price", "agree", b"\1" + b"".join(put(at % 3, 60_000, 900 * at) for at in range(12)))
    write("price", "agree-late", b"\1" + put(0, 1, 0) + put(1, 5100, 0) + put(3, 1, 0))
    write("price", "both", b"\2" + b"".join(put(at % 2 | 64, 3000, 400 * at) for at in range(20)))
    write("price", "none", b"\0" + put(128, 1, 0) + put(2, 1, 0))


def sockets():
    """The messages of ccxt.pro: `host/path?query`, a line feed, and the message."""
    folder = HERE.parent.parent / "vault-server" / "venue" / "tests" / "venue" / "socket"
    messages = json.loads((folder / "ccxt_messages.json").read_text())["messages"]
    for at, message in enumerate(m for m in messages if m["text"]):
        address = message["url"].removeprefix("wss://").replace(":443/", "/")
        name = message["venue"].replace(" ", "-") + f"-{message['call'].replace('_', '-')}-{at}"
        write("socket_message", name, address + "\n" + message["text"])


def countries():
    """Small databases: a tree of one node, and one of 33 that leads to a network."""
    text = lambda value: bytes([2 << 5 | len(value)]) + value.encode()
    country = bytes([7 << 5 | 1]) + text("country") + bytes([7 << 5 | 1]) + text("iso_code") + text("DE")
    head = b"\xab\xcd\xefMaxMind.com" + bytes([7 << 5 | 9])
    for name, number in [("binary_format_major_version", 2), ("binary_format_minor_version", 0), ("ip_version", 4), ("record_size", 24)]:
        head += text(name) + bytes([5 << 5 | 2, 0, number])
    for name, nodes in [("all", 1), ("deep", 8)]:
        tree = b""
        for node in range(nodes):
            # The last record holds the value: `node count + 16 + offset`.
            last = (nodes + 16).to_bytes(3, "big")
            tree += (last if node + 1 == nodes else (node + 1).to_bytes(3, "big")) + last
        count = text("node_count") + bytes([6 << 5 | 4]) + nodes.to_bytes(4, "big") + text("build_epoch") + bytes([1, 2, 1])
        rest = text("database_type") + text("Test") + text("languages") + bytes([0, 4])
        rest += text("description") + bytes([7 << 5 | 1]) + text("en") + text("a seed")
        write("geoip", name, tree + bytes(16) + country + head + count + rest)


requests()
secrets(keys())
catalogs()
readers()
formats()
scopes()
wires()
listings()
prices()
sockets()
countries()
