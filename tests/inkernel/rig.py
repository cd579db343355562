"""Real kernels with the in-kernel package loaded, driven over their real sockets."""

from __future__ import annotations

import json
import os
import time
import uuid
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING, Any

import cloudpickle.cloudpickle
from jupyter_client.manager import KernelManager

import relay_kernel
from tests.ports import give_ports

if TYPE_CHECKING:
    from jupyter_client.blocking.client import BlockingKernelClient

FOLDER = str(Path(relay_kernel.__file__).parent / "inkernel")
#: Seconds. A bound for what takes milliseconds; only a broken kernel meets it.
PATIENCE = 60

INJECTION = """\
(lambda util, sys, folder, config: [
    (sys.modules.__setitem__(spec.name, module), spec.loader.exec_module(module),
     module.install(get_ipython(), config))
    for spec in [util.spec_from_file_location(
        "_relay_inkernel", folder + "/__init__.py", submodule_search_locations=[folder])]
    for module in [util.module_from_spec(spec)]
])(__import__("importlib.util").util, __import__("sys"), {folder!r}, {config!r}) and None
"""


#: Makes chunks short, so that values of tests have several of them.
SHORT = """\
(lambda blobs: [setattr(blobs, "CHUNK", {chunk}), setattr(blobs, "INLINE", {chunk} // 2)])(
    __import__("sys").modules["_relay_inkernel.blobs"]) and None
"""


class CellError(AssertionError):
    """A cell raised in the kernel."""


class PlainKernel:
    """A real ipykernel, without anything of ours.

    Args:
        folder: its working folder.
        python: its interpreter; None for the one that runs the tests.
        environment: variables beside those of the tests.
    """

    def __init__(
        self, folder: Path, python: Path | None = None, environment: dict[str, str] | None = None
    ) -> None:
        self.manager = KernelManager()
        give_ports(self.manager)
        if python is not None:
            self.manager.kernel_spec.argv[0] = str(python)
        # Several kernels share the machine: threads that spin would only wait for each other.
        threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        variables = {**os.environ, "PYTHONHASHSEED": "random", **threads, **(environment or {})}
        self.manager.start_kernel(cwd=str(folder), env=variables)
        self.client: BlockingKernelClient = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE)
        self.output: list[dict[str, Any]] = []
        #: to the last cell
        self.reply: dict[str, Any] = {}
        #: seconds that one request may take
        self.patience = PATIENCE

    def run(self, code: str, silent: bool = False) -> dict[str, Any]:
        """Run a cell; return the reply. What it published is in ``output`` then."""
        content = {"code": code, "silent": silent, "store_history": not silent}
        content |= {"user_expressions": {}, "allow_stdin": False, "stop_on_error": False}
        self.reply = self._request("execute_request", content)
        return self.reply

    def check(self, code: str) -> None:
        """Run a cell that must not raise.

        Raises:
            CellError: it did.
        """
        self.run(code)
        self.assert_ok()

    def assert_ok(self) -> None:
        """Raise if the last cell did.

        Raises:
            CellError: it did.
        """
        if self.reply["status"] != "ok":
            raise CellError("\n".join(self.reply["traceback"]))

    def shown(self) -> str:
        """Return what the last request printed or displayed."""
        parts = []
        for message in self.output:
            content = message["content"]
            parts.append(content.get("text", "") or content.get("data", {}).get("text/plain", ""))
        return "".join(parts)

    def stop(self) -> None:
        """End the kernel."""
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def _request(
        self, kind: str, content: dict[str, Any], buffers: list[bytes] | None = None
    ) -> dict[str, Any]:
        message = self.client.session.msg(kind, content)
        socket = self.client.shell_channel.socket
        self.client.session.send(socket, message, buffers=buffers)
        ident = message["header"]["msg_id"]
        self.output = self._published(ident)
        while True:
            reply = self.client.get_shell_msg(timeout=self.patience)
            if reply["parent_header"].get("msg_id") == ident:
                return {**reply["content"], "buffers": reply["buffers"]}

    def _published(self, ident: str) -> list[dict[str, Any]]:
        """Return what was published for a request, up to its idle, but for busy and idle."""
        found = []
        end = time.monotonic() + self.patience
        while time.monotonic() < end:
            try:
                message = self.client.get_iopub_msg(timeout=self.patience)
            except Empty:
                break
            if message["parent_header"].get("msg_id") != ident:
                continue
            if message["msg_type"] != "status":
                found.append(message)
            elif message["content"]["execution_state"] == "idle":
                return found
        raise AssertionError("the kernel did not get idle")


