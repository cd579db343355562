"""One link's life between two ends: questions and their answers, notices, and pieces of files.

All folders share it. It ends with its link: whoever waits for an answer learns why there is none.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol

from relay_kernel.core.errors import RelayError
from relay_kernel.files.errors import (
    ChangedError,
    DamagedError,
    FolderError,
    NoSpaceError,
    UnsafePathError,
)
from relay_kernel.files.packing import LeavesFolderError
from relay_kernel.files.transfers import Incoming, Outgoing
from relay_kernel.wire.errors import ProtocolError
from relay_kernel.wire.message import Message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from relay_kernel.wire.message import Part

log = logging.getLogger(__name__)

#: What an answer calls a refusal, so that it is raised at the other end as what it was.
_CODES: dict[str, type[RelayError]] = {
    "changed": ChangedError,
    "damaged": DamagedError,
    "folder": FolderError,
    "space": NoSpaceError,
    "unsafe": UnsafePathError,
}


class Carrier(Protocol):
    """What brings messages to the other end, once and in order; bulk never holds up the others."""

    bulk_source: Callable[[], Message | None] | None

    def send(self, message: Message) -> None:
        """Send a message."""

    def flush(self) -> None:
        """The bulk source has something new."""


class LineClosedError(RelayError):
    """The link was cut; a new one begins anew."""

    retryable = True


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
        answer: Callable[[Message], Awaitable[Message]] | None = None,
        hear: Callable[[Message], None] | None = None,
    ) -> None:
        self._carrier = carrier
        self._answer = answer
        self._hear = hear
        self._asked: dict[int, asyncio.Future[Message]] = {}
        self._listeners: dict[str, Callable[[Message], None]] = {}
        self._closers: list[Callable[[], object]] = []
        self._answering: set[asyncio.Task[None]] = set()
        self._number = count(1)
        self.asked = 0
        """Questions that were asked here so far."""
        self.closed = asyncio.Event()
        self.reason = ""
        """Why it was closed."""
        self.outgoing = Outgoing(self.tell, carrier.flush)
        self.incoming = Incoming(self.tell)
        carrier.bulk_source = self.outgoing.next

    def number(self) -> int:
        """A number that nothing else on this line has."""
        return next(self._number)

    # ------------------------------------------------------------------ sending

    def tell(self, kind: str, head: dict[str, Any], parts: Sequence[Part] = ()) -> None:
        """Send a notice."""
        if not self.closed.is_set():
            self._carrier.send(Message(kind, head, tuple(parts)))

    async def ask(self, kind: str, head: dict[str, Any], parts: Sequence[Part] = ()) -> Message:
        """Ask, and wait for the answer, however long that takes.

        Raises:
            LineClosedError: the link was cut.
            RelayError: the other end's refusal; one of :mod:`relay_kernel.files.errors` if it
                was one there.
        """
        if self.closed.is_set():
            raise LineClosedError(self.reason)
        number = self.number()
        self.asked += 1
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._asked[number] = future
        self.tell(kind, {**head, "ask": number}, parts)
        try:
            return await future
        finally:
            self._asked.pop(number, None)

    # ------------------------------------------------------------------ receiving

    def listen(self, folder: str, hear: Callable[[Message], None]) -> None:
        """From now on ``hear`` is called with the notices about ``folder``."""
        self._listeners[folder] = hear

    def forget(self, folder: str) -> None:
        """Nobody listens any more."""
        self._listeners.pop(folder, None)

    def on_close(self, call: Callable[[], object]) -> None:
        """Call ``call`` when the line is closed."""
        self._closers.append(call)

    def handle(self, message: Message) -> None:
        """Take in what came. What no correct peer sends ends the line; see :attr:`closed`."""
        try:
            self._take(message)
        except ProtocolError as error:
            self.cut(str(error))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            self.cut(f"a {message.kind[:40]} cannot be read: {error!r}")

    def _take(self, message: Message) -> None:
        if message.kind == "answer":
            self._on_answer(message)
        elif message.kind in {"chunk", "gone"}:
            self.incoming.handle(message)
        elif message.kind in {"want", "drop"}:
            self.outgoing.handle(message)
        elif "ask" in message.head:
            task = asyncio.ensure_future(self._reply(message))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
        elif listener := self._listeners.get(str(message.head.get("folder"))):
            listener(message)
        elif self._hear:
            self._hear(message)

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
            if self._answer is None:
                raise ProtocolError(f"nobody here answers a {message.kind}")
            answer = await self._answer(message)
            self.tell("answer", {**answer.head, "to": to}, answer.parts)
        except LineClosedError:
            return
        except ProtocolError as error:
            log.warning("the other end was refused: %s", error)
            code = "unsafe" if isinstance(error, LeavesFolderError) else ""
            self.tell("answer", {"to": to, "error": str(error), "code": code})
        except (RelayError, OSError) as error:
            self.tell("answer", {"to": to, "error": str(error), "code": _code(error)})
        except Exception as error:
            # Whoever asked must not wait for ever.
            log.exception("a %s could not be answered", message.kind)
            self.tell("answer", {"to": to, "error": f"{message.kind}: {error!r}", "code": ""})

    def cut(self, reason: str) -> None:
        """The link is gone, or shall go: whoever waits for an answer learns why."""
        if self.closed.is_set():
            return
        log.info("a line ends: %s", reason)
        self.reason = reason
        self.closed.set()
        for future in self._asked.values():
            if not future.done():
                future.set_exception(LineClosedError(reason))
        for call in self._closers:
            call()

    async def close(self, reason: str) -> None:
        """The link is gone; returns when nothing of this line runs any more."""
        self.cut(reason)
        tasks = [*self._answering]
        for task in tasks:
            task.cancel()
        await self.outgoing.close()
        await self.incoming.close(LineClosedError(self.reason))
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task


def _code(error: BaseException) -> str:
    return next((code for code, kind in _CODES.items() if isinstance(error, kind)), "")
