from countersign._proto.vault.v1 import common_pb2 as _common_pb2
from countersign._proto.vault.v1 import credential_service_pb2 as _credential_service_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class HaltLevel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    HALT_LEVEL_UNSPECIFIED: _ClassVar[HaltLevel]
    HALT_LEVEL_NO_NEW_RISK: _ClassVar[HaltLevel]
    HALT_LEVEL_NOTHING: _ClassVar[HaltLevel]
HALT_LEVEL_UNSPECIFIED: HaltLevel
HALT_LEVEL_NO_NEW_RISK: HaltLevel
HALT_LEVEL_NOTHING: HaltLevel

class HaltRequest(_message.Message):
    __slots__ = ("command",)
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    command: _common_pb2.SignedCommand
    def __init__(self, command: _Optional[_Union[_common_pb2.SignedCommand, _Mapping]] = ...) -> None: ...

class HaltCommand(_message.Message):
    __slots__ = ("level", "target", "reason")
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    level: HaltLevel
    target: str
    reason: str
    def __init__(self, level: _Optional[_Union[HaltLevel, str]] = ..., target: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class HaltResponse(_message.Message):
    __slots__ = ("change", "outstanding", "symbol_unknown")
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    OUTSTANDING_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    change: _common_pb2.Change
    outstanding: _credential_service_pb2.Outstanding
    symbol_unknown: bool
    def __init__(self, change: _Optional[_Union[_common_pb2.Change, _Mapping]] = ..., outstanding: _Optional[_Union[_credential_service_pb2.Outstanding, _Mapping]] = ..., symbol_unknown: bool = ...) -> None: ...

class ResumeRequest(_message.Message):
    __slots__ = ("command",)
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    command: _common_pb2.SignedCommand
    def __init__(self, command: _Optional[_Union[_common_pb2.SignedCommand, _Mapping]] = ...) -> None: ...

class ResumeCommand(_message.Message):
    __slots__ = ("target", "halted_at_us")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    HALTED_AT_US_FIELD_NUMBER: _ClassVar[int]
    target: str
    halted_at_us: int
    def __init__(self, target: _Optional[str] = ..., halted_at_us: _Optional[int] = ...) -> None: ...

class ResumeResponse(_message.Message):
    __slots__ = ("change",)
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    change: _common_pb2.Change
    def __init__(self, change: _Optional[_Union[_common_pb2.Change, _Mapping]] = ...) -> None: ...

class HaltStatusRequest(_message.Message):
    __slots__ = ("command",)
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    command: _common_pb2.SignedCommand
    def __init__(self, command: _Optional[_Union[_common_pb2.SignedCommand, _Mapping]] = ...) -> None: ...

class HaltStatusCommand(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class HaltInfo(_message.Message):
    __slots__ = ("target", "level", "reason", "by", "at_ms", "at_us")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    AT_US_FIELD_NUMBER: _ClassVar[int]
    target: str
    level: HaltLevel
    reason: str
    by: str
    at_ms: int
    at_us: int
    def __init__(self, target: _Optional[str] = ..., level: _Optional[_Union[HaltLevel, str]] = ..., reason: _Optional[str] = ..., by: _Optional[str] = ..., at_ms: _Optional[int] = ..., at_us: _Optional[int] = ...) -> None: ...

class HaltStatusResponse(_message.Message):
    __slots__ = ("halts", "next_page_token")
    HALTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    halts: _containers.RepeatedCompositeFieldContainer[HaltInfo]
    next_page_token: str
    def __init__(self, halts: _Optional[_Iterable[_Union[HaltInfo, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class CancelAllRequest(_message.Message):
    __slots__ = ("command",)
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    command: _common_pb2.SignedCommand
    def __init__(self, command: _Optional[_Union[_common_pb2.SignedCommand, _Mapping]] = ...) -> None: ...

class CancelAllCommand(_message.Message):
    __slots__ = ("target",)
    TARGET_FIELD_NUMBER: _ClassVar[int]
    target: str
    def __init__(self, target: _Optional[str] = ...) -> None: ...

class CancelAllResponse(_message.Message):
    __slots__ = ("steps",)
    STEPS_FIELD_NUMBER: _ClassVar[int]
    steps: _containers.RepeatedCompositeFieldContainer[CancelAllStep]
    def __init__(self, steps: _Optional[_Iterable[_Union[CancelAllStep, _Mapping]]] = ...) -> None: ...

class CancelAllStep(_message.Message):
    __slots__ = ("credential", "venue", "operation", "symbol", "entry", "status", "problem", "order_count")
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    VENUE_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    ORDER_COUNT_FIELD_NUMBER: _ClassVar[int]
    credential: str
    venue: str
    operation: str
    symbol: str
    entry: int
    status: int
    problem: str
    order_count: int
    def __init__(self, credential: _Optional[str] = ..., venue: _Optional[str] = ..., operation: _Optional[str] = ..., symbol: _Optional[str] = ..., entry: _Optional[int] = ..., status: _Optional[int] = ..., problem: _Optional[str] = ..., order_count: _Optional[int] = ...) -> None: ...
