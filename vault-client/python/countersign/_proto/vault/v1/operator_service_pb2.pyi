from countersign._proto.vault.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class InviteOperatorRequest(_message.Message):
    __slots__ = ("command",)
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    command: _common_pb2.SignedCommand
    def __init__(self, command: _Optional[_Union[_common_pb2.SignedCommand, _Mapping]] = ...) -> None: ...

class InviteOperatorCommand(_message.Message):
    __slots__ = ("name", "role", "invite")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    INVITE_FIELD_NUMBER: _ClassVar[int]
    name: str
    role: _common_pb2.Role
    invite: _common_pb2.InviteSpec
    def __init__(self, name: _Optional[str] = ..., role: _Optional[_Union[_common_pb2.Role, str]] = ..., invite: _Optional[_Union[_common_pb2.InviteSpec, _Mapping]] = ...) -> None: ...

class InviteOperatorResponse(_message.Message):
    __slots__ = ("invite",)
    INVITE_FIELD_NUMBER: _ClassVar[int]
    invite: _common_pb2.InviteResult
    def __init__(self, invite: _Optional[_Union[_common_pb2.InviteResult, _Mapping]] = ...) -> None: ...

class OperatorInfo(_message.Message):
    __slots__ = ("name", "role", "state", "created_at_ms", "certificates", "invited_by", "invite_ends_ms")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATES_FIELD_NUMBER: _ClassVar[int]
    INVITED_BY_FIELD_NUMBER: _ClassVar[int]
    INVITE_ENDS_MS_FIELD_NUMBER: _ClassVar[int]
    name: str
    role: _common_pb2.Role
    state: str
    created_at_ms: int
    certificates: _containers.RepeatedCompositeFieldContainer[_common_pb2.CertificateInfo]
    invited_by: str
    invite_ends_ms: int
    def __init__(self, name: _Optional[str] = ..., role: _Optional[_Union[_common_pb2.Role, str]] = ..., state: _Optional[str] = ..., created_at_ms: _Optional[int] = ..., certificates: _Optional[_Iterable[_Union[_common_pb2.CertificateInfo, _Mapping]]] = ..., invited_by: _Optional[str] = ..., invite_ends_ms: _Optional[int] = ...) -> None: ...

class ListOperatorsRequest(_message.Message):
    __slots__ = ("command",)
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    command: _common_pb2.SignedCommand
    def __init__(self, command: _Optional[_Union[_common_pb2.SignedCommand, _Mapping]] = ...) -> None: ...

class ListOperatorsCommand(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListOperatorsResponse(_message.Message):
    __slots__ = ("operators", "next_page_token")
    OPERATORS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    operators: _containers.RepeatedCompositeFieldContainer[OperatorInfo]
    next_page_token: str
    def __init__(self, operators: _Optional[_Iterable[_Union[OperatorInfo, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class RevokeOperatorRequest(_message.Message):
    __slots__ = ("command",)
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    command: _common_pb2.SignedCommand
    def __init__(self, command: _Optional[_Union[_common_pb2.SignedCommand, _Mapping]] = ...) -> None: ...

class RevokeOperatorCommand(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class RevokeOperatorResponse(_message.Message):
    __slots__ = ("change", "withdrawn_invites")
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    WITHDRAWN_INVITES_FIELD_NUMBER: _ClassVar[int]
    change: _common_pb2.Change
    withdrawn_invites: int
    def __init__(self, change: _Optional[_Union[_common_pb2.Change, _Mapping]] = ..., withdrawn_invites: _Optional[int] = ...) -> None: ...
