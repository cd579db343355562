"""A command that goes on: what it says is waited for, and it is ended as a person ends it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

#: Seconds for anything that is expected to happen.
SOON = 30.0


class Live:
    """A running ``relay`` whose output is a pipe."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []

    async def says(self, text: str) -> str:
        """The next line that holds ``text``."""
        assert self.process.stdout is not None
        async with asyncio.timeout(SOON):
            while line := (await self.process.stdout.readline()).decode():
                self.lines.append(line)
                if text in line:
                    return line
        raise AssertionError(f"it ended without {text!r}: {self.lines}")

    async def interrupt(self) -> tuple[int, str]:
        """Press Ctrl-C; the exit status, and what it said on its error output."""
        self.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(SOON):
            _, errors = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, errors.decode()


@contextlib.asynccontextmanager
async def live(*arguments: str) -> AsyncIterator[Live]:
    """Run ``relay`` with these arguments; it is ended with the context."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "relay_kernel.cli", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(os.environ),
    )
    try:
        yield Live(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
