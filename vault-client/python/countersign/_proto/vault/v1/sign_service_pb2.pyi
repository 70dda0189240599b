from countersign._proto.vault.v1 import common_pb2 as _common_pb2
from countersign._proto.vault.v1 import scope_service_pb2 as _scope_service_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SignRequest(_message.Message):
    __slots__ = ("request_id", "credential", "request")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    credential: str
    request: _common_pb2.VenueRequest
    def __init__(self, request_id: _Optional[str] = ..., credential: _Optional[str] = ..., request: _Optional[_Union[_common_pb2.VenueRequest, _Mapping]] = ...) -> None: ...

class SignResponse(_message.Message):
    __slots__ = ("request", "usable_for_ms", "receipt", "seq", "notional_usd", "limits_left")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    USABLE_FOR_MS_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    NOTIONAL_USD_FIELD_NUMBER: _ClassVar[int]
    LIMITS_LEFT_FIELD_NUMBER: _ClassVar[int]
    request: _common_pb2.SignedRequest
    usable_for_ms: int
    receipt: _common_pb2.Receipt
    seq: int
    notional_usd: str
    limits_left: _containers.RepeatedCompositeFieldContainer[_scope_service_pb2.LimitLeft]
    def __init__(self, request: _Optional[_Union[_common_pb2.SignedRequest, _Mapping]] = ..., usable_for_ms: _Optional[int] = ..., receipt: _Optional[_Union[_common_pb2.Receipt, _Mapping]] = ..., seq: _Optional[int] = ..., notional_usd: _Optional[str] = ..., limits_left: _Optional[_Iterable[_Union[_scope_service_pb2.LimitLeft, _Mapping]]] = ...) -> None: ...
