"""Against a vault with mock venues behind it, as tests/tests/proxy of the repository starts it.

COUNTERSIGN_VAULT_BOT_FOLDER is the identity of a bot that trades BTC by `execute` alone, with the
credentials `binance-main`, `bybit-main`, `coinbase-main`, `kraken-main` and `okx-main`.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import ccxt
import pytest

import countersign
import countersign.ccxt
from countersign import Client, Identity, SignOrder, aio

FOLDER = os.environ.get("COUNTERSIGN_VAULT_BOT_FOLDER", "")
pytestmark = pytest.mark.skipif(not FOLDER, reason="COUNTERSIGN_VAULT_BOT_FOLDER names no bot's identity")

ORDER = "https://api.binance.com/api/v3/order"
VENUES = {
    "binance": ("binance-main", "BTC/USDT", "ETH/USDT"),
    "binanceusdm": ("binance-main", "BTC/USDT:USDT", "ETH/USDT:USDT"),
    "bybit": ("bybit-main", "BTC/USDT", "ETH/USDT"),
    "coinbase": ("coinbase-main", "BTC/USD", "ETH/USD"),
    "kraken": ("kraken-main", "BTC/USD", "ETH/USD"),
    "okx": ("okx-main", "BTC/USDT", "ETH/USDT"),
}


@pytest.fixture
def identity() -> Identity:
    return Identity.load(FOLDER)


def order(symbol: str) -> dict[str, Any]:
    params = {"symbol": symbol, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
    return {"params": {**params, "quantity": "0.001", "price": "50000"}}


def test_executes_orders(identity: Identity) -> None:
    with Client(identity) as client:
        first = client.execute("binance-main", "POST", ORDER, **order("BTCUSDT"))
        second = client.execute("binance-main", "POST", ORDER, **order("BTCUSDT"))

    assert (first.status, second.status) == (200, 200)
    assert first.json()["orderId"] != second.json()["orderId"]
    assert first.receipt is not None
    assert second.receipt is not None
    assert first.receipt.log_origin == second.receipt.log_origin
    assert first.receipt.index < second.receipt.index
    assert first.seq < second.seq


def test_sends_nothing_twice(identity: Identity) -> None:
    with Client(identity) as client:
        first = client.execute("binance-main", "POST", ORDER, **order("BTCUSDT"))
        with pytest.raises(countersign.OutcomeUnknown) as caught:
            client.execute("binance-main", "POST", ORDER, **order("BTCUSDT"), request_id=first.request_id)

    assert first.receipt is not None
    assert caught.value.entry_index == first.receipt.index


def test_denials_say_why(identity: Identity) -> None:
    with Client(identity) as client:
        with pytest.raises(countersign.Denied) as caught:
            client.execute("binance-main", "POST", ORDER, **order("ETHUSDT"))
        assert caught.value.reason == "SYMBOL_NOT_GRANTED"
        assert caught.value.operation == "POST /api/v3/order"
        assert caught.value.entry_index is not None
        with pytest.raises(countersign.Denied) as caught:
            client.sign("binance-main", "POST", ORDER, **order("BTCUSDT"))
        assert caught.value.reason == "MODE_NOT_GRANTED"
        with pytest.raises(countersign.NotFound):
            client.execute("nobodys", "POST", ORDER, **order("BTCUSDT"))


def test_many_signs_are_judged_each_for_itself(identity: Identity) -> None:
    async def day() -> list[Any]:
        async with aio.Client(identity) as client, client.sign_stream() as stream:
            for each in orders:
                await stream.send(each)
            stream.done()
            return [*await client.sign_batch(orders), *[outcome async for outcome in stream]]

    # This bot may execute, and sign nothing.
    orders = [
        SignOrder("binance-main", "POST", ORDER, **order("BTCUSDT")),
        SignOrder("nobodys", "POST", ORDER, **order("BTCUSDT"), request_id="nobodys"),
    ]
    with Client(identity) as client, client.sign_stream() as stream:
        for each in orders:
            stream.send(each)
        stream.done()
        outcomes = [*client.sign_batch(orders), *stream]
    outcomes += asyncio.run(day())

    denied = [outcome for outcome in outcomes if outcome.request_id != "nobodys"]
    assert [(type(each), each.reason) for each in denied] == [(countersign.Denied, "MODE_NOT_GRANTED")] * 4
    assert len({each.entry_index for each in denied}) == 4
    assert sum(isinstance(outcome, countersign.NotFound) for outcome in outcomes) == 4
    with Client(identity) as client, pytest.raises(countersign.BadRequest, match="BATCH_SIZE"):
        client.sign_batch([])


def test_streams(identity: Identity) -> None:
    url = "https://api.binance.com/api/v3/exchangeInfo"
    with Client(identity) as client, client.execute_stream("", "GET", url) as stream:
        body = stream.read()

    assert stream.head.status == 200
    assert stream.head.receipt is None
    assert b"BTCUSDT" in body


def test_asyncio_too(identity: Identity) -> None:
    async def day() -> list[Any]:
        async with aio.Client(identity) as client:
            orders = [client.execute("binance-main", "POST", ORDER, **order("BTCUSDT")) for _ in range(20)]
            return await asyncio.gather(*orders)

    answers = asyncio.run(day())

    assert {answer.status for answer in answers} == {200}
    assert len({answer.json()["orderId"] for answer in answers}) == 20


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "asyncio"])
@pytest.mark.parametrize("exchange_id", sorted(VENUES))
def test_ccxt_trades(identity: Identity, exchange_id: str, asynchronous: bool) -> None:
    credential, symbol, foreign = VENUES[exchange_id]
    exchange = countersign.ccxt.connect(
        exchange_id, identity, credential, asynchronous=asynchronous, config={"enableRateLimit": False}
    )

    async def call(method: str, *values: Any) -> Any:
        result = getattr(exchange, method)(*values)
        return await result if asynchronous else result

    async def day() -> None:
        try:
            assert symbol in await call("load_markets")
            assert (await call("fetch_balance"))["total"]
            made = await call("create_order", symbol, "limit", "buy", 0.001, 50_000)
            assert made["id"] in [each["id"] for each in await call("fetch_open_orders", symbol)]
            if exchange_id in ("coinbase", "kraken"):
                # There an order's id says neither product nor symbol: the scope would have to grant all.
                with pytest.raises(countersign.Denied, match="EVERY_PRODUCT_NOT_GRANTED"):
                    await call("cancel_order", made["id"], symbol)
            else:
                await call("cancel_order", made["id"], symbol)
            with pytest.raises(ccxt.ExchangeError) as caught:
                await call("create_order", foreign, "limit", "buy", 0.001, 50_000)
            assert isinstance(caught.value, countersign.Denied)
            assert caught.value.reason == "SYMBOL_NOT_GRANTED"
        finally:
            if asynchronous:
                await exchange.close()

    asyncio.run(day())


def test_goes_on_after_a_renewal(identity: Identity) -> None:
    exchange = countersign.ccxt.connect("kraken", identity, "kraken-main")
    exchange.fetch_balance()
    with Client(identity) as client:
        client.renew()
        assert client.identity.serial != identity.serial
        assert client.execute("binance-main", "POST", ORDER, **order("BTCUSDT")).status == 200
    exchange.fetch_balance()

    assert Identity.load(FOLDER).serial != identity.serial
