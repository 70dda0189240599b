#!/usr/bin/env python3
"""Makes countersign/_proto from proto/vault/v1 of this repository and proto/countersign of this package.

    python tools/generate.py            writes
    python tools/generate.py --check    writes nothing; ends with 1 if something differs

Needs grpcio-tools of exactly VERSION: the oldest whose code works with every version of protobuf that
pyproject.toml allows. Only messages are generated: the package names the few calls it makes itself, and
so depends on no version of grpcio.
"""

from __future__ import annotations

import hashlib
import re
import sys
import tempfile
from importlib import metadata
from pathlib import Path

VERSION = "1.72.2"
PACKAGE = Path(__file__).resolve().parent.parent
OUT = PACKAGE / "countersign" / "_proto"
ROOTS = [PACKAGE.parent.parent / "proto", PACKAGE / "proto"]
SOURCES_FILE = "SOURCES"


def sources() -> dict[str, Path]:
    """Every .proto file, by the name that others import it under."""
    found = {}
    for root in ROOTS:
        for path in root.glob("*/**/*.proto"):
            found[path.relative_to(root).as_posix()] = path
    return dict(sorted(found.items()))


def digests() -> str:
    """What SOURCES says: SHA-256 and name of each source, and the generator's version."""
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {name}" for name, path in sources().items()]
    return "\n".join([*lines, f"grpcio-tools {VERSION}", ""])


def generate() -> dict[str, str]:
    """Every file of countersign/_proto, by its name in there."""
    import grpc_tools
    from grpc_tools import protoc

    if metadata.version("grpcio-tools") != VERSION:
        raise SystemExit(f"grpcio-tools must be {VERSION}")
    known = Path(grpc_tools.__file__).parent / "_proto"
    with tempfile.TemporaryDirectory() as folder:
        status = protoc.main(
            [
                "protoc",
                *(f"-I{root}" for root in [*ROOTS, known]),
                f"--python_out={folder}",
                f"--pyi_out={folder}",
                *sources(),
            ]
        )
        if status != 0:
            raise SystemExit("protoc refused")
        made = {
            path.relative_to(folder).as_posix(): in_package(path.read_text(encoding="utf-8"))
            for path in Path(folder).rglob("*_pb2.py*")
        }
    for name in list(made):
        for parent in Path(name).parents:
            made[(parent / "__init__.py").as_posix()] = '"""Generated: tools/generate.py."""\n'
    made[SOURCES_FILE] = digests()
    return dict(sorted(made.items()))


def in_package(text: str) -> str:
    """Imports of our own modules, as they are called inside of the package."""
    return re.sub(
        r"^from (vault\.v1|countersign) import (\w+_pb2)",
        r"from countersign._proto.\1 import \2",
        text,
        flags=re.MULTILINE,
    )


def present() -> dict[str, str]:
    """What lies there."""
    return {
        path.relative_to(OUT).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(OUT.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def main() -> int:
    made, there = generate(), present()
    differing = sorted(name for name in made.keys() | there.keys() if made.get(name) != there.get(name))
    if "--check" in sys.argv[1:]:
        for name in differing:
            print(f"{OUT / name} is not up to date", file=sys.stderr)
        return 1 if differing else 0
    for name in differing:
        path = OUT / name
        if name in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(made[name], encoding="utf-8")
        else:
            path.unlink()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
