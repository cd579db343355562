"""Speaks with the agent over the shell channel: a capture after each cell, and what it asks for.

A capture by itself follows each cell that runs on the main shell: it costs no message of its own,
which would take a kernel longer to dispatch than most captures take. It comes after the cell's
idle and before anything else on that shell.
"""

from __future__ import annotations

import contextlib
import gc
import json
import threading
import time

from . import interrupts, parked
from .apply import Damaged, Refused, apply
from .capture import capture, packed
from .execution import Execution
from .reasons import one_line
from .silence import silent

#: Seconds for which a capture waits for the thread that publishes; it needs a fraction of one.
_PUBLISHED = 0.1

HANDLED = ("relay_capture_request", "relay_apply_request")


@contextlib.contextmanager
def _without_collector(state):
    """Put off garbage collection: it would go through millions of objects that only come to go."""
    state.collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if state.collecting:
            gc.enable()


class Handlers:
    """The handlers of one kernel.

    Args:
        state: the kernel.
    """

    def __init__(self, state):
        self.state = state
        self.kernel = state.shell.kernel

    def register(self):
        """Let the kernel find the handlers."""
        handlers = self.kernel.shell_handlers
        execute = handlers["execute_request"]
        gate = interrupts.Gate(self.kernel)
        cells = Execution(self.state, execute, gate, self._capture_now)
        handlers["execute_request"] = cells.execute_request
        for name in HANDLED:
            handlers[name] = getattr(self, name)
        self._let_no_request_lie()

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
        self._answer("relay_capture_reply", self._take, stream, ident, parent)

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

    @interrupts.uninterrupted()
    def _answer(self, kind, work, stream, ident, parent):
        started = time.perf_counter()
        buffers = []
        try:
            with silent(), _without_collector(self.state):
                # An interrupt shall reach code that packs slowly.
                found, buffers = interrupts.interruptible(work, parent["content"])
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
