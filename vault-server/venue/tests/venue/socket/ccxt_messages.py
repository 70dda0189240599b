#!/usr/bin/env python3
"""Writes ccxt_messages.json: the addresses and the messages of ccxt.pro, as it makes them for a bot that
has placeholders in place of keys and handles in place of listen keys. Nothing is sent anywhere.

    python3 ccxt_messages.py > ccxt_messages.json        # ccxt 4.5.90
"""

import asyncio
import json
import sys

import ccxt
import ccxt.pro

HANDLE = "h4ndLe" * 8
SECRETS = {"apiKey": "countersign:desk", "secret": "cGxhY2Vob2xkZXI=", "password": "placeholder"}


class Done(Exception):
    """Ends a call once its message is there."""


def market(ex, symbol, market_id, kind, **more):
    base, rest = symbol.split("/")
    quote, _, settle = rest.partition(":")
    is_swap = kind == "swap"
    return ex.safe_market_structure(
        {
            "id": market_id,
            "lowercaseId": market_id.lower(),
            "symbol": symbol,
            "base": base,
            "quote": quote,
            "baseId": base,
            "quoteId": quote,
            "settle": settle or None,
            "settleId": settle or None,
            "type": kind,
            "spot": kind == "spot",
            "margin": False,
            "swap": is_swap,
            "future": False,
            "option": False,
            "contract": is_swap,
            "linear": is_swap and settle == quote or None,
            "inverse": is_swap and settle == base or None,
            "contractSize": 1 if is_swap else None,
            "active": True,
            "precision": {"amount": 0.00000001, "price": 0.01},
            "limits": {"amount": {}, "price": {}, "cost": {}},
            "info": {"wsname": symbol, "filters": [], "orderTypes": ["LIMIT", "MARKET"]},
            **more,
        }
    )


def make(name, markets, **more):
    ex = getattr(ccxt.pro, name)({**SECRETS, "newUpdates": True, **more})
    ex.set_markets([market(ex, *one) for one in markets])
    ex.marketsLoaded = True
    ex.milliseconds = lambda: 1712345678901
    ex.seconds = lambda: 1712345678
    ex.nonce = lambda: 1712345678901
    taken = []

    def take(url, message):
        taken.append({"url": url, "text": message if isinstance(message, str) or message is None else ex.json(message)})

    async def settled(is_log_on):
        if not is_log_on:
            raise Done
        return {}

    # As in ccxt, nobody has to wait for what it returns.
    def watch(url, hash_, message=None, *rest, **kw):
        take(url, message)
        client = ex.client(url)
        text = message if isinstance(message, dict) else {}
        is_log_on = text.get("op") in ("login", "auth") or str(text.get("method", "")).startswith("userDataStream")
        if is_log_on and hash_ == "authenticated":
            client.resolve(True, hash_)
        return asyncio.ensure_future(settled(is_log_on))

    def watch_multiple(url, hashes, message=None, *rest, **kw):
        return watch(url, None, message)

    ex.watch, ex.watch_multiple = watch, watch_multiple

    async def request(path, *rest, **kw):
        if "GetWebSocketsToken" in path:
            return {"error": [], "result": {"token": HANDLE, "expires": 900}}
        if "listenKey" in path:
            return {"listenKey": HANDLE}
        if "userListenToken" in path:
            return {"token": HANDLE}
        if path == "v5/user/query-api":
            return {"retCode": 0, "result": {"unified": 0, "uta": 1}}
        return {}

    ex.request = request
    ex.load_balance_snapshot = lambda *a, **kw: None
    return ex, taken


async def record(ex, taken, out, venue, calls):
    for name, *args in calls:
        kwargs = args.pop() if args and isinstance(args[-1], dict) else {}
        before = len(taken)
        try:
            await asyncio.wait_for(getattr(ex, name)(*args, **kwargs), 3)
        except (Done, asyncio.TimeoutError):
            pass
        except Exception as error:
            if len(taken) == before:
                print(venue, name, type(error).__name__, error, file=sys.stderr)
        for one in taken[before:]:
            out.append({"venue": venue, "call": name, **one})
    await ex.close()


