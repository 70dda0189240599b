from __future__ import annotations

import datetime
import fcntl
import json
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from authority import HOUR, Authority, certificate_pem, key_pem, make_key, now
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from fake_vault import FakeVault

from countersign import Client, Identity, IdentityError, ProtocolError, _keeper
from countersign._command import signing_bytes
from countersign._keeper import Keeper, renew
from countersign.identity import Renewal


@pytest.fixture
def folder(authority: Authority, tmp_path: Path) -> Path:
    return authority.enroll(tmp_path / "folder", "vault.example:7443")


def test_says_what_the_folder_says(folder: Path) -> None:
    identity = Identity.load(str(folder))

    assert (identity.name, identity.role, identity.address) == ("bot", "bot", "vault.example:7443")
    assert identity.core_fingerprint == b"\x22" * 32
    assert identity.instance_id == b"\x33" * 16
    assert len(identity.serial) == 16
    assert "PRIVATE" not in repr(identity)
    assert "key" not in repr(identity).lower()


def test_is_due_at_two_thirds_of_its_life(authority: Authority, tmp_path: Path) -> None:
    begin = now().replace(microsecond=0)
    folder = authority.enroll(tmp_path / "bot", "a:1", begin=begin, end=begin + 3 * HOUR)
    identity = Identity.load(folder)

    assert identity.renewal_at == begin + 2 * HOUR
    assert identity.needs_renewal(begin + 2 * HOUR)
    assert not identity.needs_renewal(begin + 2 * HOUR - datetime.timedelta(seconds=1))


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"role": "king"},
        {"more": 1},
        {"name": 7},
        {"ca_fingerprint": "00" * 32},
        {"instance_id": "33"},
        {"instance_id": None},
    ],
)
def test_refuses_a_folder_that_says_something_else(folder: Path, change: dict[str, Any]) -> None:
    about = json.loads((folder / "identity.json").read_text())
    (folder / "identity.json").write_text(json.dumps({**about, **change}))

    with pytest.raises(IdentityError):
        Identity.load(folder)


@pytest.mark.parametrize("name", ["identity.json", "key.pem", "cert.pem", "ca.pem"])
@pytest.mark.parametrize("content", [None, b"", b"no", b"\xff\xfe"])
def test_refuses_missing_and_broken_files(folder: Path, name: str, content: bytes | None) -> None:
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)

    with pytest.raises(IdentityError):
        Identity.load(folder)


def test_refuses_a_key_that_others_may_read(folder: Path) -> None:
    (folder / "key.pem").chmod(0o640)

    with pytest.raises(IdentityError, match="can be read by others"):
        Identity.load(folder)


def test_refuses_a_key_of_another_certificate(folder: Path) -> None:
    (folder / "key.pem").write_bytes(key_pem(make_key("p256")))

    with pytest.raises(IdentityError, match="do not belong together"):
        Identity.load(folder)


@pytest.mark.parametrize(
    "address", ["", "vault", "vault:", ":1", "vault:0", "vault:65536", "::1:7", "a/b:1"]
)
def test_refuses_an_address_without_host_and_port(folder: Path, address: str) -> None:
    with pytest.raises(IdentityError):
        Identity.load(folder).with_address(address)


def test_takes_addresses_of_every_kind(folder: Path) -> None:
    for address in ("vault.example:7443", "192.0.2.1:1", "[2001:db8::1]:65535"):
        assert Identity.load(folder).with_address(address).address == address


def test_signs_what_the_formats_draw() -> None:
    drawn = signing_bytes("a.B/C", b"s" * 16, b"n" * 16, 258, b"xy")

    head = b"countersign command v1\0" + b"\0\5a.B/C" + b"s" * 16 + b"n" * 16
    assert drawn == head + b"\0\0\0\0\0\0\1\2" + b"\0\0\0\2xy"
    with pytest.raises(ValueError, match="16 bytes"):
        signing_bytes("a.B/C", b"s" * 16, b"n" * 15, 258, b"")


@pytest.mark.parametrize("key_type", ["p256", "ed25519"])
def test_a_renewal_replaces_key_and_certificate(
    authority: Authority, vault: FakeVault, tmp_path: Path, key_type: str
) -> None:
    folder = authority.enroll(tmp_path / "bot", vault.address, key_type)
    old = Identity.load(folder)
    old_key = (folder / "key.pem").read_bytes()

    if key_type == "p256":
        new = renew(old)
    else:
        # gRPC's own server does not take Ed25519 in a handshake; the vault does.
        with Renewal.of(old) as renewal:
            csr = x509.load_der_x509_csr(renewal.csr())
            assert csr.is_signature_valid
            der = authority.issue(csr.public_key()).public_bytes(Encoding.DER)
            new = renewal.put_in_place(der, authority.der())

    assert new.serial != old.serial
    assert (folder / "key.pem").read_bytes() != old_key
    assert (folder / "key.pem").stat().st_mode & 0o777 == 0o600
    assert sorted(os.listdir(folder)) == ["ca.pem", "cert.pem", "identity.json", "key.pem"]
    assert Identity.load(folder).serial == new.serial
    assert type(new._key) is type(old._key)


