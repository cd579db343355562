"""What keeps the state of a notebook after each cell: ours, and what there is besides.

Each rival is driven as its own documentation says, on a kernel of its own.
"""

from __future__ import annotations

import json
import time
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, ClassVar

import nbformat

from relay_kernel.store.chunks import Store
from relay_kernel.store.replaced import want
from relay_kernel.store.wanted import chunk_message
from relay_kernel.wire.message import Message, encode
from relay_kernel.wire.states import Outgoing
from tests.inkernel.rig import Kernel, PlainKernel

if TYPE_CHECKING:
    from pathlib import Path

#: What a kernel has not loaded by itself; in all about as much as the package in the kernel.
MODULES = (
    "cProfile, colorsys, doctest, email.mime.text, fractions, ftplib, http.server, imaplib, "
    "mailbox, modulefinder, netrc, optparse, plistlib, pyclbr, pydoc, sched, shelve, smtplib, "
    "sqlite3, tarfile, trace, unittest.mock, venv, wave, wsgiref.simple_server, "
    "xml.dom.minidom, xml.sax, xmlrpc.client, zipapp"
)
#: Seconds that any step of any rival may take.
PATIENCE = 1200


class CellFailedError(Exception):
    """A cell raised, or what keeps the state did."""


class Rival:
    """A kernel, and something that keeps its state after each cell.

    Args:
        folder: empty, its own.
        python: the interpreter of the kernel.
        attach: whether to keep the state from the start; False: from ``attach`` on.
    """

    name: ClassVar[str]

    def __init__(self, folder: Path, python: Path, attach: bool = True) -> None:
        self.folder = folder
        self.python = python
        #: seconds until the user has the reply to the last cell
        self.replied = 0.0
        self.kernel = self.start()
        self.kernel.patience = PATIENCE
        if attach:
            self.attach()

    def start(self) -> PlainKernel:
        """Start a kernel by itself."""
        return PlainKernel(self.folder, self.python)

    def attach(self) -> None:
        """Let it keep the state after each cell from now on."""

    def cell(self, code: str) -> float:
        """Run a cell and keep the state after it; return the seconds of both."""
        began = time.perf_counter()
        self.run(code)
        self.replied = time.perf_counter() - began
        self.keep()
        return time.perf_counter() - began

    def run(self, code: str, **kwargs: Any) -> str:
        """Run a cell; return what it printed."""
        reply = self.kernel.run(code, **kwargs)
        if reply["status"] != "ok":
            raise CellFailedError(f"{reply['ename']}: {reply['evalue']}")
        return self.kernel.shown()

    def keep(self) -> None:
        """Keep the state as it is now."""

    def shipped(self) -> int:
        """Return the bytes that were kept until now, in all."""
        return 0

    def sent(self) -> int | None:
        """Return the bytes that went over a line until now, where a rival knows one."""
        return None

    def restore(self, spoil: str, check: str) -> None:
        """Bring the state that was kept last back, and check it.

        Args:
            spoil: a cell that changes the state; for rivals that restore in place.
            check: raises when the state is wrong.
        """
        raise NotImplementedError

    def stop(self) -> None:
        self.kernel.stop()


class Nothing(Rival):
    """A kernel whose state nobody keeps: what a cell takes by itself."""

    name = "nothing"


class Imports(Nothing):
    """Nobody keeps its state either, but it gets larger: by modules that nobody uses."""

    name = "imports"

    def attach(self) -> None:
        self.run(f"def _load():\n    import {MODULES}\n_load()\ndel _load")


