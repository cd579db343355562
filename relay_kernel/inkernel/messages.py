"""Speaks with the agent over the shell channel: a capture after each cell, and what it asks for.

A capture by itself follows each cell that runs on the main shell: it costs no message of its own,
which would take a kernel longer to dispatch than most captures take. It comes after the cell's
idle and before anything else on that shell.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import json
import sys
import threading
import time

from . import parked
from .apply import Damaged, Refused, apply
from .capture import capture, packed
from .reasons import one_line
from .touch import before_cell

#: Seconds for which a capture waits for the thread that publishes; it needs a fraction of one.
_PUBLISHED = 0.1

HANDLED = ("relay_capture_request", "relay_apply_request")


class _Silence:
    """A stream that drops what one thread writes and passes on what others write."""

    def __init__(self, stream):
        self._stream = stream
        self._thread = threading.get_ident()

    def write(self, text):
        """Write ``text`` unless it comes from the thread that made this."""
        if threading.get_ident() == self._thread:
            return len(text)
        return self._stream.write(text)

    def __getattr__(self, name):
        return getattr(self._stream, name)


@contextlib.contextmanager
def silent():
    """Keep what this thread prints from the notebook: packing runs code of the user."""
    out, err = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _Silence(out), _Silence(err)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = out, err


@contextlib.contextmanager
def _without_collector():
    """Put off garbage collection: it would go through millions of objects that only come to go."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


