from __future__ import annotations

import asyncio
import pickle
import urllib.parse
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import ccxt
import ccxt.async_support
import ccxt.pro
import pytest
from authority import HOUR, Authority, now
from fake_proxy import FakeProxy, Heard

import countersign
import countersign.ccxt
from countersign import Identity, _transport
from countersign._keeper import Keeper
from countersign._proto.vault.v1 import client_service_pb2 as clients

Work = Callable[[Any], Awaitable[Any]]
Run = Callable[..., Any]


@pytest.fixture
def proxy(authority: Authority, tmp_path: Path) -> Iterator[FakeProxy]:
    fake = FakeProxy(authority, tmp_path)
    yield fake
    fake.stop()


@pytest.fixture
def identity(authority: Authority, proxy: FakeProxy, tmp_path: Path) -> Identity:
    return Identity.load(authority.enroll(tmp_path / "bot", proxy.address))


@pytest.fixture(params=["sync", "asyncio"])
def run(request: pytest.FixtureRequest, identity: Identity) -> Run:
    """Calls methods of an exchange of either kind, one after the other; returns what the last returns."""

    def values_of(exchange: Any, steps: Any) -> Any:
        return [(getattr(exchange, name), values) for name, *values in steps]

    async def asynchronous(exchange_id: str, *steps: Any) -> Any:
        exchange = countersign.ccxt.connect(exchange_id, identity, "main", asynchronous=True)
        exchange.timeout_on_exit = 0
        result = None
        try:
            for method, values in values_of(exchange, steps):
                result = await method(*values)
        finally:
            await exchange.close()
        return result

    def synchronous(exchange_id: str, *steps: Any) -> Any:
        exchange = countersign.ccxt.connect(exchange_id, identity, "main")
        result = None
        for method, values in values_of(exchange, steps):
            result = method(*values)
        return result

    if request.param == "sync":
        return synchronous
    return lambda *values: asyncio.run(asynchronous(*values))


def target(heard: Heard) -> str:
    """The venue's URL, as the vault reads it."""
    path = heard.target[1:]
    return path if path.startswith("https://") else urllib.parse.unquote(path)


def test_sends_through_the_vault_with_placeholders(run: Run, proxy: FakeProxy, identity: Identity) -> None:
    proxy.pass_on({"balances": []})

    run("binance", ["private_get_account"])

    heard = proxy.heard[0]
    assert target(heard).startswith("https://api.binance.com/api/v3/account?timestamp=")
    assert heard.headers["x-mbx-apikey"] == "countersign:main"
    assert heard.serial == int.from_bytes(identity.serial, "big")
    assert heard.tls == "TLSv1.3"


@pytest.mark.parametrize(
    ("exchange_id", "method", "values"),
    [
        ("binance", "private_get_account", ()),
        ("binanceusdm", "fapiprivatev2_get_account", ()),
        ("bybit", "private_get_v5_account_info", ()),
        ("okx", "private_get_account_config", ()),
        ("kraken", "private_post_balance", ()),
        ("krakenfutures", "private_get_accounts", ()),
        ("coinbase", "v3_private_get_brokerage_accounts", ()),
        ("coinbaseexchange", "private_get_accounts", ()),
        ("kucoin", "private_get_accounts", ()),
        ("bitget", "private_spot_get_v2_spot_account_assets", ()),
        ("gate", "private_spot_get_accounts", ()),
        ("deribit", "private_get_get_account_summary", ({"currency": "BTC"},)),
        ("bitfinex", "private_post_auth_r_wallets", ()),
        ("bitstamp", "private_post_account_balances_currency", ({"currency": "btc"},)),
    ],
)
def test_placeholders_get_every_exchange_as_far_as_sending(
    run: Run, proxy: FakeProxy, exchange_id: str, method: str, values: Any
) -> None:
    proxy.refuse(422, "CLASS_NOT_GRANTED")

    with pytest.raises(countersign.ccxt.Denied):
        run(exchange_id, [method, *values])

    assert len(proxy.heard) == 1


def test_a_denial_is_what_both_call_it(run: Run, proxy: FakeProxy) -> None:
    proxy.refuse(422, "SYMBOL_NOT_GRANTED", remedies=["execute"])

    with pytest.raises(ccxt.ExchangeError) as caught:
        run("binance", ["private_post_order", {"symbol": "ETHUSDT"}])

    error = caught.value
    assert isinstance(error, countersign.Denied)
    assert isinstance(error, countersign.CountersignError)
    assert not isinstance(error, ccxt.NetworkError)
    assert str(error) == "binance denied by policy: SYMBOL_NOT_GRANTED; ask an admin"
    assert (error.reason, error.entry_index) == ("SYMBOL_NOT_GRANTED", 41)
    assert (error.operation, error.operation_class) == ("POST /api/v3/order", "trade")
    assert error.remedies == ("execute",)
    assert error.retry_after is None
    assert len(proxy.heard) == 1