async def main():
    out = []
    spot, swap = ("BTC/USDT", "BTCUSDT", "spot"), ("BTC/USDT:USDT", "BTCUSDT", "swap")
    order = ["create_order_ws", "BTC/USDT", "limit", "buy", 0.001, 60000]
    reads = [["watch_orders"], ["watch_my_trades"], ["watch_balance"], ["watch_positions"]]
    public = [["watch_ticker", "BTC/USDT"], ["watch_trades", "BTC/USDT"], ["watch_order_book", "BTC/USDT"], ["watch_ohlcv", "BTC/USDT", "1m"]]

    okx = [("BTC/USDT", "BTC-USDT", "spot"), ("BTC/USDT:USDT", "BTC-USDT-SWAP", "swap")]
    ex, taken = make("okx", okx)
    await record(ex, taken, out, "okx", [
        *reads, ["watch_orders", "BTC/USDT:USDT"], ["watch_orders", {"params": {"trigger": True}}],
        ["watch_positions", ["BTC/USDT:USDT"]], ["watch_my_liquidations_for_symbols", ["BTC/USDT:USDT"]],
        order, ["create_order_ws", "BTC/USDT:USDT", "market", "sell", 1],
        ["edit_order_ws", "123", "BTC/USDT", "limit", "buy", 0.002, 61000],
        *public,
    ])
    taken.clear()
    ex, taken = make("okx", okx)
    ex.set_sandbox_mode(True)
    await record(ex, taken, out, "okx demo", [["watch_orders"], ["watch_ticker", "BTC/USDT"]])

    ex, taken = make("bybit", [spot, swap])
    ex.options["enableUnifiedAccount"], ex.options["enableUnifiedMargin"] = True, False

    async def unified(*args, **kw):
        return [False, True]

    ex.is_unified_enabled = ex.isUnifiedEnabled = unified
    ex.options["watchPositions"] = {"fetchPositionsSnapshot": False}
    await record(ex, taken, out, "bybit", [
        *reads, order, ["create_order_ws", "BTC/USDT:USDT", "market", "sell", 1],
        ["edit_order_ws", "123", "BTC/USDT:USDT", "limit", "buy", 0.002, 61000],
        ["cancel_order_ws", "123", "BTC/USDT:USDT"], *public,
    ])
    out.append({"venue": "bybit", "call": "ping", "url": "wss://stream.bybit.com/v5/private", "text": ex.json(ex.ping(None))})

    ex, taken = make("binance", [spot, swap])
    await record(ex, taken, out, "binance", [
        ["watch_orders"], ["watch_balance"], ["watch_my_trades"], order,
        ["create_order_ws", "BTC/USDT:USDT", "market", "sell", 1],
        ["edit_order_ws", "123", "BTC/USDT", "limit", "buy", 0.002, 61000],
        ["edit_order_ws", "123", "BTC/USDT:USDT", "limit", "buy", 0.002, 61000],
        ["cancel_order_ws", "123", "BTC/USDT"], ["cancel_order_ws", "123", "BTC/USDT:USDT"],
        ["cancel_all_orders_ws", "BTC/USDT"], ["fetch_order_ws", "123", "BTC/USDT"],
        ["fetch_open_orders_ws", "BTC/USDT"], ["fetch_balance_ws"], ["fetch_my_trades_ws", "BTC/USDT"],
        ["fetch_positions_ws", ["BTC/USDT:USDT"]],
        ["watch_orders", "BTC/USDT:USDT"], ["watch_positions"], ["watch_orders", {"params": {"type": "margin"}}],
        ["watch_orders", {"params": {"type": "swap", "portfolioMargin": True}}],
        ["watch_orders", {"params": {"type": "swap", "subType": "inverse"}}],
        *public, ["watch_ticker", "BTC/USDT:USDT"], ["watch_order_book", "BTC/USDT:USDT"],
    ])

    kraken = [("BTC/USD", "XXBTZUSD", "spot")]
    ex, taken = make("kraken", kraken)
    await record(ex, taken, out, "kraken", [
        ["watch_orders"], ["watch_my_trades"], ["watch_balance"],
        ["create_order_ws", "BTC/USD", "limit", "buy", 0.00005, 60000],
        ["create_order_ws", "BTC/USD", "market", "sell", 0.01],
        ["create_order_ws", "BTC/USD", "limit", "buy", 0.001, 60000, {"params": {"postOnly": True, "clientOrderId": "my-1", "timeInForce": "gtc"}}],
        ["edit_order_ws", "OFGKYQ-FHPCQ-HUQFEK", "BTC/USD", "limit", "buy", 0.002, 61000],
        ["cancel_order_ws", "OFGKYQ-FHPCQ-HUQFEK"], ["cancel_orders_ws", ["A", "B"]], ["cancel_all_orders_ws"],
        ["watch_ticker", "BTC/USD"], ["watch_trades", "BTC/USD"], ["watch_order_book", "BTC/USD"], ["watch_ohlcv", "BTC/USD", "1m"],
    ])
    out.append({"venue": "kraken", "call": "ping", "url": "wss://ws-auth.kraken.com/v2", "text": ex.json(ex.ping(ex.client("wss://ws-auth.kraken.com/v2")))})
    out.append({"venue": "okx", "call": "ping", "url": "wss://ws.okx.com:443/ws/v5/private", "text": "ping"})

    lines = list(dict.fromkeys(json.dumps(one) for one in {(m["url"], m["text"]): m for m in reversed(out)}.values()))
    print('{"ccxt": "%s", "messages": [\n%s\n]}' % (ccxt.__version__, ",\n".join(reversed(lines))))


asyncio.run(main())
