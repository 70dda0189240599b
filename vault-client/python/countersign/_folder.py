"""Files of an identity: written whole, synced, then renamed into place; locked as ``vaultctl`` locks."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from countersign.errors import IdentityError

#: Mode of files with a private key, and of all others.
SECRET_MODE, PLAIN_MODE = 0o600, 0o644
#: What a renewal writes first, before it renames.
NEW_SUFFIX = ".new"


def with_new(path: Path) -> Path:
    """The name under which a renewal writes a file first."""
    return path.with_name(path.name + NEW_SUFFIX)


@contextlib.contextmanager
def io(path: Path) -> Iterator[None]:
    """Turns an answer of the operating system into an error that names the file."""
    try:
        yield
    except OSError as error:
        raise IdentityError(f"{path}: {error.strerror or error}") from error


@contextlib.contextmanager
def locked(path: Path, exclusive: bool) -> Iterator[None]:
    """Holds an advisory lock on a file that exists (``flock``, as the Rust client). Blocks."""
    with io(path):
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with io(path):
            fcntl.flock(file, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
        yield
    finally:
        # The lock ends with the last descriptor of it.
        os.close(file)


def read(path: Path) -> bytes:
    """The whole file."""
    with io(path):
        return path.read_bytes()


def read_if_there(path: Path) -> bytes | None:
    """The whole file; ``None`` if there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise IdentityError(f"{path}: {error.strerror or error}") from error


def read_secret(path: Path) -> bytes:
    """The whole file, unless others than its owner may read it."""
    with io(path):
        mode = path.stat().st_mode
    if mode & 0o077:
        raise IdentityError(f"the key in {path} can be read by others")
    return read(path)


def write(path: Path, content: bytes, mode: int) -> None:
    """Writes and syncs a file. One of that name is replaced, whatever its mode was."""
    remove_if_there(path)
    with io(path):
        # New, so that the mode holds from the first byte on and no link is followed.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with open(os.open(path, flags, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def rename(old: Path, new: Path) -> None:
    """Renames a file and syncs its folder."""
    with io(old):
        os.replace(old, new)
        folder = os.open(new.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def remove_if_there(path: Path) -> None:
    """Removes a file; none of that name is as good."""
    with io(path), contextlib.suppress(FileNotFoundError):
        path.unlink()
