"""What the hub believes of each target, in a file for ``relay status`` and the front ends."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from relay_kernel.settings.atomic import replace_file

if TYPE_CHECKING:
    from pathlib import Path

    from relay_kernel.settings.paths import Places

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TargetStatus:
    """One target, as the hub sees it."""

    phase: str = "absent"
    """``linked`` while an SSH connection to it stands, else ``absent``."""
    since: str = ""
    """When that began: ISO 8601, UTC."""
    host: str | None = None
    """What the PC calls itself, once it was linked."""
    error: str | None = None
    """Why the last dial failed."""


class StatusBoard:
    """Keeps the file equal to what the hub believes; written whole, at each change."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._targets: dict[str, TargetStatus] = {}

    def linked(self, name: str, host: str) -> None:
        """A connection to ``name`` stands."""
        self._put(name, "linked", host, None)

    def absent(self, name: str, error: str | None = None) -> None:
        """There is no connection to ``name``; ``error`` says why a dial failed."""
        known = self._targets.get(name)
        self._put(name, "absent", known.host if known else None, error)

    def forget(self, name: str) -> None:
        """``name`` is configured no more."""
        if self._targets.pop(name, None) is not None:
            self.write()

    def remove(self) -> None:
        """The hub ends: nobody believes anything."""
        self._file.unlink(missing_ok=True)

    def write(self) -> None:
        """Write the file. A full disk costs the display, never a link."""
        content = {
            "pid": os.getpid(),
            "targets": {name: asdict(status) for name, status in sorted(self._targets.items())},
        }
        try:
            replace_file(self._file, json.dumps(content, indent=1) + "\n", durable=False)
        except OSError as error:
            log.warning("%s cannot be written: %s", self._file, error)

    def _put(self, name: str, phase: str, host: str | None, error: str | None) -> None:
        known = self._targets.get(name)
        same = known is not None and known.phase == phase
        since = known.since if known and same else datetime.now(UTC).isoformat(timespec="seconds")
        status = TargetStatus(phase, since, host, error)
        if status != known:
            self._targets[name] = status
            self.write()


class Entry:
    """What one target has on the board, while it is configured."""

    def __init__(self, board: StatusBoard, name: str) -> None:
        self._board = board
        self._name = name
        self._is_struck = False

    def linked(self, host: str) -> None:
        """A connection stands."""
        if not self._is_struck:
            self._board.linked(self._name, host)

    def absent(self, error: str | None = None) -> None:
        """There is no connection; ``error`` says why a dial failed."""
        if not self._is_struck:
            self._board.absent(self._name, error)

    def strike(self) -> None:
        """It is configured no more: what is still heard of it is not written."""
        self._is_struck = True
        self._board.forget(self._name)


def read_status(places: Places) -> dict[str, Any] | None:
    """The content of the hub's file, or ``None`` when no hub runs.

    Returns:
        ``{"pid": int, "targets": {name: {"phase", "since", "host", "error"}}}``.
    """
    try:
        content: dict[str, Any] = json.loads(places.hub_status.read_text(encoding="utf-8"))
        os.kill(content["pid"], 0)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return content
