"""Batches and streams of Signs."""

from __future__ import annotations

import asyncio
import pickle
import threading
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Callable

import pytest
from fake_vault import FakeVault

from countersign import (
    BadRequest,
    Client,
    Conflict,
    CountersignError,
    Denied,
    Exhausted,
    Identity,
    ProtocolError,
    ReceiptError,
    Refused,
    Sealed,
    Signed,
    SignOrder,
    TimedOut,
    Unreachable,
    aio,
)
from countersign._proto.vault.v1 import sign_service_pb2 as signatures

URL = "https://www.okx.com/api/v5/trade/order"
#: Outcomes, and what ended the call as a whole.
Answer = tuple[list[Any], "CountersignError | None"]
Many = Callable[[Iterable[SignOrder]], Answer]


def order(request_id: str | None = None, **more: Any) -> SignOrder:
    return SignOrder("okx-main", "POST", URL, json={"sz": "1"}, request_id=request_id, **more)


def batch(identity: Identity, orders: Iterable[SignOrder]) -> list[Any]:
    with Client(identity) as client:
        return list(client.sign_batch(orders))


def aio_batch(identity: Identity, orders: Iterable[SignOrder]) -> list[Any]:
    async def day() -> list[Any]:
        async with aio.Client(identity) as client:
            return list(await client.sign_batch(orders))

    return asyncio.run(day())


def stream(identity: Identity, orders: Iterable[SignOrder]) -> Answer:
    outcomes: list[Any] = []
    with Client(identity) as client, client.sign_stream() as signs:
        for each in orders:
            signs.send(each)
        signs.done()
        try:
            outcomes.extend(iter(signs))
        except CountersignError as error:
            with pytest.raises(type(error)):
                next(signs)
            return outcomes, error
        assert list(signs) == []
    return outcomes, None


def aio_stream(identity: Identity, orders: Iterable[SignOrder]) -> Answer:
    async def day() -> Answer:
        outcomes: list[Any] = []
        async with aio.Client(identity) as client, client.sign_stream() as signs:
            for each in orders:
                await signs.send(each)
            signs.done()
            try:
                async for outcome in signs:
                    outcomes.append(outcome)
            except CountersignError as error:
                with pytest.raises(type(error)):
                    await signs.__anext__()
                return outcomes, error
            assert [outcome async for outcome in signs] == []
        return outcomes, None

    return asyncio.run(asyncio.wait_for(day(), 20))


@pytest.fixture(params=[batch, aio_batch])
def sign_batch(request: pytest.FixtureRequest, identity: Identity) -> Callable[..., list[Any]]:
    return lambda orders: list(request.param(identity, orders))


@pytest.fixture(params=[stream, aio_stream])
def sign_stream(request: pytest.FixtureRequest, identity: Identity) -> Many:
    return lambda orders: request.param(identity, orders)  # type: ignore[no-any-return]


@pytest.fixture(params=[batch, aio_batch, stream, aio_stream])
def many(request: pytest.FixtureRequest, identity: Identity) -> Many:
    def ask(orders: Iterable[SignOrder]) -> Answer:
        answer = request.param(identity, orders)
        return answer if isinstance(answer, tuple) else (answer, None)

    return ask


def test_each_order_has_its_outcome(many: Many, vault: FakeVault) -> None:
    metadata = {"class": "trade", "entry_index": "7", "hint": "ask an admin", "retry_after_ms": "1500"}
    vault.failures["second"] = ("PERMISSION_DENIED", "SYMBOL_NOT_GRANTED", metadata)
    vault.failures["fourth"] = ("ALREADY_EXISTS", "REQUEST_ID_REUSED", {})

    outcomes, error = many(map(order, ("first", "second", "third", "fourth", None)))

    assert error is None
    assert [type(each) for each in outcomes] == [Signed, Denied, Signed, Conflict, Signed]
    assert [each.request_id for each in outcomes[:4]] == ["first", "second", "third", "fourth"]
    assert len(outcomes[4].request_id) == 32
    assert outcomes[0].request.headers == (("x-signature", "s3cr3t"),)
    assert outcomes[0].receipt.index < outcomes[2].receipt.index
    denied = outcomes[1]
    assert (denied.reason, denied.code) == ("SYMBOL_NOT_GRANTED", "PERMISSION_DENIED")
    assert (denied.operation_class, denied.entry_index) == ("trade", 7)
    assert (denied.hint, denied.retry_after) == ("ask an admin", timedelta(milliseconds=1500))
    assert "s3cr3t" not in repr(outcomes)


