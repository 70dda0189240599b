"""What can go wrong between a program and the vault.

Every error of this package is a :class:`CountersignError`. :class:`Refused` and its kinds mean that the
vault heard the call and said no; with anything else that a call raises, nobody here knows what became
of it, and the same order may be asked again under the same ``request_id``: the vault neither counts nor
sends it twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from countersign._proto.countersign import rpc_pb2 as rpc

#: Domain of the vault's own error details.
DOMAIN = "countersign"


class CountersignError(Exception):
    """Everything that this package raises."""

    #: Id of the order that the call was about, if it was about one.
    request_id: str | None = None
    #: Of a batch or a stream as a whole: ids of its orders that have no outcome, as they were given or
    #: made, in their order. The same orders under the same ids learn it.
    request_ids: tuple[str, ...] = ()
    #: Whether an Execute that ended so may have reached the venue.
    maybe_sent = True


class IdentityError(CountersignError):
    """An identity's folder cannot be used. Says nothing of the key."""

    maybe_sent = False


class ProfileError(CountersignError):
    """The config file has no such profile, or cannot be read."""

    maybe_sent = False


class ProtocolError(CountersignError):
    """The vault answered with something that this version does not understand or does not believe."""


class ReceiptError(ProtocolError):
    """A receipt contradicts itself or an earlier one of the same log: keep both, and show them to an
    auditor. ``answer`` is what the vault answered (a :class:`countersign.Signed` or
    :class:`countersign.Executed`), since what was done is done."""

    def __init__(self, message: str, answer: Any) -> None:
        super().__init__(message)
        self.answer = answer


