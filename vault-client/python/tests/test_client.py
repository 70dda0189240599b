from __future__ import annotations

import asyncio
import pickle
import threading
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import grpc
import pytest
from authority import Authority
from fake_vault import ORIGIN, FakeVault, packed, status_details

import countersign
from countersign import (
    Client,
    Conflict,
    CountersignError,
    DeadlineExceeded,
    Denied,
    Exhausted,
    Identity,
    NotSent,
    OutcomeUnknown,
    ProtocolError,
    Receipt,
    ReceiptError,
    Refused,
    Sealed,
    TimedOut,
    Unauthenticated,
    Unreachable,
    aio,
    errors,
)
from countersign._keeper import renew
from countersign._proto.countersign import rpc_pb2 as rpc
from countersign.receipt import ReceiptBook

URL = "https://www.okx.com/api/v5/trade/order"
Call = Callable[..., Any]


@pytest.fixture(params=["sync", "asyncio"])
def call(request: pytest.FixtureRequest, identity: Identity) -> Call:
    """Calls a method of a client of either kind: a new client for each call."""

    def synchronous(method: str, *values: Any, **named: Any) -> Any:
        with Client(identity) as client:
            answer = getattr(client, method)(*values, **named)
            return (answer.head, list(answer)) if method == "execute_stream" else answer

    async def asynchronous(method: str, *values: Any, **named: Any) -> Any:
        async with aio.Client(identity) as client:
            answer = await getattr(client, method)(*values, **named)
            if method == "execute_stream":
                return answer.head, [piece async for piece in answer]
            return answer

    if request.param == "sync":
        return synchronous
    return lambda *values, **named: asyncio.run(asynchronous(*values, **named))


def test_signs(call: Call, vault: FakeVault, identity: Identity) -> None:
    signed = call(
        "sign",
        "okx-main",
        "POST",
        URL + "?a=1",
        params={"b": 2, "c": Decimal("1E-7"), "d": True},
        json={"instId": "BTC-USDT", "sz": Decimal("0.10")},
        headers={"x-simulated-trading": "1"},
        request_id="mine-1",
    )

    asked = vault.requests[0]
    assert (asked.request_id, asked.credential) == ("mine-1", "okx-main")
    assert asked.request.method == "POST"
    assert (asked.request.scheme, asked.request.host) == ("https", "www.okx.com")
    assert asked.request.path == "/api/v5/trade/order"
    assert asked.request.query == "a=1&b=2&c=0.0000001&d=true"
    assert asked.request.body == b'{"instId":"BTC-USDT","sz":"0.10"}'
    assert [(each.name, each.value) for each in asked.request.headers] == [("x-simulated-trading", "1")]
    assert vault.serials == [int.from_bytes(identity.serial, "big")]
    assert signed.request_id == "mine-1"
    assert signed.request.headers == (("x-signature", "s3cr3t"),)
    assert "s3cr3t" not in repr(signed)
    assert signed.usable_for == timedelta(seconds=5)
    assert signed.receipt.log_origin == ORIGIN
    assert signed.notional_usd == Decimal("12.50")
    assert signed.limits_left == {"orders/1m": Decimal(9)}


def test_executes(call: Call, vault: FakeVault) -> None:
    executed = call("execute", "okx-main", "GET", URL)

    assert (executed.status, executed.ok) == (200, True)
    assert executed.json() == {"price": Decimal("0.10")}
    assert executed.text == '{"price":0.10}'
    assert executed.latency == timedelta(microseconds=1500)
    assert executed.receipt is not None
    assert executed.notional_usd is None
    assert len(vault.requests[0].request_id) == 32
    assert 30 < (vault.timeouts[0] or 0) <= 35


def test_public_endpoints_have_no_receipt(call: Call) -> None:
    assert call("execute", "", "GET", URL).receipt is None


def test_streams(call: Call) -> None:
    head, pieces = call("execute_stream", "okx-main", "GET", URL)

    assert (head.status, head.body) == (200, b"")
    assert pieces == [b"one", b"two"]