@pytest.mark.parametrize(
    ("status", "reason", "kind", "of_ccxt"),
    [
        (422, "NOT_FOUND", countersign.NotFound, ccxt.ExchangeError),
        (422, "CERTIFICATE_REVOKED", countersign.Unauthenticated, ccxt.ExchangeError),
        (422, "REQUEST_ID_REUSED", countersign.Conflict, ccxt.ExchangeError),
        (400, "REQUEST_LINE", countersign.Refused, ccxt.ExchangeError),
        (404, "TARGET_NONE", countersign.Refused, ccxt.ExchangeError),
        (500, "INTERNAL", countersign.Internal, ccxt.RequestTimeout),
        (502, "NOT_SENT", countersign.NotSent, ccxt.ExchangeNotAvailable),
        (503, "NOT_SENT", countersign.NotSent, ccxt.ExchangeNotAvailable),
        (503, "OVERLOADED", countersign.Exhausted, ccxt.ExchangeNotAvailable),
        (503, "SEALED", countersign.Sealed, ccxt.ExchangeNotAvailable),
        (503, "SHUTTING_DOWN", countersign.Unavailable, ccxt.RequestTimeout),
        (504, "DEADLINE_EXCEEDED", countersign.DeadlineExceeded, ccxt.RequestTimeout),
        (504, "OUTCOME_UNKNOWN", countersign.OutcomeUnknown, ccxt.RequestTimeout),
    ],
)
def test_every_refusal_has_both_classes(
    run: Run, proxy: FakeProxy, status: int, reason: str, kind: type[Any], of_ccxt: type[Any]
) -> None:
    proxy.refuse(status, reason, retry_after_ms=1500)

    with pytest.raises(kind) as caught:
        run("kraken", ["private_post_balance"])

    assert isinstance(caught.value, of_ccxt)
    assert caught.value.retry_after == timedelta(milliseconds=1500)
    # Whoever may have sent something is never told to try again at once.
    assert caught.value.maybe_sent is issubclass(of_ccxt, ccxt.RequestTimeout)


def test_what_a_venue_says_is_not_taken_for_the_vaults(run: Run, proxy: FakeProxy) -> None:
    said = {"countersign": {"reason": "SEALED"}, "code": -2010, "msg": "no"}
    proxy.pass_on(said, status=400)

    with pytest.raises(ccxt.InvalidOrder):
        run("binance", ["private_get_account"])


def test_errors_of_venues_stay_ccxts_own(run: Run, proxy: FakeProxy) -> None:
    proxy.pass_on({"error": ["EOrder:Insufficient funds"]})

    with pytest.raises(ccxt.InsufficientFunds):
        run("kraken", ["private_post_balance"])


def test_refusals_can_be_pickled() -> None:
    error = countersign.ccxt.Denied(countersign.Refusal("R", "words"), about="binance ")

    again = pickle.loads(pickle.dumps(error))

    assert (type(again), str(again)) == (countersign.ccxt.Denied, "binance words (R)")


