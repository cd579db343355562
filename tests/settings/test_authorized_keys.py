"""The file that says who may log in: only lines of ours ever change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from relay_kernel.core.errors import RelayError
from relay_kernel.settings.authorized_keys import (
    PublicKey,
    authorize,
    gateway_line,
    parse_public_key,
    revoke,
)

if TYPE_CHECKING:
    from pathlib import Path

BLOB = "AAAAC3NzaC1lZDI1NTE5AAAAIA" + "A" * 41 + "="
KEY = PublicKey("ssh-ed25519", BLOB[:-1] + "A")
OTHER = PublicKey("ssh-ed25519", BLOB[:-2] + "BA")
PC = ["/opt/relay", "gateway", "pc"]


def line(key: PublicKey = KEY, command: list[str] = PC) -> str:
    return gateway_line(command[-1], command, key)


class TestKeys:
    def test_a_key_as_relay_join_shows_it(self) -> None:
        assert parse_public_key(f"ssh-ed25519 {KEY.blob} me@desk\n") == KEY

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("", "one line"),
            ("ssh-ed25519", "one line"),
            (f"ssh-ed25519 {KEY.blob}\nssh-ed25519 {KEY.blob}", "one line"),
            (f'command="sh" ssh-ed25519 {KEY.blob}', "one line"),
            ("-----BEGIN OPENSSH PRIVATE KEY-----", "one line"),
            ("ssh-ed25519 no*base64", "damaged"),
            (f"ssh-rsa {KEY.blob}", "is no ssh-rsa"),
        ],
    )
    def test_what_is_no_key(self, text: str, why: str) -> None:
        with pytest.raises(ValueError, match=why):
            parse_public_key(text)


class TestFile:
    def test_the_line_can_do_nothing_else(self) -> None:
        assert line().startswith('restrict,command="/opt/relay gateway pc" ssh-ed25519 AAAA')
        spaced = gateway_line("pc", ["env", "RELAY_HOME=/a b", "gateway", "pc"], KEY)
        assert "command=\"env 'RELAY_HOME=/a b' gateway pc\"" in spaced

    @pytest.mark.parametrize("sign", ['"', "\\", "\n"])
    def test_a_path_that_cannot_be_quoted_is_refused(self, sign: str) -> None:
        with pytest.raises(RelayError, match="cannot hold the command"):
            gateway_line("pc", [f"/a{sign}b", "gateway", "pc"], KEY)

    def test_a_new_file_is_private(self, tmp_path: Path) -> None:
        path = tmp_path / ".ssh" / "authorized_keys"
        assert authorize(path, line(), KEY)
        assert path.read_text() == f"{line()}\n"
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert not authorize(path, line(), KEY)

    def test_other_lines_stay_to_the_byte(self, tmp_path: Path) -> None:
        path = tmp_path / "authorized_keys"
        path.write_bytes(b"# mine \xff\n\nssh-rsa AAAAB3 me@home \nssh-dss AAAA old")
        authorize(path, line(), KEY)
        revoke(path, PC)
        assert path.read_bytes() == b"# mine \xff\n\nssh-rsa AAAAB3 me@home \nssh-dss AAAA old\n"

    def test_a_new_key_takes_the_place_of_the_old(self, tmp_path: Path) -> None:
        path = tmp_path / "authorized_keys"
        authorize(path, line(KEY), KEY)
        authorize(path, line(OTHER), OTHER)
        assert path.read_text() == f"{line(OTHER)}\n"

    def test_a_new_command_takes_the_place_of_the_old(self, tmp_path: Path) -> None:
        """sshd goes by the first line of a key; an old path in it would run nothing."""
        path = tmp_path / "authorized_keys"
        authorize(path, line(command=["/old/relay", "gateway", "pc"]), KEY)
        authorize(path, line(), KEY)
        assert path.read_text() == f"{line()}\n"

    def test_two_pcs_have_a_line_each(self, tmp_path: Path) -> None:
        path = tmp_path / "authorized_keys"
        desk = [*PC[:-1], "desk"]
        authorize(path, line(), KEY)
        authorize(path, line(OTHER, desk), OTHER)
        assert revoke(path, PC)
        assert not revoke(path, PC)
        assert path.read_text() == f"{line(OTHER, desk)}\n"

    def test_a_key_that_opens_a_shell_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "authorized_keys"
        path.write_text(f"# a comment\nssh-ed25519 {KEY.blob} me@desk\n")
        with pytest.raises(RelayError, match="line 2 lets the same key in without restriction"):
            authorize(path, line(), KEY)
        assert line() not in path.read_text()
