#!/usr/bin/env python3
"""Random requests, signed by ccxt, as signing vectors.

Usage: generate.py SEED COUNT FOLDER

Writes FOLDER/<venue>-<key type>.json with COUNT records each, in the format of `tests/vectors/venue/`: the request on
the wire with the signature alone removed, the string that was signed, the signature, and the headers that ccxt sends.
Requests are of the operations that ccxt signs; names and values of parameters are drawn by SEED (floats, integers of
any size, truth values, lists, objects, text with separators, escapes, quotes, several alphabets, emoji). Keys, and
what fills the placeholders of paths, are made anew in every run.
"""

import json
import pathlib
import random
import sys
import urllib.parse

import frozen

NAMES = [
    "symbol", "side", "type", "quantity", "price", "timeInForce", "newClientOrderId", "note", "category", "coin",
    "amount", "address", "label", "instId", "ordType", "sz", "px", "pair", "ordertype", "volume", "client_order_id",
    "product_id", "x-y", "a.b", "c d", "näme", "名前", "k&k", "k=k", "signatures", "close[price]",
]
PIECES = [
    "BTCUSDT", "a", "Z", "0", "9", " ", "+", "/", "=", "&", "%", "%41", "%2F", "#", "?", "'", '"', "\\", "\t", "\n",
    "~", "-", "_", ".", "!", "*", "(", ")", ",", ";", ":", "@", "$", "|", "[", "]", "{", "}", "<", ">", "^", "`",
    "é", "ß", "ø", "測試", "тест", "日本", "العربية", "עברית", "🚀", "👩\u200d💻", "e\u0301", "\u00a0", "\u2028", "\ufeff",
]
# Headers that are the same whoever asks.
PLAIN_HEADERS = {"Content-Type", "Referer"}
FLOATS = [
    0.1, 0.1 + 0.2, 1e-7, 1.5e-9, 5e-324, 1e16, 1e21, 1.7976931348623157e308, -0.0, 0.0, -2.5, 123456789.123456789, 1e5,
    100.0,
]
INTEGERS = [0, 1, -1, 2**31, 2**53, 2**53 + 1, -(2**63), 10**15]


def text(dice):
    """Up to a dozen pieces."""
    return "".join(dice.choice(PIECES) for _ in range(dice.randint(0, 12)))


def scalar(dice):
    """Any value without parts."""
    kind = dice.randrange(8)
    if kind == 0:
        return dice.choice(FLOATS)
    if kind == 1:
        return dice.uniform(-1e6, 1e6)
    if kind == 2:
        return dice.choice(INTEGERS)
    if kind == 3:
        return dice.random() < 0.5
    if kind == 4:
        return f"{dice.randrange(10**6)}.{dice.randrange(10**8):08}"
    return text(dice)


def value(dice, depth=2):
    """Any value."""
    kind = dice.randrange(10)
    if kind == 0 and depth:
        return [value(dice, depth - 1) for _ in range(dice.randint(0, 4))]
    if kind == 1 and depth:
        return {dice.choice(NAMES): value(dice, depth - 1) for _ in range(dice.randint(0, 3))}
    return scalar(dice)


def algorithm(operation, key_type, venue):
    """How the signature was made and is written."""
    if venue == "coinbase":
        return ("jwt-ES256" if key_type == "es256" else "jwt-EdDSA"), "base64url"
    if operation == "rsa":
        return "rsa-rsassa-pkcs1-v1_5-sha256", "base64"
    if operation == "eddsa":
        return "eddsa-ed25519", "base64"
    if venue == "kraken":
        return "hmac-sha512", "base64"
    return "hmac-sha256", "base64" if venue == "okx" else "hex"


def cut(text_sent):
    """A query or form, and the value of its last parameter if that is the signature."""
    head, found, tail = text_sent.rpartition("&signature=")
    return (head, tail) if found else (text_sent, None)


def signature(sent, wire_signature):
    """The signature as ccxt sends it."""
    if wire_signature is not None:
        return urllib.parse.unquote(wire_signature)
    headers = sent["headers"]
    for name in ("X-BAPI-SIGN", "OK-ACCESS-SIGN", "API-Sign"):
        if name in headers:
            return headers[name]
    return headers["Authorization"].rpartition(".")[2]


