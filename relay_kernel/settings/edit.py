"""Changes ``config.toml`` and leaves the user's comments, order and spacing alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import tomlkit

from relay_kernel.settings.atomic import replace_file
from relay_kernel.settings.config import Config, ConfigError, load_config, parse_config

if TYPE_CHECKING:
    from tomlkit.items import Table


def add_target(
    path: Path,
    name: str,
    *,
    ssh: str | None = None,
    dials_in: bool = False,
    identity: Path | None = None,
    order: int | None = None,
    python: str | None = None,
) -> None:
    """Write ``[targets.NAME]``, or change it if it is there.

    Args:
        path: ``config.toml``; made if it is missing.
        name: The target's name.
        ssh: Where it is dialled; or else
        dials_in: that it dials in.
        identity: A private key.
        order: Its place among the targets; ``None`` keeps it, or puts a new one last.
        python: An interpreter there that has relay-kernel.

    Raises:
        ConfigError: The file is wrong already, or would be; it is as it was.
    """
    config = load_config(path)
    document = tomlkit.parse(path.read_text(encoding="utf-8") if path.exists() else "")
    targets = document.setdefault("targets", tomlkit.table(is_super_table=True))
    known = config.target(name)
    if known is None:
        targets[name] = tomlkit.table()
    if order is None:
        order = known.order if known else _last(config)
    values = {
        "ssh": ssh,
        "dials_in": dials_in or None,
        "identity": _short(identity),
        "python": python,
        "order": order,
    }
    for key, value in values.items():
        _put(targets[name], key, value)
    _save(path, tomlkit.dumps(document))


def remove_target(path: Path, name: str) -> None:
    """Take ``[targets.NAME]`` out.

    Raises:
        ConfigError: The file is wrong, or holds no such target; names those that it holds.
    """
    config = load_config(path)
    if config.target(name) is None:
        known = ", ".join(target.name for target in config.targets) or "none"
        raise ConfigError(f"{path} has no target {name}; it has: {known}")
    document = tomlkit.parse(path.read_text(encoding="utf-8"))
    targets = document["targets"]
    assert isinstance(targets, dict)
    del targets[name]
    if not targets:
        del document["targets"]
    _save(path, tomlkit.dumps(document))


def _save(path: Path, text: str) -> None:
    parse_config(text, path)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_file(path, text)


def _last(config: Config) -> int:
    """The order of one that comes after all others."""
    return 1 + max((target.order for target in config.targets), default=0)


def _put(table: Table, key: str, value: object) -> None:
    if value is None:
        table.pop(key, None)
    elif table.get(key) != value:
        table[key] = value


def _short(identity: Path | None) -> str | None:
    """``identity`` as a person would write it: below ``~`` where it is."""
    if identity is None:
        return None
    full = identity.expanduser().absolute()
    home = Path.home()
    return f"~/{full.relative_to(home)}" if full.is_relative_to(home) else str(full)
