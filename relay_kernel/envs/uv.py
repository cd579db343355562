"""Runs uv, which makes environments and fills them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from uv import find_uv_bin

from relay_kernel.envs.errors import EnvError
from relay_kernel.envs.graphics import search_path

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds for one run; a large package over a slow line.
PATIENCE = 3600.0
#: What would change which environment is meant, or what its Python does.
_DROPPED = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "CONDA_PREFIX", "UV_PYTHON", "UV_PROJECT")
#: uv tries again by itself; each time takes longer, and the server has what we need, too.
_OWN = {"UV_HTTP_RETRIES": "1", "NO_COLOR": "1", "UV_PYTHON_DOWNLOADS": "manual"}


@dataclass(frozen=True)
class Done:
    """How a run ended."""

    ok: bool
    said: str

    @property
    def reason(self) -> str:
        """What was wrong, in one line."""
        lines = [line.strip() for line in self.said.splitlines()]
        causes = [line.removeprefix("cause: ") for line in lines if line.startswith("cause: ")]
        errors = [line for line in lines if line.startswith("error")]
        chosen = causes[:1] or errors[:1] or [line for line in lines if line][-1:]
        return " ".join((chosen or ["it said nothing"])[0].split())[:400]


def find_uv() -> str:
    """The uv of this installation, or another one.

    Raises:
        EnvError: there is none.
    """
    with contextlib.suppress(FileNotFoundError):
        return os.fspath(find_uv_bin())
    found = shutil.which("uv")
    if found is None:
        raise EnvError("there is no uv here: install it beside relay-kernel with pip install uv")
    return found


class Uv:
    """Runs it, with the user's own settings for indexes and networks."""

    def __init__(self, path: str) -> None:
        self._path = path
        own = {**_OWN, "PATH": search_path()}
        self._env = {key: value for key, value in os.environ.items() if key not in _DROPPED} | own

    async def run(self, *arguments: str, heard: Callable[[str], None] | None = None) -> Done:
        """Run uv; ends with this task.

        Args:
            arguments: its command line.
            heard: called with each line that it says, as it says it.
        """
        process = await asyncio.create_subprocess_exec(
            *(self._path, "--no-progress", *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self._env,
            # Settings of a project do not count here.
            cwd="/",
        )
        assert process.stdout is not None
        lines = []
        try:
            async with asyncio.timeout(PATIENCE):
                async for line in process.stdout:
                    lines.append(line.decode(errors="replace").rstrip())
                    if heard and lines[-1]:
                        heard(lines[-1])
                code = await process.wait()
        except TimeoutError:
            return Done(False, f"error: uv {arguments[0]} took more than {PATIENCE:g} s")
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return Done(code == 0, "\n".join(lines))
