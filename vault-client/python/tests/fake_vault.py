"""A gRPC server that answers as the vault does, over TLS with client certificates."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable
from concurrent import futures
from typing import Any, Callable

import grpc
from authority import Authority
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from google.protobuf import any_pb2

from countersign import _command
from countersign._proto.countersign import rpc_pb2 as rpc
from countersign._proto.vault.v1 import client_service_pb2 as clients
from countersign._proto.vault.v1 import execute_service_pb2 as executions
from countersign._proto.vault.v1 import sign_service_pb2 as signatures

ORIGIN = "vault.example/audit/node-1/7"


class FakeVault:
    """Answers with `answer` (a function of call and request) or refuses with `refusal`."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.requests: list[Any] = []
        self.serials: list[int] = []
        self.timeouts: list[float | None] = []
        self.refusals: list[tuple[grpc.StatusCode, str, bytes | None]] = []
        self.hold = threading.Event()
        self.hold.set()
        self.issues_for: Any = None
        self.ca_der = authority.der()
        self.index = 40
        self.receipt: dict[str, Any] = {}
        #: What becomes of orders among others, by their ids: kind, reason and what else is said.
        self.failures: dict[str, tuple[str, str, dict[str, str]]] = {}
        #: What becomes of the results of a batch or a stream.
        self.results: Callable[[Iterable[Any]], Iterable[Any]] = lambda results: results
        key, certificate = authority.server_pair()
        self.server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
        self.server.add_generic_rpc_handlers(
            (
                self._handler("Sign", self.sign, signatures.SignRequest),
                self._handler("SignBatch", self.sign_batch, signatures.SignBatchRequest),
                self._sign_stream_handler(),
                self._handler("Execute", self.execute, executions.ExecuteRequest),
                self._handler("ExecuteStream", self.stream, executions.ExecuteRequest, True),
                self._handler("Renew", self.renew, clients.RenewRequest),
            )
        )
        secure = grpc.ssl_server_credentials(
            [(key, certificate)], root_certificates=authority.pem(), require_client_auth=True
        )
        self.port = self.server.add_secure_port("127.0.0.1:0", secure)
        self.address = f"127.0.0.1:{self.port}"
        self.server.start()

    def _handler(self, name: str, method: Any, request: Any, stream: bool = False) -> Any:
        service = {"Sign": "Sign", "SignBatch": "Sign", "Renew": "Client"}.get(name, "Execute")
        make = grpc.unary_stream_rpc_method_handler if stream else grpc.unary_unary_rpc_method_handler
        handler = make(
            self._heard_stream(method) if stream else self._heard(method),
            request_deserializer=request.FromString,
            response_serializer=lambda answer: answer.SerializeToString(),
        )
        return grpc.method_handlers_generic_handler(f"vault.v1.{service}Service", {name: handler})

    def _sign_stream_handler(self) -> Any:
        def heard(requests: Any, context: Any) -> Any:
            yield from self.results(self.result(each, self._hear(each, context)) for each in requests)

        handler = grpc.stream_stream_rpc_method_handler(
            heard,
            request_deserializer=signatures.SignRequest.FromString,
            response_serializer=lambda answer: answer.SerializeToString(),
        )
        return grpc.method_handlers_generic_handler("vault.v1.SignService", {"SignStream": handler})

    def _hear(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        peer = x509.load_pem_x509_certificate(context.auth_context()["x509_pem_cert"][0])
        self.serials.append(peer.serial_number)
        self.timeouts.append(context.time_remaining())
        self.hold.wait(10)
        if self.refusals:
            code, message, details = self.refusals.pop(0)
            if details is not None:
                context.set_trailing_metadata((("grpc-status-details-bin", details),))
            context.abort(code, message)
        return peer

    def _heard(self, method: Any) -> Any:
        return lambda request, context: method(request, self._hear(request, context))

    def _heard_stream(self, method: Any) -> Any:
        def heard(request: Any, context: Any) -> Any:
            yield from method(request, self._hear(request, context))

        return heard

    def refuse(self, code: str, message: str, reason: str | None, **metadata: str) -> None:
        """Refuses the next call; without a reason as something on the way would."""
        details = status_details(reason, **metadata) if reason else None
        self.refusals.append((grpc.StatusCode[code], message, details))

    def receipt_fields(self) -> dict[str, Any]:
        self.index += 1
        leaf_hash = hashlib.sha256(str(self.index).encode()).digest()
        return {"log_origin": ORIGIN, "index": self.index, "leaf_hash": leaf_hash, **self.receipt}

    def sign(self, request: Any, _peer: Any) -> Any:
        answer = signatures.SignResponse(usable_for_ms=5000, seq=self.index + 1, notional_usd="12.50")
        answer.request.method, answer.request.url = request.request.method, "https://signed.example/"
        answer.request.headers.add(name="x-signature", value="s3cr3t")
        answer.limits_left.add(limit="orders/1m", left="9")
        fields = self.receipt_fields()
        answer.receipt.log_origin = fields["log_origin"]
        answer.receipt.index = fields["index"]
        answer.receipt.leaf_hash = fields["leaf_hash"]
        return answer

    def sign_batch(self, request: Any, peer: Any) -> Any:
        results = [self.result(each, peer) for each in request.requests]
        return signatures.SignBatchResponse(results=self.results(results))

    def result(self, request: Any, peer: Any) -> Any:
        request_id = request.request_id
        if request_id not in self.failures:
            return signatures.SignResult(request_id=request_id, signed=self.sign(request, peer))
        code, reason, metadata = self.failures[request_id]
        number = grpc.StatusCode[code].value[0]
        failure = signatures.SignFailure(code=number, message="words", reason=reason, metadata=metadata)
        return signatures.SignResult(request_id=request_id, failure=failure)

    def execute(self, request: Any, _peer: Any) -> Any:
        answer = executions.ExecuteResponse(status=200, body=b'{"price":0.10}', latency_us=1500)
        answer.headers.add(name="content-type", value="application/json")
        if request.credential:
            answer.execution.seq = self.index + 1
            fields = self.receipt_fields()
            answer.execution.receipt.log_origin = fields["log_origin"]
            answer.execution.receipt.index = fields["index"]
            answer.execution.receipt.leaf_hash = fields["leaf_hash"]
        return answer

    def stream(self, request: Any, peer: Any) -> Any:
        head = self.execute(request, peer)
        head.body = b""
        yield executions.ExecuteStreamResponse(head=head)
        for piece in (b"one", b"two"):
            yield executions.ExecuteStreamResponse(body=piece)

    def renew(self, request: Any, peer: x509.Certificate) -> Any:
        """Checks the signed command as the core does, and certifies the new key."""
        command = request.command
        serial = peer.serial_number.to_bytes(16, "big")
        message = _command.signing_bytes(
            "vault.v1.ClientService/Renew", serial, command.nonce, command.expires_at_ms, command.body
        )
        public = peer.public_key()
        if isinstance(public, ed25519.Ed25519PublicKey):
            public.verify(command.signature, message)
        else:
            public.verify(command.signature, message, ec.ECDSA(hashes.SHA256()))
        csr = x509.load_der_x509_csr(clients.RenewCommand.FromString(command.body).csr)
        assert csr.is_signature_valid
        assert list(csr.subject) == []
        assert list(csr.extensions) == []
        certificate = self.authority.issue(self.issues_for or csr.public_key())
        der = certificate.public_bytes(serialization.Encoding.DER)
        return clients.RenewResponse(certificate=der, ca_certificate=self.ca_der)

    def stop(self) -> None:
        self.hold.set()
        self.server.stop(None).wait()


def status_details(reason: str, domain: str = "countersign", **metadata: str) -> bytes:
    """`grpc-status-details-bin` as the vault's front writes it."""
    info = rpc.ErrorInfo(reason=reason, domain=domain, metadata=metadata)
    return packed("ErrorInfo", info)


def packed(name: str, message: Any) -> bytes:
    detail = any_pb2.Any(type_url=f"type.googleapis.com/google.rpc.{name}")
    detail.value = message.SerializeToString()
    return rpc.Status(code=7, message="words", details=[detail]).SerializeToString()
