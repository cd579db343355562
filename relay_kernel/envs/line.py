"""One link's life between the server and a target's builder: questions, answers, and notices."""

from __future__ import annotations

import asyncio
import logging
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol

from relay_kernel.core.errors import RelayError
from relay_kernel.envs.errors import ChangedError, EnvError, ImpossibleError, LineClosedError
from relay_kernel.wire.errors import ProtocolError
from relay_kernel.wire.message import Message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

#: What an answer calls a refusal, so that it is raised at the other end as what it was.
_CODES: dict[str, type[RelayError]] = {
    "impossible": ImpossibleError,
    "changed": ChangedError,
    "env": EnvError,
}


class Carrier(Protocol):
    """What brings messages to the other end, once and in order."""

    def send(self, message: Message, *, bulk: bool = False) -> None:
        """Send a message; bulk never stands before others."""


class Line:
    """One end.

    Args:
        carrier: to the other end; it hands what comes to :meth:`handle`, on the loop.
        answer: called for each question; what it returns is the answer, what it raises the refusal.
        hear: called for each notice.
    """

    def __init__(
        self,
        carrier: Carrier,
        answer: Callable[[Message], Awaitable[Message]],
        hear: Callable[[Message], None],
    ) -> None:
        self._carrier = carrier
        self._answer = answer
        self._hear = hear
        self._asked: dict[int, asyncio.Future[Message]] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._number = count(1)
        self.closed = asyncio.Event()
        self.reason = ""
        """Why it was closed."""

    def tell(self, kind: str, **head: Any) -> None:
        """Send a notice."""
        if not self.closed.is_set():
            self._carrier.send(Message(kind, head))

    async def ask(self, kind: str, **head: Any) -> Message:
        """Ask, and wait for the answer, however long that takes.

        Raises:
            LineClosedError: the link was cut.
            RelayError: the other end's refusal; one of :mod:`relay_kernel.envs.errors` if it was
                one there.
        """
        if self.closed.is_set():
            raise LineClosedError(self.reason)
        number = next(self._number)
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._asked[number] = future
        self.tell(kind, **head, ask=number)
        try:
            return await future
        finally:
            self._asked.pop(number, None)

    def handle(self, message: Message) -> None:
        """Take in what came. What no correct peer sends ends the line; see :attr:`closed`."""
        try:
            if message.kind == "answer":
                self._on_answer(message)
            elif "ask" in message.head:
                task = asyncio.ensure_future(self._reply(message))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)
            else:
                self._hear(message)
        except (ProtocolError, KeyError, TypeError, ValueError) as error:
            self.fail(f"a {message.kind[:40]} cannot be read: {error!r}")

    def _on_answer(self, message: Message) -> None:
        future = self._asked.get(message.head["to"])
        if future is None or future.done():
            return
        why = message.head.get("error")
        if why is None:
            future.set_result(message)
        else:
            error = _CODES.get(str(message.head.get("code")), RelayError)
            future.set_exception(error(" ".join(str(why).split())))

    async def _reply(self, message: Message) -> None:
        to = message.head["ask"]
        try:
            answer = await self._answer(message)
        except LineClosedError:
            return
        except (RelayError, OSError) as error:
            self._refuse(to, str(error), error)
        except Exception as error:
            # Whoever asked must not wait for ever.
            log.exception("a %s could not be answered", message.kind)
            self._refuse(to, f"{message.kind}: {error!r}", error)
        else:
            if not self.closed.is_set():
                head = {**answer.head, "to": to}
                parts = answer.parts
                self._carrier.send(Message("answer", head, parts), bulk=bool(parts))

    def _refuse(self, to: int, why: str, error: Exception) -> None:
        code = next((code for code, kind in _CODES.items() if isinstance(error, kind)), "")
        self.tell("answer", to=to, error=why, code=code)

    def fail(self, reason: str) -> None:
        """The link is gone, or shall go: whoever waits for an answer learns why."""
        if self.closed.is_set():
            return
        self.reason = reason
        self.closed.set()
        for future in self._asked.values():
            if not future.done():
                future.set_exception(LineClosedError(reason))

    async def close(self, reason: str) -> None:
        """The link is gone; returns when nothing of this line runs any more."""
        self.fail(reason)
        tasks = [*self._answering]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
