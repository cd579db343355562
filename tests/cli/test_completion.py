"""``relay completion``: what a real shell completes."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.test_add import relay

if TYPE_CHECKING:
    from relay_kernel.settings.paths import Places

#: As a person types it, up to the key -> some of what the shell offers.
OFFERED = {
    "relay doc": {"doctor"},
    "relay doctor ": {"desk", "pc"},
    "relay logs d": {"desk"},
    "relay remove p": {"pc"},
    "relay kernels sync t": {"torch"},
    "relay logs --only ag": {"agent"},
    "relay completion ": {"bash", "zsh", "fish"},
    "relay status --w": {"--watch"},
    "relay files wait --target d": {"desk"},
}


@pytest.fixture
def known(places: Places) -> Places:
    """A server with two PCs and a kernel that is mirrored."""
    places.config.write_text("[targets.pc]\ndials_in = true\n[targets.desk]\nssh = 'me@desk'\n")
    places.envs_status.write_text(json.dumps({"pid": 1, "envs": {"torch": {}}}))
    return places


@functools.cache
def script(shell: str) -> str:
    """What ``relay completion`` prints."""
    said = relay("completion", shell)
    assert (said.status, said.errors) == (0, "")
    return said.output


def complete(line: str) -> set[str]:
    """What bash offers for ``line``."""
    words = line.split(" ")
    program = f"""{script("bash")}
COMP_WORDS=({" ".join(f"'{word}'" for word in words)})
COMP_CWORD={len(words) - 1}
_relay_completion relay
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", program],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert not done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("line", OFFERED)
def test_bash_completes(known: Places, line: str) -> None:
    assert complete(line) == OFFERED[line]


def test_a_config_that_is_wrong_completes_to_nothing(places: Places) -> None:
    places.config.write_text("no TOML")
    assert complete("relay doctor ") == set()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_script(shell: str) -> None:
    assert f"complete_{shell}" in script(shell)


def test_another_shell() -> None:
    said = relay("completion", "csh")
    assert said.status == 2
    assert "'bash', 'zsh', 'fish'" in said.complaint
