"""What one R was started with."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Setup:
    """Which notebook, and what runs it."""

    notebook: str
    """Names it among the user's notebooks that are open: the id of its kernel."""
    spec: str
    """The kernelspec that it relays to."""
    path: str | None = field(default_factory=lambda: os.environ.get("JPY_SESSION_NAME"))
    """The notebook's file, where Jupyter tells: the same for its next kernel."""
    hash_seed: int = field(default_factory=lambda: secrets.randbelow(2**32 - 1) + 1)
    """The same at all targets: the order of a set depends on it."""

    limits: dict[str, float] = field(default_factory=dict)
    """What packing one variable may take: ``seconds_per_component``, ``bytes_per_component``."""

    def start(self, *, far: bool) -> dict[str, Any]:
        """What a kernel starts with, at a ``far`` target or here: the head of an order, in part."""
        home, here = Path.home(), Path.cwd()
        near = here.relative_to(home) if here.is_relative_to(home) else here
        env = {"PYTHONHASHSEED": os.environ.get("PYTHONHASHSEED", str(self.hash_seed))}
        if self.path:
            env["JPY_SESSION_NAME"] = self.path
        cwd = str(near if far else here)
        return {"spec": self.spec, "cwd": cwd, "env": env, "limits": self.limits}
