"""What the server believes of each environment at each target, also in a file for the others."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import time
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from relay_kernel.settings.atomic import replace_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from relay_kernel.settings.paths import Places

log = logging.getLogger(__name__)

#: Seconds that changes wait for more of them before they are written down.
GATHER = 0.1


class EnvPhase(Enum):
    """What is believed of an environment at a target."""

    ABSENT = "absent"
    """There is none, or it is not known: the target was not there yet."""
    BUILDING = "building"
    READY = "ready"
    """There is one; it may differ from the server's, see its drift."""
    IMPOSSIBLE = "impossible"
    """There is none until a person changes something."""


@dataclass
class EnvState:
    """One environment at one target."""

    phase: EnvPhase = EnvPhase.ABSENT
    drift: list[str] = field(default_factory=list)
    """The differences from the server's, in words; the target's own packages are among them."""
    why: str = ""
    """Why it is not ready, or what failed last; empty: nothing did."""
    step: str = ""
    """What is being done, in a few words."""
    done: int = 0
    """Bytes of the step that are done."""
    total: int = 0
    """Bytes of the step; 0: not known."""
    since: float = field(default_factory=time.time)
    """When the phase began, in seconds since the epoch."""


class EnvBoard:
    """All environments at all targets.

    Args:
        file: where they are written down, shortly after each change.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._states: dict[str, dict[str, EnvState]] = {}
        self._writing: asyncio.TimerHandle | None = None
        # What a process before this one knew holds until it is known better.
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            self._states = _read(json.loads(file.read_text(encoding="utf-8"))["envs"])

    def get(self, name: str, target: str) -> EnvState:
        """What is believed of one."""
        return self._states.setdefault(name, {}).setdefault(target, EnvState())

    def put(self, name: str, target: str, **changes: Any) -> None:
        """Something is known better."""
        state = self.get(name, target)
        phase = changes.get("phase", state.phase)
        if phase is not state.phase:
            log.info("%s at %s is %s: %s", name, target, phase.value, changes.get("why", ""))
            state.since = time.time()
        for key, value in changes.items():
            setattr(state, key, value)
        if phase is not EnvPhase.BUILDING:
            state.step, state.done, state.total = "", 0, 0
        self._changed()

    def keep(self, names: Iterable[str], targets: Iterable[str]) -> None:
        """Forget all kernels and targets but these."""
        names, targets = set(names), set(targets)
        self._states = {
            name: {target: state for target, state in states.items() if target in targets}
            for name, states in self._states.items()
            if name in names
        }
        for name in names:
            for target in targets:
                self.get(name, target)
        self._changed()

    def report(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Kernel -> target -> what is believed, for JSON."""
        return {
            name: {
                target: {**asdict(state), "phase": state.phase.value}
                for target, state in sorted(states.items())
            }
            for name, states in sorted(self._states.items())
        }

    def _changed(self) -> None:
        if self._writing is None:
            self._writing = asyncio.get_running_loop().call_later(GATHER, self.write)

    def write(self) -> None:
        """Write the file now. A full disk costs the display alone."""
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None
        content = {"pid": os.getpid(), "envs": self.report()}
        try:
            replace_file(self._file, json.dumps(content, indent=1) + "\n", durable=False)
        except OSError as error:
            log.warning("%s cannot be written: %s", self._file, error)

    def close(self) -> None:
        """Write a last time: what was believed stays to be read until the next process knows."""
        for states in self._states.values():
            for state in states.values():
                if state.phase is EnvPhase.BUILDING:
                    state.phase = EnvPhase.ABSENT
        self.write()


def _read(envs: dict[str, dict[str, dict[str, Any]]]) -> dict[str, dict[str, EnvState]]:
    """The reverse of :meth:`EnvBoard.report`; what was being done is not any more."""
    return {
        name: {
            target: EnvState(EnvPhase(state["phase"]), state["drift"], state["why"])
            for target, state in targets.items()
            if state["phase"] != EnvPhase.BUILDING.value
        }
        for name, targets in envs.items()
    }


def read_envs(places: Places) -> dict[str, dict[str, dict[str, Any]]]:
    """Kernel -> target -> what was last known of its environment there."""
    try:
        value = json.loads(places.envs_status.read_text(encoding="utf-8"))["envs"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return value if isinstance(value, dict) else {}
