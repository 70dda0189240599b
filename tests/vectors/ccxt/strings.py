#!/usr/bin/env python3
"""What ccxt signs for every operation that it knows, with one and the same parameters.

Usage: strings.py

Prints one JSON object per signed request:

    venue, key_type
    section, method, template   the operation, as ccxt writes it; template: path with placeholders
    set                         which parameters: none, one, other, order, host, verb
    host, path, query, body     the request without its signature
    string                      what was signed, hexadecimal; null: ccxt does not sign it

`host` is the set `one` sent to another host, `verb` the same with another method. Clock, nonce and key are the same
for all requests of a venue and key type, so two strings differ only where ccxt's signing makes a difference.
"""

import copy
import json
import sys

import frozen

AT_MS = 1712345678901
SETS = {
    "none": {},
    "one": {"symbol": "BTCUSDT"},
    "other": {"symbol": "ETHUSDT"},
    "order": {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "0.001", "price": "60000"},
    "host": {"symbol": "BTCUSDT"},
    "verb": {"symbol": "BTCUSDT"},
}
OTHER_VERB = {"GET": "DELETE", "DELETE": "GET", "POST": "PUT", "PUT": "POST"}


def other_hosts(urls):
    """The same table of URLs at hosts that do not exist."""
    if isinstance(urls, dict):
        return {key: other_hosts(value) for key, value in urls.items()}
    return urls.replace("https://", "https://other-")


def without_signature(text):
    """A query or form without its last parameter, if that is the signature."""
    head, _, last = text.rpartition("&")
    return head if last.startswith(("signature=", "sign=")) else text


def record(tap, ex, venue, key_type, operation, chosen):
    """One request."""
    section, method, path = operation
    verb = OTHER_VERB[method] if chosen == "verb" else method
    params = {**frozen.fill(path), **copy.deepcopy(SETS[chosen])}
    tap.take()
    sent = ex.sign(path, section, verb, params)
    text, _ = tap.take()
    _, host, real, query = frozen.split(sent["url"])
    template = frozen.split(ex.sign(path, section, method, {})["url"])[2] if "{" in path else real
    return {
        "venue": venue,
        "key_type": key_type,
        "section": ".".join(section),
        "method": verb,
        "operation": method,
        "template": template,
        "set": chosen,
        "host": host,
        "path": real,
        "query": without_signature(query),
        "body": without_signature(sent["body"] or ""),
        "string": None if text is None else text.hex(),
    }


def main():
    """Prints every record."""
    tap = frozen.Tap(answer=True)
    out = sys.stdout
    for venue, key_type in frozen.KEYS:
        made, _ = frozen.credential(venue, key_type)
        ex = frozen.exchange(venue, made)
        frozen.freeze(ex, AT_MS, "0123456789abcdef")
        own = ex.urls["api"]
        for operation in frozen.operations(ex):
            for chosen in SETS:
                ex.urls["api"] = other_hosts(own) if chosen == "host" else own
                line = record(tap, ex, venue, key_type, operation, chosen)
                out.write(json.dumps(line, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
