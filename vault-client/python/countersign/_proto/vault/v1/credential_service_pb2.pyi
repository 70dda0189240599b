from countersign._proto.vault.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class BeginImportRequest(_message.Message):
    __slots__ = ("command",)
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    command: _common_pb2.SignedCommand
    def __init__(self, command: _Optional[_Union[_common_pb2.SignedCommand, _Mapping]] = ...) -> None: ...

class BeginImportCommand(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class BeginImportResponse(_message.Message):
    __slots__ = ("ticket",)
    TICKET_FIELD_NUMBER: _ClassVar[int]
    ticket: _common_pb2.SealTicket
    def __init__(self, ticket: _Optional[_Union[_common_pb2.SealTicket, _Mapping]] = ...) -> None: ...

class CredentialMetadata(_message.Message):
    __slots__ = ("name", "venue", "environment", "rights", "rights_stated", "assume", "disclose_passphrase", "nonce_floor", "sites")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VENUE_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    RIGHTS_FIELD_NUMBER: _ClassVar[int]
    RIGHTS_STATED_FIELD_NUMBER: _ClassVar[int]
    ASSUME_FIELD_NUMBER: _ClassVar[int]
    DISCLOSE_PASSPHRASE_FIELD_NUMBER: _ClassVar[int]
    NONCE_FLOOR_FIELD_NUMBER: _ClassVar[int]
    SITES_FIELD_NUMBER: _ClassVar[int]
    name: str
    venue: str
    environment: str
    rights: _containers.RepeatedScalarFieldContainer[str]
    rights_stated: bool
    assume: _containers.RepeatedScalarFieldContainer[str]
    disclose_passphrase: bool
    nonce_floor: int
    sites: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., venue: _Optional[str] = ..., environment: _Optional[str] = ..., rights: _Optional[_Iterable[str]] = ..., rights_stated: bool = ..., assume: _Optional[_Iterable[str]] = ..., disclose_passphrase: bool = ..., nonce_floor: _Optional[int] = ..., sites: _Optional[_Iterable[str]] = ...) -> None: ...

class CredentialSecret(_message.Message):
    __slots__ = ("api_key", "secret", "passphrase", "private_key_pem")
    API_KEY_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    PASSPHRASE_FIELD_NUMBER: _ClassVar[int]
    PRIVATE_KEY_PEM_FIELD_NUMBER: _ClassVar[int]
    api_key: str
    secret: bytes
    passphrase: bytes
    private_key_pem: bytes
    def __init__(self, api_key: _Optional[str] = ..., secret: _Optional[bytes] = ..., passphrase: _Optional[bytes] = ..., private_key_pem: _Optional[bytes] = ...) -> None: ...

class ImportRequest(_message.Message):
    __slots__ = ("command",)
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    command: _common_pb2.SignedCommand
    def __init__(self, command: _Optional[_Union[_common_pb2.SignedCommand, _Mapping]] = ...) -> None: ...

class ImportCommand(_message.Message):
    __slots__ = ("ticket_id", "metadata", "sealed", "key_type", "skip_check", "allow_withdrawals")
    TICKET_ID_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    KEY_TYPE_FIELD_NUMBER: _ClassVar[int]
    SKIP_CHECK_FIELD_NUMBER: _ClassVar[int]
    ALLOW_WITHDRAWALS_FIELD_NUMBER: _ClassVar[int]
    ticket_id: bytes
    metadata: CredentialMetadata
    sealed: bytes
    key_type: str
    skip_check: bool
    allow_withdrawals: bool
    def __init__(self, ticket_id: _Optional[bytes] = ..., metadata: _Optional[_Union[CredentialMetadata, _Mapping]] = ..., sealed: _Optional[bytes] = ..., key_type: _Optional[str] = ..., skip_check: bool = ..., allow_withdrawals: bool = ...) -> None: ...

class ImportResponse(_message.Message):
    __slots__ = ("change", "version", "key_type", "check")
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    KEY_TYPE_FIELD_NUMBER: _ClassVar[int]
    CHECK_FIELD_NUMBER: _ClassVar[int]
    change: _common_pb2.Change
    version: int
    key_type: str
    check: CredentialCheck
    def __init__(self, change: _Optional[_Union[_common_pb2.Change, _Mapping]] = ..., version: _Optional[int] = ..., key_type: _Optional[str] = ..., check: _Optional[_Union[CredentialCheck, _Mapping]] = ...) -> None: ...

class CredentialInfo(_message.Message):
    __slots__ = ("metadata", "version", "state", "created_at_ms", "key_type", "check")
    METADATA_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    KEY_TYPE_FIELD_NUMBER: _ClassVar[int]
    CHECK_FIELD_NUMBER: _ClassVar[int]
    metadata: CredentialMetadata
    version: int
    state: str
    created_at_ms: int
    key_type: str
    check: CredentialCheck
    def __init__(self, metadata: _Optional[_Union[CredentialMetadata, _Mapping]] = ..., version: _Optional[int] = ..., state: _Optional[str] = ..., created_at_ms: _Optional[int] = ..., key_type: _Optional[str] = ..., check: _Optional[_Union[CredentialCheck, _Mapping]] = ...) -> None: ...

