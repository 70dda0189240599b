#!/usr/bin/env python3
"""Requests as stock ccxt sends them through the vault: a placeholder where the API key belongs, and a secret of the
right shape that is worth nothing.

Usage: calls.py

Prints one JSON object per request: which class of ccxt, which type of key, in which step it was made, and the request
on the wire: method, URL, headers, body. ccxt drives itself: its own methods are called, and `fetch` is answered here,
with just enough for them to go on to the next request. What the answers say matters to nobody else.
"""

import json
import sys

import frozen

PLACEHOLDER = "countersign:main"

# What requests and aiohttp add to every request, and ccxt behind a proxy.
LIBRARY_HEADERS = {
    "User-Agent": "python-requests/2.32.5",
    "Accept": "*/*",
    "Accept-Encoding": "gzip, deflate",
    "Connection": "keep-alive",
    "Origin": "*",
}

EXCHANGES = [*frozen.KEYS, ("binanceusdm", "hmac"), ("binancecoinm", "hmac")]

BINANCE_FILTERS = [
    {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01"},
    {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000", "stepSize": "0.00001"},
    {"filterType": "NOTIONAL", "minNotional": "5"},
]


def binance_symbol(quote, **more):
    """A market of Binance, spot or futures."""
    name = more.pop("symbol", f"BTC{quote}")
    return {
        "symbol": name,
        "pair": f"BTC{quote}",
        "status": "TRADING",
        "contractStatus": "TRADING",
        "baseAsset": "BTC",
        "quoteAsset": quote,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "orderTypes": ["LIMIT", "MARKET"],
        "permissionSets": [["SPOT", "MARGIN"]],
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": True,
        "filters": BINANCE_FILTERS,
        **more,
    }


def bybit_instruments(query):
    """The instruments of one category."""
    common = {
        "status": "Trading",
        "baseCoin": "BTC",
        "quoteCoin": "USDT",
        "settleCoin": "USDT",
        "lotSizeFilter": {"basePrecision": "0.00001", "qtyStep": "0.001", "minOrderQty": "0.001", "maxOrderQty": "100",
                          "quotePrecision": "0.01", "minOrderAmt": "5", "maxOrderAmt": "100000"},
        "priceFilter": {"tickSize": "0.1", "minPrice": "0.1", "maxPrice": "1000000"},
    }
    contract = {"contractType": "LinearPerpetual", "launchTime": "1", "deliveryTime": "0",
                "leverageFilter": {"minLeverage": "1", "maxLeverage": "100", "leverageStep": "0.01"}}
    if "category=spot" in query:
        rows = [{"symbol": "BTCUSDT", **common}]
    elif "category=linear" in query:
        rows = [{"symbol": "BTCUSDT", **common, **contract}]
    else:
        rows = []
    return {"retCode": 0, "result": {"category": query.split("category=")[1].split("&")[0], "list": rows}}


def okx_instruments(query):
    """The instruments of one type."""
    common = {"state": "live", "tickSz": "0.1", "lotSz": "0.00001", "minSz": "0.00001", "lever": "10", "alias": "",
              "uly": "", "settleCcy": "", "ctVal": "", "ctValCcy": "", "optType": "", "stk": "", "expTime": "",
              "listTime": "1", "maxLmtSz": "100", "maxMktSz": "100", "maxLmtAmt": "1", "maxMktAmt": "1"}
    if "instType=SPOT" in query:
        rows = [{**common, "instType": "SPOT", "instId": "BTC-USDT", "baseCcy": "BTC", "quoteCcy": "USDT"}]
    elif "instType=SWAP" in query:
        rows = [{**common, "instType": "SWAP", "instId": "BTC-USDT-SWAP", "baseCcy": "", "quoteCcy": "", "uly": "BTC-USDT",
                 "settleCcy": "USDT", "ctVal": "0.01", "ctValCcy": "BTC", "ctType": "linear"}]
    else:
        rows = []
    return {"code": "0", "data": rows}


KRAKEN_PAIR = {
    "altname": "XBTUSD", "wsname": "XBT/USD", "base": "XXBT", "quote": "ZUSD", "pair_decimals": 1, "lot_decimals": 8,
    "cost_decimals": 5, "ordermin": "0.0001", "costmin": "0.5", "tick_size": "0.1", "status": "online",
    "leverage_buy": [2], "leverage_sell": [2], "fees": [[0, 0.4]], "fees_maker": [[0, 0.25]],
}
COINBASE_PRODUCT = {
    "product_id": "BTC-USD", "price": "60000", "base_increment": "0.00000001", "quote_increment": "0.01",
    "price_increment": "0.01", "quote_min_size": "1", "quote_max_size": "1000000", "base_min_size": "0.00000001",
    "base_max_size": "1000", "base_currency_id": "BTC", "quote_currency_id": "USD", "product_type": "SPOT",
    "status": "online", "trading_disabled": False, "is_disabled": False, "view_only": False,
}
COINBASE_ACCOUNT = {
    "uuid": "2aa2c8b4-c024-50df-a0d4-18eebe52e4cd", "id": "2aa2c8b4-c024-50df-a0d4-18eebe52e4cd", "currency": "BTC",
    "available_balance": {"value": "1", "currency": "BTC"}, "hold": {"value": "0", "currency": "BTC"}, "name": "BTC",
    "type": "ACCOUNT_TYPE_CRYPTO", "balance": {"amount": "1", "currency": "BTC"}, "active": True, "ready": True,
}


def answer(path, query):
    """What the venue would say, as far as ccxt needs it to go on."""
    if path == "/api/v3/exchangeInfo":
        return {"symbols": [binance_symbol("USDT")]}
    if path == "/fapi/v1/exchangeInfo":
        return {"symbols": [binance_symbol("USDT", contractType="PERPETUAL", marginAsset="USDT", deliveryDate=4133404800000)]}
    if path == "/dapi/v1/exchangeInfo":
        perpetual = {"symbol": "BTCUSD_PERP", "contractType": "PERPETUAL", "marginAsset": "BTC", "contractSize": 100,
                     "deliveryDate": 4133404800000}
        return {"symbols": [binance_symbol("USD", **perpetual)]}
    if path.startswith("/sapi/v1/margin/") or path == "/sapi/v1/capital/config/getall":
        return []
    if path == "/v5/market/instruments-info":
        return bybit_instruments(query)
    if path == "/v5/user/query-api":
        return {"retCode": 0, "result": {"uta": 1, "unified": 0, "userID": 1}}
    if path == "/v5/account/info":
        return {"retCode": 0, "result": {"unifiedMarginStatus": 6}}
    if path == "/v5/asset/coin/query-info":
        return {"retCode": 0, "result": {"rows": [{"coin": coin, "chains": [
            {"chain": chain, "chainType": chain, "chainDeposit": "1", "chainWithdraw": "1", "minAccuracy": "6"}]}
            for coin, chain in (("BTC", "BTC"), ("USDT", "TRX"))]}}
    if path.startswith("/v5/"):
        return {"retCode": 0, "result": {"list": []}}
    if path == "/api/v5/public/instruments":
        return okx_instruments(query)
    if path == "/api/v5/asset/currencies":
        return {"code": "0", "data": [
            {"ccy": "BTC", "chain": "BTC-Bitcoin", "canDep": True, "canWd": True, "minFee": "0.0001", "fee": "0.0001",
             "wdTickSz": "8", "minWd": "0.001", "maxWd": "100", "name": "Bitcoin", "mainNet": True}]}
    if path.startswith("/api/v5/"):
        return {"code": "0", "data": []}
    if path == "/0/public/AssetPairs":
        return {"error": [], "result": {"XXBTZUSD": KRAKEN_PAIR}}
    if path == "/0/public/Assets":
        asset = {"aclass": "currency", "decimals": 8, "display_decimals": 5, "status": "enabled"}
        return {"error": [], "result": {"XXBT": {**asset, "altname": "XBT"}, "ZUSD": {**asset, "altname": "USD"}}}
    if path == "/0/private/WithdrawMethods":
        return {"error": [], "result": [{"asset": "XBT", "method_id": "x", "method": "Bitcoin", "network": "Bitcoin"}]}
    if path.startswith("/0/"):
        return {"error": [], "result": {}}
    if path.endswith("/products"):
        return {"products": [COINBASE_PRODUCT] if "FUTURE" not in query else []}
    if path == "/v2/currencies/crypto":
        return {"data": [{"asset_id": "BTC", "code": "BTC", "name": "Bitcoin", "type": "crypto", "exponent": 8}]}
    if path == "/v2/currencies":
        return {"data": [{"id": "USD", "name": "Dollar", "min_size": "0.01"}]}
    if path == "/v2/exchange-rates":
        return {"data": {"currency": "USD", "rates": {"BTC": "0.00001"}}}
    if path == "/v2/accounts":
        return {"data": [COINBASE_ACCOUNT], "pagination": {}}
    if path == "/api/v3/brokerage/accounts":
        return {"accounts": [COINBASE_ACCOUNT], "has_next": False}
    if path == "/api/v3/brokerage/transaction_summary":
        return {"fee_tier": {"taker_fee_rate": "0.006", "maker_fee_rate": "0.004"}}
    return {}


def steps(ex, name):
    """The steps of a bot, each a name and a call."""
    spot = {"kraken": "BTC/USD", "coinbase": "BTC/USD"}.get(name, "BTC/USDT")
    swap = {"binance": "BTC/USDT:USDT", "binanceusdm": "BTC/USDT:USDT", "binancecoinm": "BTC/USD:BTC", "bybit": "BTC/USDT:USDT",
            "okx": "BTC/USDT:USDT"}.get(name)
    market = swap if name in ("binanceusdm", "binancecoinm") else spot
    amount = 1 if name == "binancecoinm" else 0.001
    order_id = {"kraken": "OUF4EM-FRGI2-MQMWZD", "coinbase": "6d27ebf7-3c66-4d3a-a86b-325227e0108e"}.get(name, "1234567")
    own_id = {"kraken": "6d27ebf7-3c66-4d3a-a86b-325227e0108e"}.get(name, "own1234567")
    withdrawal = {"kraken": {"key": "home"}, "okx": {"fee": "0.0001"}, "binance": {"network": "BTC"}}.get(name, {})
    acknowledged = {"acknowledged": True} if name == "bybit" else {}
    yield "load_markets", lambda: ex.load_markets()
    yield "fetch_balance", lambda: ex.fetch_balance()
    yield "fetch_time", lambda: ex.fetch_time()
    yield "fetch_status", lambda: ex.fetch_status()
    yield "fetch_ticker", lambda: ex.fetch_ticker(market)
    yield "fetch_tickers", lambda: ex.fetch_tickers([market])
    yield "fetch_order_book", lambda: ex.fetch_order_book(market, 100)
    yield "fetch_trades", lambda: ex.fetch_trades(market, limit=50)
    yield "fetch_ohlcv", lambda: ex.fetch_ohlcv(market, "1m", limit=50)
    yield "fetch_my_trades", lambda: ex.fetch_my_trades(market, limit=50)
    yield "fetch_closed_orders", lambda: ex.fetch_closed_orders(market, limit=50)
    yield "fetch_open_orders", lambda: ex.fetch_open_orders(market)
    yield "fetch_order", lambda: ex.fetch_order(order_id, market, acknowledged)
    yield "create_limit", lambda: ex.create_order(market, "limit", "buy", amount, 50000.5)
    yield "create_market", lambda: ex.create_order(market, "market", "sell", amount)
    yield "market_buy", lambda: ex.create_order(market, "market", "buy", amount, 50000.5)
    yield "create_own_id", lambda: ex.create_order(market, "limit", "sell", amount, 70000, {"clientOrderId": own_id})
    yield "create_post_only", lambda: ex.create_order(market, "limit", "buy", amount, 40000, {"postOnly": True})
    yield "cancel_order", lambda: ex.cancel_order(order_id, market)
    yield "cancel_orders", lambda: ex.cancel_orders([order_id], market)
    yield "cancel_all_orders", lambda: ex.cancel_all_orders(market)
    yield "withdraw", lambda: ex.withdraw("BTC", 1, "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq", withdrawal)
    yield "fetch_trading_fee", lambda: ex.fetch_trading_fee(market)
    if swap is not None:
        yield "swap_create_limit", lambda: ex.create_order(swap, "limit", "buy", 1, 50000.5)
        yield "swap_create_market", lambda: ex.create_order(swap, "market", "sell", 1, None, {"reduceOnly": True})
        yield "swap_cancel_order", lambda: ex.cancel_order(order_id, swap)
        yield "swap_cancel_all_orders", lambda: ex.cancel_all_orders(swap)
        yield "swap_fetch_open_orders", lambda: ex.fetch_open_orders(swap)
        yield "swap_fetch_positions", lambda: ex.fetch_positions([swap])
        yield "swap_fetch_funding_rate", lambda: ex.fetch_funding_rate(swap)
        yield "swap_fetch_leverage_tiers", lambda: ex.fetch_market_leverage_tiers(swap)
        yield "set_leverage", lambda: ex.set_leverage(5, swap)
        yield "set_margin_mode", lambda: ex.set_margin_mode("cross", swap, {"leverage": 5} if name == "okx" else {})


def record(name, key_type):
    """All requests of one class of ccxt and type of key."""
    venue = "binance" if name.startswith("binance") else name
    made, _ = frozen.credential(venue, key_type)
    ex = frozen.exchange(name, {**made, "apiKey": PLACEHOLDER, "enableRateLimit": False})
    step_name = None

    def fetch(url, method="GET", headers=None, body=None):
        sent = {**LIBRARY_HEADERS, **ex.headers, **(headers or {})}
        line = {"exchange": name, "key_type": key_type, "step": step_name,
                "request": {"method": method, "url": url, "headers": sent, "body": body}}
        print(json.dumps(line, ensure_ascii=False))
        _, _, path, query = frozen.split(url)
        return answer(path, query)

    ex.fetch = fetch
    for step_name, call in steps(ex, name):
        try:
            call()
        except Exception as error:
            # Most answers have too little for ccxt to make something of; the request was sent all the same.
            print(f"{name} {key_type} {step_name}: {type(error).__name__}: {str(error)[:150]}", file=sys.stderr)


def main():
    """Every class and type of key."""
    for name, key_type in EXCHANGES:
        record(name, key_type)


if __name__ == "__main__":
    main()
