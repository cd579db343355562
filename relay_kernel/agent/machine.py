"""What of this machine a kernel that starts here depends on: its folders, and its Python."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from relay_kernel.agent.errors import KernelStartError


def place_of(cwd: str) -> str:
    """The folder at this target for one at the server, given relative to its home if it is there.

    Such a one is made here too: files that are kept equal may arrive in it later than the kernel
    starts. For any other that is missing, or belongs to somebody else, the home has to do.
    """
    home = Path.home()
    path = Path(cwd) if os.path.isabs(cwd) else home / cwd
    if not os.path.isabs(cwd):
        with contextlib.suppress(OSError):
            path.mkdir(parents=True, exist_ok=True)
    return str(path if os.path.isdir(path) and os.access(path, os.X_OK) else home)


def python_of(info: dict[str, Any]) -> str:
    """Major and minor version of the Python that a kernel runs, from its kernel_info."""
    version = str(info.get("language_info", {}).get("version", ""))
    return ".".join(version.split(".")[:2])


def check_python(info: dict[str, Any], wanted: str | None) -> None:
    """Refuse a kernel of another minor version of Python than the one on the server.

    Code objects do not cross minor versions: loading one crashes the interpreter.

    Raises:
        KernelStartError: it is another.
    """
    here = python_of(info)
    if wanted and here != wanted:
        raise KernelStartError(
            f"its kernel runs Python {here}, and the one on the server {wanted}: "
            f"variables cannot move between them; install Python {wanted} here"
        )
