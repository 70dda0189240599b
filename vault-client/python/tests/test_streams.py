"""WebSockets of ccxt.pro through the vault."""

from __future__ import annotations

import asyncio
import json
import ssl
import urllib.parse
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import ccxt
import ccxt.pro
import pytest
from aiohttp import web
from authority import Authority

import countersign
import countersign.ccxt
from countersign import Identity

VENUE = "wss://ws.okx.com:8443/ws/v5/private"


class Plain(ccxt.pro.kraken):  # type: ignore[misc]
    """Passes on whatever comes."""

    def handle_message(self, client: Any, message: Any) -> None:
        client.resolve(message, message["hash"])


class FakeStreams:
    """A vault that opens every WebSocket and answers its messages with `answers`, or refuses it."""

    def __init__(self) -> None:
        self.targets: list[str] = []
        self.said: list[Any] = []
        self.serials: list[int] = []
        self.refusal: tuple[int, dict[str, str]] | None = None
        self.answer: Callable[[Any], Any] = lambda message: message

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.targets.append(request.raw_path)
        peer = request.transport.get_extra_info("peercert")  # type: ignore[union-attr]
        self.serials.append(int(peer["serialNumber"], 16))
        if self.refusal is not None:
            status, headers = self.refusal
            return web.json_response({}, status=status, headers=headers)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            self.said.append(json.loads(message.data))
            await socket.send_json(self.answer(self.said[-1]))
        return socket


@pytest.fixture
def run(authority: Authority, tmp_path: Path) -> Callable[..., Any]:
    """Runs an exchange against a fake vault, and returns the fake and what the work returned."""

    def start(
        work: Callable[[Any], Awaitable[Any]], fake: FakeStreams | None = None, **named: Any
    ) -> tuple[FakeStreams, Any]:
        streams = fake or FakeStreams()

        async def day() -> Any:
            key, certificate = authority.server_pair()
            pair, ca = tmp_path / "server.pem", tmp_path / "clients-ca.pem"
            pair.write_bytes(key + certificate)
            ca.write_bytes(authority.pem())
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pair)
            context.load_verify_locations(ca)
            context.verify_mode = ssl.CERT_REQUIRED
            app = web.Application()
            app.router.add_get("/{tail:.*}", streams.handle)
            runner = web.AppRunner(app)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
            await site.start()
            port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
            identity = Identity.load(authority.enroll(tmp_path / "bot", f"127.0.0.1:{port}"))
            exchange = countersign.ccxt.connect(Plain, identity, "main", **named)
            exchange.timeout_on_exit = 0
            streams.serials.append(int.from_bytes(identity.serial, "big"))
            try:
                return await asyncio.wait_for(work(exchange), 20)
            finally:
                await exchange.close()
                await runner.cleanup()

        return streams, asyncio.run(day())

    return start


def test_a_stream_goes_through_the_vault_with_the_certificate(run: Callable[..., Any]) -> None:
    async def work(exchange: Any) -> Any:
        return await exchange.watch(VENUE, "a", {"hash": "a", "n": 1}, "a")

    streams, answer = run(work)

    assert answer == {"hash": "a", "n": 1}
    [target] = streams.targets
    assert urllib.parse.unquote(target[1:]) == VENUE
    assert "/" not in target[1:]
    assert ":" not in target
    assert streams.serials[0] == streams.serials[1]


@pytest.mark.parametrize(
    ("status", "reason", "kind", "of_ccxt"),
    [
        (422, "CLASS_NOT_GRANTED", countersign.Denied, ccxt.ExchangeError),
        (502, "NOT_CONNECTED", countersign.NotSent, ccxt.ExchangeNotAvailable),
        (503, "STREAMS_EXHAUSTED", countersign.Exhausted, ccxt.ExchangeNotAvailable),
        (503, "SEALED", countersign.Sealed, ccxt.ExchangeNotAvailable),
    ],
)
def test_a_refused_stream_says_why(
    run: Callable[..., Any], status: int, reason: str, kind: type[Any], of_ccxt: type[Any]
) -> None:
    fake = FakeStreams()
    headers = {"countersign-reason": reason, "countersign-entry": "41", "retry-after": "2"}
    fake.refusal = (status, headers)

    async def work(exchange: Any) -> None:
        await exchange.watch(VENUE, "a", {"hash": "a"}, "a")

    with pytest.raises(kind) as caught:
        run(work, fake)

    assert isinstance(caught.value, of_ccxt)
    assert (caught.value.reason, caught.value.entry_index) == (reason, 41)
    assert caught.value.retry_after.total_seconds() == 2