class Unreachable(CountersignError):
    """No answer of the vault: it cannot be reached, does not accept the certificate, or the connection
    broke. ``code`` is gRPC's own word for it (``UNAVAILABLE``)."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class TimedOut(Unreachable):
    """No answer of the vault in time."""


@dataclass(frozen=True)
class Refusal:
    """What the vault says of a refusal."""

    #: Stable and machine-readable: ``SYMBOL_NOT_GRANTED``. docs/reference/errors.md lists them.
    reason: str
    #: For people.
    message: str = ""
    #: Kind, as gRPC names it: ``PERMISSION_DENIED``. Empty if it came through the HTTPS proxy.
    code: str = ""
    #: The catalogue's name of the operation outside the scope; may be empty.
    operation: str = ""
    #: Class of that operation: ``trade``; may be empty.
    operation_class: str = ""
    #: What may be done about it; may be empty.
    hint: str = ""
    #: What would change the answer, each alone: ``execute``, ``assume=venue_checks``, ``rights=A,B``.
    remedies: tuple[str, ...] = ()
    #: Index of the log entry that records it.
    entry_index: int | None = None
    #: When to try again, if that helps.
    retry_after: timedelta | None = None
    #: What was said beside these.
    more: Mapping[str, str] = field(default_factory=dict)


class Refused(CountersignError):
    """The vault heard the call and refused it. Nothing was sent to the venue, unless ``maybe_sent``."""

    maybe_sent = False

    def __init__(self, refusal: Refusal, about: str = "") -> None:
        super().__init__(about + words(refusal))
        #: All of it in one value.
        self.refusal = refusal
        self._about = about

    def __reduce__(self) -> tuple[Any, ...]:
        ids = {"request_id": self.request_id, "request_ids": self.request_ids}
        return type(self), (self.refusal, self._about), ids

    @property
    def reason(self) -> str:
        """As in :class:`Refusal`."""
        return self.refusal.reason

    @property
    def message(self) -> str:
        """As in :class:`Refusal`."""
        return self.refusal.message

    @property
    def code(self) -> str:
        """As in :class:`Refusal`."""
        return self.refusal.code

    @property
    def operation(self) -> str:
        """As in :class:`Refusal`."""
        return self.refusal.operation

    @property
    def operation_class(self) -> str:
        """As in :class:`Refusal`."""
        return self.refusal.operation_class

    @property
    def hint(self) -> str:
        """As in :class:`Refusal`."""
        return self.refusal.hint

    @property
    def remedies(self) -> tuple[str, ...]:
        """As in :class:`Refusal`."""
        return self.refusal.remedies

    @property
    def entry_index(self) -> int | None:
        """As in :class:`Refusal`."""
        return self.refusal.entry_index

    @property
    def retry_after(self) -> timedelta | None:
        """As in :class:`Refusal`."""
        return self.refusal.retry_after


class BadRequest(Refused):
    """The call has not its form."""


class Conflict(Refused):
    """The id was used for another request (``REQUEST_ID_REUSED``)."""


class DeadlineExceeded(Refused):
    """The call's time was over in the vault. Of an Execute the outcome is not known: ask again with
    the same ``request_id``."""

    maybe_sent = True


class Denied(Refused):
    """Policy, or a request that the vault cannot read. The same request is denied again until somebody
    changes the scope, the market or the request."""


class Exhausted(Refused):
    """Too much at once, or another client holds the credential; ``retry_after`` says how long to wait.
    Nothing was sent."""


class Internal(Refused):
    """A defect of the vault. Of an Execute the outcome is not known."""

    maybe_sent = True


class NotFound(Refused):
    """It is not there, or not yours to know. Both answer alike."""


class NotSent(Refused):
    """The venue could not be reached, and not a byte was sent: the order does not exist."""


class OutcomeUnknown(Refused):
    """The venue may have the request: the entry ``entry_index`` says where it stands in the log. Ask the
    venue what became of it, and go on with a new id; the vault sends nothing twice. Also
    ``RESPONSE_TOO_LONG``: it was sent and answered, and :meth:`Client.execute_stream` takes such answers.
    """

    maybe_sent = True


class Sealed(Refused):
    """The vault is sealed: an admin unseals it. Nothing was sent."""


class Unauthenticated(Refused):
    """The vault does not accept the identity: expired, revoked or unknown certificate."""


class Unavailable(Refused):
    """The vault stops, or one of its processes has died. Of an Execute the outcome is not known."""

    maybe_sent = True


#: Reasons that say more than the kind of the failure does.
BY_REASON: dict[str, type[Refused]] = {
    "AUDIT_DISK_FULL": Exhausted,
    "CERTIFICATE_EXPIRED": Unauthenticated,
    "CERTIFICATE_MISSING": Unauthenticated,
    "CERTIFICATE_REVOKED": Unauthenticated,
    "CERTIFICATE_UNKNOWN": Unauthenticated,
    "CREDENTIAL_LEASED": Exhausted,
    "DEADLINE_EXCEEDED": DeadlineExceeded,
    "NOT_CONNECTED": NotSent,
    "NOT_FOUND": NotFound,
    "NOT_RENEWABLE": Unauthenticated,
    "NOT_SENT": NotSent,
    "OUTCOME_UNKNOWN": OutcomeUnknown,
    "OVERLOADED": Exhausted,
    "RESPONSE_TOO_LONG": OutcomeUnknown,
    "REQUEST_ID_REUSED": Conflict,
    "SEALED": Sealed,
    "STREAMS_EXHAUSTED": Exhausted,
    "WRONG_LISTENER": Unauthenticated,
}

#: Kinds of failures, as gRPC names them.
BY_CODE: dict[str, type[Refused]] = {
    "ALREADY_EXISTS": Conflict,
    "DEADLINE_EXCEEDED": DeadlineExceeded,
    "INTERNAL": Internal,
    "INVALID_ARGUMENT": BadRequest,
    "NOT_FOUND": NotFound,
    "PERMISSION_DENIED": Denied,
    "RESOURCE_EXHAUSTED": Exhausted,
    "UNAUTHENTICATED": Unauthenticated,
    "UNAVAILABLE": Unavailable,
}


def kind_of(refusal: Refusal) -> type[Refused]:
    """The class of a refusal: by its reason, else by its code."""
    return BY_REASON.get(refusal.reason) or BY_CODE.get(refusal.code, Refused)


def words(refusal: Refusal) -> str:
    """A refusal in one line: message, reason, hint."""
    said = refusal.message or "refused"
    # Denials say their reason by themselves.
    if refusal.reason and not said.endswith(refusal.reason):
        said += f" ({refusal.reason})"
    return f"{said}; {refusal.hint}" if refusal.hint else said


def from_status(code: str, message: str, details: bytes | None) -> CountersignError:
    """Reads a gRPC status. The vault's own refusals carry details of its domain; a status without them
    comes from the way to the vault, and says nothing of what became of the call.

    ``code`` is the code's name, ``details`` the value of ``grpc-status-details-bin``.
    """
    refusal = _refusal(code, message, details) if details else None
    if refusal is not None:
        return kind_of(refusal)(refusal)
    if code == "DEADLINE_EXCEEDED":
        return TimedOut("the vault did not answer in time", code)
    if code == "UNIMPLEMENTED":
        return ProtocolError("the vault does not serve this call at this address")
    return Unreachable(f"no answer of the vault: {code}: {message}", code)


def from_failure(code: str, message: str, reason: str, metadata: Mapping[str, str]) -> Refused:
    """Reads the vault's refusal of one among others: what :func:`from_status` finds in a status.
    ``code`` is the code's name."""
    refusal = _said(code, message, reason, metadata)
    return kind_of(refusal)(refusal)


