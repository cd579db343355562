"""What there is of one kernel's environment at a target, in the server's terms."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from relay_kernel.core.blueprint import Blueprint, Package
from relay_kernel.envs.errors import EnvError
from relay_kernel.envs.mirror import read_record

if TYPE_CHECKING:
    from pathlib import Path

    from relay_kernel.envs.describe import Descriptions
    from relay_kernel.envs.mirror import Mirror, Record


def found(mirror: Mirror, known: Descriptions) -> tuple[Blueprint, Record] | None:
    """What the present environment consists of, and what it should mirror.

    Slow if something changed: call it in a thread.

    Returns:
        ``None`` where there is none, or its interpreter does not run any more.
    """
    environment = mirror.current
    record = read_record(environment) if environment else None
    if environment is None or record is None:
        return None
    try:
        description = known.get(mirror.python(environment))
    except EnvError:
        return None
    packages = [
        _as_on_the_server(Package(name, about["version"], content=about.get("content", "")), record)
        for name, about in sorted(description.packages.items())
        if name not in record.changing
    ]
    copied = [replace(each, sources=sources_of(mirror.sources(each.name))) for each in packages]
    return Blueprint(description.python, tuple(copied)), record


def _as_on_the_server(package: Package, record: Record) -> Package:
    """With the digest that its content has on the server, if it is still what came from there."""
    pair = record.installed.get(package.name)
    if pair is None or pair[1] != package.content:
        return package
    return replace(package, content=pair[0])


def sources_of(folder: Path) -> str:
    """The digest of the sources that were last copied as a whole; empty if there are none."""
    try:
        value = json.loads(folder.with_name(f"{folder.name}.json").read_text(encoding="utf-8"))
        return str(value["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