def test_a_refused_renewal_leaves_the_folder_as_it_was(
    identity: Identity, vault: FakeVault, authority: Authority
) -> None:
    before = {path.name: path.read_bytes() for path in identity.folder.iterdir()}

    vault.issues_for = make_key("p256").public_key()
    with pytest.raises(ProtocolError, match="another key"):
        renew(identity)
    vault.issues_for = None
    vault.ca_der = Authority().der()
    with pytest.raises(ProtocolError, match="its CA"):
        renew(identity)
    vault.ca_der = authority.der()
    vault.authority = Authority()
    with pytest.raises(ProtocolError, match="not valid"):
        renew(identity)

    assert {path.name: path.read_bytes() for path in identity.folder.iterdir()} == before


def test_of_two_renewals_at_once_one_is_asked_for(identity: Identity, vault: FakeVault) -> None:
    vault.hold.clear()
    results: list[Identity] = []
    threads = [threading.Thread(target=lambda: results.append(renew(identity))) for _ in range(3)]
    for thread in threads:
        thread.start()
    vault.hold.set()
    for thread in threads:
        thread.join(20)

    assert len({result.serial for result in results}) == 1
    assert len(results) == 3
    assert len(vault.requests) == 1


def test_waits_for_the_lock_of_another_process(identity: Identity, vault: FakeVault) -> None:
    # `flock` on another descriptor is what `vaultctl renew` would hold.
    with open(identity.folder / "ca.pem", "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        thread = threading.Thread(target=renew, args=(identity,))
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
        assert vault.requests == []
    thread.join(20)
    assert len(vault.requests) == 1


@pytest.mark.parametrize("renamed", ["nothing", "certificate"])
def test_finishes_a_renewal_that_a_crash_cut_short(
    folder: Path, authority: Authority, renamed: str
) -> None:
    old = Identity.load(folder)
    key = make_key("p256")
    certificate = authority.issue(key.public_key())
    (folder / "key.pem.new").write_bytes(key_pem(key))
    (folder / "key.pem.new").chmod(0o600)
    place = "cert.pem" if renamed == "certificate" else "cert.pem.new"
    (folder / place).write_bytes(certificate_pem(certificate))

    identity = Identity.load(folder)

    assert identity.serial == certificate.serial_number.to_bytes(16, "big") != old.serial
    assert sorted(os.listdir(folder)) == ["ca.pem", "cert.pem", "identity.json", "key.pem"]


def test_an_unused_key_of_a_crash_changes_nothing(folder: Path) -> None:
    old = Identity.load(folder)
    (folder / "key.pem.new").write_bytes(key_pem(make_key("p256")))
    (folder / "key.pem.new").chmod(0o600)
    (folder / "cert.pem.new").write_bytes(b"half a cert")

    assert Identity.load(folder).serial == old.serial
    assert not (folder / "cert.pem.new").exists()


def test_a_client_renews_in_the_background_and_goes_on(
    authority: Authority, vault: FakeVault, tmp_path: Path
) -> None:
    begin = now() - 20 * HOUR
    due = Identity.load(authority.enroll(tmp_path / "due", vault.address, begin=begin, end=now() + HOUR))
    with Client(due) as client:
        assert wait_until(lambda: client.identity.serial != due.serial)
        client.sign("okx-main", "GET", "https://www.okx.com/api/v5/account/balance")

    assert vault.serials[-1].to_bytes(16, "big") == Identity.load(due.folder).serial != due.serial


def test_takes_over_what_another_process_has_renewed(
    identity: Identity, vault: FakeVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_keeper, "LOOK_INTERVAL", 0.05)
    with Client(identity) as client:
        client.sign("okx-main", "GET", "https://www.okx.com/")
        renewed = renew(identity)
        assert wait_until(lambda: client.identity.serial == renewed.serial)
        client.sign("okx-main", "GET", "https://www.okx.com/")

    assert vault.serials[0].to_bytes(16, "big") == identity.serial
    assert vault.serials[-1].to_bytes(16, "big") == renewed.serial


def test_the_thread_ends_with_the_last_user(identity: Identity) -> None:
    before = threading.active_count()
    keeper = Keeper.of(identity)
    assert Keeper.of(identity) is keeper
    assert threading.active_count() == before + 1
    del keeper

    assert wait_until(lambda: threading.active_count() == before)


def test_goes_on_when_the_folder_is_gone(identity: Identity, caplog: pytest.LogCaptureFixture) -> None:
    keeper = Keeper.of(identity)
    shutil.rmtree(identity.folder)
    with pytest.raises(IdentityError):
        keeper.look()
    assert keeper.identity is identity


def wait_until(true: Any, seconds: float = 10) -> bool:
    done = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if true():
            return True
        done.wait(0.02)
    return False
