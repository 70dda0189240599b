#!/usr/bin/env python3
"""Stock ccxt through the vault's HTTPS proxy: nothing but configuration is changed.

    pip install ccxt
    COUNTERSIGN_VAULT=vault.example:7443 python ccxt_sync.py

COUNTERSIGN_IDENTITY is the folder that `vaultctl enroll` made. The certificate in it lives for a day:
`countersign.ccxt.connect` of the Python package does the same as below and renews it while the bot runs.
"""

import os
from pathlib import Path

import ccxt

vault = os.environ["COUNTERSIGN_VAULT"]
default = Path.home() / ".config/countersign/identities/bot"
identity = Path(os.environ.get("COUNTERSIGN_IDENTITY", default))

exchange = ccxt.binance(
    {
        "apiKey": "countersign:binance-main",  # the credential's name, not a key
        "secret": "placeholder",
        "proxyUrl": f"https://{vault}/",  # with the slash
    }
)
# ccxt 4.5.84 to 4.5.90 take a proxy that is not set for one that is.
exchange.check_conflicting_proxies = lambda *_: None
exchange.session.cert = (str(identity / "cert.pem"), str(identity / "key.pem"))
exchange.validateServerSsl = str(identity / "ca.pem")

exchange.load_markets()
print("balance", exchange.fetch_balance()["USDT"]["total"])
order = exchange.create_order("BTC/USDT", "limit", "buy", 0.001, 50_000)
print("order", exchange.fetch_order(order["id"], "BTC/USDT")["status"])
print("open", len(exchange.fetch_open_orders("BTC/USDT")))
print("cancelled", exchange.cancel_order(order["id"], "BTC/USDT")["status"])
try:
    exchange.create_order("BTC/USDT", "limit", "buy", 50, 50_000)
except ccxt.ExchangeError as error:  # larger than the scope allows
    print("denied", error)
