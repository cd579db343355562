"""Cells as ipykernel runs them: each is answered once, whatever it meets; a capture follows."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading

from .interrupts import uninterrupted
from .silence import silent
from .touch import before_cell


class Execution:
    """The handler of cells.

    Args:
        state: the kernel.
        execute: the handler that it stands before.
        gate: lets interrupts in.
        then: called like a handler behind each cell of the main shell, before the next message.
    """

    def __init__(self, state, execute, gate, then):
        self._state = state
        self._kernel = state.shell.kernel
        self._execute = execute
        self._gate = gate
        self._then = then
        self._main = threading.get_ident()
        self._drops_output = True

    async def execute_request(self, stream, ident, parent):
        """Run a cell, as ipykernel does."""
        count = self._state.shell.execution_count
        on_main = threading.get_ident() == self._main
        replies = _Replies(stream)
        try:
            self._gate.open()
            self._let_no_output_drop()
            if on_main and not parent["content"].get("silent"):
                self._prepare(parent["content"].get("code", ""))
            with contextlib.nullcontext() if on_main else self._state.turns.cell():
                result = self._execute(replies, ident, parent)
                if inspect.isawaitable(result):
                    await result
            self._gate.shut()
        except KeyboardInterrupt:
            said = "interrupted just before the cell began, or as it ended"
            self._answer_for_it(replies, ident, parent, count, "KeyboardInterrupt", said)
        except Exception as error:
            self._kernel.log.error("relay: a cell was given up", exc_info=True)
            kind, said = type(error).__name__, f"the kernel gave the cell up: {error}"
            self._answer_for_it(replies, ident, parent, count, kind, said)
        finally:
            if on_main:
                self._gate.shut()
                # The loop runs this when the present message is done with, before the next.
                asyncio.get_running_loop().call_soon(self._then, stream, ident, parent)

    @uninterrupted()
    def _answer_for_it(self, replies, ident, parent, count, kind, said):
        """Send the error reply that ipykernel owes: its own code was hit, not that of the cell.

        It would give the cell up without a word, and whoever waits for it would for ever.
        """
        if replies.sent:
            return
        kernel = self._kernel
        error = {"ename": kind, "evalue": said, "traceback": [f"{kind}: {said}"]}
        kernel.send_response(kernel.iopub_socket, "error", error)
        content = {"status": "error", "execution_count": count, **error}
        content.update(user_expressions={}, payload=[])
        metadata = kernel.finish_metadata(parent, kernel.init_metadata(parent), content)
        kernel.session.send(
            replies, "execute_reply", content, parent, metadata=metadata, ident=ident
        )

    def _prepare(self, code):
        """Make ready what a cell may use; it runs in any case."""
        try:
            with silent():
                before_cell(self._state, code)
        except BaseException as error:
            self._kernel.log.warning("relay: what a cell needs was not made ready: %r", error)

    def _let_no_output_drop(self):
        """Lift the limit of 1000 messages beyond which a busy agent would miss output.

        Done before the first cell, not at once: a socket passes the limit on to the subscribers
        that it has, and by then the agent is one of them.
        """
        thread = self._kernel.iopub_thread
        if self._drops_output and thread is not None:
            self._drops_output = False
            thread.schedule(lambda: setattr(thread.socket, "sndhwm", 0))


class _Replies:
    """The stream for the reply to one cell.

    It goes out whole: where an interrupt came between two parts of it, nobody could read it, nor
    the next one.
    """

    def __init__(self, stream):
        self._stream = stream
        self.sent = False

    @uninterrupted()
    def send_multipart(self, *args, **how):
        """Send a message as the stream does."""
        self._stream.send_multipart(*args, **how)
        self.sent = True

    def __getattr__(self, name):
        return getattr(self._stream, name)