@pytest.mark.parametrize("method", ["sign", "execute", "execute_stream"])
def test_a_denial_says_all_that_the_vault_says(call: Call, vault: FakeVault, method: str) -> None:
    vault.refuse(
        "PERMISSION_DENIED",
        "denied by policy: SYMBOL_NOT_GRANTED",
        "SYMBOL_NOT_GRANTED",
        operation="POST /api/v5/trade/order",
        **{"class": "trade"},
        remedies="execute rights=a,b",
        entry_index="7",
        hint="ask an admin",
        retry_after_ms="1500",
    )

    with pytest.raises(Denied) as caught:
        call(method, "okx-main", "POST", URL, request_id="mine")

    error = caught.value
    assert isinstance(error, Refused)
    assert isinstance(error, CountersignError)
    assert str(error) == "denied by policy: SYMBOL_NOT_GRANTED; ask an admin"
    assert (error.reason, error.code) == ("SYMBOL_NOT_GRANTED", "PERMISSION_DENIED")
    assert (error.operation, error.operation_class) == ("POST /api/v5/trade/order", "trade")
    assert error.remedies == ("execute", "rights=a,b")
    assert (error.entry_index, error.hint) == (7, "ask an admin")
    assert error.retry_after == timedelta(milliseconds=1500)
    assert (error.request_id, error.maybe_sent) == ("mine", False)
    assert len(vault.requests) == 1


@pytest.mark.parametrize(
    ("code", "reason", "kind", "maybe_sent"),
    [
        ("UNAVAILABLE", "SEALED", Sealed, False),
        ("UNAVAILABLE", "NOT_SENT", NotSent, False),
        ("RESOURCE_EXHAUSTED", "NOT_SENT", NotSent, False),
        ("UNAVAILABLE", "SHUTTING_DOWN", countersign.Unavailable, True),
        ("FAILED_PRECONDITION", "OUTCOME_UNKNOWN", OutcomeUnknown, True),
        ("FAILED_PRECONDITION", "RESPONSE_TOO_LONG", OutcomeUnknown, True),
        ("FAILED_PRECONDITION", "OTHER", Refused, False),
        ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED", DeadlineExceeded, True),
        ("RESOURCE_EXHAUSTED", "CREDENTIAL_LEASED", Exhausted, False),
        ("ALREADY_EXISTS", "REQUEST_ID_REUSED", Conflict, False),
        ("INVALID_ARGUMENT", "BAD_FIELD", countersign.BadRequest, False),
        ("NOT_FOUND", "NOT_FOUND", countersign.NotFound, False),
        ("UNAUTHENTICATED", "CERTIFICATE_EXPIRED", Unauthenticated, False),
        ("INTERNAL", "INTERNAL", countersign.Internal, True),
    ],
)
def test_every_refusal_has_its_class(
    call: Call, vault: FakeVault, code: str, reason: str, kind: type[Refused], maybe_sent: bool
) -> None:
    vault.refuse(code, "words", reason)

    with pytest.raises(Refused) as caught:
        call("execute", "okx-main", "GET", URL)

    assert type(caught.value) is kind
    assert caught.value.maybe_sent is maybe_sent


def test_a_status_without_details_is_not_the_vaults(call: Call, vault: FakeVault) -> None:
    vault.refuse("PERMISSION_DENIED", "says a balancer", None)

    with pytest.raises(Unreachable) as caught:
        call("execute", "okx-main", "GET", URL)

    assert caught.value.code == "PERMISSION_DENIED"
    assert caught.value.maybe_sent


def test_sign_asks_once_more_and_execute_never(call: Call, vault: FakeVault) -> None:
    vault.refuse("UNAVAILABLE", "broken", None)
    call("sign", "okx-main", "GET", URL)
    assert len(vault.requests) == 2
    assert vault.requests[0].request_id == vault.requests[1].request_id

    vault.refuse("UNAVAILABLE", "broken", None)
    with pytest.raises(Unreachable) as caught:
        call("execute", "okx-main", "GET", URL)
    assert len(vault.requests) == 3
    assert caught.value.request_id == vault.requests[2].request_id


def test_no_answer_in_time(call: Call, vault: FakeVault) -> None:
    vault.hold.clear()

    with pytest.raises(TimedOut):
        call("execute", "okx-main", "GET", URL, timeout=0.2)
    vault.hold.set()


