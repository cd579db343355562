"""A PC that dials in: the real command ``relay join``, with a home of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

import psutil

from relay_kernel.settings.paths import Places
from tests.processes import wait_ended
from tests.sshd import make_key

if TYPE_CHECKING:
    from collections.abc import Mapping

SOON = 30.0


class JoiningPc:
    """A PC without sshd. Also a context manager; :meth:`join` starts ``relay join``.

    Args:
        tmp_path: of the test.
        more: environment variables of the PC, beside those of the test.
    """

    def __init__(self, tmp_path: Path, more: Mapping[str, str] = MappingProxyType({})) -> None:
        self._more = more
        tmp_path.mkdir(parents=True, exist_ok=True)
        # Short, for the sockets in it.
        self.home = Path(tempfile.mkdtemp(prefix="dialpc-"))
        self.key = make_key(tmp_path / "join_key")
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self.process: subprocess.Popen[str] | None = None

    @property
    def public_key(self) -> str:
        return self.key.with_suffix(".pub").read_text().strip()

    @property
    def relay_home(self) -> Path:
        return self.home / "relay"

    @property
    def env(self) -> dict[str, str]:
        home = {"HOME": str(self.home), "RELAY_HOME": str(self.relay_home)}
        return {**os.environ, **home, **self._more}

    @property
    def places(self) -> Places:
        root = self.relay_home
        return Places(root / "config.toml", root / "state", root / "run", root / "log")

    def join(self, address: str, *more: str) -> Self:
        """Run ``relay join``; it goes on until :meth:`leave`."""
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "relay_kernel.cli", "join", address),
                *("--identity", str(self.key), "--yes", *more),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.env,
        )
        self._reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self._reader.start()
        return self

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            with self._changed:
                self.lines.append(line.rstrip())
                self._changed.notify_all()
        process.stdout.close()

    async def says(self, text: str, count: int = 1) -> str:
        """The line that holds ``text``, once it has come ``count`` times."""

        def wait() -> str:
            with self._changed:
                found = self._changed.wait_for(
                    lambda: [line for line in self.lines if text in line][count - 1 : count], SOON
                )
                assert found, f"{text!r} was not said: {self.lines}"
                return found[0]

        return await asyncio.to_thread(wait)

    def leave(self, number: int = signal.SIGTERM) -> int:
        """End ``relay join``; return its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(number)
        status = self.process.wait(SOON)
        self._reader.join(SOON)
        return status

    def close(self) -> None:
        """End everything of it, the agent too."""
        if self.process is not None and self.process.poll() is None:
            self.leave(signal.SIGKILL)
        for process in psutil.process_iter(["environ"]):
            home = (process.info["environ"] or {}).get("RELAY_HOME")
            if home == str(self.relay_home):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
                    wait_ended(process)
        shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class EchoAgent:
    """Something at the agent's socket that sends back what comes, and counts who comes."""

    def __init__(self, places: Places) -> None:
        self.path = places.make().agent_socket
        self.count = 0
        self._served: set[asyncio.Future[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._accept, self.path)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for served in list(self._served):
            served.cancel()
        await asyncio.gather(*self._served, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served = asyncio.ensure_future(self._serve(reader, writer))
        self._served.add(served)
        served.add_done_callback(self._served.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.count += 1
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.transport.abort()
