"""``relay demo --lab``: the same notebook in JupyterLab; the plug is in the user's hand."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
import webbrowser
from typing import TYPE_CHECKING, Any

from relay_kernel.cli.demonstration.notebook import TRAINING, as_ipynb
from relay_kernel.cli.demonstration.pc import LOST_AFTER, Pc
from relay_kernel.cli.demonstration.stage import StageError

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from relay_kernel.cli.demonstration.screen import Screen
    from relay_kernel.cli.demonstration.stage import Stage

#: Seconds for JupyterLab to start.
START_TIMEOUT = 60.0

#: Seconds for it to end by itself.
STOP_TIMEOUT = 5.0

_POLL = 0.05
_NOTEBOOK = "demo.ipynb"

_INTRODUCTION = f"""\
# One notebook, a server and a PC

Both machines are pretended, on this one. The kernel above is **Python 3 (relay)**: it runs cells on
the PC (`pc`) while that is there, and on the server (`local`) when it is not.

1. Run the cells one after the other with Shift+Enter, up to the one that trains slowly (cell
   {TRAINING + 1}).
2. While that one prints its lines, **pull the plug on the PC: press Enter in the terminal in which
   you started `relay demo --lab`.** Every process of the PC is killed at once.
3. Watch: {LOST_AFTER:g} seconds later the server gives the PC up, and runs the cell again from the
   variables that were safe. What it had printed already is not printed twice.
4. Run more cells. They run on the server, with the same variables.
5. Press Enter in the terminal once more: the PC comes back, and is given all variables. From then
   on cells run there again.

A cell that says `%relay` shows where cells run and what is safe; `%relay?` shows what else there
is. Ctrl-C in the terminal ends everything, and removes it.
"""


class Lab:
    """JupyterLab on a stage, and a switch for the PC: the Enter key."""

    def __init__(self, stage: Stage, screen: Screen) -> None:
        """Prepare it; :meth:`run` runs it."""
        self._stage = stage
        self._screen = screen
        self._pc = Pc(stage)

    async def run(self) -> bool:
        """Run until JupyterLab is shut down in the browser; Ctrl-C cancels it.

        Returns:
            True; there is nothing to compare.

        Raises:
            RelayError: The PC or JupyterLab does not start.
        """
        home = self._stage.server.home
        (home / _NOTEBOOK).write_text(as_ipynb(_INTRODUCTION), encoding="utf-8")
        try:
            with self._screen.waiting("Switching on the PC, and starting JupyterLab."):
                await self._pc.start()
                self._pc.pair()
                server = await self._start_lab()
                address = await self._wait_ready(server)
            await self._open(address)
            await self._serve(server)
        finally:
            await self._pc.stop()
            await asyncio.to_thread(self._stage.server.shut_down)
        return True

    async def _start_lab(self) -> Process:
        machine = self._stage.server
        options = ["--no-browser", f"--LabApp.default_url=/lab/tree/{_NOTEBOOK}"]
        # It would write kernelspecs outside of the stage.
        options.append("--ServerApp.jpserver_extensions={'relay_kernel': False}")
        if os.getuid() == 0:
            options.append("--allow-root")
        with (machine.places.log / "lab.log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "jupyterlab", *options),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=machine.home,
                env=machine.environment,
                # Ctrl-C is for us; Jupyter would ask whether it is meant.
                start_new_session=True,
            )

    async def _wait_ready(self, server: Process) -> dict[str, Any]:
        """What the server writes down of itself, once it serves."""
        folder = self._stage.server.home / "jupyter"
        deadline = time.monotonic() + START_TIMEOUT
        # It says so in a file only, written after the one that a browser is pointed to.
        while server.returncode is None and time.monotonic() < deadline:
            for path in folder.glob("jpserver-*.json"):
                opened = path.with_name(f"{path.stem}-open.html")
                if opened.exists():
                    return {**_read(path), "open": opened}
            await asyncio.sleep(_POLL)
        raise StageError(f"JupyterLab did not start: {self._stage.server.last_words()}")

    async def _open(self, address: dict[str, Any]) -> None:
        """Point a browser to the notebook. It is a child of ours, and not of the stage's."""
        file: Path = address["open"]
        url = f"{address['url']}lab/tree/{_NOTEBOOK}?token={address['token']}"
        self._screen.say("JupyterLab is ready. If no browser opens, open this address yourself:")
        self._screen.note(url, "")
        # The address with the token in it would be seen in the list of processes.
        await asyncio.to_thread(webbrowser.open, file.as_uri())

    async def _serve(self, server: Process) -> None:
        """Switch the PC at each press of Enter, until the server ends."""
        self._screen.blank()
        self._screen.say("The PC is on. Press Enter here to pull its plug; Ctrl-C ends the demo.")
        ended = asyncio.create_task(server.wait())
        switching = asyncio.create_task(self._switch_often())
        try:
            await asyncio.wait((ended, switching), return_when=asyncio.FIRST_COMPLETED)
            if switching.done():
                await switching
            await ended
        finally:
            ended.cancel()
            switching.cancel()
            await asyncio.gather(ended, switching, return_exceptions=True)

    async def _switch_often(self) -> None:
        async with contextlib.aclosing(_presses()) as presses:
            async for _ in presses:
                if self._pc.on:
                    killed = await self._pc.pull_plug()
                    self._screen.say(f"The plug is pulled: {killed} processes killed.", "bold red")
                    self._screen.note("Press Enter to switch the PC on again.")
                else:
                    await self._pc.start()
                    self._screen.say("The PC is on again. The server will find it soon.", "bold")
                    self._screen.note("Press Enter to pull its plug.")


async def _presses() -> AsyncGenerator[None]:
    """One item for each press of Enter; ends where there is nobody to press it."""
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[bytes] = asyncio.Queue()
    try:
        loop.add_reader(0, lambda: lines.put_nowait(os.read(0, 1024)))
    except OSError:
        # A file, or nothing at all: no terminal.
        return
    try:
        while await lines.get():
            yield
    finally:
        loop.remove_reader(0)


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content
