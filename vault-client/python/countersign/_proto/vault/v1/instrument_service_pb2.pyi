from countersign._proto.vault.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Instrument(_message.Message):
    __slots__ = ("venue", "product", "symbol", "base", "quote", "contract_size", "size_unit", "reference", "price_tick", "quantity_step")
    VENUE_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    QUOTE_FIELD_NUMBER: _ClassVar[int]
    CONTRACT_SIZE_FIELD_NUMBER: _ClassVar[int]
    SIZE_UNIT_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    PRICE_TICK_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_STEP_FIELD_NUMBER: _ClassVar[int]
    venue: str
    product: str
    symbol: str
    base: str
    quote: str
    contract_size: str
    size_unit: str
    reference: str
    price_tick: str
    quantity_step: str
    def __init__(self, venue: _Optional[str] = ..., product: _Optional[str] = ..., symbol: _Optional[str] = ..., base: _Optional[str] = ..., quote: _Optional[str] = ..., contract_size: _Optional[str] = ..., size_unit: _Optional[str] = ..., reference: _Optional[str] = ..., price_tick: _Optional[str] = ..., quantity_step: _Optional[str] = ...) -> None: ...

class ImportInstrumentsRequest(_message.Message):
    __slots__ = ("command",)
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    command: _common_pb2.SignedCommand
    def __init__(self, command: _Optional[_Union[_common_pb2.SignedCommand, _Mapping]] = ...) -> None: ...

class ImportInstrumentsCommand(_message.Message):
    __slots__ = ("instruments",)
    INSTRUMENTS_FIELD_NUMBER: _ClassVar[int]
    instruments: _containers.RepeatedCompositeFieldContainer[Instrument]
    def __init__(self, instruments: _Optional[_Iterable[_Union[Instrument, _Mapping]]] = ...) -> None: ...

class ImportInstrumentsResponse(_message.Message):
    __slots__ = ("change", "added", "changed", "same")
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    ADDED_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    SAME_FIELD_NUMBER: _ClassVar[int]
    change: _common_pb2.Change
    added: int
    changed: int
    same: int
    def __init__(self, change: _Optional[_Union[_common_pb2.Change, _Mapping]] = ..., added: _Optional[int] = ..., changed: _Optional[int] = ..., same: _Optional[int] = ...) -> None: ...

class ListInstrumentsRequest(_message.Message):
    __slots__ = ("command",)
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    command: _common_pb2.SignedCommand
    def __init__(self, command: _Optional[_Union[_common_pb2.SignedCommand, _Mapping]] = ...) -> None: ...

class ListInstrumentsCommand(_message.Message):
    __slots__ = ("venue", "page_size", "page_token")
    VENUE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    venue: str
    page_size: int
    page_token: str
    def __init__(self, venue: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListInstrumentsResponse(_message.Message):
    __slots__ = ("instruments", "next_page_token")
    INSTRUMENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    instruments: _containers.RepeatedCompositeFieldContainer[Instrument]
    next_page_token: str
    def __init__(self, instruments: _Optional[_Iterable[_Union[Instrument, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class InstrumentKey(_message.Message):
    __slots__ = ("venue", "product", "symbol")
    VENUE_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    venue: str
    product: str
    symbol: str
    def __init__(self, venue: _Optional[str] = ..., product: _Optional[str] = ..., symbol: _Optional[str] = ...) -> None: ...

class DeleteInstrumentsRequest(_message.Message):
    __slots__ = ("command",)
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    command: _common_pb2.SignedCommand
    def __init__(self, command: _Optional[_Union[_common_pb2.SignedCommand, _Mapping]] = ...) -> None: ...

class DeleteInstrumentsCommand(_message.Message):
    __slots__ = ("keys",)
    KEYS_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedCompositeFieldContainer[InstrumentKey]
    def __init__(self, keys: _Optional[_Iterable[_Union[InstrumentKey, _Mapping]]] = ...) -> None: ...

class DeleteInstrumentsResponse(_message.Message):
    __slots__ = ("change",)
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    change: _common_pb2.Change
    def __init__(self, change: _Optional[_Union[_common_pb2.Change, _Mapping]] = ...) -> None: ...
