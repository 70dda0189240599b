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

class SignBatchRequest(_message.Message):
    __slots__ = ("requests",)
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[SignRequest]
    def __init__(self, requests: _Optional[_Iterable[_Union[SignRequest, _Mapping]]] = ...) -> None: ...

class SignBatchResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[SignResult]
    def __init__(self, results: _Optional[_Iterable[_Union[SignResult, _Mapping]]] = ...) -> None: ...

class SignResult(_message.Message):
    __slots__ = ("request_id", "signed", "failure")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SIGNED_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    signed: SignResponse
    failure: SignFailure
    def __init__(self, request_id: _Optional[str] = ..., signed: _Optional[_Union[SignResponse, _Mapping]] = ..., failure: _Optional[_Union[SignFailure, _Mapping]] = ...) -> None: ...

class SignFailure(_message.Message):
    __slots__ = ("code", "message", "reason", "metadata")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    reason: str
    metadata: _containers.ScalarMap[str, str]
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ..., reason: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ...) -> None: ...
