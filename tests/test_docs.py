"""What the docs say exists, and what exists is in the docs."""

from __future__ import annotations

import ast
import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from relay_kernel.cli import COMMANDS
from relay_kernel.core.model import Phase
from relay_kernel.core.overview import (
    Conflict,
    EnvironmentView,
    FilesView,
    Gpu,
    LeftBehind,
    Move,
    Overview,
    Running,
    TargetView,
    Usage,
)
from relay_kernel.kernel.magics import HELP
from relay_kernel.settings.config import (
    ON_LOSS,
    EnvsConfig,
    FilesConfig,
    KernelConfig,
    TargetConfig,
)
from relay_kernel.wire.frames import Type
from tests.commands_page import MARK, generated

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PACKAGE = ROOT / "relay_kernel"
PAGES = {str(path.relative_to(ROOT)): path for path in [ROOT / "README.md", *DOCS.rglob("*.md")]}

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_SPAN = re.compile(r"`([^`]+)`")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)

#: What people meet is raised by one of these.
ERRORS = {
    *("ConfigError", "DialError", "KernelStartError", "RelayError", "StoreError"),
    *("TooManyChannelsError", "fail"),
    *("FolderError", "NoSpaceError", "NoSuchFolderError", "UnsafePathError"),
    *("EnvError", "GoneError", "ImpossibleError"),
}

#: Letters; shorter pieces of a line say too little to be looked for in the code.
TELLING = 8


def page(name: str) -> str:
    """The text of a page."""
    return (DOCS / name).read_text(encoding="utf-8")


def names(text: str) -> set[str]:
    """What stands in backticks in ``text``, outside of blocks."""
    return set(_SPAN.findall(_FENCE.sub("", text)))


def strings(path: Path) -> list[str]:
    """All texts in a module, with ``…`` for what is filled in."""
    return texts(ast.parse(path.read_text(encoding="utf-8")))


def texts(tree: ast.AST) -> list[str]:
    """All texts in a piece of code, with ``…`` for what is filled in."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [str(p.value) if isinstance(p, ast.Constant) else "…" for p in node.values]
            found.append("".join(parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
    return found


def telling(line: str) -> list[str]:
    """The pieces of a line between what is filled in that are long enough to be told by."""
    pieces = [piece.strip(" .:;,()?") for piece in re.split("…|; |: ", line.replace("`", ""))]
    return [piece for piece in pieces if len(piece) > TELLING]


def keys(path: Path, attribute: str) -> set[str]:
    """The texts that are the keys of the dict that ``self.ATTRIBUTE`` is made with."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.value, ast.Dict):
            continue
        if getattr(node.target, "attr", "") == attribute:
            return {str(key.value) for key in node.value.keys if isinstance(key, ast.Constant)}
    raise AssertionError(f"{path} has no {attribute}")


