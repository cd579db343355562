"""What the user accepted is kept, under the target's name, and nothing else is."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from relay_kernel.link.errors import DialError
from relay_kernel.link.pins import HostKey, alias, fetch_host_key, pin, read_pins, unpin
from relay_kernel.settings.config import TargetConfig

if TYPE_CHECKING:
    from relay_kernel.settings.paths import Places
    from tests.sshd import Sshd

KEY = HostKey("ssh-ed25519", "AAAAC3NzaC1lZDI1NTE5AAAAIGujuEKIn0J+77Dl6zfFqbZYnqM/tXku93WhgbYm0cRz")
OTHER = HostKey("ssh-rsa", "AAAAB3NzaC1yc2EAAAADAQABAAAAgQ==")


def test_nothing_is_pinned_at_first(places: Places) -> None:
    assert read_pins(places, "pc") == ()


def test_a_pin_replaces_its_own_targets_only(places: Places) -> None:
    pin(places, "pc", KEY)
    pin(places, "pc-2", KEY)
    pin(places, "pc", OTHER)
    assert read_pins(places, "pc") == (OTHER,)
    assert read_pins(places, "pc-2") == (KEY,)
    unpin(places, "pc")
    unpin(places, "pc")
    assert read_pins(places, "pc") == ()
    assert read_pins(places, "pc-2") == (KEY,)
    assert places.known_hosts.stat().st_mode & 0o777 == 0o600


def test_damaged_lines_pin_nothing(places: Places) -> None:
    places.known_hosts.write_text("\nrelay-pc\nrelay-pc ssh-rsa\nrelay-pc ssh-rsa !!\n# note\n")
    assert read_pins(places, "pc") == ()


async def test_the_key_fetched_is_the_one_shown(pc: Sshd) -> None:
    assert await fetch_host_key(pc.target()) == pc.host_key


def test_the_fingerprint_is_openssh_s(pc: Sshd, places: Places) -> None:
    pin(places, "pc", pc.host_key)
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-F", alias("pc"), "-f", str(places.known_hosts)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert pc.host_key.fingerprint in shown


async def test_a_pc_that_is_off_is_one_line(pc: Sshd) -> None:
    pc.stop()
    with pytest.raises(DialError, match="refuses the connection") as caught:
        await fetch_host_key(pc.target())
    assert not caught.value.permanent


async def test_a_pc_that_dials_in_is_not_dialled() -> None:
    with pytest.raises(DialError, match="pc dials in, and is not there"):
        await fetch_host_key(TargetConfig("pc", dials_in=True))
