"""An HTTPS server that hears what ccxt sends to the vault: TLS 1.3 with client certificates."""

from __future__ import annotations

import json
import ssl
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from authority import Authority


@dataclass
class Heard:
    """One request."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    #: Serial of the client's certificate.
    serial: int
    tls: str


class FakeProxy:
    """Answers with `answers`, in their order: status, JSON, headers. Without one, with an empty object."""

    def __init__(self, authority: Authority, folder: Path) -> None:
        self.heard: list[Heard] = []
        self.answers: list[tuple[int, Any, dict[str, str]]] = []
        key, certificate = authority.server_pair()
        pair, ca = folder / "server.pem", folder / "clients-ca.pem"
        pair.write_bytes(key + certificate)
        ca.write_bytes(authority.pem())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair)
        context.load_verify_locations(ca)
        context.verify_mode = ssl.CERT_REQUIRED
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.server.daemon_threads = True
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def handler(proxy) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                peer = self.connection.getpeercert()  # type: ignore[attr-defined]
                proxy.heard.append(
                    Heard(
                        self.command,
                        self.path,
                        {name.lower(): value for name, value in self.headers.items()},
                        self.rfile.read(length),
                        int(peer["serialNumber"], 16),
                        self.connection.version(),  # type: ignore[attr-defined]
                    )
                )
                status, answer, headers = proxy.answers.pop(0) if proxy.answers else (200, {}, {})
                body = json.dumps(answer).encode()
                self.send_response(status)
                for name, value in {"content-type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = answer

            def log_message(self, *_: Any) -> None:
                pass

        return Handler

    def refuse(self, status: int, reason: str, **more: Any) -> None:
        """Answers the next request as the vault's front does."""
        stated = {
            "reason": reason,
            "message": "denied by policy: " + reason,
            "hint": "ask an admin",
            "operation": "POST /api/v3/order",
            "class": "trade",
            "entry": 41,
            "retry_after_ms": 0,
            "remedies": [],
            **more,
        }
        self.answers.append((status, {"countersign": stated}, {"countersign-entry": "41"}))

    def pass_on(self, answer: Any, status: int = 200) -> None:
        """Answers the next request with what a venue said."""
        self.answers.append((status, answer, {"countersign-latency-us": "900", "countersign-entry": "41"}))

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