class Kernel(PlainKernel):
    """A real ipykernel with the in-kernel package loaded.

    Args:
        store: folder of its chunk store.
        place: where it is, in words.
        folder: its working folder.
        python: its interpreter; None for the one that runs the tests.
        load: whether to load it at once; False: when ``load`` is called.
        chunk: bytes of a chunk; 0: as many as users have.
    """

    def __init__(
        self,
        store: Path,
        place: str,
        folder: Path,
        python: Path | None = None,
        load: bool = True,
        chunk: int = 0,
    ) -> None:
        super().__init__(folder, python)
        self._chunk = chunk
        config = {
            "store": str(store),
            "cloudpickle": cloudpickle.cloudpickle.__file__,
            "kernel_id": uuid.uuid4().hex,
            "place": place,
        }
        self.config = config
        #: its state before any cell, for those who keep it
        self.empty: dict[str, Any] = {}
        if load:
            self.load()

    def load(self) -> None:
        """Load the package."""
        self.run(INJECTION.format(folder=FOLDER, config=self.config), silent=True)
        if self._chunk:
            self.run(SHORT.format(chunk=self._chunk), silent=True)

    def capture(self) -> dict[str, Any]:
        """Return the manifest of the state as it is."""
        reply = self.try_capture()
        assert reply["status"] == "ok", reply
        return dict(reply["manifest"])

    def try_capture(self, **how: Any) -> dict[str, Any]:
        """Ask for the state; return the reply whatever it is."""
        reply = self._request("relay_capture_request", how)
        if reply["status"] == "ok":
            reply["manifest"] = json.loads(bytes(reply["buffers"][0]))
        return reply

    def followed(self, code: str) -> dict[str, Any]:
        """Run a cell; return the reply of the capture that follows it unasked.

        ``replied`` is when the cell itself was answered.
        """
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}}
        message = self.client.session.msg("execute_request", {**content, "allow_stdin": False})
        self.client.shell_channel.send(message)
        replied = 0.0
        while True:
            reply = self.client.get_shell_msg(timeout=self.patience)
            if reply["parent_header"].get("msg_id") != message["header"]["msg_id"]:
                continue
            if reply["msg_type"] == "relay_capture_reply":
                return {**reply["content"], "buffers": reply["buffers"], "replied": replied}
            # The first of the two is that of the cell.
            replied = time.perf_counter()

    def apply(self, manifest: dict[str, Any]) -> dict[str, str]:
        """Take over a manifest; return the problems."""
        reply = self.try_apply(manifest)
        assert reply["status"] == "ok", reply
        return dict(reply["problems"])

    def try_apply(self, manifest: dict[str, Any], **how: Any) -> dict[str, Any]:
        """Ask to take over a manifest; return the reply whatever it is."""
        packed = json.dumps(manifest).encode()
        return self._request("relay_apply_request", how, [packed])


class Pair:
    """A primary ``b`` and a standby ``a``, which share a store, as if every chunk had moved.

    Args:
        folder: for all that they need.
        python: the interpreter of ``b``; None for the one that runs the tests.
        other: the interpreter of ``a``; None for the same.
        chunk: bytes of a chunk; 0: as many as users have.
    """

    def __init__(
        self,
        folder: Path,
        python: Path | None = None,
        other: Path | None = None,
        chunk: int = 0,
    ) -> None:
        self.store = folder / "store"
        b, a = self._home(folder, "b"), self._home(folder, "a")
        self.b = Kernel(self.store, "the pc", b, python, chunk=chunk)
        self.a = Kernel(self.store, "the server", a, other or python, chunk=chunk)
        self.empty = {"a": self.a.capture(), "b": self.b.capture()}
        self.problems: dict[str, str] = {}

    @staticmethod
    def _home(folder: Path, name: str) -> Path:
        home = folder / name
        home.mkdir()
        return home

    def reset(self) -> None:
        """Make both kernels as they were when they started."""
        self.a.apply(self.empty["a"])
        self.b.apply(self.empty["b"])

    def cell(self, code: str) -> dict[str, Any]:
        """Run a cell on ``b`` and bring its state to ``a``; return the manifest."""
        self.b.run(code)
        manifest = self.b.capture()
        self.problems = self.a.apply(manifest)
        return manifest

    def back(self) -> dict[str, Any]:
        """Bring the state of ``a`` to ``b``; return the manifest."""
        manifest = self.a.capture()
        self.problems = self.b.apply(manifest)
        return manifest

    def journey(self, cells: list[str], route: str) -> list[dict[str, str]]:
        """Run each cell where ``route`` says, "a" or "b"; return the problems of each switch.

        Before a cell runs somewhere else than the one before, the state is brought there.
        """
        problems = []
        for number, (code, place) in enumerate(zip(cells, route, strict=True)):
            here: Kernel = getattr(self, place)
            if number and route[number - 1] != place:
                there: Kernel = getattr(self, route[number - 1])
                problems.append(here.apply(there.capture()))
            here.run(code)
        return problems

    def stop(self) -> None:
        """End both kernels."""
        self.a.stop()
        self.b.stop()

    def chunks(self) -> set[str]:
        """Return the keys of all chunks in the store."""
        return {path.name for path in (self.store / "chunks").glob("*/*")}
