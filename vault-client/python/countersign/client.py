"""The client of a bot. :mod:`countersign.aio` has the same for asyncio."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any

import grpc

from countersign import _many, _transport, order
from countersign._keeper import Keeper
from countersign._proto.vault.v1 import execute_service_pb2 as executions
from countersign._proto.vault.v1 import sign_service_pb2 as signatures
from countersign._transport import EXECUTE, EXECUTE_STREAM, SIGN, SIGN_BATCH, fail
from countersign.errors import CountersignError, ProtocolError, TimedOut, Unreachable
from countersign.identity import Identity
from countersign.order import Executed, Headers, Params, Signed, SignOrder, SignOutcome
from countersign.profile import IdentityLike, identity_of
from countersign.receipt import ReceiptBook
from countersign.stream import SignStream


class Client:
    """A bot's connection to the vault. May be used by several threads; not after a fork.

    It renews its identity by itself when two thirds of the certificate's life are over, for as long as the
    value lives, and makes its connection anew with the new one.
    """

    def __init__(self, identity: IdentityLike = None) -> None:
        """Takes an identity, the folder of one (a path), the name of a profile (text), or nothing for the
        default profile. Connects at the first call.

        Raises :class:`IdentityError`, :class:`ProfileError`.
        """
        self._keeper = Keeper.of(identity_of(identity))
        self._lock = threading.Lock()
        self._connection: _Connection | None = None
        self._closed = False
        self._receipts = ReceiptBook()

    @property
    def identity(self) -> Identity:
        """The identity in use."""
        return self._keeper.identity

    def sign(
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
        """Has one request signed; what comes back is sent as it stands. A connection that breaks is made
        anew, and the request sent once more under the same id, which the vault counts once.

        ``request_id`` is 1 to 64 of ``A-Z a-z 0-9 _ -``, unique per client; ``timeout`` is in seconds, of
        each of the two tries.

        Raises :class:`Refused` with the vault's reason; anything else means that the outcome is not known,
        and that the same order may be asked again with the error's ``request_id``.
        """
        request = signatures.SignRequest(
            request_id=request_id or order.random_id(),
            credential=credential,
            request=order.venue_request(method, url, params, body, json, headers),
        )
        timeout = _transport.SIGN_TIMEOUT if timeout is None else timeout
        with known_as(request.request_id):
            try:
                answer = self._unary(SIGN, request, timeout)
            except TimedOut:
                raise
            except Unreachable:
                answer = self._unary(SIGN, request, timeout)
            signed = order.signed(request.request_id, answer)
            self._receipts.check(signed)
        return signed

    def sign_batch(self, orders: Iterable[SignOrder], *, timeout: float | None = None) -> list[SignOutcome]:
        """Has 1 to 256 requests signed in one call, each judged, counted and logged for itself. The
        outcomes are in the order of the orders: a :class:`Signed`, or what :meth:`sign` would have raised.
        Nothing is asked twice. ``timeout`` is in seconds, for all of them.

        Raises :class:`CountersignError` of the call as a whole: unless it is :class:`Refused`, nobody knows
        which of the orders were signed, and the same orders under the ids of the error's ``request_ids``
        learn it. Raises ``ValueError`` and ``TypeError`` as :meth:`sign`, and ``ValueError`` for a
        ``request_id`` that is not well formed; nothing was asked then.
        """
        batch = _many.batch_of(orders)
        timeout = _transport.SIGN_TIMEOUT if timeout is None else timeout
        with _many.known_as(batch):
            answer = self._unary(SIGN_BATCH, batch, timeout)
            return _many.outcomes(batch, answer, self._receipts)

    def sign_stream(self) -> SignStream:
        """Opens a stream of Signs, which stays open when the certificate is renewed. That it cannot be
        opened is what iterating raises.

        Raises :class:`Unreachable` if the client is closed.
        """
        connection = self._enter()
        try:
            return SignStream(connection, self._receipts)
        except BaseException:
            connection.leave()
            raise

    def execute(
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
        """Has one request judged, signed and sent by the vault. Nothing is asked twice. ``credential`` is
        empty for a public endpoint. The venue's own refusals are responses: look at ``status``.

        ``request_id`` as of :meth:`sign`; ``timeout`` is in seconds, and without it the call waits as long
        as the vault does.

        Raises :class:`CountersignError`; its ``maybe_sent`` says whether the venue may have the request:
        never after :class:`Denied`, always after :class:`OutcomeUnknown`. The same order with the error's
        ``request_id`` learns what became of it, as far as the vault knows, without being sent again.
        """
        request = executions.ExecuteRequest(
            request_id=request_id or order.random_id(),
            credential=credential,
            request=order.venue_request(method, url, params, body, json, headers),
        )
        timeout = _transport.EXECUTE_TIMEOUT if timeout is None else timeout
        with known_as(request.request_id):
            answer = self._unary(EXECUTE, request, timeout)
            executed = order.executed(request.request_id, answer)
            self._receipts.check(executed)
        return executed

    def execute_stream(
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
        """As :meth:`execute`, for responses that are too long for one message. ``timeout`` is for all of
        it, up to the last piece."""
        request = executions.ExecuteRequest(
            request_id=request_id or order.random_id(),
            credential=credential,
            request=order.venue_request(method, url, params, body, json, headers),
        )
        timeout = _transport.EXECUTE_TIMEOUT if timeout is None else timeout
        with known_as(request.request_id):
            connection = self._enter()
            try:
                call = connection.channel.unary_stream(
                    EXECUTE_STREAM.path, EXECUTE_STREAM.encode, EXECUTE_STREAM.parse
                )
                pieces = call(request, timeout=timeout)
                stream = ExecutedStream(request.request_id, pieces, connection)
            except BaseException:
                connection.leave()
                raise
            try:
                self._receipts.check(stream.head)
            except CountersignError:
                stream.close()
                raise
        return stream

    def renew(self) -> None:
        """Renews now and goes on with the new identity.

        Raises :class:`CountersignError`; the old identity stays in use then.
        """
        self._keeper.renew()

    def close(self) -> None:
        """Ends the connection; calls that are under way end first."""
        with self._lock:
            connection, self._connection, self._closed = self._connection, None, True
        if connection is not None:
            connection.retire()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _unary(
        self,
        method: _transport.Method[_transport.Request, _transport.Response],
        request: _transport.Request,
        timeout: float,
    ) -> _transport.Response:
        connection = self._enter()
        try:
            call = connection.channel.unary_unary(method.path, method.encode, method.parse)
            answer: _transport.Response = call(request, timeout=timeout)
        except grpc.RpcError as error:
            fail(error)
        finally:
            connection.leave()
        return answer

    def _enter(self) -> _Connection:
        """The connection with the newest certificate, which stays open until it is left."""
        identity = self._keeper.identity
        old = None
        with self._lock:
            if self._closed:
                raise Unreachable("the client is closed")
            if self._connection is None or self._connection.identity is not identity:
                old, self._connection = self._connection, _Connection(identity)
            connection = self._connection
            connection.enter()
        if old is not None:
            old.retire()
        return connection


class ExecutedStream:
    """A venue's response that comes in pieces: iterate over it for the body, once. Close it, or use it in
    a ``with``, if the body may not be read to its end."""

    def __init__(self, request_id: str, pieces: Any, connection: _Connection) -> None:
        self._pieces = pieces
        self._connection: _Connection | None = connection
        #: Everything but the body, which is empty.
        self.head: Executed = self._first(request_id)

    def _first(self, request_id: str) -> Executed:
        try:
            piece = next(self._pieces, None)
        except grpc.RpcError as error:
            fail(error)
        if piece is None or piece.WhichOneof("part") != "head":
            raise ProtocolError("the vault's answer is not acceptable: a response without a head")
        return order.executed(request_id, piece.head)

    def __iter__(self) -> Iterator[bytes]:
        """The pieces of the body. Raises :class:`CountersignError` if it does not come whole."""
        try:
            with known_as(self.head.request_id):
                for piece in self._pieces:
                    if piece.WhichOneof("part") != "body":
                        raise ProtocolError(
                            "the vault's answer is not acceptable: a piece of a body is none"
                        )
                    yield piece.body
        except grpc.RpcError as error:
            fail(error, self.head.request_id)
        finally:
            self.close()

    def read(self) -> bytes:
        """The rest of the body."""
        return b"".join(self)

    def close(self) -> None:
        """Gives up what has not come yet."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pieces.cancel()
            connection.leave()

    def __enter__(self) -> ExecutedStream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Connection:
    """A channel that is closed when it is retired and the last call has left it."""

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.channel = _transport.channel(identity)
        self._lock = threading.Lock()
        self._users = 0
        self._retired = False

    def enter(self) -> None:
        with self._lock:
            self._users += 1

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            last = self._retired and self._users == 0
        if last:
            self.channel.close()

    def retire(self) -> None:
        with self._lock:
            self._retired = True
            unused = self._users == 0
        if unused:
            self.channel.close()


@contextlib.contextmanager
def known_as(request_id: str) -> Iterator[None]:
    """Gives errors of a call the id of its order."""
    try:
        yield
    except CountersignError as error:
        error.request_id = request_id
        raise