class ListCredentialsRequest(_message.Message):
    __slots__ = ("command",)
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    command: _common_pb2.SignedCommand
    def __init__(self, command: _Optional[_Union[_common_pb2.SignedCommand, _Mapping]] = ...) -> None: ...

class ListCredentialsCommand(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListCredentialsResponse(_message.Message):
    __slots__ = ("credentials", "next_page_token")
    CREDENTIALS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    credentials: _containers.RepeatedCompositeFieldContainer[CredentialInfo]
    next_page_token: str
    def __init__(self, credentials: _Optional[_Iterable[_Union[CredentialInfo, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DescribeCredentialRequest(_message.Message):
    __slots__ = ("command",)
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    command: _common_pb2.SignedCommand
    def __init__(self, command: _Optional[_Union[_common_pb2.SignedCommand, _Mapping]] = ...) -> None: ...

class DescribeCredentialCommand(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DescribeCredentialResponse(_message.Message):
    __slots__ = ("credential", "scopes", "scope_count")
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    SCOPE_COUNT_FIELD_NUMBER: _ClassVar[int]
    credential: CredentialInfo
    scopes: _containers.RepeatedScalarFieldContainer[str]
    scope_count: int
    def __init__(self, credential: _Optional[_Union[CredentialInfo, _Mapping]] = ..., scopes: _Optional[_Iterable[str]] = ..., scope_count: _Optional[int] = ...) -> None: ...

class DisableCredentialRequest(_message.Message):
    __slots__ = ("command",)
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    command: _common_pb2.SignedCommand
    def __init__(self, command: _Optional[_Union[_common_pb2.SignedCommand, _Mapping]] = ...) -> None: ...

class DisableCredentialCommand(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DisableCredentialResponse(_message.Message):
    __slots__ = ("change", "outstanding")
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    OUTSTANDING_FIELD_NUMBER: _ClassVar[int]
    change: _common_pb2.Change
    outstanding: Outstanding
    def __init__(self, change: _Optional[_Union[_common_pb2.Change, _Mapping]] = ..., outstanding: _Optional[_Union[Outstanding, _Mapping]] = ...) -> None: ...

class EnableCredentialRequest(_message.Message):
    __slots__ = ("command",)
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    command: _common_pb2.SignedCommand
    def __init__(self, command: _Optional[_Union[_common_pb2.SignedCommand, _Mapping]] = ...) -> None: ...

class EnableCredentialCommand(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class EnableCredentialResponse(_message.Message):
    __slots__ = ("change",)
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    change: _common_pb2.Change
    def __init__(self, change: _Optional[_Union[_common_pb2.Change, _Mapping]] = ...) -> None: ...

class Outstanding(_message.Message):
    __slots__ = ("usable_for_ms", "without_expiry")
    USABLE_FOR_MS_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_EXPIRY_FIELD_NUMBER: _ClassVar[int]
    usable_for_ms: int
    without_expiry: bool
    def __init__(self, usable_for_ms: _Optional[int] = ..., without_expiry: bool = ...) -> None: ...

class CheckCredentialRequest(_message.Message):
    __slots__ = ("command",)
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    command: _common_pb2.SignedCommand
    def __init__(self, command: _Optional[_Union[_common_pb2.SignedCommand, _Mapping]] = ...) -> None: ...

class CheckCredentialCommand(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class CheckCredentialResponse(_message.Message):
    __slots__ = ("check",)
    CHECK_FIELD_NUMBER: _ClassVar[int]
    check: CredentialCheck
    def __init__(self, check: _Optional[_Union[CredentialCheck, _Mapping]] = ...) -> None: ...

class CredentialCheck(_message.Message):
    __slots__ = ("checked_at_us", "findings", "rights", "problem", "drifted")
    CHECKED_AT_US_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    RIGHTS_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    DRIFTED_FIELD_NUMBER: _ClassVar[int]
    checked_at_us: int
    findings: _containers.RepeatedCompositeFieldContainer[CredentialFinding]
    rights: _containers.RepeatedScalarFieldContainer[str]
    problem: str
    drifted: bool
    def __init__(self, checked_at_us: _Optional[int] = ..., findings: _Optional[_Iterable[_Union[CredentialFinding, _Mapping]]] = ..., rights: _Optional[_Iterable[str]] = ..., problem: _Optional[str] = ..., drifted: bool = ...) -> None: ...

class CredentialFinding(_message.Message):
    __slots__ = ("code", "severity", "message", "hint")
    CODE_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    code: str
    severity: str
    message: str
    hint: str
    def __init__(self, code: _Optional[str] = ..., severity: _Optional[str] = ..., message: _Optional[str] = ..., hint: _Optional[str] = ...) -> None: ...
