"""An identity: the folder that ``vaultctl enroll`` makes, with a key, its certificate, the CA and what was
pinned.

Rust and Python may share a folder, also while one of them renews it: both lock and rename alike.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Union

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID

from countersign import _folder
from countersign.errors import IdentityError, ProtocolError

KEY_FILE = "key.pem"
CERTIFICATE_FILE = "cert.pem"
CA_FILE = "ca.pem"
ABOUT_FILE = "identity.json"

ROLES = ("admin", "auditor", "bot", "guard", "pricer")

PrivateKey = Union[ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey]


@dataclass(frozen=True)
class Identity:
    """Who a program is to one vault, and how that vault is known again. Its ``repr`` shows no key."""

    #: Where it lies.
    folder: Path
    #: Name of the client.
    name: str
    #: ``bot`` or ``pricer``; operators have ``admin``, ``auditor`` or ``guard``.
    role: str
    #: ``host:port`` of the vault's listener for this role.
    address: str
    #: SHA-256 of the CA certificate, 32 bytes.
    ca_fingerprint: bytes
    #: SHA-256 of the core's public key, pinned at enrolment, 32 bytes.
    core_fingerprint: bytes
    #: The vault's instance, 16 bytes.
    instance_id: bytes
    _key: PrivateKey
    _certificate: x509.Certificate
    _ca: x509.Certificate

    def __repr__(self) -> str:
        return f"Identity(name={self.name!r}, role={self.role!r}, folder={str(self.folder)!r})"

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Identity:
        """Reads an identity from its folder. A renewal that was cut short by a crash is finished first.

        Raises :class:`IdentityError`.
        """
        path = Path(folder)
        with _folder.locked(path / ABOUT_FILE, exclusive=False):
            crashed = _folder.with_new(path / CERTIFICATE_FILE).exists()
            with contextlib.suppress(_Mismatch):
                identity = cls._read(path)
                if not crashed:
                    return identity
        with _folder.locked(path / ABOUT_FILE, exclusive=True):
            _finish_renewal(path)
            return cls._read(path)

    @classmethod
    def _read(cls, folder: Path) -> Identity:
        """Reads the files as they are. The caller holds a lock on ``identity.json``."""
        about = _about(folder / ABOUT_FILE)
        ca = _certificate(folder / CA_FILE)
        if fingerprint(ca) != about["ca_fingerprint"]:
            raise IdentityError(f"the certificate in {folder / CA_FILE} is not valid")
        key = _read_key(folder / KEY_FILE)
        certificate = _certificate(folder / CERTIFICATE_FILE)
        if _serial(certificate) is None:
            raise IdentityError(f"the certificate in {folder / CERTIFICATE_FILE} is not valid")
        if spki(certificate) != spki(key):
            raise _Mismatch(f"key and certificate in {folder} do not belong together")
        return cls(folder=folder, _key=key, _certificate=certificate, _ca=ca, **about)

    def with_address(self, address: str) -> Identity:
        """The same with another ``host:port``, for this value only; the folder stays as it is."""
        host, _, port = address.rpartition(":")
        bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        fits = port.isascii() and port.isdigit() and 0 < int(port) < 65536
        if not fits or not bare or (":" in bare and bare == host) or set(bare) & set("/@?# "):
            raise IdentityError("the address is not host:port")
        return replace(self, address=address)

    @property
    def serial(self) -> bytes:
        """Serial of the certificate, 16 bytes."""
        return self._certificate.serial_number.to_bytes(16, "big")

    @property
    def not_before(self) -> datetime:
        """From when the certificate is valid, in UTC."""
        return self._certificate.not_valid_before_utc

    @property
    def not_after(self) -> datetime:
        """Until when the certificate is valid, in UTC."""
        return self._certificate.not_valid_after_utc

    @property
    def renewal_at(self) -> datetime:
        """When two thirds of the certificate's life are over, in UTC."""
        return self.not_before + max(self.not_after - self.not_before, timedelta()) * 2 / 3

    def needs_renewal(self, now: datetime | None = None) -> bool:
        """Whether two thirds of the certificate's life are over."""
        return (now or datetime.now(timezone.utc)) >= self.renewal_at

    def sign(self, message: bytes) -> bytes:
        """Signs: ECDSA P-256 with SHA-256 in ASN.1 DER, or Ed25519, as the key is."""
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return self._key.sign(message)
        return self._key.sign(message, ec.ECDSA(hashes.SHA256()))

    def tls_context(self) -> ssl.SSLContext:
        """A context for HTTPS to the vault: TLS 1.3, the vault's CA alone, and the newest certificate
        that lies in the folder.

        Raises :class:`IdentityError`.
        """
        context = ssl.create_default_context(cadata=to_pem(self._ca).decode())
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        # Under the lock, so that no renewal swaps one of the two in between.
        with _folder.locked(self.folder / ABOUT_FILE, exclusive=False), _folder.io(self.folder):
            context.load_cert_chain(self.folder / CERTIFICATE_FILE, self.folder / KEY_FILE)
        return context

    def key_pem(self) -> bytes:
        """The private key, PKCS#8 in PEM: for a TLS library, never for a log."""
        return key_to_pem(self._key)

    def certificate_pem(self) -> bytes:
        """The certificate, PEM."""
        return to_pem(self._certificate)

    def ca_pem(self) -> bytes:
        """The vault's CA, PEM."""
        return to_pem(self._ca)

    def stamp(self) -> object:
        """Something that differs as soon as another renewal has put its certificate into the folder."""
        path = self.folder / CERTIFICATE_FILE
        with _folder.io(path):
            state = path.stat()
        return state.st_ino, state.st_mtime_ns, state.st_size