class Handlers:
    """The handlers of one kernel.

    Args:
        state: the kernel.
    """

    def __init__(self, state):
        self.state = state
        self.kernel = state.shell.kernel
        self._drops_output = True

    def register(self):
        """Let the kernel find the handlers."""
        handlers = self.kernel.shell_handlers
        for name in HANDLED:
            handlers[name] = getattr(self, name)
        handlers["execute_request"] = self._then_capture(handlers["execute_request"])
        self._let_no_request_lie()

    def _then_capture(self, execute):
        """Return ``execute``, a handler, with a capture to follow."""
        main = threading.get_ident()

        async def execute_request(stream, ident, parent):
            count = self.state.shell.execution_count
            on_main = threading.get_ident() == main
            try:
                self._let_no_output_drop()
                if on_main and not parent["content"].get("silent"):
                    self._prepare(parent["content"].get("code", ""))
                with contextlib.nullcontext() if on_main else self.state.turns.cell():
                    result = execute(stream, ident, parent)
                    if inspect.isawaitable(result):
                        await result
            except KeyboardInterrupt:
                said = "interrupted just before the cell began, or as it ended"
                self._answer_for_it(stream, ident, parent, count, "KeyboardInterrupt", said)
            except Exception as error:
                self.kernel.log.error("relay: a cell was given up", exc_info=True)
                kind, said = type(error).__name__, f"the kernel gave the cell up: {error}"
                self._answer_for_it(stream, ident, parent, count, kind, said)
            finally:
                if on_main:
                    # The loop runs this when the present message is done with, before the next.
                    loop = asyncio.get_running_loop()
                    loop.call_soon(self._capture_now, stream, ident, parent)

        return execute_request

    def _answer_for_it(self, stream, ident, parent, count, kind, said):
        """Send the error reply that ipykernel owes: its own code was hit, not that of the cell.

        It would give the cell up without a word, and whoever waits for it would for ever.
        """
        kernel = self.kernel
        error = {"ename": kind, "evalue": said, "traceback": [f"{kind}: {said}"]}
        kernel.send_response(kernel.iopub_socket, "error", error)
        content = {"status": "error", "execution_count": count, **error}
        content.update(user_expressions={}, payload=[])
        metadata = kernel.finish_metadata(parent, kernel.init_metadata(parent), content)
        kernel.session.send(
            stream, "execute_reply", content, parent, metadata=metadata, ident=ident
        )

    def _prepare(self, code):
        """Make ready what a cell may use; it runs in any case."""
        try:
            with silent():
                before_cell(self.state, code)
        except BaseException as error:
            self.kernel.log.warning("relay: what a cell needs was not made ready: %r", error)

    def _let_no_request_lie(self):
        """Have replies sent by the stream that reads the shell socket.

        ipykernel 7.0 to 7.3 sends them past it. That can swallow the signal for a request which
        comes just then, and it lies unread until the next. A capture right behind each reply makes
        that likely.
        """
        thread = getattr(self.kernel, "shell_channel_thread", None)
        manager = getattr(thread, "manager", None)
        if hasattr(manager, "_shell_socket"):
            manager._shell_socket = self.kernel.shell_stream

    def _let_no_output_drop(self):
        """Lift the limit of 1000 messages beyond which a busy agent would miss output.

        Done before the first cell, not at once: a socket passes the limit on to the subscribers
        that it has, and by then the agent is one of them.
        """
        thread = self.kernel.iopub_thread
        if self._drops_output and thread is not None:
            self._drops_output = False
            thread.schedule(lambda: setattr(thread.socket, "sndhwm", 0))

    def _let_idle_out(self):
        """Wait until the thread that publishes has sent what it has, the cell's idle at the end.

        It would get the interpreter's lock only when the capture is over.
        """
        thread = self.kernel.iopub_thread
        if thread is not None:
            sent = threading.Event()
            thread.schedule(sent.set)
            sent.wait(_PUBLISHED)

    def _capture_now(self, stream, ident, parent):
        self._let_idle_out()
        self.kernel.pre_handler_hook()  # so that an interrupt reaches code that packs slowly
        try:
            self._answer("relay_capture_reply", self._take, stream, ident, parent)
        finally:
            self.kernel.post_handler_hook()

    def _take(self, _):
        manifest = capture(self.state)
        # A buffer passes through the agent and R unread; the keys are all they need of it.
        data = packed(self.state, manifest)
        left = {
            name: facts["reason"]
            for name, facts in manifest["left_behind"].items()
            if not name.startswith("Out[")
        }
        about = {"left": left, "parked": parked.said(self.state)}
        return {"chunks": list(manifest["chunks"]), **about}, [data]

    def relay_capture_request(self, stream, ident, parent):
        """Answer with the manifest of the state as it is, and with no chunk of it missing."""

        def take(content):
            store = self.state.store
            store.wary = bool(content.get("distrust"))
            try:
                if store.wary:
                    self.state.distrust()
                return self._take(content)
            finally:
                store.wary = False

        self._answer("relay_capture_reply", take, stream, ident, parent)

    def relay_apply_request(self, stream, ident, parent):
        """Make the state that of a manifest, and answer with what could not be taken over."""

        def put(content):
            manifest = json.loads(bytes(parent["buffers"][0]))
            problems = apply(self.state, manifest, content.get("final", True))
            return {"problems": problems, "parked": parked.said(self.state)}, []

        self._answer("relay_apply_reply", put, stream, ident, parent)

    def _answer(self, kind, work, stream, ident, parent):
        started = time.perf_counter()
        buffers = []
        try:
            with silent(), _without_collector():
                found, buffers = work(parent["content"])
            answer = {"status": "ok", **found}
        except KeyboardInterrupt:
            answer = _error("it was interrupted")
        except Refused as error:
            answer = _error(str(error))
        except Damaged as error:
            answer = {"status": "damaged", "keys": error.keys}
        except OSError as error:
            answer = _error(_of_the_disk(error, self.state.store.root))
        except BaseException as error:
            answer = _error(f"{type(error).__name__}: {one_line(str(error))}")
        answer["seconds"] = time.perf_counter() - started
        self.kernel.session.send(stream, kind, answer, parent, ident=ident, buffers=buffers)


def _of_the_disk(error, folder):
    why = one_line(error.strerror or str(error))
    return f"the disk refused: {why}; the store is {folder}, and the next cell tries again"


def _error(reason):
    return {"status": "error", "reason": reason}