def test_an_order_says_what_sign_takes(many: Many, vault: FakeVault, identity: Identity) -> None:
    whole = SignOrder("main", "PUT", URL, {"b": 2}, "text", None, {"x-simulated-trading": "1"}, "mine")
    many([whole])
    with Client(identity) as client:
        client.sign(
            "main",
            "PUT",
            URL,
            params={"b": 2},
            body="text",
            headers={"x-simulated-trading": "1"},
            request_id="mine",
        )

    asked, alone = vault.requests
    assert alone.request.query == "b=2"
    assert alone == (asked.requests[0] if isinstance(asked, signatures.SignBatchRequest) else asked)


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        ("UNAVAILABLE", "SEALED", Sealed),
        ("RESOURCE_EXHAUSTED", "OVERLOADED", Exhausted),
        ("INVALID_ARGUMENT", "BAD_FIELD", BadRequest),
        ("FAILED_PRECONDITION", "OTHER", Refused),
    ],
)
def test_every_refusal_of_one_has_its_class(
    many: Many, vault: FakeVault, code: str, reason: str, kind: type[Refused]
) -> None:
    vault.failures["mine"] = (code, reason, {})

    [refused], error = many([order("mine")])

    assert error is None
    assert type(refused) is kind
    assert (refused.code, refused.reason, refused.maybe_sent) == (code, reason, False)
    assert str(refused) == f"words ({reason})"


def test_a_receipt_that_contradicts_another_is_the_fault_of_its_order_alone(
    many: Many, vault: FakeVault
) -> None:
    vault.receipt = {"index": 41}

    outcomes, error = many([order("first"), order("second")])

    assert error is None
    assert [type(each) for each in outcomes] == [Signed, ReceiptError]
    assert outcomes[1].request_id == "second"
    # What was signed is signed.
    assert outcomes[1].answer.request.url == "https://signed.example/"


def test_a_result_without_one_is_the_fault_of_its_order_alone(many: Many, vault: FakeVault) -> None:
    def emptied(results: Iterable[Any]) -> Iterable[Any]:
        for result in results:
            if result.request_id == "first":
                result.ClearField("signed")
            yield result

    vault.results = emptied

    outcomes, error = many([order("first"), order("second")])

    assert error is None
    assert [type(each) for each in outcomes] == [ProtocolError, Signed]
    assert outcomes[0].request_id == "first"


def renamed(results: Iterable[Any]) -> Iterable[Any]:
    for result in results:
        result.request_id = "another"
        yield result


@pytest.mark.parametrize(
    "results",
    [lambda results: list(results)[:1], lambda results: [*results] * 2, lambda results: [], renamed],
    ids=["too few", "too many", "none", "of others"],
)
def test_results_of_a_batch_are_those_of_its_orders(
    sign_batch: Callable[..., list[Any]], vault: FakeVault, results: Any
) -> None:
    vault.results = results

    with pytest.raises(ProtocolError, match="not those of the orders") as caught:
        sign_batch([order("first"), order("second")])

    assert caught.value.request_ids == ("first", "second")


def test_results_of_a_batch_are_in_the_order_of_the_orders(
    sign_batch: Callable[..., list[Any]], vault: FakeVault
) -> None:
    vault.results = lambda results: reversed(list(results))

    with pytest.raises(ProtocolError, match="not those of the orders"):
        sign_batch([order("first"), order("second")])


def test_a_batch_whose_connection_breaks_says_which_orders_are_open(
    sign_batch: Callable[..., list[Any]], vault: FakeVault
) -> None:
    vault.refuse("UNAVAILABLE", "broken", None)

    with pytest.raises(Unreachable) as caught:
        sign_batch([order("first"), order()])

    # Nothing is sent again, and ids that were made are known.
    [asked] = vault.requests
    assert caught.value.request_ids == tuple(each.request_id for each in asked.requests)
    assert caught.value.request_ids[0] == "first"


