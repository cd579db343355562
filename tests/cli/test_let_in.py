"""``relay add NAME --dials-in`` and ``relay join`` as a person runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from relay_kernel.settings.config import load_config
from tests.cli.test_add import relay

if TYPE_CHECKING:
    from pathlib import Path

    from relay_kernel.settings.paths import Places


def test_without_a_key_it_says_what_to_do_on_the_pc(places: Places, home: Path) -> None:
    said = relay("add", "desk", "--dials-in")
    assert said.status == 0
    assert "relay join " in said.output
    assert "--name desk" in said.output
    assert "relay add desk --dials-in --key" in said.output
    target = load_config(places.config).target("desk")
    assert target is not None
    assert target.dials_in
    assert not (home / ".ssh").exists()


def test_a_key_is_let_in_and_removed(places: Places, home: Path, key: str) -> None:
    path = home / ".ssh" / "authorized_keys"
    said = relay("add", "pc", "--dials-in", "--key", key, "--yes")
    assert (said.status, said.errors) == (0, "")
    (line,) = path.read_text().splitlines()
    assert line in said.output
    assert line.startswith(f'restrict,command="/usr/bin/env RELAY_HOME={places.config.parent} /')
    assert ' gateway pc" ssh-ed25519 ' in line
    again = relay("add", "pc", "--dials-in", "--key", key, "--yes")
    assert "it stands already in" in again.output
    assert relay("remove", "pc").status == 0
    assert path.read_text() == ""
    assert load_config(places.config).targets == ()


def test_nobody_to_ask_is_shown_the_line(places: Places, home: Path, key: str) -> None:
    said = relay("add", "pc", "--dials-in", "--key", key)
    assert said.status == 0
    assert "not written: put it there yourself" in said.output
    assert not (home / ".ssh").exists()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("add", "pc", "--dials-in", "--ssh", "x"), "--dials-in goes with --key only"),
        (("add", "pc", "--dials-in", "--key", "x"), "--key: a public key is one line"),
        (("add", "local", "--dials-in"), "is the server's own name"),
        (("join", "a@@b"), "is not an SSH address"),
        (("join", "me@server", "--name", "My PC"), "allowed are a-z, 0-9, _ and -"),
        (("join", "me@server", "--identity", "/no"), "the file /no does not exist"),
    ],
)
def test_wrong_use_is_status_2(
    places: Places, home: Path, arguments: tuple[str, ...], why: str
) -> None:
    said = relay(*arguments)
    assert said.status == 2
    assert why in said.complaint


def test_a_key_that_is_none(places: Places, home: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    said = relay("join", "me@127.0.0.1", "--identity", tmp_path / "text")
    assert said.status == 1
    assert "is no private key" in said.complaint


def test_a_server_that_is_not_there(places: Places, home: Path) -> None:
    """The first time its host key must be seen; and a key of its own is made for it."""
    said = relay("join", "me@127.0.0.1:1")
    assert said.status == 1
    assert "refuses the connection" in said.complaint
    assert (places.state / "join_ed25519").stat().st_mode & 0o777 == 0o600
