from countersign._proto.vault.v1 import common_pb2 as _common_pb2
from countersign._proto.vault.v1 import credential_service_pb2 as _credential_service_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Scope(_message.Message):
    __slots__ = ("name", "description", "credentials", "classes", "operations", "modes", "products", "symbols", "network", "orders", "pricing", "cumulative", "hours", "duplicates", "withdrawal", "shadow")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    CREDENTIALS_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    MODES_FIELD_NUMBER: _ClassVar[int]
    PRODUCTS_FIELD_NUMBER: _ClassVar[int]
    SYMBOLS_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    PRICING_FIELD_NUMBER: _ClassVar[int]
    CUMULATIVE_FIELD_NUMBER: _ClassVar[int]
    HOURS_FIELD_NUMBER: _ClassVar[int]
    DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    WITHDRAWAL_FIELD_NUMBER: _ClassVar[int]
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    credentials: _containers.RepeatedScalarFieldContainer[str]
    classes: _containers.RepeatedScalarFieldContainer[str]
    operations: _containers.RepeatedScalarFieldContainer[str]
    modes: _containers.RepeatedScalarFieldContainer[str]
    products: _containers.RepeatedScalarFieldContainer[str]
    symbols: _containers.RepeatedCompositeFieldContainer[VenueSymbols]
    network: Network
    orders: OrderRules
    pricing: Pricing
    cumulative: Cumulative
    hours: Hours
    duplicates: Duplicates
    withdrawal: Withdrawal
    shadow: str
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., credentials: _Optional[_Iterable[str]] = ..., classes: _Optional[_Iterable[str]] = ..., operations: _Optional[_Iterable[str]] = ..., modes: _Optional[_Iterable[str]] = ..., products: _Optional[_Iterable[str]] = ..., symbols: _Optional[_Iterable[_Union[VenueSymbols, _Mapping]]] = ..., network: _Optional[_Union[Network, _Mapping]] = ..., orders: _Optional[_Union[OrderRules, _Mapping]] = ..., pricing: _Optional[_Union[Pricing, _Mapping]] = ..., cumulative: _Optional[_Union[Cumulative, _Mapping]] = ..., hours: _Optional[_Union[Hours, _Mapping]] = ..., duplicates: _Optional[_Union[Duplicates, _Mapping]] = ..., withdrawal: _Optional[_Union[Withdrawal, _Mapping]] = ..., shadow: _Optional[str] = ...) -> None: ...

class Words(_message.Message):
    __slots__ = ("words",)
    WORDS_FIELD_NUMBER: _ClassVar[int]
    words: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, words: _Optional[_Iterable[str]] = ...) -> None: ...

class OrderRules(_message.Message):
    __slots__ = ("types", "time_in_force", "reduce_only", "post_only", "max_quantity", "max_notional_usd", "price_band", "max_leverage", "margin_modes")
    TYPES_FIELD_NUMBER: _ClassVar[int]
    TIME_IN_FORCE_FIELD_NUMBER: _ClassVar[int]
    REDUCE_ONLY_FIELD_NUMBER: _ClassVar[int]
    POST_ONLY_FIELD_NUMBER: _ClassVar[int]
    MAX_QUANTITY_FIELD_NUMBER: _ClassVar[int]
    MAX_NOTIONAL_USD_FIELD_NUMBER: _ClassVar[int]
    PRICE_BAND_FIELD_NUMBER: _ClassVar[int]
    MAX_LEVERAGE_FIELD_NUMBER: _ClassVar[int]
    MARGIN_MODES_FIELD_NUMBER: _ClassVar[int]
    types: Words
    time_in_force: Words
    reduce_only: bool
    post_only: bool
    max_quantity: QuantityLimits
    max_notional_usd: str
    price_band: str
    max_leverage: str
    margin_modes: Words
    def __init__(self, types: _Optional[_Union[Words, _Mapping]] = ..., time_in_force: _Optional[_Union[Words, _Mapping]] = ..., reduce_only: bool = ..., post_only: bool = ..., max_quantity: _Optional[_Union[QuantityLimits, _Mapping]] = ..., max_notional_usd: _Optional[str] = ..., price_band: _Optional[str] = ..., max_leverage: _Optional[str] = ..., margin_modes: _Optional[_Union[Words, _Mapping]] = ...) -> None: ...

