"""Many Signs in one call that stays open, for asyncio. :mod:`countersign.stream` has the same without."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Callable

import grpc
import grpc.aio

from countersign import _many, order
from countersign._many import UNDER_WAY_MAX, Pending
from countersign._proto.vault.v1 import sign_service_pb2 as signatures
from countersign._transport import SIGN_STREAM, SIGN_TIMEOUT, failure
from countersign.errors import CountersignError, TimedOut, Unreachable
from countersign.order import SignOrder, SignOutcome
from countersign.receipt import ReceiptBook

#: What a stream says at its end.
EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]


class SignStream:
    """As :class:`countersign.SignStream`, for asyncio: several tasks may send and iterate, and one that is
    cancelled meanwhile does not end the stream."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        receipts: ReceiptBook,
        forget: Callable[[SignStream], None],
    ) -> None:
        """Made by :meth:`countersign.aio.Client.sign_stream`."""
        self._channel = channel
        self._receipts = receipts
        self._forget = forget
        self._pending = Pending()
        self._takes_orders = True
        self._ended: CountersignError | None = None
        self._room = asyncio.Semaphore(UNDER_WAY_MAX)
        self._orders: asyncio.Queue[signatures.SignRequest | None] = asyncio.Queue()
        # No longer than there is room; `None` is the end, and stays.
        self._outcomes: asyncio.Queue[SignOutcome | None] = asyncio.Queue()
        call: Any = channel.stream_stream(SIGN_STREAM.path, SIGN_STREAM.encode, SIGN_STREAM.parse)
        self._call = call(_orders(self._orders))
        # Whoever waits for a call of gRPC's and is cancelled ends the call: one task waits, for all.
        self._reader = asyncio.get_running_loop().create_task(self._read())

    async def send(self, sign_order: SignOrder, timeout: float | None = None) -> str:
        """As :meth:`countersign.SignStream.send`."""
        request = order.sign_request(sign_order)
        request_id: str = request.request_id
        try:
            await asyncio.wait_for(self._room.acquire(), SIGN_TIMEOUT if timeout is None else timeout)
        except asyncio.TimeoutError:
            too_many = TimedOut("too many orders have outcomes that nobody takes")
            raise _many.unsent(too_many, request_id) from None
        if not self._takes_orders:
            # The next one who waits is told so too.
            self._room.release()
            raise _many.unsent(Unreachable("the stream has ended"), request_id)
        self._pending.add(request_id)
        self._orders.put_nowait(request)
        return request_id

    def done(self) -> None:
        """No more orders: the stream ends after the last outcome."""
        self._takes_orders = False
        self._orders.put_nowait(None)
        self._room.release()

    def __aiter__(self) -> AsyncIterator[SignOutcome]:
        return self

    async def __anext__(self) -> SignOutcome:
        """As iterating over a :class:`countersign.SignStream`."""
        known = await self._outcomes.get()
        if known is not None:
            self._room.release()
            return known
        self._outcomes.put_nowait(None)
        if self._ended is None:
            raise StopAsyncIteration
        raise self._ended

    async def close(self) -> None:
        """Gives up what has not come yet."""
        self._call.cancel()
        await asyncio.wait([self._reader])

    async def __aenter__(self) -> SignStream:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _read(self) -> None:
        ended: CountersignError | None = None
        try:
            while True:
                result = await self._call.read()
                if result is EOF:
                    break
                self._pending.take(result)
                self._outcomes.put_nowait(_many.outcome(result, self._receipts))
        except grpc.RpcError as error:
            ended = failure(error)
        except CountersignError as error:
            ended = error
        except asyncio.CancelledError:
            # By `close`, or with the loop: this task ends in either case.
            ended = _many.closed() if len(self._pending) else None
        finally:
            self._ended = self._pending.end(ended)
            self.done()
            self._outcomes.put_nowait(None)
            self._call.cancel()
            self._forget(self)
            await self._channel.close(None)


async def _orders(waiting: asyncio.Queue[signatures.SignRequest | None]) -> AsyncIterator[Any]:
    while True:
        request = await waiting.get()
        if request is None:
            return
        yield request
