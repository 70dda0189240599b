"""ccxt with its clock and its dice stopped, and its signing primitives tapped.

What ccxt signs is not in what its `sign()` returns; it is the argument of the one primitive that `sign()` ends in
(`hmac`, `rsa`, `eddsa`, `ecdsa`). `Tap` stands in front of those and keeps the last argument.

Keys are made here at run time and die with the process.
"""

import base64
import functools
import os
import re
import secrets
import string
import sys

import ccxt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

VERSION = "4.5.90"

# Venue and key type.
KEYS = [
    ("binance", "hmac"),
    ("binance", "rsa"),
    ("binance", "ed25519"),
    ("bybit", "hmac"),
    ("bybit", "rsa"),
    ("coinbase", "es256"),
    ("coinbase", "ed25519"),
    ("kraken", "hmac"),
    ("okx", "hmac"),
]

# ccxt reads and checks a PEM key for every signature. (`ccxt.base` is a list of names, not the package.)
BASE = sys.modules["ccxt.base.exchange"]
BASE.load_pem_private_key = functools.cache(BASE.load_pem_private_key)

METHODS = {"get", "post", "put", "delete"}


def words(length):
    """Letters and digits that nobody can guess."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(length))


def pem(key, form=serialization.PrivateFormat.PKCS8):
    """A private key as PEM."""
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def public_pem(key):
    """The public half as PEM."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def credential(venue, key_type):
    """A throwaway key of the venue's form, and its public half where it has one."""
    api_key, public = words(40), None
    if key_type == "hmac":
        secret = words(64)
        if venue == "kraken":
            secret = base64.b64encode(os.urandom(64)).decode()
    elif key_type == "rsa":
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        secret, public = pem(key), public_pem(key)
    elif key_type == "ed25519":
        key = ed25519.Ed25519PrivateKey.generate()
        secret, public = pem(key), public_pem(key)
        if venue == "coinbase":
            raw = serialization.Encoding.Raw
            halves = key.private_bytes_raw() + key.public_key().public_bytes(raw, serialization.PublicFormat.Raw)
            secret, api_key = base64.b64encode(halves).decode(), uuid()
    elif key_type == "es256":
        key = ec.generate_private_key(ec.SECP256R1())
        secret, public = pem(key, serialization.PrivateFormat.TraditionalOpenSSL), public_pem(key)
        api_key = f"organizations/{uuid()}/apiKeys/{uuid()}"
    else:
        raise ValueError(key_type)
    made = {"apiKey": api_key, "secret": secret}
    if venue == "okx":
        made["password"] = words(16)
    return made, public


def uuid():
    """Random, of the form of a UUID."""
    digits = secrets.token_hex(16)
    return "-".join([digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]])


class Tap:
    """Keeps the last text that was signed, and by what."""

    def __init__(self, answer=None):
        """`answer` true: no key is used at all, the signature is a constant."""
        self.text = None
        self.operation = None
        base = ccxt.Exchange
        for name in ("hmac", "rsa", "eddsa", "ecdsa"):
            setattr(base, name, staticmethod(self.tapped(name, getattr(base, name), answer)))

    def tapped(self, name, primitive, answer):
        """The primitive, with its first argument kept."""

        def wrapper(text, *arguments, **options):
            self.text = text.encode() if isinstance(text, str) else bytes(text)
            self.operation = name
            if answer:
                return {"r": "0", "s": "0", "v": 0} if name == "ecdsa" else "signature"
            return primitive(text, *arguments, **options)

        return wrapper

    def take(self):
        """The text since the last call; absent if nothing was signed."""
        text, operation = self.text, self.operation
        self.text = self.operation = None
        return text, operation


def exchange(venue, made):
    """The venue's class of ccxt with a key. Time and dice are set by `freeze`."""
    if ccxt.__version__ != VERSION:
        raise SystemExit(f"ccxt is {ccxt.__version__}, not {VERSION}")
    return getattr(ccxt, venue)(dict(made))


def freeze(ex, at_ms, dice):
    """Stops the clock, the nonce and the dice."""
    ex.milliseconds = lambda: at_ms
    ex.seconds = lambda: at_ms // 1000
    ex.nonce = lambda: at_ms
    ex.incrementing_nonce = lambda: at_ms
    ex.random_bytes = lambda length: (dice * length)[: 2 * length]
    ex.uuid16 = lambda *_: (dice * 16)[:16]
    ex.uuid22 = lambda *_: (dice * 22)[:22]
    # Client order ids that ccxt makes up are parameters, and no part of how a request is signed.
    if hasattr(ex, "handle_client_order_id"):
        ex.handle_client_order_id = lambda params, *_: params


def operations(ex):
    """Every (api section, method, path) of `describe()['api']`, as `sign()` takes them."""

    def walk(node, section):
        for key, value in node.items():
            if key in METHODS:
                for path in value:
                    yield section, key.upper(), path
            else:
                yield from walk(value, [*section, key])

    yield from walk(ex.describe()["api"], [])


def fill(path, value="A1"):
    """Values for the placeholders of a path."""
    return {name: value for name in re.findall(r"\{(\w+)\}", path)}


def split(url):
    """Host, path and query of a URL, as they stand: nothing is decoded, and `#` is a character like any other."""
    scheme, rest = url.split("://", 1)
    front, _, query = rest.partition("?")
    host, slash, path = front.partition("/")
    return scheme, host, slash + path, query
