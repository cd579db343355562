"""What this kernel knows of its own state: the one object that ``install`` makes."""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import itertools
import sys
import weakref

from . import bundles
from .blobs import ChunkStore
from .budget import Budget
from .cached import Caches
from .classes import ClassTable
from .context import Context
from .history import History
from .live import Threads
from .modules import Modules
from .named import Named
from .names import Names, name_of
from .nans import Nans
from .pickling import Pickler
from .reasons import kind_of, why
from .registered import Registered
from .tombstone import LeftBehind
from .turns import Turns

CLOUDPICKLE = "_relay_cloudpickle"


class Kernel:
    """The kernel as capture and apply see it. One a process.

    Args:
        shell: the IPython shell, before any code of the user ran.
        config: ``store`` (folder), ``cloudpickle`` (file), ``kernel_id`` (random hex), and, all
            optional, ``place``: where this kernel is, in words for the user;
            ``seconds_per_component`` (10) and ``bytes_per_component`` (0 for no limit): what
            takes longer or is larger stays behind.
    """

    def __init__(self, shell, config):
        self.shell = shell
        self.user_ns = shell.user_ns
        self.kernel_id = config["kernel_id"]
        self.place = config.get("place") or "the kernel that made it"
        self.cloudpickle = load_cloudpickle(config["cloudpickle"])
        self.store = ChunkStore(config["store"])
        self.names = Names(shell)
        self.named = Named(self)
        self.modules = Modules(self.named.find)
        self.history = History(shell, self.store)
        #: whether the user has garbage collected; a capture has not
        self.collecting = gc.isenabled()
        self.context = Context(self)
        #: name of a variable -> the user's function that makes it
        self.recipes = {}
        #: name -> tombstone that its recipe could not replace
        self.tried = {}
        self.registered = Registered(self)
        self.classes = ClassTable(self.kernel_id)
        self.nans = Nans(self.kernel_id)
        self.caches = Caches()
        self.budget = Budget(
            config.get("seconds_per_component", 10.0), config.get("bytes_per_component", 0)
        )
        self.turns = Turns()
        self.threads = Threads()
        #: threads of the user that ran when the last scan began
        self.at_work = 0
        #: whether a weak reference that calls something was ever met
        self.callbacks = False
        #: id -> namespace of functions, where not all of it can travel
        self.narrow = {}
        #: names of what changed while it was packed last
        self.live = []
        self.streams = {"stdout": sys.stdout, "stderr": sys.stderr}
        #: the components as they were captured or applied last, and the same by root
        self.records = []
        self.record_of = {}
        #: small records whose values are looked at together
        self.bundles = []
        #: id of a torch storage on the CPU -> (weak reference to it, the device it came from)
        self.devices = {}
        #: functions of TensorFlow that were packed here
        self.traced = weakref.WeakSet()
        #: which libraries there were, and the table of reducers for them
        self.reducers = None
        #: what the manifest says of the records, until they change
        self.parts = None
        #: the components as JSON, until they change
        self.said = None
        #: tracker id -> what its class is first made from
        self.skeletons = {}
        #: tracker id -> attribute -> (value, tombstone)
        self.stones = {}
        #: file name of a cell -> its source, as it travels
        self.sources = {}
        #: token -> value, for values that this kernel left behind
        self.kept = {}
        #: id of a component that came -> path -> (device, inode) of the file that it has open
        self.opened = {}
        #: (address, bytes) -> marks of memory just read from the store; empty between requests
        self.fresh = {}
        self._tokens = itertools.count(1)

    def forget_reads(self):
        """Forget what is known of chunks that were just read, and of memory that holds them."""
        self.fresh.clear()
        self.store.seen.clear()

    def settle(self, records, scan):
        """Take ``records`` as the state that the other side knows.

        Args:
            records: one for each component.
            scan: has the values that the records are of.
        """
        before = self.records
        if len(records) == len(before) and {*map(id, records)} == {*map(id, before)}:
            return
        self.parts = self.said = None
        self.records = records
        self.record_of = {root: record for record in records for root in record.roots}
        tids = {tid for record in records for tid in record.classes}
        tids.update(key for kind, key in self.record_of if kind == "c")
        self.classes.hold(tids)
        for table in (self.skeletons, self.stones):
            for tid in table.keys() - tids:
                del table[tid]
        self._let_go()
        self.bundles = bundles.rebundle(self.bundles, records, scan.pack)

    def _let_go(self):
        """Keep only what a tombstone of the present state stands for."""
        if not self.kept:
            return
        needed = {id(record.live) for record in self.records}
        needed.update(id(value) for table in self.stones.values() for value, _ in table.values())
        self.kept = {token: value for token, value in self.kept.items() if id(value) in needed}

    def distrust(self):
        """Have the next capture write again whatever is not in the store any more.

        A value that this kernel could not unpack, or left on the disk, has only its chunks; while
        they are all there, they go on standing for it.
        """
        kept = [record for record in self.records if record.failed or record.parked]
        kept = [record for record in kept if self.store.has(record.chunks)]
        held = {id(record) for record in kept}
        for record in self.records:
            if id(record) not in held:
                record.distrust()
        tids = {key for record in kept for kind, key in record.roots if kind == "c"}
        self.skeletons = {tid: self.skeletons[tid] for tid in self.skeletons.keys() & tids}
        self.bundles, self.parts, self.said, self.sources = [], None, None, {}
        self.history.distrust()
        self.context.distrust()

    def marks_of(self, value):
        """Return the digests of ``value``, packed by itself.

        Raises:
            Exception: anything; packing runs code of the user and of libraries.
        """
        with contextlib.closing(Pickler(self, keep=False)) as pickler:
            return pickler.pack(value).marks

    def called(self, root):
        """Return how a person would call a root."""
        cls = self.classes.get(root[1]) if root[0] == "c" else None
        return f"class {cls.__name__}" if cls is not None else name_of(root)

    def leave(self, name, value, reason):
        """Keep ``value`` here, and return the tombstone that travels instead."""
        token = str(next(self._tokens))
        self.kept = {old: kept for old, kept in self.kept.items() if kept is not value}
        self.kept[token] = value
        return LeftBehind(name, kind_of(value), reason, self.place, self.kernel_id, token)

    def leave_attributes(self, root, bad):
        """Note the attributes of a class that cannot be packed.

        Args:
            root: the ClassRoot.
            bad: attribute -> (value, what packing it raised).
        """
        name = root.cls.__name__
        self.stones[root.tid] = {
            attribute: (value, self.leave(f"{name}.{attribute}", value, why(value, error)))
            for attribute, (value, error) in bad.items()
        }


def load_cloudpickle(path):
    """Return the agent's cloudpickle under a private name, whatever the user has installed.

    Both kernels load the same file, so that what one packs means the same to the other.
    """
    if CLOUDPICKLE not in sys.modules:
        spec = importlib.util.spec_from_file_location(CLOUDPICKLE, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[CLOUDPICKLE] = module
        spec.loader.exec_module(module)
    return sys.modules[CLOUDPICKLE]
