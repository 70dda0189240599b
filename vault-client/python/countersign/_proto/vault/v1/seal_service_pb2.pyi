from countersign._proto.vault.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SealState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SEAL_STATE_UNSPECIFIED: _ClassVar[SealState]
    SEAL_STATE_SEALED: _ClassVar[SealState]
    SEAL_STATE_UNSEALED: _ClassVar[SealState]
    SEAL_STATE_REFUSED: _ClassVar[SealState]

class VenueState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VENUE_STATE_UNSPECIFIED: _ClassVar[VenueState]
    VENUE_STATE_CLOSED: _ClassVar[VenueState]
    VENUE_STATE_OPEN: _ClassVar[VenueState]
    VENUE_STATE_PAUSED: _ClassVar[VenueState]
    VENUE_STATE_LOW: _ClassVar[VenueState]
    VENUE_STATE_BANNED: _ClassVar[VenueState]
SEAL_STATE_UNSPECIFIED: SealState
SEAL_STATE_SEALED: SealState
SEAL_STATE_UNSEALED: SealState
SEAL_STATE_REFUSED: SealState
VENUE_STATE_UNSPECIFIED: VenueState
VENUE_STATE_CLOSED: VenueState
VENUE_STATE_OPEN: VenueState
VENUE_STATE_PAUSED: VenueState
VENUE_STATE_LOW: VenueState
VENUE_STATE_BANNED: VenueState

class StatusRequest(_message.Message):
    __slots__ = ("command",)
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    command: _common_pb2.SignedCommand
    def __init__(self, command: _Optional[_Union[_common_pb2.SignedCommand, _Mapping]] = ...) -> None: ...

