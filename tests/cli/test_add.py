"""``relay add`` and ``relay remove`` as a person runs them: the real command, a real sshd."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from relay_kernel import __version__
from relay_kernel.link.pins import read_pins
from relay_kernel.settings.config import load_config
from tests.sshd import Sshd, make_key

if TYPE_CHECKING:
    from pathlib import Path

    from relay_kernel.settings.paths import Places


@dataclass
class Said:
    status: int
    output: str
    errors: str

    @property
    def complaint(self) -> str:
        """The one line on stderr."""
        lines = self.errors.splitlines()
        assert len(lines) == 1, self.errors
        assert lines[0].startswith("relay: ")
        return lines[0]


def relay(*arguments: str | Path) -> Said:
    done = subprocess.run(
        [sys.executable, "-m", "relay_kernel.cli", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr)


def add(pc: Sshd, *more: str | Path, name: str = "pc") -> Said:
    return relay(
        *("add", name, "--ssh", pc.address, "--identity", pc.identity),
        *("--python", sys.executable, *more),
    )


class TestAdd:
    def test_a_pc_is_paired(self, pc: Sshd, places: Places) -> None:
        said = add(pc, "--yes")
        assert (said.status, said.errors) == (0, "")
        assert pc.host_key.fingerprint in said.output
        assert os.uname().nodename in said.output
        assert "pc is ready" in said.output
        assert read_pins(places, "pc") == (pc.host_key,)
        target = load_config(places.config).target("pc")
        assert target is not None
        assert (target.ssh, target.identity, target.python) == (
            pc.address,
            pc.identity,
            sys.executable,
        )

    def test_again_needs_only_the_name(self, pc: Sshd, places: Places) -> None:
        add(pc, "--yes")
        said = relay("add", "pc")
        assert said.status == 0, said.errors
        assert "that is the one pinned for it" in said.output

    def test_nobody_to_ask(self, pc: Sshd, places: Places) -> None:
        said = add(pc)
        assert said.status == 1
        assert "nobody is here to accept the host key" in said.complaint
        assert read_pins(places, "pc") == ()
        assert not places.config.exists()

    @pytest.mark.parametrize(("answer", "status"), [(b"y\n", 0), (b"n\n", 1), (b"\n", 1)])
    def test_the_user_is_asked(self, pc: Sshd, places: Places, answer: bytes, status: int) -> None:
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "relay_kernel.cli", "add", "pc", "--ssh", pc.address),
                *("--identity", str(pc.identity), "--python", sys.executable),
            ],
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        os.close(theirs)
        os.write(ours, answer)
        output, errors = process.communicate(timeout=60)
        os.close(ours)
        assert process.returncode == status, errors
        assert b"Is it the same?" in output + errors
        assert bool(read_pins(places, "pc")) == (status == 0)
        assert places.config.exists() == (status == 0)

    def test_another_key_is_shown_beside_the_old_one(self, pc: Sshd, places: Places) -> None:
        add(pc, "--yes")
        old, new = pc.host_key, pc.new_host_key()
        said = add(pc)
        assert said.status == 1
        assert old.fingerprint in said.output
        assert new.fingerprint in said.output
        assert read_pins(places, "pc") == (old,)
        assert add(pc, "--yes").status == 0
        assert read_pins(places, "pc") == (new,)

    def test_a_refused_login_keeps_the_pin_and_writes_nothing(
        self, pc: Sshd, places: Places, tmp_path: Path
    ) -> None:
        said = add(pc, "--yes", "--identity", make_key(tmp_path / "stranger"))
        assert said.status == 1
        assert "refuses the key" in said.complaint
        assert read_pins(places, "pc") == (pc.host_key,)
        assert not places.config.exists()

    def test_a_pc_that_is_off(self, pc: Sshd, places: Places) -> None:
        pc.stop()
        said = add(pc, "--yes")
        assert said.status == 1
        assert "refuses the connection" in said.complaint

    def test_no_such_host(self, pc: Sshd, places: Places) -> None:
        said = relay("add", "pc", "--ssh", "me@no-such-host.invalid", "--yes")
        assert said.status == 1
        assert "the name does not resolve" in said.complaint


WRONG_USE = {
    "local": (("add", "local", "--ssh", "x"), "is the server's own name"),
    "name": (("add", "My PC", "--ssh", "x"), "allowed are a-z, 0-9, _ and -"),
    "where": (("add", "pc"), "say where pc is: relay add pc --ssh me@host:port"),
    "address": (("add", "pc", "--ssh", "a@@b"), "is not an SSH address"),
    "identity": (("add", "pc", "--ssh", "x", "--identity", "/no"), "/no does not exist"),
    "command": (("ad",), "No such command 'ad'"),
    "option": (("add", "pc", "--shh", "x"), "No such option"),
    "stranger": (("remove", "pc"), "has no target pc; it has: none"),
}


class TestUsage:
    @pytest.mark.parametrize(("arguments", "said"), WRONG_USE.values(), ids=WRONG_USE)
    def test_wrong_use_is_status_2(
        self, places: Places, arguments: tuple[str, ...], said: str
    ) -> None:
        done = relay(*arguments)
        assert done.status == 2
        assert said in done.complaint

    def test_a_wrong_config_is_status_2(self, places: Places) -> None:
        places.config.write_text("[kernel]\nzzz = 1\n")
        done = relay("add", "pc", "--ssh", "x")
        assert done.status == 2
        assert f"{places.config}, line 2: kernel.zzz" in done.complaint

    def test_the_version(self) -> None:
        assert relay("--version").output == f"relay-kernel {__version__}\n"

    def test_help_without_a_command(self) -> None:
        done = relay()
        assert done.status == 0
        assert "add" in done.output


def test_a_removed_pc_is_forgotten(pc: Sshd, places: Places) -> None:
    add(pc, "--yes")
    said = relay("remove", "pc")
    assert (said.status, said.errors) == (0, "")
    assert load_config(places.config).targets == ()
    assert read_pins(places, "pc") == ()
