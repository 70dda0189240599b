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
    __slots__ = ("name", "venue", "environment", "rights", "rights_stated", "assume", "disclose_passphrase", "nonce_floor")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VENUE_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    RIGHTS_FIELD_NUMBER: _ClassVar[int]
    RIGHTS_STATED_FIELD_NUMBER: _ClassVar[int]
    ASSUME_FIELD_NUMBER: _ClassVar[int]
    DISCLOSE_PASSPHRASE_FIELD_NUMBER: _ClassVar[int]
    NONCE_FLOOR_FIELD_NUMBER: _ClassVar[int]
    name: str
    venue: str
    environment: str
    rights: _containers.RepeatedScalarFieldContainer[str]
    rights_stated: bool
    assume: _containers.RepeatedScalarFieldContainer[str]
    disclose_passphrase: bool
    nonce_floor: int
    def __init__(self, name: _Optional[str] = ..., venue: _Optional[str] = ..., environment: _Optional[str] = ..., rights: _Optional[_Iterable[str]] = ..., rights_stated: bool = ..., assume: _Optional[_Iterable[str]] = ..., disclose_passphrase: bool = ..., nonce_floor: _Optional[int] = ...) -> None: ...

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
    __slots__ = ("ticket_id", "metadata", "sealed", "key_type")
    TICKET_ID_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    KEY_TYPE_FIELD_NUMBER: _ClassVar[int]
    ticket_id: bytes
    metadata: CredentialMetadata
    sealed: bytes
    key_type: str
    def __init__(self, ticket_id: _Optional[bytes] = ..., metadata: _Optional[_Union[CredentialMetadata, _Mapping]] = ..., sealed: _Optional[bytes] = ..., key_type: _Optional[str] = ...) -> None: ...

class ImportResponse(_message.Message):
    __slots__ = ("change", "version", "key_type")
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    KEY_TYPE_FIELD_NUMBER: _ClassVar[int]
    change: _common_pb2.Change
    version: int
    key_type: str
    def __init__(self, change: _Optional[_Union[_common_pb2.Change, _Mapping]] = ..., version: _Optional[int] = ..., key_type: _Optional[str] = ...) -> None: ...

class CredentialInfo(_message.Message):
    __slots__ = ("metadata", "version", "state", "created_at_ms", "key_type")
    METADATA_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    KEY_TYPE_FIELD_NUMBER: _ClassVar[int]
    metadata: CredentialMetadata
    version: int
    state: str
    created_at_ms: int
    key_type: str
    def __init__(self, metadata: _Optional[_Union[CredentialMetadata, _Mapping]] = ..., version: _Optional[int] = ..., state: _Optional[str] = ..., created_at_ms: _Optional[int] = ..., key_type: _Optional[str] = ...) -> None: ...

class ListCredentialsRequest(_message.Message):
    __slots__ = ("command",)
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    command: _common_pb2.SignedCommand
    def __init__(self, command: _Optional[_Union[_common_pb2.SignedCommand, _Mapping]] = ...) -> None: ...

class ListCredentialsCommand(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListCredentialsResponse(_message.Message):
    __slots__ = ("credentials",)
    CREDENTIALS_FIELD_NUMBER: _ClassVar[int]
    credentials: _containers.RepeatedCompositeFieldContainer[CredentialInfo]
    def __init__(self, credentials: _Optional[_Iterable[_Union[CredentialInfo, _Mapping]]] = ...) -> None: ...

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
    __slots__ = ("credential", "scopes")
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    credential: CredentialInfo
    scopes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, credential: _Optional[_Union[CredentialInfo, _Mapping]] = ..., scopes: _Optional[_Iterable[str]] = ...) -> None: ...

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
