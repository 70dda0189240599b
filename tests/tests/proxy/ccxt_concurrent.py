#!/usr/bin/env python3
"""Many orders of one asynchronous ccxt at once: through the vault's proxy, and straight to a venue.

`vault-bench --scenario ccxt` starts vault and venue and calls it. Both ways alternate in one run, in
turn the first; each has a warm round before, so that markets are loaded and connections open. Prints
one JSON object: `direct_ms`, `proxy_ms` and their `ratio`, one number a round.
"""

import argparse
import asyncio
import json
import ssl
import time

import ccxt.async_support as ccxt

SYMBOL = "BTC/USDT"


def exchange(arguments, through):
    """A ccxt exchange as a user would configure it."""
    config = {"enableRateLimit": False, "timeout": 20_000}
    if through:
        config.update(apiKey=f"countersign:{arguments.credential}", secret="placeholder")
        config["proxyUrl"] = arguments.proxy_url
    else:
        config.update(apiKey=arguments.api_key, secret=arguments.secret)
    made = ccxt.binance(config)
    # ccxt 4.5.84 to 4.5.90 take a proxy that is not set for one that is.
    made.check_conflicting_proxies = lambda *_: None
    # Spot alone: the other markets say nothing more here.
    made.options["fetchMarkets"] = {"types": ["spot"]}
    made.options["fetchCurrencies"] = False
    context = ssl.create_default_context(cafile=arguments.ca if through else arguments.venue_ca)
    if through:
        context.load_cert_chain(arguments.cert, arguments.key)
    else:
        divert(made, arguments.venue_url.rstrip("/"))
    made.ssl_context = context
    return made


def divert(made, base):
    """Sends every request to another server; what is signed keeps the venue's host."""
    fetch = made.fetch

    def diverted(url, *rest, **named):
        return fetch(base + "/" + url.split("://", 1)[1].split("/", 1)[1], *rest, **named)

    made.fetch = diverted


async def burst(made, count):
    """Milliseconds until all of so many orders are accepted, all sent at once."""
    begun = time.perf_counter()
    orders = await asyncio.gather(
        *(made.create_order(SYMBOL, "limit", "buy", 0.0001, 50_000) for _ in range(count))
    )
    elapsed_ms = (time.perf_counter() - begun) * 1000
    if len({order["id"] for order in orders}) != count:
        raise RuntimeError("orders were lost")
    return elapsed_ms


async def measured(arguments):
    ways = {"direct_ms": exchange(arguments, False), "proxy_ms": exchange(arguments, True)}
    try:
        for made in ways.values():
            await made.load_markets()
            await burst(made, arguments.orders)
        report = {name: [] for name in ways}
        for number in range(arguments.rounds):
            names = list(ways)
            for name in names if number % 2 == 0 else reversed(names):
                report[name].append(await burst(ways[name], arguments.orders))
        pairs = zip(report["proxy_ms"], report["direct_ms"])
        report["ratio"] = [proxy / direct for proxy, direct in pairs]
        report["ccxt"] = ccxt.__version__
        return report
    finally:
        for made in ways.values():
            await made.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--orders", type=int, default=100, help="sent at once")
    parser.add_argument("--venue-url", required=True, help="the venue itself")
    parser.add_argument("--venue-ca", required=True, help="who signs its certificate, PEM")
    parser.add_argument("--api-key", required=True, help="a key that the venue knows")
    parser.add_argument("--secret", required=True, help="of a venue that is a mock")
    parser.add_argument("--proxy-url", required=True, help="the vault, with the slash at its end")
    parser.add_argument("--credential", required=True, help="its name at the vault")
    parser.add_argument("--cert", required=True, help="the bot's certificate chain, PEM")
    parser.add_argument("--key", required=True, help="the bot's private key, PEM")
    parser.add_argument("--ca", required=True, help="who signs the vault's certificate, PEM")
    print(json.dumps(asyncio.run(measured(parser.parse_args()))))


if __name__ == "__main__":
    main()
