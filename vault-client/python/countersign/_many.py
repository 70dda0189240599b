"""What a batch and a stream of orders have in common: whose outcome is whose, and which are missing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import grpc

from countersign import order
from countersign._proto.vault.v1 import sign_service_pb2 as signatures
from countersign.errors import CountersignError, ProtocolError, Unreachable, from_failure
from countersign.order import SignOrder, SignOutcome
from countersign.receipt import ReceiptBook

#: Orders of one stream without an outcome; the vault has as many under way, and reads no more.
UNDER_WAY_MAX = 64

#: gRPC's names of its codes, by the number that they have on the wire.
CODES: dict[int, str] = {code.value[0]: code.name for code in grpc.StatusCode}


def batch_of(orders: Iterable[SignOrder]) -> signatures.SignBatchRequest:
    """The request of a batch. Raises as :func:`countersign.order.sign_request`."""
    return signatures.SignBatchRequest(requests=[order.sign_request(each) for each in orders])


def ids_of(batch: signatures.SignBatchRequest) -> tuple[str, ...]:
    """The ids of its orders, in their order."""
    return tuple(request.request_id for request in batch.requests)


@contextlib.contextmanager
def known_as(batch: signatures.SignBatchRequest) -> Iterator[None]:
    """Gives errors of a batch as a whole the ids of its orders."""
    try:
        yield
    except CountersignError as error:
        error.request_ids = ids_of(batch)
        raise


def outcomes(
    batch: signatures.SignBatchRequest, answer: signatures.SignBatchResponse, receipts: ReceiptBook
) -> list[SignOutcome]:
    """What became of each. Raises :class:`ProtocolError` if the results are not those of the orders."""
    if tuple(result.request_id for result in answer.results) != ids_of(batch):
        raise ProtocolError("the vault's answer is not acceptable: its results are not those of the orders")
    return [outcome(result, receipts) for result in answer.results]


def outcome(result: signatures.SignResult, receipts: ReceiptBook) -> SignOutcome:
    """Reads one. A fault of it is its own: the others are as good as they were."""
    known: SignOutcome
    try:
        if result.WhichOneof("result") == "failure":
            failure = result.failure
            code = CODES.get(failure.code, "UNKNOWN")
            known = from_failure(code, failure.message, failure.reason, failure.metadata)
        else:
            # Without a result a part is missing.
            known = order.signed(result.request_id, result.signed)
            receipts.check(known)
    except ProtocolError as error:
        known = error
    if isinstance(known, CountersignError):
        known.request_id = result.request_id
    return known


class Pending:
    """Ids of the orders of a stream that have no outcome yet, in the order in which they were sent."""

    def __init__(self) -> None:
        # The same order may be asked twice at once, and is answered twice.
        self._ids: list[str] = []

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, request_id: str) -> None:
        """Another."""
        self._ids.append(request_id)

    def take(self, result: signatures.SignResult) -> None:
        """Raises :class:`ProtocolError` if the result is nobody's."""
        try:
            self._ids.remove(result.request_id)
        except ValueError:
            raise ProtocolError("the vault's answer is not acceptable: no order has this id") from None

    def about(self, error: CountersignError) -> CountersignError:
        """The error of the whole stream, with what is known."""
        error.request_ids = tuple(self._ids)
        return error

    def end(self, error: CountersignError | None) -> CountersignError | None:
        """How a stream ends that ended so: as it should, only if every order has its outcome."""
        if error is None and self._ids:
            error = ProtocolError(
                "the vault's answer is not acceptable: a stream ended before its outcomes"
            )
        return None if error is None else self.about(error)


def closed() -> Unreachable:
    """What is said of orders without an outcome when a stream was closed on this side."""
    return Unreachable("the stream was closed", "CANCELLED")


def unsent(error: Unreachable, request_id: str) -> Unreachable:
    """Of an order that did not leave."""
    error.request_id, error.maybe_sent = request_id, False
    return error