class QuantityLimits(_message.Message):
    __slots__ = ("limits",)
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    limits: _containers.RepeatedCompositeFieldContainer[QuantityLimit]
    def __init__(self, limits: _Optional[_Iterable[_Union[QuantityLimit, _Mapping]]] = ...) -> None: ...

class QuantityLimit(_message.Message):
    __slots__ = ("venue", "symbol", "at_most")
    VENUE_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    AT_MOST_FIELD_NUMBER: _ClassVar[int]
    venue: str
    symbol: str
    at_most: str
    def __init__(self, venue: _Optional[str] = ..., symbol: _Optional[str] = ..., at_most: _Optional[str] = ...) -> None: ...

class Pricing(_message.Message):
    __slots__ = ("usd_par", "slippage")
    USD_PAR_FIELD_NUMBER: _ClassVar[int]
    SLIPPAGE_FIELD_NUMBER: _ClassVar[int]
    usd_par: _containers.RepeatedScalarFieldContainer[str]
    slippage: str
    def __init__(self, usd_par: _Optional[_Iterable[str]] = ..., slippage: _Optional[str] = ...) -> None: ...

class Cumulative(_message.Message):
    __slots__ = ("notional_usd", "orders", "open_orders")
    NOTIONAL_USD_FIELD_NUMBER: _ClassVar[int]
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    OPEN_ORDERS_FIELD_NUMBER: _ClassVar[int]
    notional_usd: _containers.RepeatedCompositeFieldContainer[NotionalCap]
    orders: _containers.RepeatedCompositeFieldContainer[OrderCap]
    open_orders: int
    def __init__(self, notional_usd: _Optional[_Iterable[_Union[NotionalCap, _Mapping]]] = ..., orders: _Optional[_Iterable[_Union[OrderCap, _Mapping]]] = ..., open_orders: _Optional[int] = ...) -> None: ...

class NotionalCap(_message.Message):
    __slots__ = ("per", "at_most")
    PER_FIELD_NUMBER: _ClassVar[int]
    AT_MOST_FIELD_NUMBER: _ClassVar[int]
    per: str
    at_most: str
    def __init__(self, per: _Optional[str] = ..., at_most: _Optional[str] = ...) -> None: ...

class OrderCap(_message.Message):
    __slots__ = ("per", "at_most")
    PER_FIELD_NUMBER: _ClassVar[int]
    AT_MOST_FIELD_NUMBER: _ClassVar[int]
    per: str
    at_most: int
    def __init__(self, per: _Optional[str] = ..., at_most: _Optional[int] = ...) -> None: ...

class Hours(_message.Message):
    __slots__ = ("timezone", "windows")
    TIMEZONE_FIELD_NUMBER: _ClassVar[int]
    WINDOWS_FIELD_NUMBER: _ClassVar[int]
    timezone: str
    windows: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, timezone: _Optional[str] = ..., windows: _Optional[_Iterable[str]] = ...) -> None: ...

class Duplicates(_message.Message):
    __slots__ = ("client_order_id", "order")
    CLIENT_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    client_order_id: str
    order: str
    def __init__(self, client_order_id: _Optional[str] = ..., order: _Optional[str] = ...) -> None: ...

class Withdrawal(_message.Message):
    __slots__ = ("addresses", "per_day")
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    PER_DAY_FIELD_NUMBER: _ClassVar[int]
    addresses: _containers.RepeatedCompositeFieldContainer[WithdrawalAddress]
    per_day: _containers.RepeatedCompositeFieldContainer[AmountCap]
    def __init__(self, addresses: _Optional[_Iterable[_Union[WithdrawalAddress, _Mapping]]] = ..., per_day: _Optional[_Iterable[_Union[AmountCap, _Mapping]]] = ...) -> None: ...

class WithdrawalAddress(_message.Message):
    __slots__ = ("venue", "asset", "address")
    VENUE_FIELD_NUMBER: _ClassVar[int]
    ASSET_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    venue: str
    asset: str
    address: str
    def __init__(self, venue: _Optional[str] = ..., asset: _Optional[str] = ..., address: _Optional[str] = ...) -> None: ...