def _refusal(code: str, message: str, details: bytes) -> Refusal | None:
    status, info, retry = rpc.Status(), rpc.ErrorInfo(), rpc.RetryInfo()
    try:
        status.ParseFromString(details)
        for detail in status.details:
            name = detail.type_url.rpartition("/")[2]
            if name == "google.rpc.ErrorInfo":
                info.ParseFromString(detail.value)
            elif name == "google.rpc.RetryInfo":
                retry.ParseFromString(detail.value)
    except Exception:  # what does not decode is not the vault's
        return None
    if info.domain != DOMAIN:
        return None
    wait = retry.retry_delay.seconds * 1000 + retry.retry_delay.nanos // 1_000_000
    return _said(code, message, info.reason, info.metadata, wait)


def _said(code: str, message: str, reason: str, metadata: Mapping[str, str], wait: int = 0) -> Refusal:
    said = dict(metadata)
    return Refusal(
        reason=reason,
        message=message,
        code=code,
        operation=said.pop("operation", ""),
        operation_class=said.pop("class", ""),
        hint=said.pop("hint", ""),
        remedies=tuple(said.pop("remedies", "").split()),
        entry_index=_index(said.pop("entry_index", None)),
        retry_after=_wait(said.pop("retry_after_ms", None)) or _wait(wait),
        more=said,
    )


def from_answer(status: int, answer: object) -> Refusal | None:
    """Reads a refusal of the HTTPS proxy: its status and the decoded JSON; ``None`` if it is none."""
    stated = answer.get(DOMAIN) if isinstance(answer, dict) else None
    if status < 400 or not isinstance(stated, dict) or not isinstance(stated.get("reason"), str):
        return None

    def text(name: str) -> str:
        value = stated.get(name)
        return value if isinstance(value, str) else ""

    remedies = stated.get("remedies")
    return Refusal(
        reason=text("reason"),
        message=text("message"),
        operation=text("operation"),
        operation_class=text("class"),
        hint=text("hint"),
        remedies=tuple(str(each) for each in remedies) if isinstance(remedies, list) else (),
        entry_index=_index(stated.get("entry")),
        retry_after=_wait(stated.get("retry_after_ms")),
    )


def _index(value: object) -> int | None:
    number = _integer(value)
    return number if number is not None and number >= 0 else None


def _wait(milliseconds: object) -> timedelta | None:
    number = _integer(milliseconds)
    # A day is longer than any wait that helps, and short enough for every clock.
    return timedelta(milliseconds=min(number, 86_400_000)) if number and number > 0 else None


def _integer(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and len(value) <= 20 and value.isascii() and value.isdigit():
        return int(value)
    return None
