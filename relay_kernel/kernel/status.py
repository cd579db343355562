"""The status file of one notebook, from which ``relay status`` reads."""

from __future__ import annotations

import asyncio
import json
import os
import time
from typing import TYPE_CHECKING, Any

from relay_kernel.link.clock import now

if TYPE_CHECKING:
    from pathlib import Path

    from relay_kernel.core.router import Router
    from relay_kernel.kernel.setup import Setup
    from relay_kernel.kernel.state import StateMover
    from relay_kernel.kernel.targets import TargetLink

#: Seconds in which changes are gathered before the file is written.
_GATHER = 0.2


class StatusFile:
    """``{"pid", "kernel": {…}, "targets": {…}}``; replaced as a whole, removed at the end."""

    def __init__(
        self,
        path: Path,
        setup: Setup,
        router: Router,
        links: dict[str, TargetLink],
        state: StateMover,
    ) -> None:
        self._path = path
        self._setup = setup
        self._router = router
        self._links = links
        self._state = state
        self._timer: asyncio.TimerHandle | None = None

    def changed(self) -> None:
        """Something may have changed: write it soon."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_GATHER, self._write)

    def _write(self) -> None:
        self._timer = None
        draft = self._path.with_suffix(".new")
        draft.write_text(json.dumps(self._status()), encoding="utf-8")
        draft.replace(self._path)

    def _status(self) -> dict[str, Any]:
        router = self._router
        standby = {
            name: {"applied_cell": target.applied}
            for name, target in router.targets.items()
            if name != router.primary and target.kernel
        }
        kernel = {
            "id": self._setup.notebook,
            "spec": self._setup.spec,
            "primary": router.primary,
            "epoch": router.epoch,
            "cell": router.head,
            "safe_cell": self._state.safe_cell,
            "standby": standby,
        }
        targets = {name: self._target(name) for name in router.names}
        return {"pid": os.getpid(), "kernel": kernel, "targets": targets}

    def _target(self, name: str) -> dict[str, Any]:
        target, link = self._router.targets[name], self._links[name]
        # The router's clock begins anywhere; people want the time of day.
        since = time.time() - (now() - target.since) if target.since else None
        return {
            "phase": target.phase.value,
            "since": since,
            "reason": target.reason,
            "rtt_ms": link.rtt_ms,
            "host": link.greeting.get("host"),
            "boot_id": link.greeting.get("boot_id"),
            "agent_version": link.greeting.get("version"),
        }

    def remove(self) -> None:
        """The notebook is closed."""
        if self._timer:
            self._timer.cancel()
        self._path.unlink(missing_ok=True)
