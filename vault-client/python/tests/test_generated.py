from __future__ import annotations

import importlib.util
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest

from countersign._proto.vault.v1 import sign_service_pb2 as signatures

TOOL = Path(__file__).parent.parent / "tools" / "generate.py"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_messages_are_those_of_the_proto_files(tool: ModuleType) -> None:
    assert "vault/v1/execute_service.proto" in tool.sources()
    assert tool.present()["SOURCES"] == tool.digests(), "run python tools/generate.py"


def test_generating_again_changes_nothing(tool: ModuleType) -> None:
    try:
        version = metadata.version("grpcio-tools")
    except metadata.PackageNotFoundError:
        version = "none"
    if version != tool.VERSION:
        pytest.skip(f"grpcio-tools {version} is not {tool.VERSION}")

    assert tool.generate() == tool.present()


def test_messages_have_the_names_of_the_wire() -> None:
    assert signatures.SignRequest.DESCRIPTOR.full_name == "vault.v1.SignRequest"
