"""What the docs tell people to type is what the programs understand."""

from __future__ import annotations

import ast
import functools
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typer

from relay_kernel.cli import build_app
from relay_kernel.settings.config import load_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typer.core import TyperCommand, TyperGroup

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_TEST = re.compile(r"\btests/[\w/]+(?:\.py)?")


def blocks(language: str) -> list[tuple[str, str]]:
    """All blocks in a language, each with the place where it stands."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in _FENCE.finditer(text):
            if block[1] == language:
                line = text.count("\n", 0, block.start()) + 1
                found.append((f"{page.relative_to(ROOT)}:{line}", block[2]))
    return found


def typed() -> Iterator[tuple[str, str]]:
    """Every line that the docs have people type into a shell."""
    for place, text in blocks("sh"):
        yield from ((place, line) for line in text.splitlines() if line.strip())
    for place, text in blocks("console"):
        lines = [line[2:] for line in text.splitlines() if line.startswith("$ ")]
        assert lines, f"{place}: nothing is typed here"
        yield from ((place, line) for line in lines)


def programs(line: str) -> list[list[str]]:
    """The programs that a line of a shell starts, with their arguments."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    found: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= set("&|;"):
            found.append([])
        else:
            found[-1].append(word)
    # What is written into a file is no argument.
    upto = [next((n for n, w in enumerate(each) if set(w) == {">"}), None) for each in found]
    return [each[:end] for each, end in zip(found, upto, strict=True) if each]


def relay_lines() -> list[tuple[str, list[str]]]:
    """The arguments of each ``relay`` in a block."""
    return [
        (place, words[1:])
        for place, line in typed()
        for words in programs(line)
        if words[0].rpartition("/")[2] == "relay"
    ]


#: Lines that are no ``relay …`` -> what runs them: each stands there, word for word.
RUN = {
    "python3 --version": "tests/typed/test_guides.py",
    "pip install .": "tests/typed/conftest.py",
    "python3 -m venv ~/relay": "tests/typed/test_guides.py",
    "~/relay/bin/pip install .": "tests/typed/test_guides.py",
    "jupyter kernelspec list": "tests/typed/test_guides.py",
    "jupyter kernelspec install kernelspecs/relay --sys-prefix": "tests/typed/test_guides.py",
    'venv/bin/python -m ipykernel install --user --name science --display-name "Science"': (
        "tests/typed/test_guides.py"
    ),
    "ssh-keygen -t ed25519": "tests/typed/test_guides.py",
    "ssh-copy-id me@192.0.2.7": "tests/typed/test_guides.py",
    "ssh me@192.0.2.7 true": "tests/typed/test_guides.py",
    "ssh -p 2222 me@localhost true": "tests/typed/test_guides.py",
    "systemctl --user daemon-reload": "tests/typed/test_guides.py",
    "python -m tests.bench.envs": "tests/test_in_small.py",
    ". .venv/bin/activate": "tests/typed/test_guides.py",
    'pip install -e ".[test]"': "tests/typed/test_guides.py",
    'pip install -e ".[test]" sshpyk': "tests/typed/test_guides.py",
    "loginctl enable-linger": "tests/typed/test_boots.py",
    "systemd-inhibit --list": "tests/typed/test_boots.py",
    'sudo systemd-inhibit --what=sleep:idle --why="training" sleep 8h': (
        "tests/typed/test_boots.py"
    ),
    "sudo nginx -t": "tests/typed/test_boots.py",
    "sudo systemctl reload nginx": "tests/typed/test_boots.py",
    "sudo ethtool -s enp3s0 wol g": "tests/typed/test_wake.py",
    "wakeonlan 00:11:22:33:44:55": "tests/typed/test_wake.py",
    "systemctl --user enable --now tunnel.service": "tests/typed/test_guides.py",
    "systemctl --user disable --now relay-join.service": "tests/typed/test_guides.py",
    'python3 -m venv .venv && .venv/bin/pip install -q ".[demo]" && .venv/bin/relay demo': (
        "tests/typed/test_guides.py"
    ),
    'pip install -e ".[docs]" && mkdocs serve': "tests/typed/test_guides.py",
    'pip install ".[demo]"': "tests/typed/test_guides.py",
    "pip install numpy": "tests/typed/test_guides.py",
    "pip uninstall relay-kernel": "tests/typed/test_guides.py",
    "jupyter kernelspec install kernelspecs/relay --user": "tests/typed/test_guides.py",
    "jupyter kernelspec remove relay": "tests/typed/test_guides.py",
    "jupyter server extension disable --sys-prefix relay_kernel": "tests/typed/test_guides.py",
    "ssh me@srv.example.org": "tests/typed/test_guides.py",
    "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub": "tests/typed/test_guides.py",
    "/usr/bin/autossh -M 0": "tests/typed/test_guides.py",
    "systemctl --user status relay-join": "tests/typed/test_guides.py",
    "systemctl --user is-enabled tunnel": "tests/typed/test_guides.py",
    "systemctl --user is-enabled relay-join": "tests/typed/test_guides.py",
    "journalctl --user -u relay-join": "tests/typed/test_boots.py",
    "systemctl is-enabled ssh": "tests/typed/test_boots.py",
    "sudo systemctl reload ssh": "tests/typed/test_boots.py",
    "sudo apt install polkitd": "tests/typed/test_boots.py",
    "sudo apt install openssh-server": "tests/typed/test_boots.py",
    "sudo systemctl reboot": "tests/typed/booted.py",
    "python -m tests.sim --seed 7 --trace": "tests/test_in_small.py",
}

