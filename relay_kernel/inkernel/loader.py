"""Unpacks the components of a snapshot aside, each when it is needed, none twice."""

from __future__ import annotations

import importlib
import io
import pickle
from functools import partial

from . import blobs, classes, memory, rebuild, tensors
from .arrays import address
from .names import name_of
from .pickling import Unpickler
from .reasons import missing_name, one_line, why_not_loaded
from .tombstone import LeftBehind, Parked, explain


class Loader:
    """Unpacks one manifest. Pickles reach it as ``rebuild.current``.

    Args:
        state: the kernel.
        manifest: what to unpack.
        held: wire ids of what this kernel has already.
        roomy: whether to load what leaves no memory to spare.
    """

    def __init__(self, state, manifest, held, roomy=False):
        self.state = state
        self.user_ns = state.user_ns
        self.shell = state.shell
        self.streams = state.streams
        self.place = manifest.get("place") or "another kernel"
        self.kernel_id = manifest["kernel_id"]
        self.components = manifest["components"]
        self.kept = {at for at, wire in enumerate(self.components) if wire["id"] in held}
        #: number of a component -> its values, for those that were unpacked
        self.values = {}
        #: numbers of the components of which tombstones are the values
        self.failed = {}
        #: numbers of the components that stay on the disk, for want of memory
        self.parked = set()
        self._roomy = roomy
        #: name of a module -> its data
        self.modules = {}
        #: (object of a library, what it is to hold)
        self.contents = []
        #: name -> reason
        self.problems = {}
        self._of_class = {
            key: at
            for at, wire in enumerate(self.components)
            for kind, key in wire["roots"]
            if kind == "c"
        }
        self._of_name = {
            key: at
            for at, wire in enumerate(self.components)
            for kind, key in wire["roots"]
            if kind == "n"
        }
        self._undo = {}
        self._made = {}
        #: names that code needed while it was unpacked, and that were not there yet
        self._lent = set()
        # Components at work, innermost last, and the buffers of each.
        self._at = []
        self._buffers = []

    def load_all(self):
        """Unpack everything that is not held, small things first.

        One that fails costs only itself; one that does not fit stays on the disk.
        """
        needs = [memory.need(wire) for wire in self.components]
        for number in sorted(range(len(needs)), key=needs.__getitem__):
            self._load(number)

    def value(self, number, at):
        """Return one value of a component; None where this kernel holds it as it is."""
        self._load(number)
        return self.values[number][at] if number in self.values else None

    def _unpack_with_names(self, wire):
        """Unpack what may run functions of the user: give them the names that they lack."""
        while True:
            try:
                return self._unpack(wire)
            except Exception as error:
                if not self._lend(missing_name(error)):
                    raise

    def _lend(self, name):
        """Put a value of the snapshot under its name ahead of the others; say whether it helps."""
        number = self._of_name.get(name)
        if number is None or name in self.user_ns:
            return False
        self._load(number)
        if number not in self.values or number in self.failed:
            return False
        at = self.components[number]["roots"].index(["n", name])
        self.user_ns[name] = self.values[number][at]
        self._lent.add(name)
        return True

    def take_back(self):
        """Put every class back as it was before, and take away what was put in place ahead."""
        for name in self._lent:
            self.user_ns.pop(name, None)
        for number in list(self._undo):
            self._take_back(number)

    def _take_back(self, number):
        for put_back in reversed(self._undo.pop(number, [])):
            put_back()

    def _load(self, number):
        if number in self.kept or number in self.values or number in self._at:
            return
        wire = self.components[number]
        if not self._fits(wire):
            self._park(number)
            return
        self._at.append(number)
        try:
            self.values[number] = self._unpack_with_names(wire)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._take_back(number)
            # Its memory may be free again, and become that of something else.
            self.state.fresh.clear()
            if isinstance(error, MemoryError) and memory.need(wire):
                self._park(number)
            else:
                self._fail(number, why_not_loaded(error))
        finally:
            self._at.pop()

    def _fits(self, wire):
        need = memory.need(wire)
        if self._roomy or need < memory.LARGE:
            return True
        free = memory.available()
        return free is None or need <= free

    def _park(self, number):
        """Let placeholders stand for a component that stays on the disk."""
        self.parked.add(number)
        wire = self.components[number]
        need, free = memory.need(wire), memory.available() or 0
        why = (
            f"it needs {need >> 20} MiB and {free >> 20} MiB are free here; "
            "it loads when a cell names it"
        )
        here = self.state.place, self.state.kernel_id, ""
        self.values[number] = []
        for kind, key in wire["roots"]:
            name = self.state.called((kind, key))
            stone = Parked(name, "value", "it is kept on the disk there", *here)
            explain(stone, why)
            self.values[number].append(stone)

    def _unpack(self, wire):
        """Return the value of ``data`` and ``buffers`` as a dump made them."""
        self._buffers.append(wire.get("buffers", ()))
        try:
            with rebuild.unpacking(self):
                buffers = self._stream(wire)
                return Unpickler(partial(self._open, wire["data"]), buffers, self.state).unpack()
        finally:
            self._buffers.pop()

    def _open(self, blob, head):
        """Return a file of ``head`` and a blob; a large one is never in memory as a whole."""
        store = self.state.store
        if blob.get("size", 0) > memory.LARGE:
            return store.open(blob, head)
        return io.BytesIO(head + store.read(blob))

    def _stream(self, wire):
        for at in wire.get("stream", ()):
            yield self.state.store.read(wire["buffers"][at])

    def _fail(self, number, reason):
        """Let tombstones stand for a component."""
        self.failed[number] = reason
        roots = self.components[number]["roots"]
        names = [self.state.called((kind, key)) for kind, key in roots]
        for at, name in enumerate(names):
            if roots[at][0] != "u":
                self.problems[name] = reason
        self.values[number] = [
            LeftBehind(name, "value", reason, self.place, self.kernel_id, "") for name in names
        ]

    # ------------------------------------------------------------- what pickles ask for

    def fill(self, number, memory):
        """Read buffer ``number`` of the component at work into ``memory`` that stays as it is."""
        blob = self.read(number, memory)
        marks = blobs.marks_from(blob)
        if marks is not None:
            self.state.fresh[address(memory), len(memory)] = marks

    def read(self, number, memory):
        """Read buffer ``number`` of the component at work into ``memory``; return its blob."""
        blob = self._buffers[-1][number]
        self.state.store.read_into(blob, memory)
        return blob

    def class_by_id(self, tid):
        """Return a class, with its state if that can be had first."""
        number = self._of_class.get(tid)
        if number is not None:
            self._load(number)
        cls = self.state.classes.get(tid)
        if number in self.failed:
            called = "its class" if cls is None else f"class {cls.__name__}"
            reason = f"{called} could not be brought here: {self.failed[number]}"
            raise pickle.UnpicklingError(one_line(reason, 400))
        return cls if cls is not None else self._make_class(tid, number)

    def _make_class(self, tid, number):
        if number is None:
            raise pickle.UnpicklingError("the snapshot lacks a class that it mentions")
        parts = self._unpack(self.components[number]["skeletons"][tid])
        known = self.state.classes.get(tid)
        if known is None:
            known = classes.from_skeleton(parts, self.state.classes)
            self.state.classes.adopt(tid, known)
            self._made[tid] = known
        return known

    def settle_class(self, tid, code):
        """Give a class its functions."""
        number = self._of_class[tid]
        cls = self.state.classes.get(tid) or self._make_class(tid, number)
        if tid not in self._made:
            self._undo.setdefault(number, []).append(classes.remember(cls))
        classes.set_attributes(cls, code)
        return cls

    def finish_class(self, cls, rest, names):
        """Give a class its other attributes and take the others away."""
        classes.set_attributes(cls, rest)
        classes.drop_attributes(cls, names)

    def settle_module(self, name, attributes):
        """Note the data of a module; one that cannot be imported costs only itself."""
        if not attributes:
            return name
        try:
            importlib.import_module(name)
            self.modules[name] = attributes
        except Exception as error:
            self.problems[name_of(("m", name))] = why_not_loaded(error)
        return name

    def fill_later(self, thing, content):
        """Note what an object of a library shall hold once the snapshot is applied."""
        self.contents.append((thing, content))

    def opened(self, path, there):
        """Note which file the component at work found under a path."""
        found = self.state.opened.setdefault(self.components[self._at[-1]]["id"], {})
        found[path] = there.st_dev, there.st_ino

    def belongs(self, storage, device):
        """Note where a torch storage belongs that could not go there on this machine."""
        tensors.belongs(self.state, storage, device)

    def real_value(self, found):
        """Return the value that this kernel kept, or a tombstone with these facts."""
        kernel_id, token = found[4], found[5]
        if kernel_id == self.state.kernel_id and token in self.state.kept:
            return self.state.kept[token]
        return LeftBehind(*found)