def reported() -> set[str]:
    """The kinds of report that an agent sends."""
    sent = set()
    for path in (PACKAGE / "agent/host.py", PACKAGE / "store/wanted.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                called = getattr(node.func, "attr", getattr(node.func, "id", ""))
                if called in {"_report", "Message"}:
                    sent.add(str(node.args[0].value))
    return sent


def test_every_setting_is_explained() -> None:
    text = page("config.md")
    known = names(text)
    for section in (TargetConfig, KernelConfig, FilesConfig, EnvsConfig):
        wanted = {field.name for field in fields(section)} - {"name"}
        assert wanted <= known, f"{section.__name__} has more than config.md"
    assert set(ON_LOSS) <= known
    assert "RELAY_HOME" in known


def test_every_field_of_the_relay_comm_is_explained() -> None:
    known = names(page("panel.md").split("## For other front ends")[1])
    said = [Overview, Running, TargetView, Usage, Gpu, LeftBehind, FilesView, Conflict]
    for part in (*said, EnvironmentView, Move):
        assert {field.name for field in fields(part)} <= known, part.__name__


@pytest.mark.parametrize("section", [KernelConfig, TargetConfig], ids=lambda each: each.__name__)
def test_defaults_are_those_of_the_code(section: type) -> None:
    text = page("config.md")
    for field in fields(section):
        row = re.search(rf"^\| `{field.name}` \| `([^`|]+)` \|", text, re.MULTILINE)
        if row is None:
            continue
        assert tomllib.loads(f"key = {row[1]}") == {"key": field.default}, field.name


def test_every_magic_is_explained() -> None:
    known = names(page("magics.md"))
    for line in HELP.splitlines():
        magic = re.split(r"  +", line.strip())[0]
        head, _, choices = magic.rpartition(" ")
        forms = {f"{head} {choice}" for choice in choices.split("|")} if "|" in magic else {magic}
        assert forms <= known, f"magics.md lacks {forms - known}"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_explained(command: str) -> None:
    assert any(name.split()[:2] == ["relay", command] for name in names(page("commands.md")))


def test_the_options_of_commands_are_those_of_the_code() -> None:
    """Else: python -m tests.commands_page."""
    assert page("commands.md").partition(MARK)[2].strip() == generated().strip()


def test_every_phase_is_explained() -> None:
    phases = {phase.value for phase in Phase}
    assert phases <= names(page("magics.md"))
    assert phases <= names(page("vocabulary.md"))


def test_every_frame_is_explained() -> None:
    rows = dict(re.findall(r"^\| `([A-Z]+)` \| (\d+) \|", page("protocol.md"), re.MULTILINE))
    assert rows == {kind.name: str(kind.value) for kind in Type}


def rows_under(title: str) -> set[str]:
    """The first cells of the table under a heading of the protocol's page."""
    text = page("protocol.md").split(f"### {title}\n")[1].split("\n#")[0]
    return set(re.findall(r"^\| `([a-z]+)` \|", text, re.MULTILINE))


def test_every_order_is_explained() -> None:
    assert rows_under("Orders: R to the agent") == keys(PACKAGE / "agent/host.py", "_orders")


def test_every_report_is_explained_and_understood() -> None:
    rows = rows_under("Reports: the agent to R")
    assert rows == keys(PACKAGE / "kernel/relay.py", "_reports")
    # A message of the kernel is packed elsewhere.
    assert rows == reported() | {"frames"}


def test_every_field_of_a_message_is_explained() -> None:
    read = set()
    for path in [PACKAGE / "agent/host.py", *(PACKAGE / "kernel").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Subscript) or not isinstance(node.slice, ast.Constant):
                continue
            if getattr(node.value, "attr", getattr(node.value, "id", "")) == "head":
                read.add(node.slice.value)
    assert {"spec", "chunks", "problems"} <= read
    assert read <= names(page("protocol.md"))


def lines_of_errors() -> list[str]:
    """The lines that the page of errors quotes."""
    text = page("errors.md").partition("## Reaching the PC")[2]
    return sorted(line for line in names(text) if len(line.split()) > 2)


@pytest.fixture(scope="module")
def code() -> str:
    """All texts of the package."""
    found = (text for path in sorted(PACKAGE.rglob("*.py")) for text in strings(path))
    return "\n".join(found).replace("`", "")


@pytest.mark.parametrize("line", lines_of_errors())
def test_every_error_that_is_explained_exists(line: str, code: str) -> None:
    line = re.sub(r"^\[relay\] |^(Relay\w+|KeyboardInterrupt): ", "", line)
    missing = [piece for piece in telling(line) if piece not in code]
    assert not missing, f"no longer in the code: {missing}"


def raised() -> set[str]:
    """The texts of the errors that people meet, with ``…`` for what is filled in."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            if getattr(node.func, "attr", getattr(node.func, "id", "")) in ERRORS:
                found.add(next(iter(texts(node.args[0])), ""))
    return {text for text in found if telling(text)}


@pytest.mark.parametrize("text", sorted(raised()))
def test_every_error_that_is_raised_is_explained(text: str) -> None:
    explained = page("errors.md").replace("`", "")
    assert any(piece in explained for piece in telling(text))


def test_every_error_name_is_explained(code: str) -> None:
    text = page("errors.md")
    found = {name for name in re.findall(r"\bRelay[A-Z]\w+", code) if name.startswith("RelayT")}
    assert found
    assert all(name in text for name in found)


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    path = PAGES[name]
    text = _FENCE.sub("", path.read_text(encoding="utf-8"))
    for link in _LINK.findall(text):
        if "://" in link:
            continue
        target, _, anchor = link.partition("#")
        found = (path.parent / target).resolve() if target else path
        assert found.is_file(), f"{name}: {link}"
        if anchor:
            titles = re.findall(r"^#+ (.+)$", found.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w]+", "-", title.lower()).strip("-") for title in titles}
            assert anchor in slugs, f"{name}: {link}"


def test_every_page_is_in_the_navigation() -> None:
    listed = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = [path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")]
    assert not [name for name in pages if name not in listed]


def test_the_readme_has_its_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^python3 -m venv .+$", text, re.MULTILINE)
    assert len(commands) == 2
    assert commands[0].endswith(".venv/bin/relay demo")
    assert commands[1].endswith(".venv/bin/pytest -n auto --dist loadfile")
    extras = re.findall(r"\[(\w+)\]", " ".join(commands))
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert all(re.search(rf"^{extra} = \[", project, re.MULTILINE) for extra in extras)
