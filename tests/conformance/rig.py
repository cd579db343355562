"""A client that speaks the messaging protocol itself, message by message."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from jupyter_client.asynchronous.client import AsyncKernelClient

from tests.e2e.rig import SOON, Notebook, Running

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.rig import Pc, Result


class Client(Notebook):
    """Sends any message on any channel, and keeps what comes back with it."""

    desktop: Pc
    """The PC, if the notebook has one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._came = asyncio.Event()
        self.all: list[dict[str, Any]] = []
        """Whatever came on IOPub."""

    async def switch(self, target: str) -> None:
        """Move the role to ``target``: the preferred one, or by order."""
        await self.run("%relay auto" if target == "pc" else f"%relay {target}")
        await self.run_on(target)

    def another(self) -> AsyncKernelClient:
        """Another front end of the same kernel, with a session of its own; not started."""
        client = AsyncKernelClient()
        client.load_connection_info(self.manager.get_connection_info(session=False))
        return client

    def _on_iopub(self, message: dict[str, Any]) -> None:
        self.all.append(message)
        self._came.set()
        # The parent of these is the last message on control, which is idle by then.
        if message["msg_type"] != "debug_event":
            super()._on_iopub(message)

    async def _get_ready(self) -> None:
        await super()._get_ready()
        reading = self._read(self.client.control_channel, self._on_shell)
        self._tasks.append(asyncio.ensure_future(reading))

    def post(
        self,
        msg_type: str,
        content: dict[str, Any] | None = None,
        channel: str = "shell",
        *,
        header: dict[str, Any] | None = None,
        buffers: list[bytes] | None = None,
    ) -> Running:
        """Send a message; do not wait.

        Args:
            msg_type: of the message.
            content: of the message.
            channel: ``shell`` or ``control``.
            header: what its header has besides, or instead.
            buffers: raw bytes behind it.
        """
        session = self.client.session
        message = session.msg(msg_type, content or {})
        message["header"].update(header or {})
        posted = Running(message["header"]["msg_id"], self)
        self._cells[posted.id] = posted
        socket = getattr(self.client, f"{channel}_channel").socket
        session.send(socket, message, buffers=buffers)
        return posted

    async def done(self, posted: Running, within: float = SOON) -> list[dict[str, Any]]:
        """Wait for the idle of a message, be there a reply or none; return what came on IOPub."""
        async with asyncio.timeout(within):
            while not posted.idle:
                posted.changed.clear()
                await posted.changed.wait()
        self.complain()
        return posted.messages

    async def talk(
        self, msg_type: str, content: dict[str, Any] | None = None, **how: Any
    ) -> Result:
        """Send a message; wait for its reply and its idle."""
        return await self.post(msg_type, content, **how).end()

    async def ask(self, msg_type: str, content: dict[str, Any], channel: str = "shell") -> dict:
        """Send any request; wait for its reply."""
        posted = self.post(msg_type, content, channel)
        async with asyncio.timeout(SOON):
            return await posted.reply

    async def debug(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Ask the debugger; return its reply."""
        asked = {"type": "request", "command": command, "seq": 1, "arguments": arguments}
        return (await self.ask("debug_request", asked, "control"))["content"]

    async def heard(
        self, wanted: Callable[[dict[str, Any]], bool], since: int = 0, within: float = SOON
    ) -> dict[str, Any]:
        """Wait for a message on IOPub, whatever its parent; ``since``: so many came before."""
        async with asyncio.timeout(within):
            while True:
                self._came.clear()
                for message in self.all[since:]:
                    if wanted(message):
                        return message
                await self._came.wait()


def states(messages: list[dict[str, Any]]) -> list[str]:
    """The states that were published, in order."""
    statuses = [m["content"] for m in messages if m["msg_type"] == "status"]
    return [status["execution_state"] for status in statuses]
