"""``--service``: systemd units, so that ``relay join`` and ``relay hub`` run from every boot on.

A unit of the system where root installs it, which is stopped before the network is; else one of the
user's own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relay_kernel.core.errors import RelayError
from relay_kernel.settings.atomic import replace_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay_kernel.settings.paths import Places

#: Seconds for systemctl.
_TIMEOUT = 60.0

_NETWORK = "Wants=network-online.target\nAfter=network-online.target nss-lookup.target\n"

# StartLimitIntervalSec=0: else systemd gives up after five quick failures. KillMode=process: the
# agent that relay join has started stays, and with it the kernels, when the unit is restarted.
_UNIT = """[Unit]
Description={description}
{network}StartLimitIntervalSec=0

[Service]
Type=exec
{environment}ExecStart={command}
Restart=always
RestartSec={pause}
KillMode=process
TimeoutStopSec=20

[Install]
WantedBy={target}
"""


@dataclass(frozen=True)
class Unit:
    """A service and where it goes."""

    name: str
    """``relay-join.service``."""
    text: str
    folder: Path
    of_system: bool

    @property
    def path(self) -> Path:
        """Its file."""
        return self.folder / self.name

    @property
    def systemctl(self) -> list[str]:
        """How systemd is asked about it."""
        return ["systemctl"] if self.of_system else ["systemctl", "--user"]


def relay_command() -> list[str]:
    """How ``relay`` is started from anywhere: with full paths."""
    script = Path(sys.executable).with_name("relay")
    return [str(script)] if script.is_file() else [sys.executable, "-m", "relay_kernel.cli"]


def environment(places: Places) -> dict[str, str]:
    """What a process that others start needs to find ``places``."""
    return {"RELAY_HOME": str(places.config.parent)} if os.environ.get("RELAY_HOME") else {}


def make_unit(
    name: str,
    description: str,
    arguments: list[str],
    places: Places,
    *,
    pause: int = 2,
    of_system: bool | None = None,
) -> Unit:
    """A unit for ``relay ARGUMENTS``.

    Args:
        name: Without ``.service``.
        description: One line.
        arguments: Of ``relay``.
        places: That the service shall find.
        pause: Seconds before it is started again.
        of_system: Rather than the user's own; ``None``: if root installs it.
    """
    of_system = os.geteuid() == 0 if of_system is None else of_system
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    text = _UNIT.format(
        description=description,
        network=_NETWORK if of_system else "",
        environment="".join(
            f"Environment={_quoted(f'{key}={value}')}\n"
            for key, value in environment(places).items()
        ),
        command=" ".join(_quoted(word) for word in [*relay_command(), *arguments]),
        pause=pause,
        target="multi-user.target" if of_system else "default.target",
    )
    folder = Path("/etc/systemd/system") if of_system else config / "systemd" / "user"
    return Unit(f"{name}.service", text, folder, of_system)


def install(unit: Unit, show: Callable[[str], None]) -> dict[str, Any]:
    """Write ``unit``, show it, and have systemd run it, where there is one.

    Returns:
        ``{"unit", "path", "started", "why", "log", "next"}``; ``why`` it was not started.

    Raises:
        RelayError: It cannot be written.
    """
    try:
        unit.folder.mkdir(parents=True, exist_ok=True)
        replace_file(unit.path, unit.text)
        unit.path.chmod(0o644)
    except OSError as error:
        raise RelayError(f"{unit.path} cannot be written: {error.strerror}") from error
    show(unit.text.rstrip())
    show(f"written to {unit.path}")
    enable = [*unit.systemctl, "enable", "--now", unit.name]
    wrong = _run([*unit.systemctl, "daemon-reload"]) or _run(enable)
    journal = f"journalctl {'' if unit.of_system else '--user '}-u {unit.name}"
    following = []
    if wrong:
        show(f"not started ({wrong}); once systemd runs: {' '.join(enable)}")
        following.append(" ".join(enable))
    else:
        show(f"{unit.name} runs; its log: {journal}")
    if not unit.of_system:
        show("so that it also runs while you are not logged in: loginctl enable-linger")
        following.append("loginctl enable-linger")
    return {
        "unit": unit.name,
        "path": str(unit.path),
        "started": not wrong,
        "why": wrong,
        "log": journal,
        "next": following,
    }


def _run(command: list[str]) -> str:
    """Run ``command``; return what went wrong, in a few words."""
    if shutil.which(command[0]) is None:
        return f"there is no {command[0]} here"
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        return f"{' '.join(command)} hangs"
    if done.returncode == 0:
        return ""
    return (done.stderr.strip() or f"{' '.join(command)} failed").splitlines()[0]


def _quoted(word: str) -> str:
    """``word`` as one word of a unit file, where ``%`` and ``$`` stand for themselves.

    Raises:
        RelayError: It cannot be written there.
    """
    if "\n" in word:
        raise RelayError(f"a unit file cannot hold {word!r}")
    word = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{word}"' if set(word) & set(" \t\"'\\;") else word