def test_nobody_at_the_address(identity: Identity) -> None:
    with Client(identity.with_address("127.0.0.1:1")) as client, pytest.raises(Unreachable):
        client.execute("okx-main", "GET", URL, timeout=5)


def test_trusts_no_other_authority(vault: FakeVault, tmp_path: Path) -> None:
    stranger = Identity.load(Authority().enroll(tmp_path / "other", vault.address))

    with Client(stranger) as client, pytest.raises(Unreachable):
        client.execute("okx-main", "GET", URL, timeout=5)
    assert vault.requests == []


def test_takes_no_way_through_a_proxy_of_the_environment(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "grpc_proxy", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    assert call("execute", "okx-main", "GET", URL).status == 200


def test_calls_under_way_outlive_a_renewal(identity: Identity, vault: FakeVault) -> None:
    vault.hold.clear()
    with Client(identity) as client:
        answers: list[Any] = []
        thread = threading.Thread(target=lambda: answers.append(client.execute("", "GET", URL)))
        thread.start()
        while not vault.requests:
            thread.join(0.01)
        renewing = threading.Thread(target=client.renew)
        renewing.start()
        while len(vault.requests) < 2:
            renewing.join(0.01)
        vault.hold.set()
        renewing.join(20)
        thread.join(20)
        client.execute("", "GET", URL)

    assert [answer.status for answer in answers] == [200]
    assert vault.serials[0] == int.from_bytes(identity.serial, "big")
    assert vault.serials[2] == int.from_bytes(Identity.load(identity.folder).serial, "big")


def test_asyncio_goes_on_with_a_new_certificate(identity: Identity, vault: FakeVault) -> None:
    async def day() -> None:
        async with aio.Client(identity) as client:
            await client.execute("", "GET", URL)
            await client.renew()
            first = asyncio.create_task(client.execute("", "GET", URL))
            await asyncio.gather(first, *(client.execute("", "GET", URL) for _ in range(20)))

    asyncio.run(day())

    assert vault.serials[0] == int.from_bytes(identity.serial, "big")
    assert set(vault.serials[2:]) == {int.from_bytes(Identity.load(identity.folder).serial, "big")}


def test_a_closed_client_says_so(identity: Identity) -> None:
    client = Client(identity)
    client.close()
    client.close()

    with pytest.raises(Unreachable, match="closed"):
        client.execute("", "GET", URL)


@pytest.mark.parametrize(
    ("receipt", "fault"),
    [
        ({"leaf_hash": b"\1" * 31}, "32 bytes"),
        ({"log_origin": "vault.example/audit/node-1"}, "proper name"),
        ({"log_origin": "vault.example/audit/node-1/07"}, "proper name"),
        ({"log_origin": "other.example/audit/node-1/7"}, "another vault"),
        ({"index": 41}, "another request"),
        ({"index": 3}, "order"),
    ],
)
def test_a_vault_that_contradicts_itself_is_caught(
    identity: Identity, vault: FakeVault, receipt: dict[str, Any], fault: str
) -> None:
    with Client(identity) as client:
        client.execute("okx-main", "GET", URL)
        vault.receipt = receipt
        with pytest.raises(ReceiptError, match=fault) as caught:
            client.execute("okx-main", "POST", URL, request_id="mine")

    # What was done is done, and its answer is not lost.
    assert caught.value.answer.status == 200
    assert caught.value.request_id == "mine"


def test_receipts_of_threads_may_come_in_any_order() -> None:
    book = ReceiptBook()
    for index in (5, 3, 4, 9, 5):
        book.check(executed_at(index, seq=index * 10))

    with pytest.raises(ReceiptError, match="two entries"):
        book.check(executed_at(10, seq=100, leaf_hash=5))
    with pytest.raises(ReceiptError, match="order"):
        book.check(executed_at(6, seq=95))


def test_a_receipt_book_forgets_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("countersign.receipt.REMEMBERED", 2)
    book = ReceiptBook()
    for index in (1, 2, 3):
        book.check(executed_at(index, seq=index))

    assert book._logs[ORIGIN]._indices == [2, 3]
    book.check(executed_at(4, seq=4, leaf_hash=1))


def executed_at(index: int, seq: int, leaf_hash: int | None = None) -> Any:
    receipt = Receipt(ORIGIN, index, bytes([leaf_hash or index]) * 32)
    return countersign.Executed(str(index), 200, (), b"", timedelta(), receipt, seq, None, {})


def test_a_receipt_is_written_as_auditors_read_it() -> None:
    receipt = Receipt(ORIGIN, 7, b"\xab" * 32)

    assert receipt.to_json() == '{"index":7,"leaf_hash":"' + "ab" * 32 + '","origin":"' + ORIGIN + '"}'


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("www.okx.com/", "begin with"),
        ("http://www.okx.com/", "begin with"),
        ("https://", "host"),
        ("https:///path", "host"),
        ("https://me@www.okx.com/", "host"),
        ("https://www.okx.com:443/", "host"),
        ("https://www.okx.com/#a", "fragment"),
    ],
)
def test_refuses_what_would_not_be_sent_as_it_stands(identity: Identity, url: str, words: str) -> None:
    with Client(identity) as client, pytest.raises(ValueError, match=words):
        client.sign("okx-main", "GET", url)


