"""Signed commands, as docs/reference/formats.md of the vault draws them."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from countersign._proto.vault.v1 import common_pb2 as v1

if TYPE_CHECKING:
    from countersign.identity import Identity

#: A little less than the 60 s that the vault allows, for a clock that is ahead of the vault's.
LIFETIME_MS = 55_000
NONCE_BYTES = 16


def signing_bytes(method: str, serial: bytes, nonce: bytes, expires_at_ms: int, body: bytes) -> bytes:
    """What the signature covers: ``"countersign command v1\\0" | u16 BE method length | method |
    serial 16 | nonce 16 | i64 BE expires_at_ms | u32 BE body length | body``.

    Raises ``ValueError`` if serial or nonce are not 16 bytes, ``OverflowError`` if a part is longer than
    its length field can say.
    """
    if len(serial) != 16 or len(nonce) != NONCE_BYTES:
        raise ValueError("serial and nonce are 16 bytes")
    name = method.encode()
    return b"".join(
        [
            b"countersign command v1\0",
            len(name).to_bytes(2, "big"),
            name,
            serial,
            nonce,
            expires_at_ms.to_bytes(8, "big", signed=True),
            len(body).to_bytes(4, "big"),
            body,
        ]
    )


def signed_command(
    identity: Identity, method: str, body: bytes, now: float | None = None
) -> v1.SignedCommand:
    """Signs one command with the identity's key. ``method`` is the RPC's full name,
    ``vault.v1.ClientService/Renew``; ``now`` is in seconds since the epoch. Good for 55 s and one use.
    """
    nonce = secrets.token_bytes(NONCE_BYTES)
    expires_at_ms = int((time.time() if now is None else now) * 1000) + LIFETIME_MS
    message = signing_bytes(method, identity.serial, nonce, expires_at_ms, body)
    return v1.SignedCommand(
        method=method,
        body=body,
        nonce=nonce,
        expires_at_ms=expires_at_ms,
        signature=identity.sign(message),
    )
