#!/usr/bin/env python3
"""Listens and orders over WebSockets with stock ccxt.pro, with nothing but configuration changed.

    ccxt_pro_steps.py --venue okx --vault 127.0.0.1:9000 --credential okx-main \
        --cert client.pem --key client.key --ca vault-ca.pem --steps watch_orders,watch_balance

A step `watch_*` waits until the venue tells of something: whoever runs this has orders placed
meanwhile. Prints one JSON object a line and step, as ccxt_steps.py does, and has the same exit status.
Needs ccxt 4.5.90 and aiohttp.
"""

import argparse
import asyncio
import json
import ssl

import ccxt.pro

from ccxt_steps import VENUES, placeholders

STEPS = ["load_markets", "watch_orders", "watch_balance", "watch_my_trades", "create_order_ws", "cancel_order_ws"]


def prefixed(prefix, urls):
    """The addresses of a venue's WebSockets, behind the vault's."""
    if isinstance(urls, dict):
        return {name: prefixed(prefix, url) for name, url in urls.items()}
    return prefix + urls


def connect(arguments):
    """A ccxt.pro exchange as a user would configure it."""
    config = {"enableRateLimit": False, "timeout": 20_000}
    config.update(placeholders(arguments.venue, arguments.credential))
    config["proxyUrl"] = f"https://{arguments.vault}/"
    exchange = getattr(ccxt.pro, arguments.venue)(config)
    # ccxt 4.5.84 to 4.5.90 take a proxy that is not set for one that is.
    exchange.check_conflicting_proxies = lambda *_: None
    urls = exchange.urls["api"]["ws"]
    if arguments.venue == "binanceusdm":
        # ccxt leaves an address alone that has another one in it; without, it would say so itself.
        urls["linear"] = urls["linear"].replace("/ws", "/private/ws")
    exchange.urls["api"]["ws"] = prefixed(f"wss://{arguments.vault}/", urls)
    context = ssl.create_default_context(cafile=arguments.ca)
    context.load_cert_chain(arguments.cert, arguments.key)
    exchange.ssl_context = context
    return exchange


async def step(name, exchange, arguments, known):
    """Runs one step; returns what a judge may want to see of its result."""
    symbol = VENUES[arguments.venue]["symbol"]
    if name == "load_markets":
        return {"symbols": len(await exchange.load_markets())}
    if name == "create_order_ws":
        order = await exchange.create_order_ws(symbol, "limit", "buy", 0.001, 50_000.0)
        known["id"] = order["id"]
        return {"id": order["id"]}
    if name == "cancel_order_ws":
        return {"id": (await exchange.cancel_order_ws(known["id"], symbol))["id"]}
    if name == "watch_balance":
        return {"currencies": len(await exchange.watch_balance())}
    found = await getattr(exchange, name)()
    return {"ids": [one["id"] for one in found], "symbols": sorted({one["symbol"] for one in found})}


async def everything(arguments):
    exchange, known = connect(arguments), {}
    try:
        for name in arguments.steps:
            report = {"step": name}
            try:
                done = step(name, exchange, arguments, known)
                report.update(ok=True, result=await asyncio.wait_for(done, arguments.patience_s))
            except Exception as error:  # noqa: BLE001: what ccxt raises is the finding
                report.update(ok=False, error_class=type(error).__name__, error=str(error))
            print(json.dumps(report), flush=True)
    finally:
        await exchange.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--venue", required=True, choices=sorted(VENUES))
    parser.add_argument("--steps", required=True, type=lambda text: text.split(","), help=",".join(STEPS))
    parser.add_argument("--vault", required=True, help="host and port")
    parser.add_argument("--credential", required=True, help="its name at the vault, for the placeholder")
    parser.add_argument("--cert", required=True, help="the client's certificate chain, PEM")
    parser.add_argument("--key", required=True, help="the client's private key, PEM")
    parser.add_argument("--ca", required=True, help="who signs the server's certificate, PEM")
    parser.add_argument("--patience-s", type=float, default=30.0, help="for each step")
    arguments = parser.parse_args()
    asyncio.run(everything(arguments))


if __name__ == "__main__":
    main()
