"""Many Signs in one call that stays open."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

import grpc

from countersign import _many, order
from countersign._many import UNDER_WAY_MAX, Pending
from countersign._proto.vault.v1 import sign_service_pb2 as signatures
from countersign._transport import SIGN_STREAM, SIGN_TIMEOUT, failure
from countersign.errors import CountersignError, ProtocolError, TimedOut, Unreachable
from countersign.order import SignOrder, SignOutcome
from countersign.receipt import ReceiptBook

if TYPE_CHECKING:
    from countersign.client import _Connection


class SignStream:
    """A stream of Signs: one call for as many orders as come while it lives. Send orders and iterate over
    the outcomes, in whatever order the vault comes to them; each has the ``request_id`` of its order.
    Several threads may do either. Close it, or use it in a ``with``.

    The vault ends a stream with its connection, after an hour: then iterating raises
    :class:`Unreachable`, and a new one is opened.
    """

    def __init__(self, connection: _Connection, receipts: ReceiptBook) -> None:
        """Made by :meth:`countersign.Client.sign_stream`."""
        self._connection: _Connection | None = connection
        self._receipts = receipts
        self._turn = threading.Condition()
        self._reading = threading.Lock()
        self._pending = Pending()
        self._closed = False
        #: Whether the end has come, and why, if not as it should.
        self._over = False
        self._ended: CountersignError | None = None
        self._takes_orders = True
        self._orders: queue.SimpleQueue[signatures.SignRequest | None] = queue.SimpleQueue()
        call = connection.channel.stream_stream(SIGN_STREAM.path, SIGN_STREAM.encode, SIGN_STREAM.parse)
        # Of the queue alone: a thread of gRPC's holds the iterator, and would hold this value too.
        self._results: Any = call(iter(self._orders.get, None))
        if not self._results.add_callback(self.done):
            self.done()

    def send(self, sign_order: SignOrder, timeout: float | None = None) -> str:
        """Puts an order on the stream and returns its id. While 64 orders have no outcome that was taken
        from here, it waits: for ``timeout`` seconds, 5 if it is not given.

        Raises :class:`TimedOut` after that, and :class:`Unreachable` if the stream has ended: the order was
        not sent. Raises ``ValueError`` and ``TypeError`` as :meth:`countersign.Client.sign`, and
        ``ValueError`` for a ``request_id`` that is not well formed.
        """
        request = order.sign_request(sign_order)
        request_id: str = request.request_id
        with self._turn:
            room = self._turn.wait_for(self._has_room, SIGN_TIMEOUT if timeout is None else timeout)
            if not self._takes_orders:
                raise _many.unsent(Unreachable("the stream has ended"), request_id)
            if not room:
                raise _many.unsent(TimedOut("too many orders have outcomes that nobody takes"), request_id)
            self._pending.add(request_id)
            self._orders.put(request)
        return request_id

    def done(self) -> None:
        """No more orders: the stream ends after the last outcome."""
        with self._turn:
            self._takes_orders = False
            self._turn.notify_all()
        self._orders.put(None)

    def __iter__(self) -> Iterator[SignOutcome]:
        return self

    def __next__(self) -> SignOutcome:
        """The next outcome; the end after :meth:`done` and the last of them. A refusal is an outcome.

        Raises :class:`CountersignError` of the stream as a whole, which has ended: of the orders named by
        the error's ``request_ids`` nobody knows whether they were signed, and the same orders under the
        same ids learn it.
        """
        with self._reading:
            if not self._over:
                known = self._next()
                if known is not None:
                    return known
                self._over = True
                self.close()
            if self._ended is None:
                raise StopIteration
            raise self._ended from None

    def close(self) -> None:
        """Gives up what has not come yet."""
        with self._turn:
            connection, self._connection = self._connection, None
            self._closed = True
        if connection is not None:
            self.done()
            self._results.cancel()
            connection.leave()

    def __enter__(self) -> SignStream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _next(self) -> SignOutcome | None:
        ended: CountersignError | None = None
        try:
            result = next(self._results)
            with self._turn:
                self._pending.take(result)
                self._turn.notify()
            return _many.outcome(result, self._receipts)
        except StopIteration:
            pass
        except grpc.RpcError as error:
            ended = failure(error)
        except ProtocolError as error:
            ended = error
        with self._turn:
            self._takes_orders = False
            if self._closed:
                ended = _many.closed() if len(self._pending) else None
            self._ended = self._pending.end(ended)
        return None

    def _has_room(self) -> bool:
        return not self._takes_orders or len(self._pending) < UNDER_WAY_MAX
