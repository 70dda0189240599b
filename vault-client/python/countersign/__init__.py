"""Client of the Countersign vault, for bots that hold no secret.

:class:`Client` (and :class:`countersign.aio.Client`) has requests signed, or executes them;
:func:`countersign.ccxt.connect` makes an ordinary ccxt exchange that trades through the vault. Every
failure is a :class:`CountersignError`.
"""

from countersign.client import Client, ExecutedStream
from countersign.errors import (
    BadRequest,
    Conflict,
    CountersignError,
    DeadlineExceeded,
    Denied,
    Exhausted,
    IdentityError,
    Internal,
    NotFound,
    NotSent,
    OutcomeUnknown,
    ProfileError,
    ProtocolError,
    ReceiptError,
    Refusal,
    Refused,
    Sealed,
    TimedOut,
    Unauthenticated,
    Unavailable,
    Unreachable,
)
from countersign.identity import Identity
from countersign.order import Executed, Receipt, Signed, SignedRequest, SignOrder, SignOutcome
from countersign.profile import identity_of
from countersign.stream import SignStream

__all__ = [
    "BadRequest",
    "Client",
    "Conflict",
    "CountersignError",
    "DeadlineExceeded",
    "Denied",
    "Executed",
    "ExecutedStream",
    "Exhausted",
    "Identity",
    "IdentityError",
    "Internal",
    "NotFound",
    "NotSent",
    "OutcomeUnknown",
    "ProfileError",
    "ProtocolError",
    "Receipt",
    "ReceiptError",
    "Refusal",
    "Refused",
    "Sealed",
    "SignOrder",
    "SignOutcome",
    "SignStream",
    "Signed",
    "SignedRequest",
    "TimedOut",
    "Unauthenticated",
    "Unavailable",
    "Unreachable",
    "identity_of",
]