def test_a_batch_as_a_whole_may_be_refused(sign_batch: Callable[..., list[Any]], vault: FakeVault) -> None:
    vault.refuse("INVALID_ARGUMENT", "a batch has 1 to 256 requests", "BATCH_SIZE")

    with pytest.raises(BadRequest) as caught:
        sign_batch([order("first")])

    assert caught.value.reason == "BATCH_SIZE"
    assert pickle.loads(pickle.dumps(caught.value)).request_ids == ("first",)


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        (order("with spaces"), ValueError),
        (order("x" * 65), ValueError),
        (order("line\n"), ValueError),
        (SignOrder("okx-main", "POST", "http://www.okx.com/"), ValueError),
        (SignOrder("okx-main", "POST", URL, params={"px": 0.1}), TypeError),  # type: ignore[dict-item]
    ],
)
def test_nothing_is_asked_of_a_batch_with_an_order_that_is_none(
    sign_batch: Callable[..., list[Any]], vault: FakeVault, wrong: SignOrder, kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        sign_batch([order("first"), wrong])

    assert vault.requests == []


def test_outcomes_of_a_stream_come_as_the_vault_has_them(sign_stream: Many, vault: FakeVault) -> None:
    vault.results = lambda results: reversed(list(results))

    outcomes, error = sign_stream(map(order, "abc"))

    assert error is None
    assert [each.request_id for each in outcomes] == ["c", "b", "a"]


def test_an_order_asked_twice_on_a_stream_is_answered_twice(sign_stream: Many, vault: FakeVault) -> None:
    outcomes, error = sign_stream(map(order, "aba"))

    assert error is None
    assert [each.request_id for each in outcomes] == ["a", "b", "a"]


def test_a_stream_that_breaks_says_which_orders_are_open(sign_stream: Many, vault: FakeVault) -> None:
    def broken(results: Iterable[Any]) -> Iterable[Any]:
        for result in results:
            if result.request_id == "c":
                vault.refuse("UNAVAILABLE", "the connection's hour is over", None)
            yield result

    vault.results = broken

    outcomes, error = sign_stream(map(order, "abcde"))

    assert [each.request_id for each in outcomes] == ["a", "b", "c"]
    assert type(error) is Unreachable
    assert (error.code, error.request_ids) == ("UNAVAILABLE", ("d", "e"))


def test_a_stream_as_a_whole_may_be_refused(sign_stream: Many, vault: FakeVault) -> None:
    vault.refuse("UNAVAILABLE", "sealed", "SEALED")

    outcomes, error = sign_stream([order("a")])

    assert outcomes == []
    assert type(error) is Sealed
    assert error.request_ids == ("a",)


@pytest.mark.parametrize(
    "results", [renamed, lambda results: list(results)[:1]], ids=["of others", "too few"]
)
def test_results_of_a_stream_are_those_of_its_orders(
    sign_stream: Many, vault: FakeVault, results: Any
) -> None:
    vault.results = results

    outcomes, error = sign_stream([order("a"), order("b")])

    assert type(error) is ProtocolError
    assert error.request_ids == ("a", "b")[len(outcomes) :]


def test_nobody_at_the_address_of_a_stream(identity: Identity) -> None:
    async def day() -> None:
        async with aio.Client(nowhere) as client, client.sign_stream() as signs:
            with pytest.raises(Unreachable):
                await signs.__anext__()

    nowhere = identity.with_address("127.0.0.1:1")
    with Client(nowhere) as client, client.sign_stream() as signs, pytest.raises(Unreachable):
        next(signs)
    asyncio.run(asyncio.wait_for(day(), 20))


def test_threads_send_and_take_at_once(identity: Identity, vault: FakeVault) -> None:
    vault.failures = {f"{thread}-7": ("PERMISSION_DENIED", "NO", {}) for thread in range(4)}
    taken: list[Any] = []
    with Client(identity) as client, client.sign_stream() as signs:

        def send(thread: int) -> None:
            for number in range(100):
                assert signs.send(order(f"{thread}-{number}")) == f"{thread}-{number}"

        senders = [threading.Thread(target=send, args=(thread,)) for thread in range(4)]
        takers = [threading.Thread(target=lambda: taken.extend(signs)) for _ in range(2)]
        for each in (*senders, *takers):
            each.start()
        for each in senders:
            each.join(20)
        signs.done()
        for each in takers:
            each.join(20)

    assert sorted(each.request_id for each in taken) == sorted(
        f"{t}-{n}" for t in range(4) for n in range(100)
    )
    assert sum(isinstance(each, Denied) for each in taken) == 4
    # The outcomes of one thread's orders are in their order here, and nothing was sent twice.
    assert len(vault.requests) == 400


def test_tasks_send_and_take_at_once(identity: Identity, vault: FakeVault) -> None:
    async def day() -> list[Any]:
        async with aio.Client(identity) as client, client.sign_stream() as signs:

            async def send(task: int) -> None:
                for number in range(100):
                    await signs.send(order(f"{task}-{number}"))

            async def take() -> list[Any]:
                return [outcome async for outcome in signs]

            taking = [asyncio.ensure_future(take()) for _ in range(2)]
            await asyncio.gather(*(send(task) for task in range(4)))
            signs.done()
            return [outcome for taken in await asyncio.gather(*taking) for outcome in taken]

    outcomes = asyncio.run(asyncio.wait_for(day(), 20))

    assert len({outcome.request_id for outcome in outcomes}) == 400
    assert len(vault.requests) == 400


def test_send_waits_while_too_many_have_no_outcome(identity: Identity, vault: FakeVault) -> None:
    with Client(identity) as client, client.sign_stream() as signs:
        for number in range(64):
            signs.send(order(str(number)))
        with pytest.raises(TimedOut, match="nobody takes") as caught:
            signs.send(order("64"), timeout=0.05)
        assert (caught.value.request_id, caught.value.maybe_sent) == ("64", False)
        assert next(signs).request_id == "0"
        signs.send(order("64"), timeout=0)
        signs.done()
        assert [each.request_id for each in signs] == [str(number) for number in range(1, 65)]


def test_asyncio_send_waits_while_too_many_have_no_outcome(identity: Identity) -> None:
    async def day() -> None:
        async with aio.Client(identity) as client, client.sign_stream() as signs:
            for number in range(64):
                await signs.send(order(str(number)))
            with pytest.raises(TimedOut, match="nobody takes") as caught:
                await signs.send(order("64"), timeout=0.05)
            assert (caught.value.request_id, caught.value.maybe_sent) == ("64", False)
            assert (await signs.__anext__()).request_id == "0"
            await signs.send(order("64"))
            signs.done()
            rest = [each.request_id async for each in signs]
            assert rest == [str(number) for number in range(1, 65)]

    asyncio.run(asyncio.wait_for(day(), 20))


def test_a_stream_that_has_ended_takes_no_order(identity: Identity, vault: FakeVault) -> None:
    with Client(identity) as client, client.sign_stream() as signs:
        signs.done()
        with pytest.raises(Unreachable, match="has ended") as caught:
            signs.send(order("late"))
        assert (caught.value.request_id, caught.value.maybe_sent) == ("late", False)
        # Whoever waits for room is told when it breaks.
        broken = client.sign_stream()
        vault.hold.clear()
        for _ in range(64):
            broken.send(order())
        vault.refuse("UNAVAILABLE", "broken", None)
        threading.Timer(0.1, vault.hold.set).start()
        with pytest.raises(Unreachable, match="has ended"):
            broken.send(order(), timeout=20)
        broken.close()
    assert client._connection is None


def test_an_asyncio_stream_that_has_ended_takes_no_order(identity: Identity, vault: FakeVault) -> None:
    async def day() -> None:
        async with aio.Client(identity) as client, client.sign_stream() as signs:
            vault.hold.clear()
            for _ in range(64):
                await signs.send(order())
            vault.refuse("UNAVAILABLE", "broken", None)
            asyncio.get_running_loop().call_later(0.1, vault.hold.set)
            answers = await asyncio.gather(
                *(signs.send(order(), timeout=20) for _ in range(3)), return_exceptions=True
            )
            assert [type(answer) for answer in answers] == [Unreachable] * 3

    asyncio.run(asyncio.wait_for(day(), 20))


def test_a_closed_stream_says_which_orders_are_open(identity: Identity, vault: FakeVault) -> None:
    vault.hold.clear()
    with Client(identity) as client:
        signs = client.sign_stream()
        signs.send(order("open"))
        threading.Timer(0.1, signs.close).start()
        with pytest.raises(Unreachable, match="was closed") as caught:
            next(signs)
        assert caught.value.request_ids == ("open",)
        with client.sign_stream() as idle:
            idle.close()
            assert list(idle) == []
        assert client._connection is not None
        assert client._connection._users == 0
        vault.hold.set()


def test_an_asyncio_stream_ends_with_its_client(identity: Identity, vault: FakeVault) -> None:
    async def day() -> None:
        vault.hold.clear()
        client = aio.Client(identity)
        signs, idle = client.sign_stream(), client.sign_stream()
        await signs.send(order("open"))
        await client.close()
        with pytest.raises(Unreachable, match="was closed") as caught:
            await signs.__anext__()
        assert caught.value.request_ids == ("open",)
        assert [outcome async for outcome in idle] == []
        assert client._streams == set()
        with pytest.raises(Unreachable, match="the client is closed"):
            client.sign_stream()
        vault.hold.set()

    asyncio.run(asyncio.wait_for(day(), 20))


def test_a_task_that_is_cancelled_does_not_end_the_stream(identity: Identity, vault: FakeVault) -> None:
    async def day() -> None:
        async with aio.Client(identity) as client, client.sign_stream() as signs:
            vault.hold.clear()
            await signs.send(order("a"))
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(signs.__anext__(), 0.05)
            vault.hold.set()
            assert (await signs.__anext__()).request_id == "a"

    asyncio.run(asyncio.wait_for(day(), 20))


def test_streams_outlive_a_renewal(identity: Identity, vault: FakeVault) -> None:
    async def day() -> None:
        async with aio.Client(identity) as client, client.sign_stream() as signs:
            await signs.send(order("a"))
            await client.renew()
            await client.sign_batch([order("b")])
            await signs.send(order("c"))
            assert [(await signs.__anext__()).request_id for _ in range(2)] == ["a", "c"]

    with Client(identity) as client, client.sign_stream() as signs:
        signs.send(order("a"))
        client.renew()
        client.sign_batch([order("b")])
        signs.send(order("c"))
        assert [next(signs).request_id for _ in range(2)] == ["a", "c"]
    asyncio.run(day())
