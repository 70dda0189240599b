#!/usr/bin/env python3
"""Runs a bot's everyday steps with stock ccxt, with nothing but configuration changed.

Through the vault's proxy, with placeholders where keys would be:

    ccxt_steps.py --venue binance --proxy-url https://127.0.0.1:9000/ --credential binance-main \
        --cert client.pem --key client.key --ca vault-ca.pem --steps load_markets,create_limit

Straight to a venue's mock, with keys that it knows, for comparison:

    ccxt_steps.py --venue binance --direct-override https://127.0.0.1:9443 --ca mock-ca.pem \
        --keys keys.json --steps load_markets,create_limit

Prints one JSON object a line and step, as the step ends:

    {"step": "create_limit", "ok": true, "elapsed_ms": 3.1, "result": {"id": "7", "status": "open"}}
    {"step": "withdraw", "ok": false, "elapsed_ms": 1.9, "error_class": "ExchangeError",
     "error_bases": ["ExchangeError", "BaseError"], "error": "binance {...}"}

A step that raises does not end the run. The exit status is 0 when every step was tried, 2 for bad
arguments. Needs ccxt 4.5.90 only; with `--async` also aiohttp and what it brings.
"""

import argparse
import asyncio
import inspect
import json
import ssl
import sys
import time

# No key of anybody's (the private number is 32 bytes of 1): ccxt must be able to sign with them to
# get as far as sending.
KRAKEN_SECRET = "Y291bnRlcnNpZ24gcGxhY2Vob2xkZXIsIG5vdCBhIHNlY3JldA=="
COINBASE_SECRET = """-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBoAoGCCqGSM49
AwEHoUQDQgAEb/A7lJJBzh2t1DUZ5pYOCoW0GmmgXDKBA6orzhWUyhY8T3U6Vb8B
3FP2wLDH7ueLQMb/fSWpbiKCuYnO9xwUSg==
-----END EC PRIVATE KEY-----
"""

STEPS = [
    "load_markets",
    "fetch_balance",
    "create_limit",
    "fetch_order",
    "fetch_open_orders",
    "cancel_order",
    "create_market",
    "market_buy",
    "outside_symbol",
    "over_cap",
    "withdraw",
    "set_leverage",
    "burst",
]

# Per venue: the ccxt class, the markets, what a withdrawal needs beyond coin, amount and address.
VENUES = {
    "binance": {"symbol": "BTC/USDT", "outside": "ETH/USDT", "swap": "BTC/USDT:USDT"},
    "binanceusdm": {"symbol": "BTC/USDT:USDT", "outside": "ETH/USDT:USDT", "swap": "BTC/USDT:USDT"},
    "bybit": {
        "symbol": "BTC/USDT",
        "outside": "ETH/USDT",
        "swap": "BTC/USDT:USDT",
        # ccxt warns, as an error, that it looks among the last 500 orders only.
        "fetch_order": {"acknowledged": True},
        "withdraw": {"network": "BTC"},
    },
    "okx": {
        "symbol": "BTC/USDT",
        "outside": "ETH/USDT",
        "swap": "BTC/USDT:USDT",
        "withdraw": {"network": "BTC", "fee": "0.0001"},
    },
    "kraken": {"symbol": "BTC/USD", "outside": "ETH/USD", "withdraw": {"key": "my-wallet"}},
    "coinbase": {"symbol": "BTC/USD", "outside": "ETH/USD"},
}
ADDRESS = "1BoatSLRHtKNngkdXEeobR76b53LETtpyT"


def placeholders(venue, name):
    """What goes where the keys would be."""
    keys = {"apiKey": f"countersign:{name}", "secret": "placeholder"}
    if venue == "kraken":
        keys["secret"] = KRAKEN_SECRET
    elif venue == "coinbase":
        keys["secret"] = COINBASE_SECRET
    elif venue == "okx":
        keys["password"] = "placeholder"
    return keys


def connect(arguments):
    """A ccxt exchange as a user would configure it."""
    if arguments.asynchronous:
        import ccxt.async_support as ccxt
    else:
        import ccxt

    config = {"enableRateLimit": False, "timeout": arguments.timeout_ms}
    if arguments.keys:
        with open(arguments.keys, encoding="utf-8") as file:
            config.update(json.load(file))
    elif arguments.credential:
        config.update(placeholders(arguments.venue, arguments.credential))
    if arguments.proxy_url:
        config["proxyUrl"] = arguments.proxy_url
    exchange = getattr(ccxt, arguments.venue)(config)
    # ccxt 4.5.84 to 4.5.90 take a proxy that is not set for one that is.
    exchange.check_conflicting_proxies = lambda *_: None
    if arguments.direct_override:
        divert(exchange, arguments.direct_override.rstrip("/"))

    if arguments.asynchronous:
        if arguments.ca or arguments.cert:
            context = ssl.create_default_context(cafile=arguments.ca)
            if arguments.cert:
                context.load_cert_chain(arguments.cert, arguments.key)
            exchange.ssl_context = context
    else:
        if arguments.cert:
            exchange.session.cert = (arguments.cert, arguments.key)
        if arguments.ca:
            exchange.validateServerSsl = arguments.ca
    return exchange


def divert(exchange, base):
    """Sends every signed request to another server; what is signed keeps the venue's host."""
    fetch = exchange.fetch

    def diverted(url, *rest, **named):
        return fetch(base + "/" + url.split("://", 1)[1].split("/", 1)[1], *rest, **named)

    exchange.fetch = diverted