def record(tap, ex, venue, key_type, dice):
    """One signed request; absent where ccxt does not take the parameters, or the vault's reader the form."""
    section, method, path = dice.choice(ex.signed_operations)
    at_ms = dice.randrange(1_600_000_000_000, 1_900_000_000_000)
    # 32 digits that do not begin with 0: ccxt's own dice lose leading zeros.
    frozen.freeze(ex, at_ms, dice.choice("123456789abcdef") + f"{dice.getrandbits(124):031x}")
    params = {dice.choice(NAMES): value(dice) for _ in range(dice.randint(0, 6))}
    # What fills a path is plain, as the vault wants paths.
    params = {**params, **frozen.fill(path, frozen.words(dice.randint(1, 20)))}
    if "batchOrders" in path:
        params["batchOrders"] = [{dice.choice(NAMES): value(dice, 1)} for _ in range(dice.randint(0, 3))]
    asked = json.loads(json.dumps(params))
    tap.take()
    try:
        sent = ex.sign(path, section, method, params)
    except (TypeError, AttributeError, OverflowError):
        # A list or an object where this operation's encoder takes none, an integer too large for its JSON.
        return None
    string, operation = tap.take()
    scheme, host, real, whole_query = frozen.split(sent["url"])
    query, in_query = cut(whole_query)
    body, in_body = (None, None) if sent["body"] is None else cut(sent["body"])
    if venue == "kraken" and body.startswith("{") and "\\" in body:
        # The nonce is a member of the body, which the vault has to read for it; it reads no escapes.
        return None
    if query.endswith("?"):
        # Whoever reads the vectors takes it for the question mark of an empty query, which ccxt writes at times.
        return None
    algo, encoding = algorithm(operation, key_type, venue)
    try:
        string_to_sign = {"utf8": string.decode()}
    except UnicodeDecodeError:
        string_to_sign = {"hex": string.hex()}
    return {
        "venue": venue,
        "key_type": key_type,
        "kind": "rest",
        "clock_ms": at_ms,
        "source": f"ccxt {frozen.VERSION} python {venue}.sign()",
        "deterministic": True,
        "caller": {"ccxt_api": section, "ccxt_path": path, "method": method, "params": asked},
        "request": {
            "method": method,
            "scheme": scheme,
            "host": host,
            "path": real,
            "query": query,
            "body": body,
            "headers_before": {name: sent["headers"][name] for name in PLAIN_HEADERS & set(sent["headers"])},
        },
        "expected": {
            "algorithm": algo,
            "method": sent["method"],
            "url": sent["url"],
            "headers": sent["headers"],
            "body": sent["body"],
            "string_to_sign": string_to_sign,
            "signature": signature(sent, in_query or in_body),
            "signature_encoding": encoding,
        },
    }


def main(arguments):
    """Writes one file per venue and key type."""
    seed, count, folder = int(arguments[0]), int(arguments[1]), pathlib.Path(arguments[2])
    tap = frozen.Tap()
    for venue, key_type in frozen.KEYS:
        dice = random.Random(f"{seed} {venue} {key_type}")
        made, public = frozen.credential(venue, key_type)
        ex = frozen.exchange(venue, made)
        frozen.freeze(ex, 1, "1" * 32)
        ex.signed_operations = []
        for section, method, path in frozen.operations(ex):
            tap.take()
            ex.sign(path, section, method, frozen.fill(path))
            # Bybit's paths before v5 are of an older scheme.
            is_of_scheme = venue != "bybit" or path.startswith("v5/")
            if tap.take()[0] is not None and is_of_scheme:
                ex.signed_operations.append((section, method, path))
        vectors = []
        left_out = 0
        while len(vectors) < count:
            made_record = record(tap, ex, venue, key_type, dice)
            if made_record is None:
                left_out += 1
                continue
            made_record["id"] = f"generated-{venue}-{key_type}-{seed}-{len(vectors):04}"
            made_record["credential"] = made
            if public is not None:
                made_record["verify_with_public_key"] = public
            vectors.append(made_record)
        out = folder / f"{venue}-{key_type}.json"
        out.write_text(json.dumps({"left_out": left_out, "vectors": vectors}, ensure_ascii=False), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
