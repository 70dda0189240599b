"""What a bot asks of the vault, and what it gets: requests, signed requests, responses, receipts."""

from __future__ import annotations

import json as json_format
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Union

from countersign._proto.vault.v1 import common_pb2 as v1
from countersign._proto.vault.v1 import execute_service_pb2 as executions
from countersign._proto.vault.v1 import scope_service_pb2 as scopes
from countersign._proto.vault.v1 import sign_service_pb2 as signatures
from countersign.errors import ProtocolError, Refused

#: A parameter's value. No float: what ``1e-05`` means to a venue, nobody knows.
Value = Union[str, int, bool, Decimal]
Params = Union[Mapping[str, Value], Iterable[tuple[str, Value]]]
Headers = Union[Mapping[str, str], Iterable[tuple[str, str]]]


@dataclass(frozen=True)
class SignOrder:
    """One of many requests to be signed, as :meth:`countersign.Client.sign` takes it."""

    #: Name of a credential in the vault.
    credential: str
    method: str
    url: str
    params: Params | None = None
    body: bytes | str | None = None
    json: Any = None
    headers: Headers | None = None
    #: 1 to 64 of ``A-Z a-z 0-9 _ -``, unique per client; ``None`` takes a new one whenever it is sent.
    request_id: str | None = None


@dataclass(frozen=True)
class Receipt:
    """Where in the log a decision stands. The entry is on disk before its receipt exists."""

    #: ``TRUST-DOMAIN/audit/NODE/EPOCH``
    log_origin: str
    index: int
    #: RFC 6962 leaf hash, 32 bytes.
    leaf_hash: bytes

    def to_json(self) -> str:
        """The receipt's file: ``vaultctl audit verify DIR --receipt FILE`` proves with it that an export
        has the entry, unchanged."""
        fields = {"index": self.index, "leaf_hash": self.leaf_hash.hex(), "origin": self.log_origin}
        return json_format.dumps(fields, separators=(",", ":"), sort_keys=True)


@dataclass(frozen=True)
class SignedRequest:
    """A request to be sent as it stands."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def __repr__(self) -> str:
        # Headers and URL authorise.
        return f"SignedRequest(method={self.method!r}, ...)"


@dataclass(frozen=True)
class Signed:
    """A signed request and where the log says so."""

    #: The id that was given or made.
    request_id: str
    request: SignedRequest
    #: How long the venue accepts it from now on; ``None``: it has no expiry.
    usable_for: timedelta | None
    receipt: Receipt
    #: Place in the order of decisions.
    seq: int
    #: What its orders are worth at the worst price, in USD. ``None``: there are none, or nobody could
    #: say.
    notional_usd: Decimal | None
    #: What is left under each cap after it, by the cap's name: ``orders/1m``, ``notional_usd/24h``.
    limits_left: Mapping[str, Decimal]


#: What became of one order among others: signed; refused; or answered with something that is not
#: believed. Each has its ``request_id``.
SignOutcome = Union[Signed, Refused, ProtocolError]


@dataclass(frozen=True)
class Executed:
    """A venue's response, and where the log says that the request was sent."""

    #: The id that was given or made.
    request_id: str
    #: The venue's HTTP status.
    status: int
    #: The venue's headers, as far as the vault passes them on.
    headers: tuple[tuple[str, str], ...]
    #: The venue's body; empty in the head of a stream.
    body: bytes
    #: From the moment the vault had the request on disk until the venue's status line.
    latency: timedelta
    #: ``None`` for a public endpoint, which is not logged.
    receipt: Receipt | None
    #: Place in the order of decisions.
    seq: int
    #: As in :class:`Signed`.
    notional_usd: Decimal | None
    #: As in :class:`Signed`.
    limits_left: Mapping[str, Decimal]

    @property
    def ok(self) -> bool:
        """Whether the venue's status is one of success."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The body as UTF-8; what is none becomes a replacement character."""
        return self.body.decode(errors="replace")

    def json(self) -> Any:
        """The body as JSON, numbers with a fraction as ``Decimal``. Raises ``ValueError``."""
        return json_format.loads(self.body, parse_float=Decimal)


def random_id() -> str:
    """A new ``request_id``: 32 random hex digits."""
    return secrets.token_hex(16)


