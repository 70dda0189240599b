#!/usr/bin/env python3
"""A bot that cannot be configured at all: it knows the venue's address and its own API key, and no vault.

    export BINANCE_KEY=countersign:binance-main BINANCE_SECRET=placeholder
    vaultctl --profile bot proxy -- python https_proxy.py

`vaultctl proxy --` sets HTTPS_PROXY and the CA that the bot has to trust. Nothing is needed but Python.
"""

import hashlib
import hmac
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request

KEY, SECRET = os.environ["BINANCE_KEY"], os.environ["BINANCE_SECRET"]


def ask(method: str, path: str, **params: object) -> object:
    """As Binance's documentation says: parameters, time, and a signature over both."""
    query = urllib.parse.urlencode({**params, "timestamp": int(time.time() * 1000)})
    signature = hmac.new(SECRET.encode(), query.encode(), hashlib.sha256).hexdigest()
    request = urllib.request.Request(
        f"https://api.binance.com{path}?{query}&signature={signature}",
        method=method,
        headers={"X-MBX-APIKEY": KEY},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)


limit = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": 50_000}
order = ask("POST", "/api/v3/order", **limit, quantity=0.001)
print("order", order["status"])
print("open", len(ask("GET", "/api/v3/openOrders", symbol="BTCUSDT")))
cancelled = ask("DELETE", "/api/v3/order", symbol="BTCUSDT", orderId=order["orderId"])
print("cancelled", cancelled["status"])
print("denied", ask("POST", "/api/v3/order", **limit, quantity=50)["countersign"])
