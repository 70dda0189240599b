"""Profiles: the config file of ``vaultctl``, which says which identity a name stands for.

default_profile = "bot"

[profile."bot"]
identity = "/home/alice/.config/countersign/identities/bot"
address = "vault.example:7443"          # only to use another than the identity's own
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Union

from countersign.errors import ProfileError
from countersign.identity import Identity

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: What a program may give for its identity: the identity itself; its folder, as a path; the name of a
#: profile, as text; or nothing, for the default profile.
IdentityLike = Union[Identity, "os.PathLike[str]", str, None]


def identity_of(source: IdentityLike = None, config: Path | None = None) -> Identity:
    """The identity that is meant. ``config`` is the config file, if not the usual one.

    Raises :class:`ProfileError`, :class:`IdentityError`.
    """
    if isinstance(source, Identity):
        return source
    if source is not None and not isinstance(source, str):
        return Identity.load(source)
    path = config or config_path()
    profile = _profile(_profiles(path), source, path)
    identity = Identity.load(path.parent / profile["identity"])
    address = profile.get("address")
    return identity if address is None else identity.with_address(address)


def config_path() -> Path:
    """Where the config file is or would be: ``$XDG_CONFIG_HOME/countersign/config.toml``, else under
    ``$HOME/.config``."""
    base = os.environ.get("XDG_CONFIG_HOME")
    home = os.environ.get("HOME")
    if not base and not home:
        raise ProfileError("neither XDG_CONFIG_HOME nor HOME is set")
    folder = Path(base) if base else Path(str(home)) / ".config"
    return folder / "countersign" / "config.toml"


def _profiles(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ProfileError(f"there is no {path}; vaultctl enroll makes it") from None
    except (OSError, ValueError) as error:
        raise ProfileError(f"{path}: {error}") from error


def _profile(config: dict[str, Any], name: str | None, path: Path) -> dict[str, str]:
    known = config.get("profile", {})
    name = name if name is not None else config.get("default_profile")
    if not isinstance(known, dict) or not all(isinstance(each, dict) for each in known.values()):
        raise ProfileError(f"{path}: profile is no table of tables")
    if name is None:
        if len(known) != 1:
            raise ProfileError(f"{path} names no default_profile")
        profile = next(iter(known.values()))
    elif name in known:
        profile = known[name]
    else:
        hint = "; a folder is given as a pathlib.Path" if os.sep in str(name) else ""
        raise ProfileError(f"there is no profile {name!r} in {path}{hint}")
    unknown = set(profile) - {"identity", "address"}
    texts = all(isinstance(value, str) for value in profile.values())
    if unknown or not texts or "identity" not in profile:
        raise ProfileError(f"{path}: a profile has identity, and perhaps address: texts")
    return dict(profile)
