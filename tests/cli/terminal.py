"""A person at a terminal: reads what ``relay`` says, and answers."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds for anything that is expected to happen.
SOON = 60.0


class Terminal:
    """A program that takes its terminal for a person's."""

    def __init__(self, process: subprocess.Popen[bytes], ours: int) -> None:
        self.process = process
        self.text = ""
        self.patience = SOON
        self._ours = ours
        self._seen = 0

    def says(self, text: str) -> str:
        """Wait until it says ``text``, behind what was waited for before; all that it has said."""
        deadline = time.monotonic() + self.patience
        while text not in self.text[self._seen :]:
            assert time.monotonic() < deadline, f"{text!r} was not said: {self.text}"
            assert self._read(deadline - time.monotonic()), f"no {text!r} to the end: {self.text}"
        self._seen = self.text.index(text, self._seen) + len(text)
        return self.text

    def answer(self, question: str, text: str) -> None:
        """Wait for a question, and answer it."""
        self.says(question)
        self.press(f"{text}\n")

    def press(self, keys: str) -> None:
        """Press some keys."""
        os.write(self._ours, keys.encode())

    def end(self) -> int:
        """Wait for its end; the exit status."""
        deadline = time.monotonic() + self.patience
        while self._read(deadline - time.monotonic()):
            assert time.monotonic() < deadline, f"it does not end: {self.text}"
        return self.process.wait(SOON)

    def interrupt(self) -> int:
        """Press Ctrl-C while it waits for an answer; the exit status.

        A Python that is about to read, and does not yet, hears it only after the answer.
        """
        process, deadline = psutil.Process(self.process.pid), time.monotonic() + SOON
        while process.status() != psutil.STATUS_SLEEPING:
            assert time.monotonic() < deadline, f"it waits for nothing: {self.text}"
            time.sleep(0.01)
        self.process.send_signal(signal.SIGINT)
        return self.end()

    def _read(self, seconds: float) -> bool:
        """Read what comes within some seconds; false at the end."""
        if not select.select([self._ours], [], [], max(0.0, seconds))[0]:
            return True
        # The other end is gone with the process: that is an error of reading here.
        with contextlib.suppress(OSError):
            data = os.read(self._ours, 65536)
            self.text += data.decode(errors="replace").replace("\r\n", "\n")
            return bool(data)
        return False


@contextlib.contextmanager
def terminal(*arguments: str, env: dict[str, str] | None = None) -> Iterator[Terminal]:
    """Run ``relay`` at a terminal; it is ended with the context."""
    command = (sys.executable, "-m", "relay_kernel.cli", *arguments)
    with at_terminal(*command, env={**os.environ, **(env or {})}) as person:
        yield person


@contextlib.contextmanager
def at_terminal(*command: str, env: dict[str, str], controls: bool = False) -> Iterator[Terminal]:
    """Run ``command`` at a terminal; it is ended with the context.

    Args:
        command: With its arguments.
        env: Its whole environment but for ``TERM``.
        controls: Give it the terminal as a shell needs it: its own session, and wide.
    """
    ours, theirs = pty.openpty()
    if controls:
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
        command = ("setsid", "--ctty", *command)
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env={**env, "TERM": "dumb"}
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(SOON)
        os.close(ours)
