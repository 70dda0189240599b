from countersign._proto.vault.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Feed(_message.Message):
    __slots__ = ("pair", "pricers", "max_age", "max_step", "step_every", "agree_within", "anchor")
    PAIR_FIELD_NUMBER: _ClassVar[int]
    PRICERS_FIELD_NUMBER: _ClassVar[int]
    MAX_AGE_FIELD_NUMBER: _ClassVar[int]
    MAX_STEP_FIELD_NUMBER: _ClassVar[int]
    STEP_EVERY_FIELD_NUMBER: _ClassVar[int]
    AGREE_WITHIN_FIELD_NUMBER: _ClassVar[int]
    ANCHOR_FIELD_NUMBER: _ClassVar[int]
    pair: str
    pricers: _containers.RepeatedScalarFieldContainer[str]
    max_age: str
    max_step: str
    step_every: str
    agree_within: str
    anchor: str
    def __init__(self, pair: _Optional[str] = ..., pricers: _Optional[_Iterable[str]] = ..., max_age: _Optional[str] = ..., max_step: _Optional[str] = ..., step_every: _Optional[str] = ..., agree_within: _Optional[str] = ..., anchor: _Optional[str] = ...) -> None: ...

class PutPricesRequest(_message.Message):
    __slots__ = ("command",)
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    command: _common_pb2.SignedCommand
    def __init__(self, command: _Optional[_Union[_common_pb2.SignedCommand, _Mapping]] = ...) -> None: ...

class PutPricesCommand(_message.Message):
    __slots__ = ("quotes",)
    QUOTES_FIELD_NUMBER: _ClassVar[int]
    quotes: _containers.RepeatedCompositeFieldContainer[Quote]
    def __init__(self, quotes: _Optional[_Iterable[_Union[Quote, _Mapping]]] = ...) -> None: ...

class Quote(_message.Message):
    __slots__ = ("pair", "price")
    PAIR_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    pair: str
    price: str
    def __init__(self, pair: _Optional[str] = ..., price: _Optional[str] = ...) -> None: ...

class PutPricesResponse(_message.Message):
    __slots__ = ("answers",)
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    answers: _containers.RepeatedCompositeFieldContainer[QuoteAnswer]
    def __init__(self, answers: _Optional[_Iterable[_Union[QuoteAnswer, _Mapping]]] = ...) -> None: ...

class QuoteAnswer(_message.Message):
    __slots__ = ("pair", "accepted", "reason", "hint")
    PAIR_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    pair: str
    accepted: bool
    reason: str
    hint: str
    def __init__(self, pair: _Optional[str] = ..., accepted: bool = ..., reason: _Optional[str] = ..., hint: _Optional[str] = ...) -> None: ...

class PutFeedRequest(_message.Message):
    __slots__ = ("command",)
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    command: _common_pb2.SignedCommand
    def __init__(self, command: _Optional[_Union[_common_pb2.SignedCommand, _Mapping]] = ...) -> None: ...

class PutFeedCommand(_message.Message):
    __slots__ = ("feed",)
    FEED_FIELD_NUMBER: _ClassVar[int]
    feed: Feed
    def __init__(self, feed: _Optional[_Union[Feed, _Mapping]] = ...) -> None: ...

class PutFeedResponse(_message.Message):
    __slots__ = ("change",)
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    change: _common_pb2.Change
    def __init__(self, change: _Optional[_Union[_common_pb2.Change, _Mapping]] = ...) -> None: ...

class DeleteFeedRequest(_message.Message):
    __slots__ = ("command",)
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    command: _common_pb2.SignedCommand
    def __init__(self, command: _Optional[_Union[_common_pb2.SignedCommand, _Mapping]] = ...) -> None: ...

class DeleteFeedCommand(_message.Message):
    __slots__ = ("pair",)
    PAIR_FIELD_NUMBER: _ClassVar[int]
    pair: str
    def __init__(self, pair: _Optional[str] = ...) -> None: ...

class DeleteFeedResponse(_message.Message):
    __slots__ = ("change",)
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    change: _common_pb2.Change
    def __init__(self, change: _Optional[_Union[_common_pb2.Change, _Mapping]] = ...) -> None: ...

class ListPricesRequest(_message.Message):
    __slots__ = ("command",)
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    command: _common_pb2.SignedCommand
    def __init__(self, command: _Optional[_Union[_common_pb2.SignedCommand, _Mapping]] = ...) -> None: ...

class ListPricesCommand(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListPricesResponse(_message.Message):
    __slots__ = ("feeds", "next_page_token")
    FEEDS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    feeds: _containers.RepeatedCompositeFieldContainer[FeedInfo]
    next_page_token: str
    def __init__(self, feeds: _Optional[_Iterable[_Union[FeedInfo, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class FeedInfo(_message.Message):
    __slots__ = ("feed", "price", "age_ms", "accepted", "refused")
    FEED_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    AGE_MS_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    feed: Feed
    price: str
    age_ms: int
    accepted: int
    refused: int
    def __init__(self, feed: _Optional[_Union[Feed, _Mapping]] = ..., price: _Optional[str] = ..., age_ms: _Optional[int] = ..., accepted: _Optional[int] = ..., refused: _Optional[int] = ...) -> None: ...
