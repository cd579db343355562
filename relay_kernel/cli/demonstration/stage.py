"""The stage of the demo: one temporary folder with a server, a PC and all that runs on them.

Nothing outside of the folder is read or written: both machines have it as their home, and no
configuration, key or history of the user's is seen there. Processes belong to a machine by their
environment, so each is found again, however it was started.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import psutil

from relay_kernel.core.errors import RelayError
from relay_kernel.settings.paths import Places

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds that processes get to end themselves, and then to be gone after SIGKILL.
PATIENCE = 3.0

#: Bytes that the temporary folder's own path may have: a socket's whole path has 107 at most.
_LONGEST = 40

_POLL = 0.02

#: One thread: the matrices are small, and sums are added up in the same order everywhere.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class StageError(RelayError):
    """The demo cannot go on; the text says what failed and what to do."""


class Machine:
    """A pretended machine: a home folder, and every process whose ``RELAY_HOME`` that is."""

    def __init__(self, home: Path, shared: Path) -> None:
        """Make its folders.

        Args:
            home: Its home, below the stage's folder.
            shared: What Jupyter finds on each machine.
        """
        self.home = home
        self.places = Places(
            home / "config.toml", home / "state", home / "run", home / "log"
        ).make()
        self._shared = shared

    @property
    def settings(self) -> dict[str, str]:
        """What its environment has over the user's own."""
        jupyter = str(self.home / "jupyter")
        return {
            "HOME": str(self.home),
            "RELAY_HOME": str(self.home),
            "IPYTHONDIR": str(self.home / "ipython"),
            "JUPYTER_PATH": str(self._shared),
            "JUPYTER_CONFIG_DIR": jupyter,
            "JUPYTER_DATA_DIR": jupyter,
            "JUPYTER_RUNTIME_DIR": jupyter,
            "SSH_AUTH_SOCK": "",
            **dict.fromkeys(_THREADS, "1"),
            **_python_path(),
        }

    @property
    def environment(self) -> dict[str, str]:
        """The whole environment of what runs on it."""
        return {**os.environ, **self.settings}

    def processes(self) -> list[psutil.Process]:
        """What runs on it now, but for this process itself."""
        return [process for process in psutil.process_iter() if self._owns(process)]

    def cut_power(self) -> int:
        """SIGKILL everything that runs on it, at once; say how many processes that were.

        Raises:
            StageError: Some cannot be killed.
        """
        killed: set[int] = set()
        deadline = time.monotonic() + PATIENCE
        # Again until none is left: what was just starting another process may have done so.
        while found := self.processes():
            if time.monotonic() > deadline:
                raise StageError(f"process {found[0].pid} cannot be killed: end it yourself")
            killed |= {process.pid for process in found}
            _each(found, "kill")
            time.sleep(_POLL)
        return len(killed)

    def shut_down(self) -> None:
        """End everything on it: with SIGTERM, and where that does not help, as a power cut."""
        _each(self.processes(), "terminate")
        deadline = time.monotonic() + PATIENCE
        while self.processes() and time.monotonic() < deadline:
            time.sleep(_POLL)
        self.cut_power()

    def last_words(self) -> str:
        """The last line that anything on it has logged; empty if there is none."""
        logs = sorted(self.places.log.glob("*.log"), key=lambda path: path.stat().st_mtime)
        lines = [line for path in logs for line in path.read_text(errors="replace").splitlines()]
        return lines[-1].strip() if lines else ""

    def _owns(self, process: psutil.Process) -> bool:
        try:
            if process.uids().real != os.getuid() or process.pid == os.getpid():
                return False
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            return bool(process.environ().get("RELAY_HOME") == str(self.home))
        except (psutil.Error, OSError):
            return False


class Stage:
    """The temporary folder: a server, a PC, and a third machine that knows nothing of relay."""

    def __init__(self, root: Path) -> None:
        """Set it up in ``root``, an empty folder with a short path."""
        self.root = root
        shared = root / "share"
        self.server = Machine(root / "server", shared)
        self.pc = Machine(root / "pc", shared)
        self.plain = Machine(root / "plain", shared)
        self.kernels = shared / "kernels"
        self._write_spec("python3", "Python 3", "ipykernel_launcher", {})
        self._write_spec("relay", "Python 3 (relay)", "relay_kernel", self.server.settings)

    @classmethod
    @contextlib.contextmanager
    def open(cls, *, keep: bool) -> Iterator[Self]:
        """A new stage. In the end everything on it is ended, and the folder removed.

        Args:
            keep: Leave the folder, with the logs, where it is.

        Raises:
            StageError: The folder cannot be made.
        """
        parent = tempfile.gettempdir()
        parent = parent if len(os.fsencode(parent)) <= _LONGEST else "/tmp"
        try:
            root = Path(tempfile.mkdtemp(prefix="relay-demo-", dir=parent))
        except OSError as error:
            raise StageError(
                f"no folder can be made in {parent}: {error.strerror}; set TMPDIR to another"
            ) from error
        stage = cls(root.resolve())
        try:
            yield stage
        finally:
            with _undisturbed():
                stage.clear()
                if not keep:
                    shutil.rmtree(root, ignore_errors=True)

    def clear(self) -> None:
        """End everything that runs on it, within a few seconds."""
        for machine in (self.server, self.pc, self.plain):
            with contextlib.suppress(StageError):
                machine.shut_down()

    def _write_spec(self, name: str, title: str, module: str, env: dict[str, str]) -> None:
        """Write a kernelspec that works from a checkout and from an installed package alike."""
        folder = self.kernels / name
        folder.mkdir(parents=True)
        spec = {
            "argv": [sys.executable, "-m", module, "-f", "{connection_file}"],
            "display_name": title,
            "language": "python",
            "interrupt_mode": "message" if env else "signal",
            "env": env,
        }
        (folder / "kernel.json").write_text(json.dumps(spec, indent=1), encoding="utf-8")


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Finish what is begun, however often Ctrl-C is pressed. For what is bounded in time only."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _python_path() -> dict[str, str]:
    """A checkout is found only by those who stand in it; an installed package by everybody."""
    root = Path(__file__).resolve().parents[3]
    if not (root / "pyproject.toml").exists():
        return {}
    known = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(root), known)))}


def _each(processes: list[psutil.Process], action: str) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            getattr(process, action)()
