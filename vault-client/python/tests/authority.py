"""A certificate authority like the vault's, and identities that it issues."""

from __future__ import annotations

import datetime
import ipaddress
import json
import secrets
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HOUR = datetime.timedelta(hours=1)


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)


class Authority:
    """Signs certificates of servers and clients."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "vault.example")])
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        public = self.key.public_key()
        self.certificate = (
            self._builder(self.name, public, now() - HOUR, now() + 24 * HOUR)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(self.key, hashes.SHA256())
        )

    def _builder(self, subject: x509.Name, public: Any, begin: Any, end: Any) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(public)
            .serial_number(int.from_bytes(b"\1" + secrets.token_bytes(15), "big"))
            .not_valid_before(begin)
            .not_valid_after(end)
        )

    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def issue(
        self, public: Any, begin: Any = None, end: Any = None, server: bool = False
    ) -> x509.Certificate:
        usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = self._builder(x509.Name([]), public, begin or now() - HOUR, end or now() + 23 * HOUR)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = builder.add_extension(identifier, critical=False)
        if server:
            address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
            builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=True)
        return builder.sign(self.key, hashes.SHA256())

    def server_pair(self) -> tuple[bytes, bytes]:
        """Key and certificate of a server at 127.0.0.1, PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        return key_pem(key), certificate_pem(self.issue(key.public_key(), server=True))

    def enroll(
        self, folder: Path, address: str, key_type: str = "p256", begin: Any = None, end: Any = None
    ) -> Path:
        """The folder that `vaultctl enroll` makes."""
        folder.mkdir(mode=0o700)
        key = make_key(key_type)
        certificate = self.issue(key.public_key(), begin, end)
        (folder / "key.pem").write_bytes(key_pem(key))
        (folder / "key.pem").chmod(0o600)
        (folder / "cert.pem").write_bytes(certificate_pem(certificate))
        (folder / "ca.pem").write_bytes(self.pem())
        about = {
            "version": 1,
            "name": "bot",
            "role": "bot",
            "address": address,
            "ca_fingerprint": self.certificate.fingerprint(hashes.SHA256()).hex(),
            "core_fingerprint": "22" * 32,
            "instance_id": "33" * 16,
        }
        (folder / "identity.json").write_text(json.dumps(about, indent=2))
        return folder


def make_key(key_type: str) -> Any:
    if key_type == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: Any) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def certificate_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
