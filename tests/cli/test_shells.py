"""Completion as a person has it: set up by the lines of the docs, in the real shells."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from relay_kernel import __version__
from tests.cli.terminal import Terminal, at_terminal
from tests.cli.test_completion import OFFERED, known
from tests.test_docs_commands import blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["known"]

#: What each is started with: as at a login, with nothing of this machine's own settings.
SHELLS = {"bash": ("bash", "--norc", "-i"), "zsh": ("zsh", "-d", "-i"), "fish": ("fish", "-i")}

BASH_COMPLETION = Path("/usr/share/bash-completion/bash_completion")


def need(shell: str) -> None:
    """Without it, a test is skipped; in CI it fails."""
    package = "bash-completion" if shell == "bash" else shell
    there = BASH_COMPLETION.is_file() if shell == "bash" else shutil.which(shell)
    if not there:
        if os.environ.get("CI"):
            pytest.fail(f"{package} is missing: install it")
        pytest.skip(f"needs {package}")


def set_up(shell: str, home: Path) -> dict[str, str]:
    """Run the lines of the docs for ``shell``; return the environment of such a person."""
    need(shell)
    home.mkdir()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {**os.environ, "HOME": str(home), "PATH": path, "LC_ALL": "C.UTF-8"}
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "ZDOTDIR"):
        env.pop(name, None)
    (lines,) = (text for _, text in blocks("sh") if f"relay completion {shell} >" in text)
    subprocess.run(["bash", "-e", "-c", lines], env=env, check=True, timeout=60)
    return env


@contextlib.contextmanager
def prompt(shell: str, env: dict[str, str]) -> Iterator[Terminal]:
    """The shell, ready for what is typed."""
    with at_terminal(*SHELLS[shell], env=env, controls=True) as person:
        if shell == "bash":
            person.press(f". {BASH_COMPLETION}\n")
        ask = (
            "function fish_prompt; echo 'r''eady> '; end" if shell == "fish" else "PS1='r''eady> '"
        )
        person.press(f"{ask}\n")
        person.says("ready> ")
        yield person


def offered(person: Terminal, line: str) -> set[str]:
    """What zsh lists for ``line``, by the key that lists and does nothing else."""
    person.press(f"{line}\x04")
    person.says(line)
    begin = len(person.text)
    person.says(f"ready> {line}")
    listed = re.sub(r"\x1b\[[\d;?]*\w|\x07", "", person.text[begin - len(line) :])
    rows = listed.partition("\n")[2].rpartition("ready> ")[0].splitlines()
    person.press("\x15")
    return {word for row in rows for word in row.partition(" -- ")[0].split()}


def test_zsh_offers(known: object, tmp_path: Path) -> None:
    """From the first key on: then its function is loaded."""
    with prompt("zsh", set_up("zsh", tmp_path / "home")) as person:
        assert {line: offered(person, line) for line in OFFERED} == OFFERED


@pytest.mark.parametrize("line", OFFERED)
def test_fish_offers(known: object, tmp_path: Path, line: str) -> None:
    env = set_up("fish", tmp_path / "home")
    done = subprocess.run(
        ["fish", "-c", f"complete -C '{line}'"],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    assert {row.split("\t")[0] for row in done.stdout.splitlines()} == OFFERED[line]


@pytest.mark.parametrize("shell", SHELLS)
def test_the_key_completes(known: object, tmp_path: Path, shell: str) -> None:
    """A command, an option of it, a target; and the line that comes of it runs."""
    with prompt(shell, set_up(shell, tmp_path / "home")) as person:
        person.press("relay --vers\t\n")
        person.says(f"relay-kernel {__version__}")
        person.says("ready> ")
        person.press("relay remo\tde\t--js\t\n")
        person.says('"target": "desk"')


@pytest.mark.parametrize("shell", SHELLS)
def test_a_file_is_completed_where_one_is_meant(known: object, tmp_path: Path, shell: str) -> None:
    env = set_up(shell, tmp_path / "home")
    (tmp_path / "home" / "the_key").write_text("no key")
    with prompt(shell, env) as person:
        person.press("relay join a@b --identity ~/the_k\t\n")
        person.says("the_key is no private key")


@pytest.mark.parametrize("shell", SHELLS)
def test_a_wrong_config_shows_nothing_of_ours(known: object, tmp_path: Path, shell: str) -> None:
    """An error in the middle of a line that is being typed would help nobody."""
    from relay_kernel.settings.paths import find_places

    env = set_up(shell, tmp_path / "home")
    find_places().config.write_text("no TOML")
    with prompt(shell, env) as person:
        person.press("relay doctor zz\t --version\n")
        person.says("No such option")
        person.says("ready> ")
    assert "Traceback" not in person.text
    assert "no TOML" not in person.text