def venue_request(
    method: str,
    url: str,
    params: Params | None = None,
    body: bytes | str | None = None,
    json: Any = None,
    headers: Headers | None = None,
) -> v1.VenueRequest:
    """A request to a venue, without time, nonce, API key and signature: the vault adds those.

    URL and body are taken byte for byte; ``params`` are appended to the URL's query, and ``json`` becomes
    a body without blanks. Raises ``ValueError`` for what the vault would refuse anyway, ``TypeError`` for
    floats.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in ("https", "wss"):
        raise ValueError("the URL must begin with https:// or wss://")
    if "#" in rest:
        raise ValueError("the URL must not have a fragment")
    target, _, query = rest.partition("?")
    host, slash, path = target.partition("/")
    if not host or set(host) & set("@:"):
        raise ValueError("the URL must name the venue's host, without user or port")
    pairs = [query] if query else []
    pairs += [_pair(name, value) for name, value in _items(params)]
    return v1.VenueRequest(
        method=method,
        scheme=scheme,
        host=host,
        path=slash + path or "/",
        query="&".join(pairs),
        body=_body(body, json),
        headers=[v1.Header(name=name, value=value) for name, value in _items(headers)],
    )


def sign_request(order: SignOrder) -> signatures.SignRequest:
    """One of many. Raises as :func:`venue_request`, and for an id that the vault could not say again."""
    request_id = order.request_id or random_id()
    if re.fullmatch("[A-Za-z0-9_-]{1,64}", request_id) is None:
        raise ValueError("a request_id must be 1 to 64 of A-Z a-z 0-9 _ -")
    request = venue_request(order.method, order.url, order.params, order.body, order.json, order.headers)
    return signatures.SignRequest(request_id=request_id, credential=order.credential, request=request)


def _items(pairs: Any) -> Sequence[tuple[Any, Any]]:
    if pairs is None:
        return ()
    return list(pairs.items()) if isinstance(pairs, Mapping) else list(pairs)


def _pair(name: str, value: Value) -> str:
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, Decimal):
        text = f"{value:f}"
    elif isinstance(value, (str, int)):
        text = str(value)
    else:
        raise TypeError(f"parameter {name} must be text, an integer or a Decimal")
    if any(not "!" <= sign <= "~" or sign in "&=%#+" for sign in name + text):
        raise ValueError(f"parameter {name} needs an escape, which the vault does not take")
    return f"{name}={text}"


def _body(body: bytes | str | None, json: Any) -> bytes:
    if json is None:
        return body.encode() if isinstance(body, str) else bytes(body or b"")
    if body is not None:
        raise ValueError("give body or json, not both")
    return json_format.dumps(_without_floats(json), separators=(",", ":")).encode()


def _without_floats(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_floats(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_floats(each) for each in value]
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, Decimal):
        return f"{value:f}"
    raise TypeError("a value of json must be text, an integer or a Decimal (which becomes text)")


def signed(request_id: str, answer: signatures.SignResponse) -> Signed:
    """Reads an answer. Raises :class:`ProtocolError`."""
    if not answer.HasField("request") or not answer.HasField("receipt"):
        raise ProtocolError("the vault's answer is not acceptable: a part is missing")
    usable = timedelta(milliseconds=answer.usable_for_ms) if answer.HasField("usable_for_ms") else None
    return Signed(
        request_id=request_id,
        request=SignedRequest(
            method=answer.request.method,
            url=answer.request.url,
            headers=_pairs(answer.request.headers),
            body=answer.request.body,
        ),
        usable_for=usable,
        receipt=_receipt(answer.receipt),
        seq=answer.seq,
        notional_usd=_notional(answer.notional_usd),
        limits_left=_limits(answer.limits_left),
    )


def executed(request_id: str, answer: executions.ExecuteResponse) -> Executed:
    """Reads an answer. Raises :class:`ProtocolError`."""
    if not 100 <= answer.status <= 999:
        raise ProtocolError("the vault's answer is not acceptable: a status is none of HTTP")
    execution = answer.execution
    return Executed(
        request_id=request_id,
        status=answer.status,
        headers=_pairs(answer.headers),
        body=answer.body,
        latency=timedelta(microseconds=answer.latency_us),
        receipt=_receipt(execution.receipt) if execution.HasField("receipt") else None,
        seq=execution.seq,
        notional_usd=_notional(execution.notional_usd),
        limits_left=_limits(execution.limits_left),
    )


def _pairs(headers: Iterable[v1.Header]) -> tuple[tuple[str, str], ...]:
    return tuple((header.name, header.value) for header in headers)


def _receipt(receipt: v1.Receipt) -> Receipt:
    return Receipt(receipt.log_origin, receipt.index, receipt.leaf_hash)


def _notional(text: str) -> Decimal | None:
    return _decimal(text) if text else None


def _limits(limits: Iterable[scopes.LimitLeft]) -> dict[str, Decimal]:
    return {limit.limit: _decimal(limit.left) for limit in limits}


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ProtocolError("the vault's answer is not acceptable: a number is none") from None