def test_another_refusal_stays_ccxts_own(run: Callable[..., Any]) -> None:
    fake = FakeStreams()
    fake.refusal = (404, {})

    async def work(exchange: Any) -> None:
        await exchange.watch(VENUE, "a", {"hash": "a"}, "a")

    with pytest.raises(ccxt.NetworkError) as caught:
        run(work, fake)
    assert not isinstance(caught.value, countersign.Refused)


def denies(reason: str = "SYMBOL_NOT_GRANTED") -> Callable[[Any], Any]:
    def answer(message: Any) -> Any:
        if not message.get("bad"):
            return message
        said = {"reason": reason, "message": f"denied by policy: {reason}", "entry": 7}
        return {"countersign": said, **({"id": message["id"]} if "id" in message else {})}

    return answer


def test_a_refused_message_is_raised_where_it_was_sent(run: Callable[..., Any]) -> None:
    fake = FakeStreams()
    fake.answer = denies()

    async def work(exchange: Any) -> Any:
        others = asyncio.ensure_future(exchange.watch(VENUE, "b", None, "b"))
        await asyncio.sleep(0.1)
        message = {"hash": "a", "bad": True, "id": 17}
        with pytest.raises(countersign.ccxt.Denied) as caught:
            await exchange.watch(VENUE, "a", message, "a", {"id": 17})
        assert isinstance(caught.value, ccxt.ExchangeError)
        assert (caught.value.reason, caught.value.entry_index) == ("SYMBOL_NOT_GRANTED", 7)
        # As a request by its id, without a subscription.
        with pytest.raises(countersign.Denied):
            await exchange.watch(VENUE, "18", {"hash": "18", "bad": True, "id": "18"}, "18")
        assert not others.done()
        # The next try is sent again.
        again = await exchange.watch(VENUE, "a", {"hash": "a"}, "a")
        others.cancel()
        return again

    streams, again = run(work, fake)
    assert again == {"hash": "a"}
    assert len(streams.said) == 3


def test_a_refused_message_without_an_id_wakes_all(run: Callable[..., Any]) -> None:
    fake = FakeStreams()
    fake.answer = denies()

    async def work(exchange: Any) -> None:
        others = asyncio.ensure_future(exchange.watch(VENUE, "b", None, "b"))
        await asyncio.sleep(0.1)
        with pytest.raises(countersign.Denied):
            await exchange.watch(VENUE, "a", {"hash": "a", "bad": True}, "a")
        with pytest.raises(countersign.Denied):
            await others

    run(work, fake)


def test_direct_streams_go_past_the_vault(run: Callable[..., Any]) -> None:
    async def work(exchange: Any) -> None:
        exchange.open()
        asked = []

        class Session:
            def ws_connect(self, url: Any, **named: Any) -> Any:
                asked.append((url, named))

        exchange.session._session, kept = Session(), exchange.session._session
        exchange.session.ws_connect(VENUE, proxy=None)
        exchange.session._session = kept
        assert asked == [(VENUE, {"proxy": None})]

    streams, _ = run(work, streams="direct")
    assert streams.targets == []


def test_streams_go_by_one_of_two_ways(authority: Authority, tmp_path: Path) -> None:
    identity = Identity.load(authority.enroll(tmp_path / "bot", "127.0.0.1:1"))
    with pytest.raises(ValueError, match="streams"):
        countersign.ccxt.connect("kraken", identity, "main", streams="elsewhere")  # type: ignore[arg-type]
