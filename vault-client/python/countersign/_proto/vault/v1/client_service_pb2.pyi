from countersign._proto.vault.v1 import common_pb2 as _common_pb2
from countersign._proto.vault.v1 import credential_service_pb2 as _credential_service_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class InviteClientRequest(_message.Message):
    __slots__ = ("command",)
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    command: _common_pb2.SignedCommand
    def __init__(self, command: _Optional[_Union[_common_pb2.SignedCommand, _Mapping]] = ...) -> None: ...

class InviteClientCommand(_message.Message):
    __slots__ = ("name", "role", "scope", "networks", "invite")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    NETWORKS_FIELD_NUMBER: _ClassVar[int]
    INVITE_FIELD_NUMBER: _ClassVar[int]
    name: str
    role: _common_pb2.Role
    scope: str
    networks: _containers.RepeatedScalarFieldContainer[str]
    invite: _common_pb2.InviteSpec
    def __init__(self, name: _Optional[str] = ..., role: _Optional[_Union[_common_pb2.Role, str]] = ..., scope: _Optional[str] = ..., networks: _Optional[_Iterable[str]] = ..., invite: _Optional[_Union[_common_pb2.InviteSpec, _Mapping]] = ...) -> None: ...

class InviteClientResponse(_message.Message):
    __slots__ = ("invite",)
    INVITE_FIELD_NUMBER: _ClassVar[int]
    invite: _common_pb2.InviteResult
    def __init__(self, invite: _Optional[_Union[_common_pb2.InviteResult, _Mapping]] = ...) -> None: ...

class EnrollRequest(_message.Message):
    __slots__ = ("token_id", "csr", "proof")
    TOKEN_ID_FIELD_NUMBER: _ClassVar[int]
    CSR_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    token_id: bytes
    csr: bytes
    proof: bytes
    def __init__(self, token_id: _Optional[bytes] = ..., csr: _Optional[bytes] = ..., proof: _Optional[bytes] = ...) -> None: ...

class EnrollResponse(_message.Message):
    __slots__ = ("certificate", "ca_certificate", "name", "role", "not_after_ms", "core_public_key", "instance_id", "address")
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    CA_CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    CORE_PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    certificate: bytes
    ca_certificate: bytes
    name: str
    role: _common_pb2.Role
    not_after_ms: int
    core_public_key: bytes
    instance_id: bytes
    address: str
    def __init__(self, certificate: _Optional[bytes] = ..., ca_certificate: _Optional[bytes] = ..., name: _Optional[str] = ..., role: _Optional[_Union[_common_pb2.Role, str]] = ..., not_after_ms: _Optional[int] = ..., core_public_key: _Optional[bytes] = ..., instance_id: _Optional[bytes] = ..., address: _Optional[str] = ...) -> None: ...

class RenewRequest(_message.Message):
    __slots__ = ("command",)
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    command: _common_pb2.SignedCommand
    def __init__(self, command: _Optional[_Union[_common_pb2.SignedCommand, _Mapping]] = ...) -> None: ...

class RenewCommand(_message.Message):
    __slots__ = ("csr",)
    CSR_FIELD_NUMBER: _ClassVar[int]
    csr: bytes
    def __init__(self, csr: _Optional[bytes] = ...) -> None: ...

class RenewResponse(_message.Message):
    __slots__ = ("certificate", "ca_certificate", "not_after_ms")
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    CA_CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    certificate: bytes
    ca_certificate: bytes
    not_after_ms: int
    def __init__(self, certificate: _Optional[bytes] = ..., ca_certificate: _Optional[bytes] = ..., not_after_ms: _Optional[int] = ...) -> None: ...