#: Lines of which a test runs the same with other words -> the test, and what is other.
RUN_OTHERWISE = {
    "jupyter lab": ("tests/browser/lab.py", "with a port and a folder of the test"),
    (
        'python3 -m venv .venv && .venv/bin/pip install -q -e ".[test]" '
        "&& .venv/bin/pytest -n auto --dist loadfile"
    ): (
        ".ci/run",
        "it takes the line from README.md, and so runs these tests",
    ),
    'python3 -m venv .venv && .venv/bin/pip install -e ".[test,check,docs]"': (
        ".ci/run",
        "in two steps: the checks and the docs first, then the tests",
    ),
    "mkdir -p ~/.local/share/bash-completion/completions": ("tests/cli/test_shells.py", "as is"),
    "mkdir -p ~/.zfunc": ("tests/cli/test_shells.py", "as is"),
    "python -m tests.bench.comparison": ("tests/test_in_small.py", "in small"),
    "python -m tests.bench.files": ("tests/test_in_small.py", "in small"),
    "python -m tests.bench.front_end": ("tests/test_in_small.py", "in small"),
    "python -m tests.bench.state": ("tests/test_in_small.py", "in small"),
    "echo 'fpath+=(~/.zfunc); autoload -Uz compinit && compinit' >> ~/.zshrc": (
        "tests/cli/test_shells.py",
        "as is",
    ),
    "mkdir -p ~/.config/fish/completions": ("tests/cli/test_shells.py", "as is"),
    "jupyter console": ("tests/e2e/test_clients.py", "with a prompt that needs no terminal"),
    "!ssh pi wakeonlan 00:11:22:33:44:55": ("tests/typed/test_wake.py", "without the way to pi"),
    "pip install sshpyk": ("tests/typed/test_guides.py", "together with the tests' packages"),
    "pip install torch": (".ci/run", "in one version"),
    "ruff format . && ruff check .": (".ci/run", "it changes nothing"),
    "mkdocs build --strict": (".ci/run", "into a folder of its own"),
    "hatchling build": (".ci/run", "its two halves, one by one"),
    "python -m tests.commands_page": ("tests/test_docs.py", "compared, and not written"),
    "python -m tests.bench.folder": ("tests/test_in_small.py", "in small"),
    "python -m tests.bench.loss": ("tests/test_in_small.py", "in small"),
    "python -m tests.bench.memory_dump": ("tests/test_in_small.py", "or what it says without CRIU"),
    "python -m tests.histories --count 100": ("tests/test_in_small.py", "in small"),
    "python -m tests.inkernel --programs 1000": ("tests/test_in_small.py", "in small"),
    "python -m tests.inkernel --routes": ("tests/test_in_small.py", "in small"),
    "python -m tests.inkernel --routes --python PATH": ("tests/test_in_small.py", "in small"),
    "python -m tests.net.push": ("tests/test_in_small.py", "in small"),
    "… --fill": ("tests/test_in_small.py", "in small"),
    "… --tcp bbr": ("tests/test_in_small.py", "in small, and with reno, which every Linux has"),
    "python -m tests.net.state": ("tests/test_in_small.py", "in small"),
    "python -m tests.sim --seeds 10000": ("tests/test_in_small.py", "in small"),
}