def test_connections_after_a_renewal_have_the_new_certificate(
    authority: Authority, identity: Identity, proxy: FakeProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    certified(monkeypatch, authority)
    keeper = Keeper.of(identity)
    exchange = countersign.ccxt.connect("kraken", identity, "main", config={"enableRateLimit": False})
    exchange.private_post_balance()
    exchange.private_post_balance()
    new = keeper.renew()
    exchange.private_post_balance()

    serials = [heard.serial.to_bytes(16, "big") for heard in proxy.heard]
    assert serials == [identity.serial, identity.serial, new.serial]


def test_asynchronous_requests_under_way_outlive_a_renewal(
    authority: Authority, identity: Identity, proxy: FakeProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    certified(monkeypatch, authority)
    keeper = Keeper.of(identity)

    async def day() -> Identity:
        exchange = countersign.ccxt.connect("kraken", identity, "main", asynchronous=True)
        exchange.timeout_on_exit = 0
        exchange.enableRateLimit = False
        try:
            tasks = [asyncio.create_task(exchange.private_post_balance()) for _ in range(10)]
            while not proxy.heard:
                await asyncio.sleep(0.005)
            new = await asyncio.get_running_loop().run_in_executor(None, keeper.renew)
            await asyncio.gather(*tasks)
            await exchange.private_post_balance()
        finally:
            await exchange.close()
        return new

    new = asyncio.run(day())

    assert len(proxy.heard) == 11
    assert proxy.heard[0].serial.to_bytes(16, "big") == identity.serial
    assert proxy.heard[-1].serial.to_bytes(16, "big") == new.serial


def test_an_exchange_alone_renews_its_identity(
    authority: Authority, proxy: FakeProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certified(monkeypatch, authority)
    folder = authority.enroll(tmp_path / "due", proxy.address, begin=now() - 20 * HOUR, end=now() + HOUR)
    due = Identity.load(folder)
    exchange = countersign.ccxt.connect("kraken", folder, "main", config={"enableRateLimit": False})
    for _ in range(500):
        if Identity.load(folder).serial != due.serial and proxy.heard:
            break
        exchange.sleep(20)
        exchange.private_post_balance()
    exchange.private_post_balance()

    assert proxy.heard[-1].serial.to_bytes(16, "big") == Identity.load(folder).serial != due.serial


def test_trusts_the_vaults_authority_alone(authority: Authority, proxy: FakeProxy, tmp_path: Path) -> None:
    stranger = Authority().enroll(tmp_path / "stranger", proxy.address)

    async def day() -> None:
        exchange = countersign.ccxt.connect("kraken", stranger, "main", asynchronous=True)
        exchange.timeout_on_exit = 0
        try:
            await exchange.private_post_balance()
        finally:
            await exchange.close()

    # Whatever ccxt is told: it could be told to trust everybody.
    exchange = countersign.ccxt.connect("kraken", stranger, "main", config={"verify": False})
    with pytest.raises(ccxt.NetworkError):
        exchange.private_post_balance()
    with pytest.raises(ccxt.NetworkError):
        asyncio.run(day())
    assert proxy.heard == []


def test_a_certificate_of_a_venue_is_not_asked_of_the_vaults_authority(identity: Identity) -> None:
    """Streams and other requests past the vault keep ccxt's own trust."""

    async def contexts() -> tuple[Any, Any]:
        exchange = countersign.ccxt.connect("binance", identity, "main", pro=True)
        exchange.timeout_on_exit = 0
        exchange.open()
        try:
            return exchange.ssl_context, exchange.session._tls.context
        finally:
            await exchange.close()

    others, ours = asyncio.run(contexts())
    assert others is not ours
    assert len(others.get_ca_certs()) > 1 == len(ours.get_ca_certs())


def test_the_work_around_is_there_only_for_the_bug(identity: Identity) -> None:
    class Mended(ccxt.kraken):  # type: ignore[misc]
        def check_conflicting_proxies(self, agent: Any, url: Any) -> None:
            if agent and url:
                raise ccxt.InvalidProxySettings("two proxies")

    mended = countersign.ccxt.connect(Mended, identity, "main")
    with_bug = countersign.ccxt.connect("kraken", identity, "main")

    assert not mended._countersign_mends_proxies
    if ccxt.__version__ in [f"4.5.{number}" for number in range(84, 91)]:
        assert with_bug._countersign_mends_proxies
    for exchange in (mended, with_bug):
        exchange.check_conflicting_proxies(False, "https://vault/")
        # Two that are set are still two too many.
        with pytest.raises(ccxt.InvalidProxySettings):
            exchange.check_conflicting_proxies(True, "https://vault/")


def test_takes_ids_and_classes_of_all_three_kinds(identity: Identity) -> None:
    connect = countersign.ccxt.connect
    kinds: list[tuple[Any, dict[str, Any], Any]] = [
        ("okx", {}, ccxt.okx),
        (ccxt.okx, {}, ccxt.okx),
        ("okx", {"asynchronous": True}, ccxt.async_support.okx),
        ("okx", {"pro": True}, ccxt.pro.okx),
        (ccxt.pro.okx, {}, ccxt.pro.okx),
    ]
    for exchange, named, base in kinds:
        made = connect(exchange, identity, "main", config={"options": {"a": 1}}, **named)
        assert isinstance(made, base)
        assert type(made).__name__ == "okx"
        assert (made.apiKey, made.password) == ("countersign:main", "placeholder")
        assert made.options["a"] == 1
    with pytest.raises(ValueError, match="no exchange 'nowhere'"):
        connect("nowhere", identity, "main")


@pytest.mark.parametrize("name", ["apiKey", "secret", "password", "proxyUrl", "https_proxy", "httpsProxy"])
def test_a_config_with_keys_or_another_proxy_is_refused(identity: Identity, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        countersign.ccxt.connect("okx", identity, "main", config={name: "x"})


def certified(monkeypatch: pytest.MonkeyPatch, authority: Authority) -> None:
    """Lets renewals be answered without a gRPC server, which has another address than the proxy here."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    def renew(_identity: Identity, csr: bytes) -> clients.RenewResponse:
        certificate = authority.issue(x509.load_der_x509_csr(csr).public_key())
        return clients.RenewResponse(
            certificate=certificate.public_bytes(Encoding.DER), ca_certificate=authority.der()
        )

    monkeypatch.setattr(_transport, "renew", renew)