class StatusCommand(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StatusResponse(_message.Message):
    __slots__ = ("state", "reason", "development", "version", "build", "instance_id", "node", "epoch", "log_origin", "log_size", "state_rev", "slots", "retry_after_s", "unseal_ticket", "time_ms", "server_not_after_ms", "catalogs", "catalog_additions", "venues", "drifted_credentials", "hardening", "host")
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DEVELOPMENT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    BUILD_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    LOG_ORIGIN_FIELD_NUMBER: _ClassVar[int]
    LOG_SIZE_FIELD_NUMBER: _ClassVar[int]
    STATE_REV_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_S_FIELD_NUMBER: _ClassVar[int]
    UNSEAL_TICKET_FIELD_NUMBER: _ClassVar[int]
    TIME_MS_FIELD_NUMBER: _ClassVar[int]
    SERVER_NOT_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    CATALOGS_FIELD_NUMBER: _ClassVar[int]
    CATALOG_ADDITIONS_FIELD_NUMBER: _ClassVar[int]
    VENUES_FIELD_NUMBER: _ClassVar[int]
    DRIFTED_CREDENTIALS_FIELD_NUMBER: _ClassVar[int]
    HARDENING_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    state: SealState
    reason: str
    development: bool
    version: str
    build: str
    instance_id: bytes
    node: str
    epoch: int
    log_origin: str
    log_size: int
    state_rev: int
    slots: _containers.RepeatedCompositeFieldContainer[SlotInfo]
    retry_after_s: int
    unseal_ticket: _common_pb2.SealTicket
    time_ms: int
    server_not_after_ms: int
    catalogs: _containers.RepeatedCompositeFieldContainer[CatalogInfo]
    catalog_additions: int
    venues: _containers.RepeatedCompositeFieldContainer[VenueHealth]
    drifted_credentials: _containers.RepeatedScalarFieldContainer[str]
    hardening: _containers.RepeatedCompositeFieldContainer[ProcessHardening]
    host: HostFacts
    def __init__(self, state: _Optional[_Union[SealState, str]] = ..., reason: _Optional[str] = ..., development: bool = ..., version: _Optional[str] = ..., build: _Optional[str] = ..., instance_id: _Optional[bytes] = ..., node: _Optional[str] = ..., epoch: _Optional[int] = ..., log_origin: _Optional[str] = ..., log_size: _Optional[int] = ..., state_rev: _Optional[int] = ..., slots: _Optional[_Iterable[_Union[SlotInfo, _Mapping]]] = ..., retry_after_s: _Optional[int] = ..., unseal_ticket: _Optional[_Union[_common_pb2.SealTicket, _Mapping]] = ..., time_ms: _Optional[int] = ..., server_not_after_ms: _Optional[int] = ..., catalogs: _Optional[_Iterable[_Union[CatalogInfo, _Mapping]]] = ..., catalog_additions: _Optional[int] = ..., venues: _Optional[_Iterable[_Union[VenueHealth, _Mapping]]] = ..., drifted_credentials: _Optional[_Iterable[str]] = ..., hardening: _Optional[_Iterable[_Union[ProcessHardening, _Mapping]]] = ..., host: _Optional[_Union[HostFacts, _Mapping]] = ...) -> None: ...

class ProcessHardening(_message.Message):
    __slots__ = ("process", "dumps_off", "no_new_privileges", "no_capabilities", "seccomp", "landlock_abi", "secret_memory", "memory_locked")
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    DUMPS_OFF_FIELD_NUMBER: _ClassVar[int]
    NO_NEW_PRIVILEGES_FIELD_NUMBER: _ClassVar[int]
    NO_CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    SECCOMP_FIELD_NUMBER: _ClassVar[int]
    LANDLOCK_ABI_FIELD_NUMBER: _ClassVar[int]
    SECRET_MEMORY_FIELD_NUMBER: _ClassVar[int]
    MEMORY_LOCKED_FIELD_NUMBER: _ClassVar[int]
    process: str
    dumps_off: bool
    no_new_privileges: bool
    no_capabilities: bool
    seccomp: bool
    landlock_abi: int
    secret_memory: str
    memory_locked: bool
    def __init__(self, process: _Optional[str] = ..., dumps_off: bool = ..., no_new_privileges: bool = ..., no_capabilities: bool = ..., seccomp: bool = ..., landlock_abi: _Optional[int] = ..., secret_memory: _Optional[str] = ..., memory_locked: bool = ...) -> None: ...

class HostFacts(_message.Message):
    __slots__ = ("disk_free_bytes", "disk_total_bytes", "swap_bytes", "clock_synchronised", "clock_error_us")
    DISK_FREE_BYTES_FIELD_NUMBER: _ClassVar[int]
    DISK_TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    SWAP_BYTES_FIELD_NUMBER: _ClassVar[int]
    CLOCK_SYNCHRONISED_FIELD_NUMBER: _ClassVar[int]
    CLOCK_ERROR_US_FIELD_NUMBER: _ClassVar[int]
    disk_free_bytes: int
    disk_total_bytes: int
    swap_bytes: int
    clock_synchronised: bool
    clock_error_us: int
    def __init__(self, disk_free_bytes: _Optional[int] = ..., disk_total_bytes: _Optional[int] = ..., swap_bytes: _Optional[int] = ..., clock_synchronised: bool = ..., clock_error_us: _Optional[int] = ...) -> None: ...

class VenueHealth(_message.Message):
    __slots__ = ("venue", "host", "source", "state", "until_us", "used_weight", "weight_limit", "in_flight", "streams", "last_problem")
    VENUE_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_US_FIELD_NUMBER: _ClassVar[int]
    USED_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_LIMIT_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    STREAMS_FIELD_NUMBER: _ClassVar[int]
    LAST_PROBLEM_FIELD_NUMBER: _ClassVar[int]
    venue: str
    host: str
    source: str
    state: VenueState
    until_us: int
    used_weight: int
    weight_limit: int
    in_flight: int
    streams: int
    last_problem: str
    def __init__(self, venue: _Optional[str] = ..., host: _Optional[str] = ..., source: _Optional[str] = ..., state: _Optional[_Union[VenueState, str]] = ..., until_us: _Optional[int] = ..., used_weight: _Optional[int] = ..., weight_limit: _Optional[int] = ..., in_flight: _Optional[int] = ..., streams: _Optional[int] = ..., last_problem: _Optional[str] = ...) -> None: ...

class CatalogInfo(_message.Message):
    __slots__ = ("venue", "hash", "operations")
    VENUE_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    venue: str
    hash: bytes
    operations: int
    def __init__(self, venue: _Optional[str] = ..., hash: _Optional[bytes] = ..., operations: _Optional[int] = ...) -> None: ...

class SlotInfo(_message.Message):
    __slots__ = ("id", "kind")
    ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    id: int
    kind: str
    def __init__(self, id: _Optional[int] = ..., kind: _Optional[str] = ...) -> None: ...

class UnsealRequest(_message.Message):
    __slots__ = ("command",)
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    command: _common_pb2.SignedCommand
    def __init__(self, command: _Optional[_Union[_common_pb2.SignedCommand, _Mapping]] = ...) -> None: ...

class UnsealCommand(_message.Message):
    __slots__ = ("ticket_id", "sealed")
    TICKET_ID_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    ticket_id: bytes
    sealed: bytes
    def __init__(self, ticket_id: _Optional[bytes] = ..., sealed: _Optional[bytes] = ...) -> None: ...

class UnsealResponse(_message.Message):
    __slots__ = ("state_rev",)
    STATE_REV_FIELD_NUMBER: _ClassVar[int]
    state_rev: int
    def __init__(self, state_rev: _Optional[int] = ...) -> None: ...

class SealRequest(_message.Message):
    __slots__ = ("command",)
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    command: _common_pb2.SignedCommand
    def __init__(self, command: _Optional[_Union[_common_pb2.SignedCommand, _Mapping]] = ...) -> None: ...

class SealCommand(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SealResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
