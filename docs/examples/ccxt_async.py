#!/usr/bin/env python3
"""Stock asynchronous ccxt through the vault's HTTPS proxy: nothing but configuration is changed.

    pip install ccxt
    COUNTERSIGN_VAULT=vault.example:7443 python ccxt_async.py

COUNTERSIGN_IDENTITY is the folder that `vaultctl enroll` made. The certificate in it lives for a day:
`countersign.ccxt.connect(..., asynchronous=True)` of the Python package does the same as below and renews
it while the bot runs.
"""

import asyncio
import os
import ssl
from pathlib import Path

import ccxt.async_support as ccxt

vault = os.environ["COUNTERSIGN_VAULT"]
default = Path.home() / ".config/countersign/identities/bot"
identity = Path(os.environ.get("COUNTERSIGN_IDENTITY", default))


async def main() -> None:
    exchange = ccxt.okx(
        {
            "apiKey": "countersign:okx-main",  # the credential's name, not a key
            "secret": "placeholder",
            "password": "placeholder",
            "proxyUrl": f"https://{vault}/",  # with the slash
        }
    )
    # ccxt 4.5.84 to 4.5.90 take a proxy that is not set for one that is.
    exchange.check_conflicting_proxies = lambda *_: None
    context = ssl.create_default_context(cafile=identity / "ca.pem")
    context.load_cert_chain(identity / "cert.pem", identity / "key.pem")
    exchange.ssl_context = context  # before the first request
    try:
        await exchange.load_markets()
        print("balance", (await exchange.fetch_balance())["USDT"]["total"])
        orders = [exchange.create_order("BTC/USDT", "limit", "buy", 0.001, 50_000) for _ in range(5)]
        ids = [order["id"] for order in await asyncio.gather(*orders)]
        print("open", len(await exchange.fetch_open_orders("BTC/USDT")))
        cancelled = await asyncio.gather(*(exchange.cancel_order(each, "BTC/USDT") for each in ids))
        print("cancelled", len(cancelled))
        try:
            await exchange.create_order("ETH/USDT", "limit", "buy", 0.001, 2_000)
        except ccxt.ExchangeError as error:  # a market that the scope does not grant
            print("denied", error)
    finally:
        await exchange.close()


asyncio.run(main())