class ClientInfo(_message.Message):
    __slots__ = ("name", "role", "scope", "networks", "state", "created_at_ms", "revoked_at_ms", "certificates", "invited_by", "invite_ends_ms")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    NETWORKS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    REVOKED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATES_FIELD_NUMBER: _ClassVar[int]
    INVITED_BY_FIELD_NUMBER: _ClassVar[int]
    INVITE_ENDS_MS_FIELD_NUMBER: _ClassVar[int]
    name: str
    role: _common_pb2.Role
    scope: str
    networks: _containers.RepeatedScalarFieldContainer[str]
    state: str
    created_at_ms: int
    revoked_at_ms: int
    certificates: _containers.RepeatedCompositeFieldContainer[_common_pb2.CertificateInfo]
    invited_by: str
    invite_ends_ms: int
    def __init__(self, name: _Optional[str] = ..., role: _Optional[_Union[_common_pb2.Role, str]] = ..., scope: _Optional[str] = ..., networks: _Optional[_Iterable[str]] = ..., state: _Optional[str] = ..., created_at_ms: _Optional[int] = ..., revoked_at_ms: _Optional[int] = ..., certificates: _Optional[_Iterable[_Union[_common_pb2.CertificateInfo, _Mapping]]] = ..., invited_by: _Optional[str] = ..., invite_ends_ms: _Optional[int] = ...) -> None: ...

class ListClientsRequest(_message.Message):
    __slots__ = ("command",)
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    command: _common_pb2.SignedCommand
    def __init__(self, command: _Optional[_Union[_common_pb2.SignedCommand, _Mapping]] = ...) -> None: ...

class ListClientsCommand(_message.Message):
    __slots__ = ("page_size", "page_token", "scope")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    scope: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., scope: _Optional[str] = ...) -> None: ...

class ListClientsResponse(_message.Message):
    __slots__ = ("clients", "next_page_token")
    CLIENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    clients: _containers.RepeatedCompositeFieldContainer[ClientInfo]
    next_page_token: str
    def __init__(self, clients: _Optional[_Iterable[_Union[ClientInfo, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DescribeClientRequest(_message.Message):
    __slots__ = ("command",)
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    command: _common_pb2.SignedCommand
    def __init__(self, command: _Optional[_Union[_common_pb2.SignedCommand, _Mapping]] = ...) -> None: ...

class DescribeClientCommand(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DescribeClientResponse(_message.Message):
    __slots__ = ("client",)
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    client: ClientInfo
    def __init__(self, client: _Optional[_Union[ClientInfo, _Mapping]] = ...) -> None: ...

class RevokeClientRequest(_message.Message):
    __slots__ = ("command",)
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    command: _common_pb2.SignedCommand
    def __init__(self, command: _Optional[_Union[_common_pb2.SignedCommand, _Mapping]] = ...) -> None: ...

class RevokeClientCommand(_message.Message):
    __slots__ = ("name", "reason")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    reason: str
    def __init__(self, name: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RevokeClientResponse(_message.Message):
    __slots__ = ("change", "outstanding", "withdrawn_invites")
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    OUTSTANDING_FIELD_NUMBER: _ClassVar[int]
    WITHDRAWN_INVITES_FIELD_NUMBER: _ClassVar[int]
    change: _common_pb2.Change
    outstanding: _credential_service_pb2.Outstanding
    withdrawn_invites: int
    def __init__(self, change: _Optional[_Union[_common_pb2.Change, _Mapping]] = ..., outstanding: _Optional[_Union[_credential_service_pb2.Outstanding, _Mapping]] = ..., withdrawn_invites: _Optional[int] = ...) -> None: ...

class WhoamiRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WhoamiResponse(_message.Message):
    __slots__ = ("role", "name", "address", "via", "certificate_not_after_ms", "time_ms", "scope", "address_allowed", "sealed", "version")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    VIA_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_NOT_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    TIME_MS_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_ALLOWED_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    role: str
    name: str
    address: str
    via: str
    certificate_not_after_ms: int
    time_ms: int
    scope: str
    address_allowed: bool
    sealed: bool
    version: str
    def __init__(self, role: _Optional[str] = ..., name: _Optional[str] = ..., address: _Optional[str] = ..., via: _Optional[str] = ..., certificate_not_after_ms: _Optional[int] = ..., time_ms: _Optional[int] = ..., scope: _Optional[str] = ..., address_allowed: bool = ..., sealed: bool = ..., version: _Optional[str] = ...) -> None: ...