#: What is within a sentence, and only speaks of a program -> why it is nothing to type.
SPOKEN_OF = {
    "ssh -L": "a row's name in a comparison",
    "kill -9": "a kind of end",
    "conda run": "what is not needed",
    "sleep infinity": "what the guide's unit has something better for",
    "python3 -m venv": "what a package is for; typed in full in a block",
    "pip install": "any package",
    "pip install -e": "any package",
    "%pip install": "any package",
    "!uv pip install": "any package",
}

#: What a command within a sentence begins with, beside the programs of the blocks.
PROGRAMS = {
    *("apt", "apt-get", "autossh", "bash", "cat", "conda", "cp", "curl", "docker", "find", "git"),
    *("grep", "hatchling", "ip", "journalctl", "kill", "ls", "mkdocs", "mypy", "nginx", "nmcli"),
    *("npm", "pixi", "pkill", "ps", "python", "rm", "rsync", "ruff", "scp", "sed", "sleep"),
    *("ssh-add", "ssh-keyscan", "sysctl", "tail", "unison", "uv", "wget", "winget", "wsl"),
}


def other_lines() -> set[str]:
    """What is typed and starts more than ``relay``, without its comments."""
    lines = {re.sub(r"\s+# .*$", "", line) for _, line in typed()}
    lines = {line for line in lines if not line.startswith("#")}
    return {
        line
        for line in lines
        if any(words[0].rpartition("/")[2] not in {"relay", "tee"} for words in programs(line))
    }


def prose() -> Iterator[tuple[Path, str]]:
    """Each span within a sentence or a table, but in pages that quote what programs say or said."""
    quoting = {"errors.md", "changelog.md", "release-notes.md"}
    for page in PAGES:
        if page.name not in quoting and page.parent.name != "decisions":
            text = _FENCE.sub("", page.read_text(encoding="utf-8"))
            yield from ((page, span) for span in _SPAN.findall(text))


def inline_lines() -> set[str]:
    """What starts a program and stands within a sentence: two words or more.

    Not ``relay …``, see :func:`mentioned`, and not ``pytest …``, which starts these very tests.
    """
    started = {words[0] for _, line in typed() for words in programs(line)}
    known = PROGRAMS | {each.rpartition("/")[2] for each in started} - {"relay", "pytest", "."}
    found = set()
    for _, span in prose():
        words = span.lstrip("%!").removeprefix("sudo ").split()
        goes_on = words[0] == "…" and words[1:] and words[1].startswith("--")
        if goes_on or (len(words) > 1 and words[0].rpartition("/")[2] in known):
            found.add(span)
    return found


def test_every_line_is_run_or_has_a_reason() -> None:
    """A new one fails here until somebody decides; ``relay`` is typed by tests/envs."""
    decided = [line for table in (RUN, RUN_OTHERWISE, SPOKEN_OF) for line in table]
    assert sorted(decided) == sorted(other_lines() | inline_lines())
    assert not SPOKEN_OF.keys() & other_lines()


@pytest.mark.parametrize("line", RUN)
def test_what_runs_a_line_has_it_word_for_word(line: str) -> None:
    tree = ast.parse((ROOT / RUN[line]).read_text(encoding="utf-8"))
    assert line in {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}


@pytest.mark.parametrize("line", RUN_OTHERWISE)
def test_what_runs_the_same_exists(line: str) -> None:
    where, how = RUN_OTHERWISE[line]
    assert (ROOT / where).is_file()
    assert how


@functools.cache
def whole() -> TyperCommand | TyperGroup:
    """``relay``, with all of its commands."""
    return typer.main.get_command(build_app())


def find_command(words: list[str]) -> tuple[TyperCommand | TyperGroup, list[str]]:
    """The command that ``words`` name, and what is left for it."""
    command = whole()
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    return command, words


