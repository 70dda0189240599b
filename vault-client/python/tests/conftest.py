from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from authority import Authority
from fake_vault import FakeVault

from countersign import Identity


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def vault(authority: Authority) -> Iterator[FakeVault]:
    fake = FakeVault(authority)
    yield fake
    fake.stop()


@pytest.fixture
def identity(authority: Authority, vault: FakeVault, tmp_path: Path) -> Identity:
    return Identity.load(authority.enroll(tmp_path / "bot", vault.address))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not os.environ.get("COUNTERSIGN_VAULT_BOT_FOLDER"):
        terminalreporter.write_line(
            "NOT RUN: tests/test_vault.py, the tests against a vault: "
            "COUNTERSIGN_VAULT_BOT_FOLDER names no bot's identity",
            yellow=True,
        )
