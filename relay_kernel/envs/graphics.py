"""Whether this machine has a graphics card of NVIDIA's that works, found as uv finds it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

#: Where the driver says its version.
_DRIVER = (Path("/sys/module/nvidia/version"), Path("/proc/driver/nvidia/version"))
#: Linux inside Windows has no such driver: the one of Windows answers a program, which lies here,
#: and on the ``PATH`` only of who logs in by a terminal.
WSL = "/usr/lib/wsl/lib"
#: Seconds for that program; the first to ask wakes the card up.
PATIENCE = 20.0


def search_path() -> str:
    """The ``PATH``, with where Windows puts NVIDIA's program."""
    return f"{os.environ.get('PATH', os.defpath)}{os.pathsep}{WSL}"


def has_nvidia() -> bool:
    """Whether what is built for NVIDIA's cards runs here. May start a program: use a thread.

    ``UV_CUDA_DRIVER_VERSION`` says so as well, for uv and for us.
    """
    if os.environ.get("UV_CUDA_DRIVER_VERSION") or any(path.exists() for path in _DRIVER):
        return True
    program = shutil.which("nvidia-smi", path=search_path())
    if program is None:
        return False
    query = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, timeout=PATIENCE, check=False, cwd="/")
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and bool(done.stdout.strip())