def test_no_block_escapes() -> None:
    """Each is in a language that is checked here or elsewhere, or is nothing to be typed."""
    languages = {block[1] for page in PAGES for block in _FENCE.finditer(page.read_text("utf-8"))}
    checked = {"sh", "console", "toml", "python", "ini", "json"}
    assert languages - checked <= {"text", "nginx"}


def test_no_span_escapes() -> None:
    """One that goes on in the next line would be overlooked."""
    for page in PAGES:
        lines = _FENCE.sub("", page.read_text(encoding="utf-8")).splitlines()
        assert [line for line in lines if line.count("`") % 2] == [], page


def test_there_is_something_to_check() -> None:
    assert len(relay_lines()) > 20
    assert len(list(typed())) > 50


@pytest.mark.parametrize(("place", "words"), relay_lines(), ids=str)
def test_the_command_line_understands(place: str, words: list[str]) -> None:
    """Parsed by the real command, to the last option; nothing is run."""
    command, rest = find_command(words)
    assert rest == [] or not hasattr(command, "commands") or rest[0].startswith("-"), rest
    command.make_context("relay", list(rest))


def mentioned() -> list[tuple[str, str]]:
    """Every ``relay …`` in running text, but in the page of errors, which quotes lines."""
    found = set()
    for page in PAGES:
        text = "" if page.name == "errors.md" else _FENCE.sub("", page.read_text(encoding="utf-8"))
        spans = (span for span in _SPAN.findall(text) if re.match(r"relay( |$)", span))
        found |= {(str(page.relative_to(ROOT)), span) for span in spans}
    return sorted(found)


@pytest.mark.parametrize(("place", "span"), mentioned())
def test_what_is_mentioned_exists(place: str, span: str) -> None:
    """The command, and each option: a mention need not be complete."""
    words = shlex.split(span)[1:]
    # ``COMMAND`` stands for any.
    command, rest = find_command(["status" if word == "COMMAND" else word for word in words])
    assert command.name != "relay" or not rest or rest[0].startswith("-"), f"no relay {rest[0]}"
    context = typer.Context(command)
    known = {
        name for each in command.get_params(context) for name in [*each.opts, *each.secondary_opts]
    }
    assert {word for word in rest if word.startswith("-")} <= known


@pytest.mark.parametrize(("place", "text"), blocks("sh"), ids=str)
def test_a_shell_reads_it(place: str, text: str) -> None:
    done = subprocess.run(
        ["bash", "-n"], input=text, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("place", "text"), blocks("toml"))
def test_a_configuration_is_accepted(place: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    load_config(path)


@pytest.mark.parametrize(("place", "text"), blocks("python"))
def test_python_reads_it(place: str, text: str) -> None:
    assert compile(text, place, "exec")


@pytest.mark.parametrize(("place", "text"), blocks("json"))
def test_json_is_json(place: str, text: str) -> None:
    assert json.loads(text), place


@pytest.mark.parametrize(("place", "text"), blocks("ini"))
def test_systemd_reads_it(place: str, text: str, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        if os.environ.get("CI"):
            pytest.fail("systemd-analyze is missing: install systemd")
        pytest.skip("needs systemd-analyze (systemd)")
    unit = tmp_path / "guided.service"
    unit.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "--man=no", "verify", str(unit)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert [line for line in done.stderr.splitlines() if "guided" in line] == []
    assert done.returncode == 0, done.stderr


def test_every_test_that_is_named_exists() -> None:
    named = {
        (str(page.relative_to(ROOT)), path)
        for page in PAGES
        for path in _TEST.findall(page.read_text(encoding="utf-8"))
    }
    # ``tests/x/test_y.py`` stands for all of them.
    named = {(place, path) for place, path in named if not path.startswith("tests/x/")}
    assert len(named) > 20
    assert [each for each in sorted(named) if not (ROOT / each[1].rstrip("/")).exists()] == []


def test_every_module_that_is_run_exists() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    modules = set(re.findall(r"python -m (tests[\w.]+)", text))
    assert modules
    assert [name for name in sorted(modules) if importlib.util.find_spec(name) is None] == []
    small = (ROOT / "tests/test_in_small.py").read_text(encoding="utf-8")
    assert {name for name in modules if name not in small} <= {"tests.commands_page"}