class Run:
    """One bot's session: remembers the order that later steps ask about."""

    def __init__(self, exchange, arguments):
        self.exchange = exchange
        self.arguments = arguments
        self.venue = VENUES[arguments.venue]
        self.symbol = arguments.symbol or self.venue["symbol"]
        self.order_id = None

    async def step(self, name):
        """Runs one step; returns what a judge may want to see of its result."""
        return await getattr(self, name)()

    async def load_markets(self):
        markets = await self.call("load_markets")
        return {"symbols": sorted(markets)}

    async def fetch_balance(self):
        balance = await self.call("fetch_balance")
        return {"total": balance["total"], "used": balance["used"]}

    async def create_limit(self):
        order = await self.limit(self.symbol, self.arguments.amount)
        self.order_id = order["id"]
        return shown(order)

    async def fetch_order(self):
        params = self.venue.get("fetch_order", {})
        return shown(await self.call("fetch_order", self.named(), self.symbol, params))

    async def fetch_open_orders(self):
        orders = await self.call("fetch_open_orders", self.symbol)
        return {"ids": [order["id"] for order in orders]}

    async def cancel_order(self):
        return shown(await self.call("cancel_order", self.named(), self.symbol))

    async def create_market(self):
        amount = self.arguments.amount
        return shown(await self.call("create_order", self.symbol, "market", "sell", amount))

    async def market_buy(self):
        # With a price, ccxt states the cost where the venue wants one.
        amount, price = self.arguments.amount, self.arguments.price
        return shown(await self.call("create_order", self.symbol, "market", "buy", amount, price))

    async def outside_symbol(self):
        return shown(await self.limit(self.venue["outside"], self.arguments.amount))

    async def over_cap(self):
        return shown(await self.limit(self.symbol, self.arguments.amount_over_cap))

    async def withdraw(self):
        params = self.venue.get("withdraw", {})
        withdrawal = await self.call("withdraw", "BTC", 0.01, ADDRESS, params=params)
        return {"id": withdrawal["id"]}

    async def set_leverage(self):
        await self.call("set_leverage", 5, self.venue.get("swap", self.symbol))
        return {}

    async def burst(self):
        """Many limit orders: at once if asynchronous, else one after the other."""
        wanted = range(self.arguments.count)
        amount = self.arguments.amount
        if self.arguments.asynchronous:
            orders = await asyncio.gather(*(self.limit(self.symbol, amount) for _ in wanted))
        else:
            orders = [await self.limit(self.symbol, amount) for _ in wanted]
        return {"orders": len(orders), "distinct": len({order["id"] for order in orders})}

    async def limit(self, symbol, amount):
        price = self.arguments.price
        return await self.call("create_order", symbol, "limit", "buy", amount, price)

    def named(self):
        return self.order_id or self.arguments.order_id

    async def call(self, method, *values, **named):
        """Calls a method of either kind of exchange."""
        result = getattr(self.exchange, method)(*values, **named)
        return await result if inspect.isawaitable(result) else result


def shown(order):
    """What is printed of an order."""
    return {name: order.get(name) for name in ("id", "symbol", "status", "amount", "price")}


async def tried(run, name):
    """Runs a step; whatever it raises is part of the report."""
    start = time.perf_counter()
    report = {"step": name}
    try:
        report.update(ok=True, result=await run.step(name))
    except Exception as error:  # noqa: BLE001: what ccxt raises is the finding
        bases = [base.__name__ for base in type(error).__mro__ if base.__module__ != "builtins"]
        report.update(
            ok=False, error_class=type(error).__name__, error_bases=bases, error=str(error)
        )
    report["elapsed_ms"] = round((time.perf_counter() - start) * 1000, 3)
    print(json.dumps(report), flush=True)


async def everything(arguments):
    run = Run(connect(arguments), arguments)
    try:
        for _ in range(arguments.rounds):
            for name in arguments.steps:
                await tried(run, name)
        if arguments.hold:
            # Whoever started this may now look at the process; it ends when its input does.
            print(json.dumps({"step": "hold", "ok": True}), flush=True)
            sys.stdin.read()
    finally:
        if arguments.asynchronous:
            await run.exchange.close()


def steps(text):
    names = text.split(",")
    unknown = [name for name in names if name not in STEPS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no such step: {unknown[0]}; there are {STEPS}")
    return names


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--venue", required=True, choices=sorted(VENUES))
    parser.add_argument("--steps", type=steps, default=STEPS[:7], help="names with commas between")
    parser.add_argument("--proxy-url", help="with the slash at its end")
    parser.add_argument("--credential", help="its name at the vault, for the placeholder")
    parser.add_argument("--cert", help="the client's certificate chain, PEM")
    parser.add_argument("--key", help="the client's private key, PEM")
    parser.add_argument("--ca", help="who signs the server's certificate, PEM")
    parser.add_argument("--direct-override", help="send to this server, without a proxy")
    parser.add_argument("--keys", help="JSON file with apiKey, secret, password: real ones")
    parser.add_argument("--async", dest="asynchronous", action="store_true")
    parser.add_argument("--symbol", help="instead of the venue's BTC market")
    parser.add_argument("--amount", type=float, default=0.001)
    parser.add_argument("--amount-over-cap", type=float, default=50.0)
    parser.add_argument("--price", type=float, default=50_000.0)
    parser.add_argument("--order-id", help="for steps that name an order when none was made here")
    parser.add_argument("--count", type=int, default=100, help="orders of the step burst")
    parser.add_argument("--rounds", type=int, default=1, help="how often to run all steps")
    parser.add_argument("--timeout-ms", type=int, default=20_000)
    parser.add_argument("--hold", action="store_true", help="wait for the end of input at last")
    arguments = parser.parse_args()
    if not (arguments.proxy_url or arguments.direct_override):
        parser.error("one of --proxy-url and --direct-override is needed")
    asyncio.run(everything(arguments))


if __name__ == "__main__":
    main()