class Renewal:
    """One renewal of a folder, from the new key to the files in place. Holds the folder's lock for
    renewals as long as :meth:`of` is entered; what is asked of the vault in between is the caller's.

    A crash in between is mended by :meth:`Identity.load`, here and in Rust.
    """

    def __init__(self, identity: Identity, there: Identity) -> None:
        self.identity = identity
        #: What another process has put into the folder meanwhile; then there is nothing to ask.
        self.done: Identity | None = None
        if there.serial != identity.serial and there.not_after >= identity.not_after:
            self.done = there
            return
        if isinstance(identity._key, ed25519.Ed25519PrivateKey):
            self._key: PrivateKey = ed25519.Ed25519PrivateKey.generate()
        else:
            self._key = ec.generate_private_key(ec.SECP256R1())
        self._key_path = _folder.with_new(identity.folder / KEY_FILE)
        _folder.write(self._key_path, key_to_pem(self._key), _folder.SECRET_MODE)

    @classmethod
    @contextlib.contextmanager
    def of(cls, identity: Identity) -> Iterator[Renewal]:
        """One renewal at a time, in all processes. If the block ends with an error before
        :meth:`put_in_place`, the unused key is removed."""
        # `flock` does not keep threads of this process waiting in order; a lock does.
        with _RENEWING, _folder.locked(identity.folder / CA_FILE, exclusive=True):
            there = Identity.load(identity.folder).with_address(identity.address)
            renewal = cls(identity, there)
            try:
                yield renewal
            finally:
                if renewal.done is None:
                    # The old identity is whole; the unused key is of no use to anybody.
                    with contextlib.suppress(IdentityError):
                        _folder.remove_if_there(renewal._key_path)

    def csr(self) -> bytes:
        """A CSR of the new key: PKCS#10, DER, without names or extensions."""
        algorithm = None if isinstance(self._key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        return builder.sign(self._key, algorithm).public_bytes(serialization.Encoding.DER)

    def put_in_place(self, certificate_der: bytes, ca_der: bytes) -> Identity:
        """Checks the vault's answer and renames certificate and key into place.

        Raises :class:`ProtocolError` if the answer does not fit; the folder stays as it was then.
        """
        folder = self.identity.folder
        if hashlib.sha256(ca_der).digest() != self.identity.ca_fingerprint:
            raise ProtocolError("the vault's answer is not acceptable: its CA is another one")
        certificate = self._checked(certificate_der)
        with _folder.locked(folder / ABOUT_FILE, exclusive=True):
            path = folder / CERTIFICATE_FILE
            _folder.write(_folder.with_new(path), to_pem(certificate), _folder.PLAIN_MODE)
            _folder.rename(_folder.with_new(path), path)
            # From here on the new key is needed, whatever happens.
            self.done = self.identity
            _folder.rename(self._key_path, folder / KEY_FILE)
            self.done = Identity._read(folder).with_address(self.identity.address)
        return self.done

    def _checked(self, der: bytes) -> x509.Certificate:
        try:
            certificate = x509.load_der_x509_certificate(der)
            certificate.verify_directly_issued_by(self.identity._ca)
            fits = _is_for_clients(certificate) and _serial(certificate) is not None
        except (ValueError, TypeError, InvalidSignature):
            fits = False
        if not fits:
            raise ProtocolError("the vault's answer is not acceptable: its certificate is not valid")
        if spki(certificate) != spki(self._key):
            raise ProtocolError("the vault's answer is not acceptable: its certificate is for another key")
        return certificate


_RENEWING = threading.Lock()


class _Mismatch(IdentityError):
    """Key and certificate do not belong together."""


def _finish_renewal(folder: Path) -> None:
    """Puts the files of a renewal into place, as far as a crash left it undone. The certificate goes
    first; so the states to be met are: both new files; a new key whose certificate is in place. A new
    certificate is written only under the lock that the caller holds, so one that is there is nobody
    else's work in progress."""
    key_path, certificate_path = folder / KEY_FILE, folder / CERTIFICATE_FILE
    new_key_path, new_certificate_path = map(_folder.with_new, (key_path, certificate_path))
    try:
        new_key = spki(_read_key(new_key_path))
    except IdentityError:
        _folder.remove_if_there(new_certificate_path)
        return

    def belongs(path: Path) -> bool:
        text = _folder.read_if_there(path)
        try:
            return text is not None and spki(x509.load_pem_x509_certificate(text)) == new_key
        except ValueError:
            return False

    if belongs(new_certificate_path):
        _folder.rename(new_certificate_path, certificate_path)
    else:
        _folder.remove_if_there(new_certificate_path)
    if belongs(certificate_path):
        _folder.rename(new_key_path, key_path)


def _about(path: Path) -> dict[str, Any]:
    """``identity.json``, whose fields are those and no others."""
    wrong = IdentityError(f"{path} is not an identity")
    try:
        stated = json.loads(_folder.read(path))
        texts = {name: stated.pop(name) for name in ("name", "role", "address")}
        digests = {
            name: _unhex(stated.pop(name), length)
            for name, length in (
                ("ca_fingerprint", 32),
                ("core_fingerprint", 32),
                ("instance_id", 16),
            )
        }
        whole = stated == {"version": 1} and all(isinstance(text, str) for text in texts.values())
    except (ValueError, KeyError, TypeError, AttributeError):
        raise wrong from None
    if not whole or texts["role"] not in ROLES:
        raise wrong
    return {**texts, **digests}


def _unhex(text: str, length: int) -> bytes:
    value = bytes.fromhex(text)
    if len(value) != length:
        raise ValueError
    return value


def _certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(_folder.read(path))
    except ValueError:
        raise IdentityError(f"the certificate in {path} is not valid") from None


def _read_key(path: Path) -> PrivateKey:
    try:
        key = serialization.load_pem_private_key(_folder.read_secret(path), password=None)
    except (ValueError, TypeError):
        key = None
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    raise IdentityError(f"the key in {path} is not a P-256 or Ed25519 key") from None


def _is_for_clients(certificate: x509.Certificate) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return ExtendedKeyUsageOID.CLIENT_AUTH in usage


def _serial(certificate: x509.Certificate) -> bytes | None:
    """16 bytes; ``None`` for a serial that is none of the vault's."""
    try:
        return certificate.serial_number.to_bytes(16, "big")
    except OverflowError:
        return None


def spki(holder: x509.Certificate | PrivateKey) -> bytes:
    """SubjectPublicKeyInfo, DER."""
    return holder.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def fingerprint(certificate: x509.Certificate) -> bytes:
    """SHA-256 of the certificate's DER."""
    return certificate.fingerprint(hashes.SHA256())


def to_pem(certificate: x509.Certificate) -> bytes:
    """A certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_to_pem(key: PrivateKey) -> bytes:
    """A private key as PKCS#8 in PEM, without a password."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
