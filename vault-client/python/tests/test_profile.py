from __future__ import annotations

from pathlib import Path

import pytest
from authority import Authority

from countersign import Identity, IdentityError, ProfileError, identity_of


@pytest.fixture
def config(authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    folder = tmp_path / "countersign"
    folder.mkdir()
    authority.enroll(folder / "a", "a.example:1")
    authority.enroll(folder / "b", "b.example:2")
    return folder / "config.toml"


A = '[profile."a"]\nidentity = "a"\n'
B = '[profile."b"]\nidentity = "b"\naddress = "other.example:3"\n'


def test_finds_profiles_by_name(config: Path) -> None:
    config.write_text(A + B)

    assert identity_of("a").address == "a.example:1"
    assert identity_of("b").address == "other.example:3"


def test_takes_the_default_and_the_only_one(config: Path) -> None:
    config.write_text('default_profile = "b"\n' + A + B)
    assert identity_of().folder == config.parent / "b"

    config.write_text(A)
    assert identity_of().folder == config.parent / "a"


def test_a_path_is_a_folder_and_an_identity_itself(config: Path) -> None:
    identity = identity_of(config.parent / "a")

    assert isinstance(identity, Identity)
    assert identity_of(identity) is identity


def test_looks_under_home_too(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.write_text(A)
    monkeypatch.delenv("XDG_CONFIG_HOME")
    home = config.parent.parent / "home"
    home.mkdir()
    (home / ".config").symlink_to(config.parent.parent)
    monkeypatch.setenv("HOME", str(home))

    assert identity_of("a").name == "bot"


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        (None, None, "vaultctl enroll"),
        ("", None, "default_profile"),
        (A + B, None, "default_profile"),
        (A, "z", "no profile 'z'"),
        (A, "/some/folder", r"pathlib\.Path"),
        ('default_profile = "z"\n' + A, None, "no profile 'z'"),
        ("[profile.a]\n", "a", "identity"),
        ('[profile.a]\nidentity = "a"\nadress = "b"\n', "a", "identity"),
        ("[profile.a]\nidentity = 7\n", "a", "texts"),
        ("profile = 7\n", None, "table"),
        ("no toml", None, r"config\.toml"),
    ],
)
def test_says_what_is_wrong(config: Path, text: str | None, name: str | None, words: str) -> None:
    if text is not None:
        config.write_text(text)

    with pytest.raises(ProfileError, match=words):
        identity_of(name)


def test_an_address_of_a_profile_must_be_one(config: Path) -> None:
    config.write_text('[profile.a]\nidentity = "a"\naddress = "nowhere"\n')

    with pytest.raises(IdentityError, match="host:port"):
        identity_of("a")