class AmountCap(_message.Message):
    __slots__ = ("venue", "asset", "at_most")
    VENUE_FIELD_NUMBER: _ClassVar[int]
    ASSET_FIELD_NUMBER: _ClassVar[int]
    AT_MOST_FIELD_NUMBER: _ClassVar[int]
    venue: str
    asset: str
    at_most: str
    def __init__(self, venue: _Optional[str] = ..., asset: _Optional[str] = ..., at_most: _Optional[str] = ...) -> None: ...

class VenueSymbols(_message.Message):
    __slots__ = ("venue", "symbols")
    VENUE_FIELD_NUMBER: _ClassVar[int]
    SYMBOLS_FIELD_NUMBER: _ClassVar[int]
    venue: str
    symbols: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, venue: _Optional[str] = ..., symbols: _Optional[_Iterable[str]] = ...) -> None: ...

class Network(_message.Message):
    __slots__ = ("allow", "deny", "allow_any", "countries")
    ALLOW_FIELD_NUMBER: _ClassVar[int]
    DENY_FIELD_NUMBER: _ClassVar[int]
    ALLOW_ANY_FIELD_NUMBER: _ClassVar[int]
    COUNTRIES_FIELD_NUMBER: _ClassVar[int]
    allow: _containers.RepeatedScalarFieldContainer[str]
    deny: _containers.RepeatedScalarFieldContainer[str]
    allow_any: bool
    countries: Words
    def __init__(self, allow: _Optional[_Iterable[str]] = ..., deny: _Optional[_Iterable[str]] = ..., allow_any: bool = ..., countries: _Optional[_Union[Words, _Mapping]] = ...) -> None: ...

class ScopeInfo(_message.Message):
    __slots__ = ("scope", "revision", "updated_at_ms", "clients", "shadow_judged", "shadow_diverged", "client_count")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    CLIENTS_FIELD_NUMBER: _ClassVar[int]
    SHADOW_JUDGED_FIELD_NUMBER: _ClassVar[int]
    SHADOW_DIVERGED_FIELD_NUMBER: _ClassVar[int]
    CLIENT_COUNT_FIELD_NUMBER: _ClassVar[int]
    scope: Scope
    revision: int
    updated_at_ms: int
    clients: _containers.RepeatedScalarFieldContainer[str]
    shadow_judged: int
    shadow_diverged: int
    client_count: int
    def __init__(self, scope: _Optional[_Union[Scope, _Mapping]] = ..., revision: _Optional[int] = ..., updated_at_ms: _Optional[int] = ..., clients: _Optional[_Iterable[str]] = ..., shadow_judged: _Optional[int] = ..., shadow_diverged: _Optional[int] = ..., client_count: _Optional[int] = ...) -> None: ...

class PutScopeRequest(_message.Message):
    __slots__ = ("command",)
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    command: _common_pb2.SignedCommand
    def __init__(self, command: _Optional[_Union[_common_pb2.SignedCommand, _Mapping]] = ...) -> None: ...

class PutScopeCommand(_message.Message):
    __slots__ = ("scope", "expected_revision", "approvals")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_REVISION_FIELD_NUMBER: _ClassVar[int]
    APPROVALS_FIELD_NUMBER: _ClassVar[int]
    scope: Scope
    expected_revision: int
    approvals: _containers.RepeatedCompositeFieldContainer[Approval]
    def __init__(self, scope: _Optional[_Union[Scope, _Mapping]] = ..., expected_revision: _Optional[int] = ..., approvals: _Optional[_Iterable[_Union[Approval, _Mapping]]] = ...) -> None: ...

class Approval(_message.Message):
    __slots__ = ("operator", "expires_at_ms", "signature")
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_MS_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    operator: str
    expires_at_ms: int
    signature: bytes
    def __init__(self, operator: _Optional[str] = ..., expires_at_ms: _Optional[int] = ..., signature: _Optional[bytes] = ...) -> None: ...

class PutScopeResponse(_message.Message):
    __slots__ = ("change", "revision", "widens", "narrows", "outstanding")
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    WIDENS_FIELD_NUMBER: _ClassVar[int]
    NARROWS_FIELD_NUMBER: _ClassVar[int]
    OUTSTANDING_FIELD_NUMBER: _ClassVar[int]
    change: _common_pb2.Change
    revision: int
    widens: bool
    narrows: bool
    outstanding: _credential_service_pb2.Outstanding
    def __init__(self, change: _Optional[_Union[_common_pb2.Change, _Mapping]] = ..., revision: _Optional[int] = ..., widens: bool = ..., narrows: bool = ..., outstanding: _Optional[_Union[_credential_service_pb2.Outstanding, _Mapping]] = ...) -> None: ...

