"""The client of a bot, for asyncio. :mod:`countersign` has the same without."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from types import TracebackType
from typing import Any

import grpc
import grpc.aio

from countersign import _many, _transport, order
from countersign._keeper import Keeper
from countersign._proto.vault.v1 import execute_service_pb2 as executions
from countersign._proto.vault.v1 import sign_service_pb2 as signatures
from countersign._transport import EXECUTE, EXECUTE_STREAM, SIGN, SIGN_BATCH, fail
from countersign.aio_stream import EOF, SignStream
from countersign.client import known_as
from countersign.errors import CountersignError, ProtocolError, TimedOut, Unreachable
from countersign.identity import Identity
from countersign.order import Executed, Headers, Params, Signed, SignOrder, SignOutcome
from countersign.profile import IdentityLike, identity_of
from countersign.receipt import ReceiptBook

#: Seconds for which calls under way may go on over a connection with an old certificate.
GRACE = 60.0


class Client:
    """A bot's connection to the vault, for one event loop.

    It renews its identity by itself when two thirds of the certificate's life are over, for as long as the
    value lives (in a thread: files are locked meanwhile), and makes its connection anew with the new one.
    """

    def __init__(self, identity: IdentityLike = None) -> None:
        """Takes what :class:`countersign.Client` takes. Connects at the first call.

        Raises :class:`IdentityError`, :class:`ProfileError`.
        """
        self._keeper = Keeper.of(identity_of(identity))
        self._channel: grpc.aio.Channel | None = None
        self._used: Identity | None = None
        self._closed = False
        self._closing: set[asyncio.Task[None]] = set()
        self._streams: set[SignStream] = set()
        self._receipts = ReceiptBook()

    @property
    def identity(self) -> Identity:
        """The identity in use."""
        return self._keeper.identity

    async def sign(
        self,
        credential: str,
        method: str,
        url: str,
        *,
        params: Params | None = None,
        body: bytes | str | None = None,
        json: Any = None,
        headers: Headers | None = None,
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> Signed:
        """As :meth:`countersign.Client.sign`."""
        request = signatures.SignRequest(
            request_id=request_id or order.random_id(),
            credential=credential,
            request=order.venue_request(method, url, params, body, json, headers),
        )
        timeout = _transport.SIGN_TIMEOUT if timeout is None else timeout
        with known_as(request.request_id):
            try:
                answer = await self._unary(SIGN, request, timeout)
            except TimedOut:
                raise
            except Unreachable:
                answer = await self._unary(SIGN, request, timeout)
            signed = order.signed(request.request_id, answer)
            self._receipts.check(signed)
        return signed

    async def sign_batch(
        self, orders: Iterable[SignOrder], *, timeout: float | None = None
    ) -> list[SignOutcome]:
        """As :meth:`countersign.Client.sign_batch`."""
        batch = _many.batch_of(orders)
        timeout = _transport.SIGN_TIMEOUT if timeout is None else timeout
        with _many.known_as(batch):
            answer = await self._unary(SIGN_BATCH, batch, timeout)
            return _many.outcomes(batch, answer, self._receipts)

    def sign_stream(self) -> SignStream:
        """As :meth:`countersign.Client.sign_stream`; it has a connection of its own, and ends with the
        client."""
        if self._closed:
            raise Unreachable("the client is closed")
        stream = SignStream(_channel(self._keeper.identity), self._receipts, self._streams.discard)
        self._streams.add(stream)
        return stream

    async def execute(
        self,
        credential: str,
        method: str,
        url: str,
        *,
        params: Params | None = None,
        body: bytes | str | None = None,
        json: Any = None,
        headers: Headers | None = None,
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> Executed:
        """As :meth:`countersign.Client.execute`. A call that is cancelled may have been sent: ask again
        with the same ``request_id``."""
        request = executions.ExecuteRequest(
            request_id=request_id or order.random_id(),
            credential=credential,
            request=order.venue_request(method, url, params, body, json, headers),
        )
        timeout = _transport.EXECUTE_TIMEOUT if timeout is None else timeout
        with known_as(request.request_id):
            answer = await self._unary(EXECUTE, request, timeout)
            executed = order.executed(request.request_id, answer)
            self._receipts.check(executed)
        return executed

    async def execute_stream(
        self,
        credential: str,
        method: str,
        url: str,
        *,
        params: Params | None = None,
        body: bytes | str | None = None,
        json: Any = None,
        headers: Headers | None = None,
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> ExecutedStream:
        """As :meth:`countersign.Client.execute_stream`."""
        request = executions.ExecuteRequest(
            request_id=request_id or order.random_id(),
            credential=credential,
            request=order.venue_request(method, url, params, body, json, headers),
        )
        timeout = _transport.EXECUTE_TIMEOUT if timeout is None else timeout
        call: Any = self._current().unary_stream(
            EXECUTE_STREAM.path, EXECUTE_STREAM.encode, EXECUTE_STREAM.parse
        )
        with known_as(request.request_id):
            stream = await ExecutedStream.of(request.request_id, call(request, timeout=timeout))
            try:
                self._receipts.check(stream.head)
            except CountersignError:
                stream.close()
                raise
        return stream

    async def renew(self) -> None:
        """As :meth:`countersign.Client.renew`."""
        await asyncio.get_running_loop().run_in_executor(None, self._keeper.renew)

    async def close(self) -> None:
        """Ends the connection; calls that are under way end with it."""
        channel, self._channel, self._closed = self._channel, None, True
        for task in list(self._closing):
            task.cancel()
        await asyncio.gather(
            *self._closing, *(stream.close() for stream in self._streams), return_exceptions=True
        )
        if channel is not None:
            await channel.close(None)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _unary(
        self,
        method: _transport.Method[_transport.Request, _transport.Response],
        request: _transport.Request,
        timeout: float,
    ) -> _transport.Response:
        call: Any = self._current().unary_unary(method.path, method.encode, method.parse)
        try:
            answer: _transport.Response = await call(request, timeout=timeout)
        except grpc.RpcError as error:
            fail(error)
        return answer

    def _current(self) -> grpc.aio.Channel:
        """The channel with the newest certificate."""
        if self._closed:
            raise Unreachable("the client is closed")
        identity = self._keeper.identity
        if self._channel is None or self._used is not identity:
            old, self._used = self._channel, identity
            self._channel = _channel(identity)
            if old is not None:
                task = asyncio.get_running_loop().create_task(_close(old))
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)
        return self._channel


class ExecutedStream:
    """A venue's response that comes in pieces: iterate over it for the body, once. Close it, or use it in
    an ``async with``, if the body may not be read to its end."""

    def __init__(self, head: Executed, call: Any) -> None:
        #: Everything but the body, which is empty.
        self.head = head
        self._call = call

    @classmethod
    async def of(cls, request_id: str, call: Any) -> ExecutedStream:
        """Waits for the head."""
        try:
            piece = await call.read()
        except grpc.RpcError as error:
            fail(error)
        if piece is EOF or piece.WhichOneof("part") != "head":
            call.cancel()
            raise ProtocolError("the vault's answer is not acceptable: a response without a head")
        return cls(order.executed(request_id, piece.head), call)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The pieces of the body. Raises :class:`CountersignError` if it does not come whole."""
        try:
            with known_as(self.head.request_id):
                while True:
                    piece = await self._call.read()
                    if piece is EOF:
                        return
                    if piece.WhichOneof("part") != "body":
                        raise ProtocolError(
                            "the vault's answer is not acceptable: a piece of a body is none"
                        )
                    yield piece.body
        except grpc.RpcError as error:
            fail(error, self.head.request_id)
        finally:
            self.close()

    async def read(self) -> bytes:
        """The rest of the body."""
        return b"".join([piece async for piece in self])

    def close(self) -> None:
        """Gives up what has not come yet."""
        self._call.cancel()

    async def __aenter__(self) -> ExecutedStream:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _channel(identity: Identity) -> grpc.aio.Channel:
    return grpc.aio.secure_channel(
        identity.address, _transport.credentials(identity), options=_transport.OPTIONS
    )


async def _close(channel: grpc.aio.Channel) -> None:
    try:
        await channel.close(GRACE)
    except asyncio.CancelledError:
        await channel.close(None)
        raise
