"""``config.toml``: what the user wants. Read here, checked here, and nowhere else."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path

from relay_kernel.settings.address import parse_address
from relay_kernel.settings.section import ConfigError, Section

__all__ = [
    "Config",
    "ConfigError",
    "FilesConfig",
    "KernelConfig",
    "TargetConfig",
    "check_name",
    "load_config",
]

#: What to do with cells whose state was lost with their target.
ON_LOSS = ("rerun", "stop", "ask")

#: The server itself: always there, always last, never configured.
LOCAL = "local"

_NAME = re.compile(r"[a-z0-9_-]+")


@dataclass(frozen=True)
class TargetConfig:
    """A PC: how it is reached. Either ``ssh`` is set, or it dials in."""

    name: str
    ssh: str | None = None
    """``me@host:port``, or a ``Host`` alias of ssh_config."""
    dials_in: bool = False
    identity: Path | None = None
    """A private key; ``None`` leaves the choice to ssh_config and ssh-agent."""
    order: int = 1
    """The lowest is preferred."""
    python: str | None = None
    """An interpreter on the PC that already has relay-kernel: then nothing is installed there."""


@dataclass(frozen=True)
class KernelConfig:
    """How cells are run and given up. Times in seconds."""

    on_loss: str = "rerun"
    lost_after: float = 60.0
    """Quiet for so long with a cell running, a target is lost."""
    wait_at_submit: float = 5.0
    """Quiet for so long when a cell is sent, it runs elsewhere."""
    heartbeat: float = 1.0
    keep_states: int = 3
    """How many states of one notebook are kept when its kernels have ended."""
    keep_gib: float = 10.0
    """How much all of them may take, in GiB."""
    seconds_per_component: float = 10.0
    """A variable that takes longer to be packed stays where it is; 0 for no limit."""
    bytes_per_component: int = 0
    """A variable that is larger when packed stays where it is; 0 for no limit."""


@dataclass(frozen=True)
class FilesConfig:
    """Which folders are kept equal."""

    folders: tuple[Path, ...] | None = None
    """Absolute, each below the home folder; ``None``: those of the notebooks that are open."""
    ignore: tuple[str, ...] = (".venv/", "node_modules/", "__pycache__/")
    """Lines in the syntax of ``.gitignore``."""
    largest_gib: float = 5.0
    """Larger files are left out, in GiB."""
    large: tuple[str, ...] = ()
    """Lines in the same syntax: files that may be of any size."""
    trash_days: float = 30.0
    """For how long what was displaced is kept."""
    trash_gib: float = 10.0
    """How much of it is kept, in GiB."""


@dataclass(frozen=True)
class Config:
    """All of ``config.toml``."""

    targets: tuple[TargetConfig, ...] = ()
    """By ``order``, then name. Never holds ``local``, which is always there and always last."""
    kernel: KernelConfig = field(default_factory=KernelConfig)
    files: FilesConfig = field(default_factory=FilesConfig)

    def target(self, name: str) -> TargetConfig | None:
        """The target of that name, if it is configured."""
        return next((target for target in self.targets if target.name == name), None)


def load_config(path: Path) -> Config:
    """Read and check ``path``. A missing file is the default configuration.

    Raises:
        ConfigError: With one line: file, line, key, what is wrong, what is allowed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Config()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    return parse_config(text, path)


def parse_config(text: str, path: Path) -> Config:
    """Like :func:`load_config`, for a text that would stand in ``path``."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(_syntax(str(error), text, path)) from error
    root = Section(path, text, table)
    root.allow(("targets", "kernel", "files"))
    targets = [_target(section) for section in root.tables("targets")]
    return Config(
        targets=tuple(sorted(targets, key=lambda target: (target.order, target.name))),
        kernel=_kernel(root.table("kernel")),
        files=_files(root.table("files")),
    )


def check_name(name: str) -> str | None:
    """What is wrong with ``name`` as the name of a target; ``None`` if nothing is."""
    if name == LOCAL:
        return "is the server's own name, which needs no entry; choose another name"
    if not _NAME.fullmatch(name):
        return "is no name for a target; allowed are a-z, 0-9, _ and -"
    return None


def _syntax(message: str, text: str, path: Path) -> str:
    """The parser's message with its place first, as in every other error of the file."""
    found = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", message, re.S)
    if found is None:
        return f"{path}: {message}"
    line = int(found[2]) if found[2] else max(1, len(text.splitlines()))
    content = (text.splitlines() or [""])[line - 1 : line]
    shown = f": {content[0].strip()[:60]!r}" if content else ""
    return f"{path}, line {line}: this is not TOML: {found[1]}{shown}"


def _target(section: Section) -> TargetConfig:
    wrong = check_name(section.name)
    if wrong:
        section.fail(wrong)
    section.allow(("ssh", "dials_in", "identity", "order", "python"))
    ssh = section.text("ssh")
    dials_in = section.flag("dials_in")
    if (ssh is not None) == dials_in:
        both = "has both ssh and dials_in" if dials_in else "has neither ssh nor dials_in"
        section.fail(f'{both}; write either ssh = "me@host:port" or dials_in = true')
    if ssh is not None:
        try:
            parse_address(ssh)
        except ValueError as error:
            section.fail(f"is wrong: {error}", "ssh")
    identity = section.text("identity")
    return TargetConfig(
        name=section.name,
        ssh=ssh,
        dials_in=dials_in,
        identity=Path(identity).expanduser() if identity else None,
        order=section.whole("order", 1, 0, 999),
        python=section.text("python"),
    )


def _kernel(section: Section) -> KernelConfig:
    section.allow(tuple(field.name for field in fields(KernelConfig)))
    return KernelConfig(
        on_loss=section.choice("on_loss", "rerun", ON_LOSS),
        lost_after=section.number("lost_after", 60.0, 1, 86400),
        wait_at_submit=section.number("wait_at_submit", 5.0, 0, 3600),
        heartbeat=section.number("heartbeat", 1.0, 0.05, 60),
        keep_states=section.whole("keep_states", 3, 0, 100),
        keep_gib=section.number("keep_gib", 10.0, 0, 1e6),
        seconds_per_component=section.number("seconds_per_component", 10.0, 0, 1e6),
        bytes_per_component=section.whole("bytes_per_component", 0, 0, 1 << 62),
    )


def _files(section: Section) -> FilesConfig:
    section.allow(tuple(field.name for field in fields(FilesConfig)))
    texts = section.texts("folders", ()) if section.has("folders") else None
    folders = None if texts is None else tuple(Path(text).expanduser() for text in texts)
    home = Path.home()
    for folder in folders or ():
        if not folder.is_relative_to(home) or ".." in folder.parts:
            section.fail(
                f"holds {folder}, which is not below the home folder {home}: "
                'a folder has the same place under the home of each target, as "~/notebooks"',
                "folders",
            )
    return FilesConfig(
        folders,
        section.texts("ignore", FilesConfig.ignore),
        section.number("largest_gib", 5.0, 0, 1e6),
        section.texts("large", ()),
        section.number("trash_days", 30.0, 0, 36500),
        section.number("trash_gib", 10.0, 0, 1e6),
    )
