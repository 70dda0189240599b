from countersign._proto.vault.v1 import common_pb2 as _common_pb2
from countersign._proto.vault.v1 import scope_service_pb2 as _scope_service_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ExecuteRequest(_message.Message):
    __slots__ = ("request_id", "credential", "request")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    credential: str
    request: _common_pb2.VenueRequest
    def __init__(self, request_id: _Optional[str] = ..., credential: _Optional[str] = ..., request: _Optional[_Union[_common_pb2.VenueRequest, _Mapping]] = ...) -> None: ...

class ExecuteResponse(_message.Message):
    __slots__ = ("status", "headers", "body", "execution", "latency_us")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_FIELD_NUMBER: _ClassVar[int]
    LATENCY_US_FIELD_NUMBER: _ClassVar[int]
    status: int
    headers: _containers.RepeatedCompositeFieldContainer[_common_pb2.Header]
    body: bytes
    execution: Execution
    latency_us: int
    def __init__(self, status: _Optional[int] = ..., headers: _Optional[_Iterable[_Union[_common_pb2.Header, _Mapping]]] = ..., body: _Optional[bytes] = ..., execution: _Optional[_Union[Execution, _Mapping]] = ..., latency_us: _Optional[int] = ...) -> None: ...

class ExecuteStreamResponse(_message.Message):
    __slots__ = ("head", "body")
    HEAD_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    head: ExecuteResponse
    body: bytes
    def __init__(self, head: _Optional[_Union[ExecuteResponse, _Mapping]] = ..., body: _Optional[bytes] = ...) -> None: ...

class Execution(_message.Message):
    __slots__ = ("receipt", "seq", "notional_usd", "limits_left")
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    NOTIONAL_USD_FIELD_NUMBER: _ClassVar[int]
    LIMITS_LEFT_FIELD_NUMBER: _ClassVar[int]
    receipt: _common_pb2.Receipt
    seq: int
    notional_usd: str
    limits_left: _containers.RepeatedCompositeFieldContainer[_scope_service_pb2.LimitLeft]
    def __init__(self, receipt: _Optional[_Union[_common_pb2.Receipt, _Mapping]] = ..., seq: _Optional[int] = ..., notional_usd: _Optional[str] = ..., limits_left: _Optional[_Iterable[_Union[_scope_service_pb2.LimitLeft, _Mapping]]] = ...) -> None: ...
