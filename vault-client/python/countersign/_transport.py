"""The way to the vault: gRPC over TLS 1.3 with the identity's certificate."""

from __future__ import annotations

from typing import Any, Callable, Generic, NoReturn, TypeVar

import grpc
from google.protobuf.message import Message

from countersign._command import signed_command
from countersign._proto.vault.v1 import client_service_pb2 as clients
from countersign._proto.vault.v1 import execute_service_pb2 as executions
from countersign._proto.vault.v1 import sign_service_pb2 as signatures
from countersign.errors import CountersignError, from_status
from countersign.identity import Identity

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)

#: Seconds. As long as the vault itself gives a Sign, waits for a venue, and may take to renew.
SIGN_TIMEOUT, EXECUTE_TIMEOUT, RENEW_TIMEOUT = 5.0, 35.0, 15.0
#: A body of the largest size that the vault answers with at once, and what is around it; also more than
#: the 256 answers of a batch.
ANSWER_BYTES_MAX = 2 << 20
DETAILS = "grpc-status-details-bin"

OPTIONS: list[tuple[str, Any]] = [
    # A proxy in the environment is for the bot's own traffic.
    ("grpc.enable_http_proxy", 0),
    # What is sent again is decided by the client alone.
    ("grpc.enable_retries", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.max_receive_message_length", ANSWER_BYTES_MAX),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # Another identity of this process must never share a connection.
    ("grpc.use_local_subchannel_pool", 1),
]


class Method(Generic[Request, Response]):
    """One RPC: its path and its messages."""

    def __init__(self, name: str, response: type[Response]) -> None:
        self.path = f"/{name}"
        self.name = name
        self.parse: Callable[[bytes], Response] = response.FromString

    @staticmethod
    def encode(request: Request) -> bytes:
        """The request on the wire."""
        return request.SerializeToString()


SIGN: Method[signatures.SignRequest, signatures.SignResponse] = Method(
    "vault.v1.SignService/Sign", signatures.SignResponse
)
SIGN_BATCH: Method[signatures.SignBatchRequest, signatures.SignBatchResponse] = Method(
    "vault.v1.SignService/SignBatch", signatures.SignBatchResponse
)
SIGN_STREAM: Method[signatures.SignRequest, signatures.SignResult] = Method(
    "vault.v1.SignService/SignStream", signatures.SignResult
)
EXECUTE: Method[executions.ExecuteRequest, executions.ExecuteResponse] = Method(
    "vault.v1.ExecuteService/Execute", executions.ExecuteResponse
)
EXECUTE_STREAM: Method[executions.ExecuteRequest, executions.ExecuteStreamResponse] = Method(
    "vault.v1.ExecuteService/ExecuteStream", executions.ExecuteStreamResponse
)
RENEW: Method[clients.RenewRequest, clients.RenewResponse] = Method(
    "vault.v1.ClientService/Renew", clients.RenewResponse
)


def credentials(identity: Identity) -> grpc.ChannelCredentials:
    """The vault's CA and nothing else is trusted."""
    return grpc.ssl_channel_credentials(
        root_certificates=identity.ca_pem(),
        private_key=identity.key_pem(),
        certificate_chain=identity.certificate_pem(),
    )


def channel(identity: Identity) -> grpc.Channel:
    """A channel with the identity's certificate; connects at its first call."""
    return grpc.secure_channel(identity.address, credentials(identity), options=OPTIONS)


def renew(identity: Identity, csr: bytes) -> clients.RenewResponse:
    """Asks for a certificate for another key, over a connection of its own."""
    body = clients.RenewCommand(csr=csr).SerializeToString()
    request = clients.RenewRequest(command=signed_command(identity, RENEW.name, body))
    with channel(identity) as own:
        call = own.unary_unary(RENEW.path, RENEW.encode, RENEW.parse)
        try:
            answer: clients.RenewResponse = call(request, timeout=RENEW_TIMEOUT)
        except grpc.RpcError as error:
            fail(error)
    return answer


def fail(error: Any, request_id: str | None = None) -> NoReturn:
    """Raises what a gRPC error means."""
    raise failure(error, request_id) from None


def failure(error: Any, request_id: str | None = None) -> CountersignError:
    """What a gRPC error means, synchronous or not: both have these three."""
    details = next((value for key, value in error.trailing_metadata() or () if key == DETAILS), None)
    known = from_status(error.code().name, error.details() or "", details)
    known.request_id = request_id
    return known
