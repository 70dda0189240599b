from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ChangeState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHANGE_STATE_UNSPECIFIED: _ClassVar[ChangeState]
    CHANGE_STATE_APPLIED: _ClassVar[ChangeState]
    CHANGE_STATE_PENDING: _ClassVar[ChangeState]

class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROLE_UNSPECIFIED: _ClassVar[Role]
    ROLE_ADMIN: _ClassVar[Role]
    ROLE_AUDITOR: _ClassVar[Role]
    ROLE_BOT: _ClassVar[Role]
    ROLE_GUARD: _ClassVar[Role]
    ROLE_PRICER: _ClassVar[Role]
CHANGE_STATE_UNSPECIFIED: ChangeState
CHANGE_STATE_APPLIED: ChangeState
CHANGE_STATE_PENDING: ChangeState
ROLE_UNSPECIFIED: Role
ROLE_ADMIN: Role
ROLE_AUDITOR: Role
ROLE_BOT: Role
ROLE_GUARD: Role
ROLE_PRICER: Role

class SignedCommand(_message.Message):
    __slots__ = ("method", "body", "nonce", "expires_at_ms", "signature")
    METHOD_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_MS_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    method: str
    body: bytes
    nonce: bytes
    expires_at_ms: int
    signature: bytes
    def __init__(self, method: _Optional[str] = ..., body: _Optional[bytes] = ..., nonce: _Optional[bytes] = ..., expires_at_ms: _Optional[int] = ..., signature: _Optional[bytes] = ...) -> None: ...

class Change(_message.Message):
    __slots__ = ("id", "hash", "state", "state_rev", "seq")
    ID_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STATE_REV_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    id: str
    hash: bytes
    state: ChangeState
    state_rev: int
    seq: int
    def __init__(self, id: _Optional[str] = ..., hash: _Optional[bytes] = ..., state: _Optional[_Union[ChangeState, str]] = ..., state_rev: _Optional[int] = ..., seq: _Optional[int] = ...) -> None: ...

class VenueRequest(_message.Message):
    __slots__ = ("method", "scheme", "host", "path", "query", "body", "headers")
    METHOD_FIELD_NUMBER: _ClassVar[int]
    SCHEME_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    method: str
    scheme: str
    host: str
    path: str
    query: str
    body: bytes
    headers: _containers.RepeatedCompositeFieldContainer[Header]
    def __init__(self, method: _Optional[str] = ..., scheme: _Optional[str] = ..., host: _Optional[str] = ..., path: _Optional[str] = ..., query: _Optional[str] = ..., body: _Optional[bytes] = ..., headers: _Optional[_Iterable[_Union[Header, _Mapping]]] = ...) -> None: ...

class Header(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class SignedRequest(_message.Message):
    __slots__ = ("method", "url", "headers", "body")
    METHOD_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    method: str
    url: str
    headers: _containers.RepeatedCompositeFieldContainer[Header]
    body: bytes
    def __init__(self, method: _Optional[str] = ..., url: _Optional[str] = ..., headers: _Optional[_Iterable[_Union[Header, _Mapping]]] = ..., body: _Optional[bytes] = ...) -> None: ...

class Receipt(_message.Message):
    __slots__ = ("log_origin", "index", "leaf_hash")
    LOG_ORIGIN_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    LEAF_HASH_FIELD_NUMBER: _ClassVar[int]
    log_origin: str
    index: int
    leaf_hash: bytes
    def __init__(self, log_origin: _Optional[str] = ..., index: _Optional[int] = ..., leaf_hash: _Optional[bytes] = ...) -> None: ...

class SealTicket(_message.Message):
    __slots__ = ("id", "purpose", "public_key", "expires_at_ms", "signature", "core_public_key", "instance_id")
    ID_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_MS_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    CORE_PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    purpose: str
    public_key: bytes
    expires_at_ms: int
    signature: bytes
    core_public_key: bytes
    instance_id: bytes
    def __init__(self, id: _Optional[bytes] = ..., purpose: _Optional[str] = ..., public_key: _Optional[bytes] = ..., expires_at_ms: _Optional[int] = ..., signature: _Optional[bytes] = ..., core_public_key: _Optional[bytes] = ..., instance_id: _Optional[bytes] = ...) -> None: ...

class CertificateInfo(_message.Message):
    __slots__ = ("serial", "state", "issued_at_ms", "not_after_ms", "fingerprint")
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ISSUED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    serial: str
    state: str
    issued_at_ms: int
    not_after_ms: int
    fingerprint: bytes
    def __init__(self, serial: _Optional[str] = ..., state: _Optional[str] = ..., issued_at_ms: _Optional[int] = ..., not_after_ms: _Optional[int] = ..., fingerprint: _Optional[bytes] = ...) -> None: ...

class InviteSpec(_message.Message):
    __slots__ = ("token_id", "token_public_key", "lifetime_s")
    TOKEN_ID_FIELD_NUMBER: _ClassVar[int]
    TOKEN_PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    LIFETIME_S_FIELD_NUMBER: _ClassVar[int]
    token_id: bytes
    token_public_key: bytes
    lifetime_s: int
    def __init__(self, token_id: _Optional[bytes] = ..., token_public_key: _Optional[bytes] = ..., lifetime_s: _Optional[int] = ...) -> None: ...

class InviteResult(_message.Message):
    __slots__ = ("change", "expires_at_ms", "enroll_address")
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_MS_FIELD_NUMBER: _ClassVar[int]
    ENROLL_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    change: Change
    expires_at_ms: int
    enroll_address: str
    def __init__(self, change: _Optional[_Union[Change, _Mapping]] = ..., expires_at_ms: _Optional[int] = ..., enroll_address: _Optional[str] = ...) -> None: ...