@pytest.mark.parametrize(
    "named",
    [
        {"params": {"price": 0.1}},
        {"json": {"price": 0.1}},
        {"json": {"orders": [{"price": 1e-05}]}},
        {"json": {"price": object()}},
    ],
)
def test_takes_no_floats(identity: Identity, named: dict[str, Any]) -> None:
    with Client(identity) as client, pytest.raises(TypeError):
        client.sign("okx-main", "POST", URL, **named)


@pytest.mark.parametrize("value", ["a b", "a&b", "a=b", "50%", "a+b", "a#b", "ä", "\n"])
def test_takes_no_value_that_needs_an_escape(identity: Identity, value: str) -> None:
    with Client(identity) as client, pytest.raises(ValueError, match="escape"):
        client.sign("okx-main", "GET", URL, params={"name": value})


def test_urls_are_taken_apart_byte_for_byte(call: Call, vault: FakeVault) -> None:
    call("execute", "", "GET", "https://www.okx.com/api/v5/x?ccy=BTC,%45TH?x")
    call("execute", "", "GET", "https://www.okx.com?a=1", body="text")

    first, second = (asked.request for asked in vault.requests)
    assert (first.path, first.query) == ("/api/v5/x", "ccy=BTC,%45TH?x")
    assert (second.path, second.query, second.body) == ("/", "a=1", b"text")


def test_details_of_others_are_none_of_the_vaults() -> None:
    for details in (
        b"\xff",
        b"",
        status_details("NOT_OURS", domain="example"),
        packed("Help", rpc.Status()),
    ):
        assert type(errors.from_status("PERMISSION_DENIED", "no", details)) is Unreachable


def test_the_wait_of_retry_info_is_taken_too() -> None:
    retry = rpc.RetryInfo()
    retry.retry_delay.FromMilliseconds(250)
    whole = rpc.Status.FromString(status_details("OVERLOADED"))
    whole.details.extend(rpc.Status.FromString(packed("RetryInfo", retry)).details)

    error = errors.from_status("RESOURCE_EXHAUSTED", "no", whole.SerializeToString())

    assert isinstance(error, Exhausted)
    assert error.retry_after == timedelta(milliseconds=250)


def test_errors_can_be_pickled() -> None:
    error = Denied(errors.Refusal("R", "words"))
    error.request_id = "mine"

    again = pickle.loads(pickle.dumps(error))

    assert (type(again), again.reason, again.request_id) == (Denied, "R", "mine")


def test_a_call_that_is_not_served(call: Call, vault: FakeVault) -> None:
    vault.refusals.append((grpc.StatusCode.UNIMPLEMENTED, "not served", None))

    with pytest.raises(ProtocolError, match="does not serve"):
        call("execute", "", "GET", URL)


def test_a_stream_may_be_left_before_its_end(identity: Identity) -> None:
    with Client(identity) as client:
        with client.execute_stream("", "GET", URL) as stream:
            assert stream.head.status == 200
        assert client.execute_stream("", "GET", URL).read() == b"onetwo"
        assert client._connection is not None
        assert client._connection._users == 0


def test_renewed_elsewhere_is_not_asked_for_again(identity: Identity, vault: FakeVault) -> None:
    first = renew(identity)

    assert renew(identity).serial == first.serial
    assert len(vault.requests) == 1
