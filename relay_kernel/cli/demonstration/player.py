"""Runs the cells of the notebook in a kernel, as a front end does, and keeps what a reader sees."""

from __future__ import annotations

import ast
import contextlib
import json
import queue
import time
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager

from relay_kernel.cli.demonstration.notebook import PROBES
from relay_kernel.cli.demonstration.stage import StageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from relay_kernel.cli.demonstration.notebook import Cell
    from relay_kernel.cli.demonstration.stage import Machine

#: Seconds for a kernel to start and answer.
START_TIMEOUT = 30.0

#: Seconds for one cell, a loss and a second run included.
CELL_TIMEOUT = 60.0

#: How lines of relay's own begin, on a cell's stderr.
_OWN = "[relay] "


@dataclass
class Played:
    """One cell that has run, as a reader of the notebook sees it."""

    title: str
    text: dict[str, str] = field(default_factory=dict)
    """What it printed, joined, by stream."""
    shown: list[tuple[str, str]] = field(default_factory=list)
    """Its other outputs: type of message, text."""
    notices: list[str] = field(default_factory=list)
    """What relay told in it."""
    target: str = ""
    """Where it ran; empty without relay."""
    count: int | None = None
    """Its number in brackets."""
    status: str = ""
    seconds: float = 0.0
    again: bool = False
    """Whether it was cut off, and ran again from its start."""

    def take(self, message: dict[str, Any]) -> None:
        """Add one message of the kernel."""
        kind, content = message["msg_type"], message["content"]
        if kind == "stream":
            self._take_text(content["name"], content["text"])
        elif kind in {"execute_result", "display_data"}:
            self.shown.append((kind, content["data"].get("text/plain", "")))
        elif kind == "error":
            self.shown.append((kind, f"{content['ename']}: {content['evalue']}"))

    def _take_text(self, name: str, text: str) -> None:
        if name == "stderr" and text.startswith(_OWN):
            self.notices += [line.removeprefix(_OWN) for line in text.splitlines()]
        else:
            self.text[name] = self.text.get(name, "") + text

    @property
    def visible(self) -> tuple[object, ...]:
        """Everything that must be the same wherever the cell ran."""
        return self.text, self.shown, self.count, self.status


class Player:
    """A kernel that runs, seen through a client."""

    def __init__(self, client: Any) -> None:
        """Play through ``client``, an ``AsyncKernelClient`` that is ready."""
        self._client = client

    async def play(
        self, cell: Cell, *, on_text: Callable[[str, Played], None] | None = None
    ) -> Played:
        """Run ``cell`` and wait for its end.

        Args:
            cell: Of the notebook.
            on_text: Called with each piece of output as it comes, text or notice.

        Raises:
            StageError: It does not end.
        """
        played = Played(cell.title)

        def hook(message: dict[str, Any]) -> None:
            played.take(message)
            if on_text and message["msg_type"] == "stream":
                on_text(message["content"]["text"], played)

        began = time.monotonic()
        reply = await self._execute(cell.code, hook, cell.title)
        played.seconds = time.monotonic() - began
        played.target = reply["metadata"].get("relay", {}).get("target", "")
        played.count = reply["content"].get("execution_count")
        played.status = reply["content"]["status"]
        return played

    async def find(self) -> dict[str, list[str]]:
        """What the kernel holds: see :mod:`relay_kernel.cli.demonstration.findings`.

        Raises:
            StageError: It cannot be found out.
        """
        source = files(__package__).joinpath("findings.py").read_text(encoding="utf-8")
        # An expression of nothing but lambdas: it leaves no name behind.
        expression = (
            f"(lambda scope: (exec({source!r}, scope), "
            f"scope['find'](get_ipython(), {PROBES!r}))[1])({{'__name__': 'findings'}})"
        )
        reply = await self._execute("", lambda _: None, "comparing", {"found": expression})
        answer = reply["content"].get("user_expressions", {}).get("found", {})
        if answer.get("status") != "ok":
            why = f"{answer.get('ename')}: {answer.get('evalue')}"
            raise StageError(f"the kernel does not say what it holds: {why}")
        found: dict[str, list[str]] = json.loads(ast.literal_eval(answer["data"]["text/plain"]))
        return found

    async def _execute(
        self,
        code: str,
        hook: Callable[[dict[str, Any]], None],
        title: str,
        expressions: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        try:
            reply: dict[str, Any] = await self._client.execute_interactive(
                code,
                silent=expressions is not None,
                user_expressions=expressions,
                allow_stdin=False,
                output_hook=hook,
                timeout=CELL_TIMEOUT,
            )
        except (TimeoutError, queue.Empty) as error:
            raise StageError(f"a cell ({title}) did not end in {CELL_TIMEOUT:g} s") from error
        return reply


@contextlib.asynccontextmanager
async def kernel(machine: Machine, kernels: Path, name: str) -> AsyncIterator[Player]:
    """Start a kernel on ``machine``; it is ended with the context.

    Args:
        machine: Where.
        kernels: The folder of the kernelspecs.
        name: Which of them.

    Raises:
        StageError: It does not start.
    """
    specs = KernelSpecManager(kernel_dirs=[str(kernels)], ensure_native_kernel=False)
    manager = AsyncKernelManager(kernel_name=name, kernel_spec_manager=specs)
    manager.connection_file = str(machine.home / f"kernel-{name}.json")
    with (machine.places.log / "output.log").open("ab") as log:
        await manager.start_kernel(
            cwd=machine.home, env=machine.environment, stdout=log, stderr=log
        )
    client = manager.client()
    client.start_channels()
    try:
        await _wait_ready(client, name, machine)
        yield Player(client)
    finally:
        client.stop_channels()
        with contextlib.suppress(RuntimeError, TimeoutError):
            await manager.shutdown_kernel()


async def _wait_ready(client: Any, name: str, machine: Machine) -> None:
    try:
        await client.wait_for_ready(timeout=START_TIMEOUT)
    except RuntimeError as error:
        why = machine.last_words() or error
        raise StageError(f"kernel {name} did not start: {why}") from error