class GetScopeRequest(_message.Message):
    __slots__ = ("command",)
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    command: _common_pb2.SignedCommand
    def __init__(self, command: _Optional[_Union[_common_pb2.SignedCommand, _Mapping]] = ...) -> None: ...

class GetScopeCommand(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetScopeResponse(_message.Message):
    __slots__ = ("scope",)
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    scope: ScopeInfo
    def __init__(self, scope: _Optional[_Union[ScopeInfo, _Mapping]] = ...) -> None: ...

class ListScopesRequest(_message.Message):
    __slots__ = ("command",)
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    command: _common_pb2.SignedCommand
    def __init__(self, command: _Optional[_Union[_common_pb2.SignedCommand, _Mapping]] = ...) -> None: ...

class ListScopesCommand(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListScopesResponse(_message.Message):
    __slots__ = ("scopes", "next_page_token")
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    scopes: _containers.RepeatedCompositeFieldContainer[ScopeInfo]
    next_page_token: str
    def __init__(self, scopes: _Optional[_Iterable[_Union[ScopeInfo, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteScopeRequest(_message.Message):
    __slots__ = ("command",)
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    command: _common_pb2.SignedCommand
    def __init__(self, command: _Optional[_Union[_common_pb2.SignedCommand, _Mapping]] = ...) -> None: ...

class DeleteScopeCommand(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DeleteScopeResponse(_message.Message):
    __slots__ = ("change",)
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    change: _common_pb2.Change
    def __init__(self, change: _Optional[_Union[_common_pb2.Change, _Mapping]] = ...) -> None: ...

class ExplainRequest(_message.Message):
    __slots__ = ("command",)
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    command: _common_pb2.SignedCommand
    def __init__(self, command: _Optional[_Union[_common_pb2.SignedCommand, _Mapping]] = ...) -> None: ...

class ExplainCommand(_message.Message):
    __slots__ = ("client", "credential", "mode", "request", "address")
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    client: str
    credential: str
    mode: str
    request: _common_pb2.VenueRequest
    address: str
    def __init__(self, client: _Optional[str] = ..., credential: _Optional[str] = ..., mode: _Optional[str] = ..., request: _Optional[_Union[_common_pb2.VenueRequest, _Mapping]] = ..., address: _Optional[str] = ...) -> None: ...

class ExplainResponse(_message.Message):
    __slots__ = ("allowed", "reason", "message", "hint", "operation", "closure", "closure_hash", "closure_widest", "stated", "verdicts", "remedies", "outside_count", "notional_usd", "prices", "limits_left")
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    CLOSURE_FIELD_NUMBER: _ClassVar[int]
    CLOSURE_HASH_FIELD_NUMBER: _ClassVar[int]
    CLOSURE_WIDEST_FIELD_NUMBER: _ClassVar[int]
    STATED_FIELD_NUMBER: _ClassVar[int]
    VERDICTS_FIELD_NUMBER: _ClassVar[int]
    REMEDIES_FIELD_NUMBER: _ClassVar[int]
    OUTSIDE_COUNT_FIELD_NUMBER: _ClassVar[int]
    NOTIONAL_USD_FIELD_NUMBER: _ClassVar[int]
    PRICES_FIELD_NUMBER: _ClassVar[int]
    LIMITS_LEFT_FIELD_NUMBER: _ClassVar[int]
    allowed: bool
    reason: str
    message: str
    hint: str
    operation: str
    closure: _containers.RepeatedCompositeFieldContainer[ExplainedOperation]
    closure_hash: bytes
    closure_widest: str
    stated: ExplainedOperation
    verdicts: _containers.RepeatedCompositeFieldContainer[ExplainedVerdict]
    remedies: _containers.RepeatedScalarFieldContainer[str]
    outside_count: int
    notional_usd: str
    prices: _containers.RepeatedCompositeFieldContainer[PriceSeen]
    limits_left: _containers.RepeatedCompositeFieldContainer[LimitLeft]
    def __init__(self, allowed: bool = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., hint: _Optional[str] = ..., operation: _Optional[str] = ..., closure: _Optional[_Iterable[_Union[ExplainedOperation, _Mapping]]] = ..., closure_hash: _Optional[bytes] = ..., closure_widest: _Optional[str] = ..., stated: _Optional[_Union[ExplainedOperation, _Mapping]] = ..., verdicts: _Optional[_Iterable[_Union[ExplainedVerdict, _Mapping]]] = ..., remedies: _Optional[_Iterable[str]] = ..., outside_count: _Optional[int] = ..., notional_usd: _Optional[str] = ..., prices: _Optional[_Iterable[_Union[PriceSeen, _Mapping]]] = ..., limits_left: _Optional[_Iterable[_Union[LimitLeft, _Mapping]]] = ...) -> None: ...

class PriceSeen(_message.Message):
    __slots__ = ("pair", "price")
    PAIR_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    pair: str
    price: str
    def __init__(self, pair: _Optional[str] = ..., price: _Optional[str] = ...) -> None: ...

class LimitLeft(_message.Message):
    __slots__ = ("limit", "left")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    limit: str
    left: str
    def __init__(self, limit: _Optional[str] = ..., left: _Optional[str] = ...) -> None: ...

class StartReplayRequest(_message.Message):
    __slots__ = ("command",)
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    command: _common_pb2.SignedCommand
    def __init__(self, command: _Optional[_Union[_common_pb2.SignedCommand, _Mapping]] = ...) -> None: ...

class StartReplayCommand(_message.Message):
    __slots__ = ("scope", "since_ms", "clients")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    SINCE_MS_FIELD_NUMBER: _ClassVar[int]
    CLIENTS_FIELD_NUMBER: _ClassVar[int]
    scope: Scope
    since_ms: int
    clients: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, scope: _Optional[_Union[Scope, _Mapping]] = ..., since_ms: _Optional[int] = ..., clients: _Optional[_Iterable[str]] = ...) -> None: ...

class StartReplayResponse(_message.Message):
    __slots__ = ("replay", "entries")
    REPLAY_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    replay: int
    entries: int
    def __init__(self, replay: _Optional[int] = ..., entries: _Optional[int] = ...) -> None: ...

class GetReplayRequest(_message.Message):
    __slots__ = ("command",)
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    command: _common_pb2.SignedCommand
    def __init__(self, command: _Optional[_Union[_common_pb2.SignedCommand, _Mapping]] = ...) -> None: ...

class GetReplayCommand(_message.Message):
    __slots__ = ("replay",)
    REPLAY_FIELD_NUMBER: _ClassVar[int]
    replay: int
    def __init__(self, replay: _Optional[int] = ...) -> None: ...

class GetReplayResponse(_message.Message):
    __slots__ = ("read", "entries", "finished", "judged", "same", "now_denied", "now_allowed", "unknown", "changes", "error")
    READ_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    JUDGED_FIELD_NUMBER: _ClassVar[int]
    SAME_FIELD_NUMBER: _ClassVar[int]
    NOW_DENIED_FIELD_NUMBER: _ClassVar[int]
    NOW_ALLOWED_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    read: int
    entries: int
    finished: bool
    judged: int
    same: int
    now_denied: int
    now_allowed: int
    unknown: int
    changes: _containers.RepeatedCompositeFieldContainer[ReplayChange]
    error: str
    def __init__(self, read: _Optional[int] = ..., entries: _Optional[int] = ..., finished: bool = ..., judged: _Optional[int] = ..., same: _Optional[int] = ..., now_denied: _Optional[int] = ..., now_allowed: _Optional[int] = ..., unknown: _Optional[int] = ..., changes: _Optional[_Iterable[_Union[ReplayChange, _Mapping]]] = ..., error: _Optional[str] = ...) -> None: ...

class ReplayChange(_message.Message):
    __slots__ = ("becomes", "reason", "operation", "count", "first_index", "first_client", "first_words", "first_at_ms")
    BECOMES_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    FIRST_INDEX_FIELD_NUMBER: _ClassVar[int]
    FIRST_CLIENT_FIELD_NUMBER: _ClassVar[int]
    FIRST_WORDS_FIELD_NUMBER: _ClassVar[int]
    FIRST_AT_MS_FIELD_NUMBER: _ClassVar[int]
    becomes: str
    reason: str
    operation: str
    count: int
    first_index: int
    first_client: str
    first_words: str
    first_at_ms: int
    def __init__(self, becomes: _Optional[str] = ..., reason: _Optional[str] = ..., operation: _Optional[str] = ..., count: _Optional[int] = ..., first_index: _Optional[int] = ..., first_client: _Optional[str] = ..., first_words: _Optional[str] = ..., first_at_ms: _Optional[int] = ...) -> None: ...

class ExplainedVerdict(_message.Message):
    __slots__ = ("mode", "allowed", "reason", "operation", "message", "hint")
    MODE_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    CLASS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    mode: str
    allowed: bool
    reason: str
    operation: str
    message: str
    hint: str
    def __init__(self, mode: _Optional[str] = ..., allowed: bool = ..., reason: _Optional[str] = ..., operation: _Optional[str] = ..., message: _Optional[str] = ..., hint: _Optional[str] = ..., **kwargs) -> None: ...

class ExplainedOperation(_message.Message):
    __slots__ = ("operation", "products", "symbols", "every_symbol", "legs", "reason", "every_product", "symbols_left_out", "transfers")
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    CLASS_FIELD_NUMBER: _ClassVar[int]
    PRODUCTS_FIELD_NUMBER: _ClassVar[int]
    SYMBOLS_FIELD_NUMBER: _ClassVar[int]
    EVERY_SYMBOL_FIELD_NUMBER: _ClassVar[int]
    LEGS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    EVERY_PRODUCT_FIELD_NUMBER: _ClassVar[int]
    SYMBOLS_LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    TRANSFERS_FIELD_NUMBER: _ClassVar[int]
    operation: str
    products: _containers.RepeatedScalarFieldContainer[str]
    symbols: _containers.RepeatedScalarFieldContainer[str]
    every_symbol: bool
    legs: _containers.RepeatedCompositeFieldContainer[ExplainedLeg]
    reason: str
    every_product: bool
    symbols_left_out: int
    transfers: _containers.RepeatedCompositeFieldContainer[ExplainedTransfer]
    def __init__(self, operation: _Optional[str] = ..., products: _Optional[_Iterable[str]] = ..., symbols: _Optional[_Iterable[str]] = ..., every_symbol: bool = ..., legs: _Optional[_Iterable[_Union[ExplainedLeg, _Mapping]]] = ..., reason: _Optional[str] = ..., every_product: bool = ..., symbols_left_out: _Optional[int] = ..., transfers: _Optional[_Iterable[_Union[ExplainedTransfer, _Mapping]]] = ..., **kwargs) -> None: ...

class ExplainedTransfer(_message.Message):
    __slots__ = ("asset", "amount", "address")
    ASSET_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    asset: str
    amount: str
    address: str
    def __init__(self, asset: _Optional[str] = ..., amount: _Optional[str] = ..., address: _Optional[str] = ...) -> None: ...

class ExplainedLeg(_message.Message):
    __slots__ = ("product", "symbol", "side", "type", "tif", "quantity", "quote_quantity", "price", "trigger_price", "reduce_only", "post_only", "leverage", "margin_mode", "amends")
    PRODUCT_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    TIF_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    QUOTE_QUANTITY_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    TRIGGER_PRICE_FIELD_NUMBER: _ClassVar[int]
    REDUCE_ONLY_FIELD_NUMBER: _ClassVar[int]
    POST_ONLY_FIELD_NUMBER: _ClassVar[int]
    LEVERAGE_FIELD_NUMBER: _ClassVar[int]
    MARGIN_MODE_FIELD_NUMBER: _ClassVar[int]
    AMENDS_FIELD_NUMBER: _ClassVar[int]
    product: str
    symbol: str
    side: str
    type: str
    tif: str
    quantity: str
    quote_quantity: str
    price: str
    trigger_price: str
    reduce_only: bool
    post_only: bool
    leverage: str
    margin_mode: str
    amends: bool
    def __init__(self, product: _Optional[str] = ..., symbol: _Optional[str] = ..., side: _Optional[str] = ..., type: _Optional[str] = ..., tif: _Optional[str] = ..., quantity: _Optional[str] = ..., quote_quantity: _Optional[str] = ..., price: _Optional[str] = ..., trigger_price: _Optional[str] = ..., reduce_only: bool = ..., post_only: bool = ..., leverage: _Optional[str] = ..., margin_mode: _Optional[str] = ..., amends: bool = ...) -> None: ...