class Relay(Rival):
    """This project: a capture behind the reply, applied in another kernel."""

    name = "relay-kernel"

    def start(self) -> PlainKernel:
        self.store = self.folder / "store"
        #: seconds of each capture
        self.captures: list[float] = []
        #: as on the way from a PC to the server: bytes of what was said, and of each new chunk
        self.said = self.sent_chunks = 0
        self.states = Outgoing()
        self.packed = b""
        self.manifest: dict[str, Any] = {"chunks": {}}
        return Kernel(self.store, "here", self.folder, self.python, load=False)

    def attach(self) -> None:
        assert isinstance(self.kernel, Kernel)
        self.kernel.load()

    def cell(self, code: str) -> float:
        assert isinstance(self.kernel, Kernel)
        began = time.perf_counter()
        reply = self.kernel.followed(code)
        seconds = time.perf_counter() - began
        self.replied = reply["replied"] - began
        if reply["status"] != "ok":
            raise CellFailedError(reply["reason"])
        packed = bytes(reply["buffers"][0])
        self.captures.append(reply["seconds"])
        self.fetch(packed)
        told = ("chunks", "left", "parked", "seconds")
        head = {"cell": len(self.captures), "epoch": 1, **{key: reply[key] for key in told}}
        self.said += _size(self.states.pack(Message("captured", head, (packed,))))
        return seconds

    def fetch(self, packed: bytes) -> None:
        """Count what it takes to get the chunks that the state before did not have."""
        here = self.manifest["chunks"].keys()
        self.manifest = json.loads(packed)
        fresh = [key for key in self.manifest["chunks"] if key not in here]
        asked = want(fresh, packed, self.packed, here)
        self.packed = packed
        if not fresh:
            return
        self.sent_chunks += _size(asked)
        store = Store(self.store)
        for key, base in zip_longest(fresh, asked.head.get("of", ())):
            of = (base, store.get(base)) if base else None
            self.sent_chunks += _size(chunk_message(key, store.get(key), of))

    def shipped(self) -> int:
        """Return the bytes of the chunks, plain, and of what is said of them on the line."""
        chunks = (self.store / "chunks").glob("*/*")
        return sum(path.stat().st_size for path in chunks) + self.said

    def sent(self) -> int:
        """Return the bytes of both as they travel."""
        return self.sent_chunks + self.said

    def restore(self, spoil: str, check: str) -> None:
        standby = Kernel(self.store, "there", self.folder, self.python)
        standby.patience = PATIENCE
        try:
            problems = standby.apply(self.manifest)
            if problems:
                raise CellFailedError(f"left behind: {problems}")
            standby.check(check)
        finally:
            standby.stop()


def _size(message: Message) -> int:
    return sum(map(len, encode(message)))


class Kishu(Rival):
    """Kishu, as released: hooks around each cell, a checkpoint in SQLite, checkout in place."""

    name = "kishu"

    def start(self) -> PlainKernel:
        self.notebook = self.folder / "notebook.ipynb"
        nbformat.write(nbformat.v4.new_notebook(), self.notebook)
        # Its own tests run it without a browser by these two.
        environment = {
            "HOME": str(self.folder),
            "TEST_NOTEBOOK_PATH": str(self.notebook),
            "ENV_KISHU_TEST_MODE": "1",
        }
        return PlainKernel(self.folder, self.python, environment)

    def attach(self) -> None:
        self.run(f"from kishu.jupyterint import init_kishu\ninit_kishu({str(self.notebook)!r})")
        self.run("pass")

    def keep(self) -> None:
        if "Error in callback" in self.kernel.shown():
            raise CellFailedError("an error in its own hook")

    def shipped(self) -> int:
        return sum(path.stat().st_size for path in self.folder.glob("notebook.kishudb*"))

    def restore(self, spoil: str, check: str) -> None:
        head = self.run("print(_kishu._kishu_graph.head())", silent=True).strip()
        self.run(spoil)
        self.run(f"_kishu.checkout({head!r})", silent=True)
        self.run(check)


class Dumped(Rival):
    """Writes the whole session to a file after each cell, and reads it in another kernel."""

    dump: ClassVar[str]
    load: ClassVar[str]

    def start(self) -> PlainKernel:
        self.file = self.folder / "session"
        self.total = 0
        return super().start()

    def keep(self) -> None:
        self.run(self.dump.format(file=str(self.file)), silent=True)
        self.total += self.file.stat().st_size

    def shipped(self) -> int:
        return self.total

    def restore(self, spoil: str, check: str) -> None:
        standby = type(self)(self.folder, self.python)
        try:
            standby.run(self.load.format(file=str(self.file)), silent=True)
            standby.run(check)
        finally:
            standby.stop()


class Dill(Dumped):
    """``dill.dump_module``, which was ``dump_session``."""

    name = "dill"
    dump = "import dill as _dill; _dill.dump_module({file!r}); del _dill"
    load = "import dill as _dill; _dill.load_module({file!r})"


class Cloudpickle(Dumped):
    """One cloudpickle of all the names of the user that are not hidden."""

    name = "cloudpickle"
    dump = (
        "(lambda pickle, ns, hidden: pickle.dump({{name: value for name, value in ns.items() "
        "if name not in hidden and not name.startswith('_')}}, open({file!r}, 'wb'), 5))"
        "(__import__('cloudpickle'), dict(globals()), get_ipython().user_ns_hidden)"
    )
    load = "globals().update(__import__('pickle').load(open({file!r}, 'rb')))"


RIVALS: tuple[type[Rival], ...] = (Relay, Kishu, Dill, Cloudpickle)
