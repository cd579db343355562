"""Packs and unpacks values: C pickle at protocol 5, with the notebook's own rules on top."""

from __future__ import annotations

import builtins
import contextlib
import copyreg
import math
import pickle
import sys

from . import (
    arrays,
    cached,
    deep,
    frames,
    idle,
    keras_models,
    of_libraries,
    opened,
    over,
    rebuild,
    reducers,
    tensorflow_parts,
    tensors,
)
from .blobs import INLINE, flat, marks, marks_of_all
from .budget import TooLong
from .classes import ClassRoot
from .memos import memo_of
from .modules import ModuleRoot
from .named import NamedRoot
from .reasons import NEVER, WIDGET
from .registered.figures import FIGURE, reduce_callbacks, reduce_figure
from .registered.handlers import reduce_handler
from .registered.services import WANDB_RUN, refuse_run
from .sinks import Digest, Digested, Kept

_NONE = frozenset()
_SEEDS = "_relay_inkernel.seeds"
#: Module and name of a class -> how it and its subclasses are taken apart.
_OF_BASES = {
    WIDGET: reducers.refuse_widget,
    FIGURE: reduce_figure,
    ("matplotlib.cbook", "CallbackRegistry"): reduce_callbacks,
    ("logging", "Handler"): reduce_handler,
    ("threading", "Thread"): reducers.refuse,
    ("subprocess", "Popen"): reducers.refuse,
    ("concurrent.futures._base", "Future"): idle.reduce_future,
    WANDB_RUN: refuse_run,
    ("torch", "Tensor"): tensors.reduce_tensor,
    ("bs4", "BeautifulSoup"): of_libraries.reduce_soup,
    ("rdkit.Chem.rdchem", "Mol"): of_libraries.reduce_molecule,
    **dict.fromkeys(of_libraries.JAX_ARRAYS, of_libraries.reduce_jax_array),
    tensorflow_parts.FUNCTION: tensorflow_parts.reduce_function,
    tensorflow_parts.DEFAULT_STRATEGY: tensorflow_parts.reduce_default_strategy,
    keras_models.SAVEABLE: keras_models.reduce_saveable,
    keras_models.TRACKER: keras_models.reduce_tracker,
    **dict.fromkeys(keras_models.TRACKED, keras_models.reduce_tracked),
    ("PIL.ImageDraw", "ImageDraw"): of_libraries.reduce_draw,
    ("random", "SystemRandom"): of_libraries.reduce_system_random,
    ("polars.series.series", "Series"): frames.reduce_series,
    ("polars.dataframe.frame", "DataFrame"): frames.reduce_frame,
    ("polars.lazyframe.frame", "LazyFrame"): frames.reduce_lazy,
}


class Dump:
    """One packed value: bytes, memory outside of them, and what was met on the way."""

    __slots__ = ("buffers", "classes", "data", "files", "marks", "memo", "spans", "stream")

    def __init__(self, pickler, data, memo):
        # What is empty in the pickler is used for the next value, so it must not be kept.
        digested = type(data) is Digest
        #: the pickle; empty if it was not kept
        self.data = b"" if digested else data
        #: flat views of live memory: store or digest them before user code runs again
        self.buffers = pickler.buffers or ()
        #: which of the buffers pickle asks for by itself, in its order
        self.stream = pickler.stream or ()
        #: id -> (place, object), or a LargeMemo; keeps every object alive that was met
        self.memo = memo
        self.classes = pickler.classes or _NONE
        self.files = pickler.files or _NONE
        self.spans = (*pickler.sharing.spans, *pickler.sharing.others)
        own = data.marks if digested else marks(data)
        self.marks = (own, *pickler.marks_of(self.buffers)) if self.buffers else (own,)

    @property
    def size(self):
        """Bytes of the pickle and of the buffers."""
        return sum(own[0] for own in self.marks)

    def let_go(self):
        """Forget the objects that were met."""
        if not isinstance(self.memo, dict):
            self.memo.close()
        self.memo = {}


class Pickler(pickle.Pickler):
    """Packs values of one kernel, one after the other; each alone unless dumped together.

    Args:
        state: the kernel.
        keep: whether dumps have their bytes, or only their marks.
    """

    _names_nans = False

    def __init__(self, state, keep=True):
        self.sink = Kept() if keep else Digested()
        self._namer = None
        super().__init__(self.sink, protocol=5, buffer_callback=self._keep_in_line)
        self.state = state
        self.user_ns = state.user_ns
        self.cloudpickle = state.cloudpickle
        self.dispatch_table = {**copyreg.dispatch_table, **self.cloudpickle.Pickler._dispatch_table}
        self._reducers = _reducers(state).copy()
        self._seeds = {id(seed): (at, seed) for at, seed in enumerate(seeds(state))}
        self.seed_ids = frozenset(self._seeds)
        self.buffers, self.stream = [], []
        self.classes, self.files = set(), set()
        self.bare_cells, self.bare_functions = set(), set()
        #: id -> namespace, of functions that run in a dict of their own
        self.foreign = {}
        self.globals_ref, self.storages, self.plains = {}, {}, {}
        #: what is packed behind the value, so that a chain of any length takes no stack
        self.later = []
        self.sharing = arrays.Sharing()

    def _forget(self, views):
        self.memo = self._seeds
        # Most values are plain, and most of these stay empty.
        self.buffers = self.buffers and []
        self.stream = self.stream and []
        self.classes = self.classes and set()
        self.files = self.files and set()
        self.storages = self.storages and {}
        self.later = self.later and []
        self.globals_ref = self.globals_ref and {}
        self.foreign = self.foreign and {}
        self.bare_cells = self.bare_cells and set()
        self.bare_functions = self.bare_functions and set()
        if not views:
            self.plains = self.plains and {}
        if views or self.sharing.used:
            self.sharing = arrays.Sharing(views)

    def pack(self, value):
        """Pack ``value``.

        Returns:
            A Dump.

        Raises:
            Exception: anything; packing runs code of the user and of libraries.
        """
        data = self._widely(value)
        if self.sink.nan and not self._names_nans:
            return self._naming().pack(value)
        views = self.sharing.overlapping() if len(self.sharing.spans) > 1 else None
        if views is None:
            return Dump(self, data, memo_of(self, data))
        memo, spans = self.memo.copy(), self.sharing.spans
        data = self._once(value, views)
        self.sharing.spans = spans
        return Dump(self, data, {**memo, **self.memo.copy()})

    def close(self):
        """Let go of every object. The pickler refers to itself, so it would live on for long."""
        self.clear_memo()
        self.buffers, self.sharing, self.storages = [], arrays.Sharing(), {}
        self.plains = {}
        if self._namer is not None:
            self._namer.close()

    def _widely(self, value):
        try:
            return self._once(value, None)
        except Exception:
            if not self.foreign:
                raise
        self.state.narrow.update(self.foreign)
        return self._once(value, None)

    def _naming(self):
        if self._namer is None:
            self._namer = _NamingPickler(self.state, isinstance(self.sink, Kept))
        return self._namer

    def _once(self, value, views):
        try:
            return self._once_on_this_stack(value, views)
        except RecursionError:
            return deep.call(self._once_on_this_stack, value, views)

    def _once_on_this_stack(self, value, views):
        self._forget(views)
        try:
            self.dump(value)
            while self.later:
                value, self.later = self.later, []
                self.dump(value)
        except (Exception, KeyboardInterrupt, TooLong):
            raise
        except BaseException as error:
            # Code of the user may even ask to exit; that is about its value, not about us.
            raise RuntimeError(f"it raised {type(error).__name__}") from error
        finally:
            data = self.sink.take()
        return data

    def out_of_band(self, memory):
        """Take memory along beside the pickle; return its number."""
        self.buffers.append(flat(memory))
        return len(self.buffers) - 1

    def marks_of(self, memories):
        """Return the marks of buffers, those of the blob for one that was just read from one."""
        rest = iter(marks_of_all([memory for memory in memories if self._fresh(memory) is None]))
        return [self._fresh(memory) or next(rest) for memory in memories]

    def _fresh(self, memory):
        if not self.state.fresh or memory.readonly:
            return None
        return self.state.fresh.get((arrays.address(memory), len(memory)))

    def _keep_in_line(self, buffer):
        memory = buffer.raw()
        if len(memory) <= INLINE:
            return True
        self.stream.append(self.out_of_band(memory))
        return False

    def reducer_override(self, thing):
        """Take ``thing`` apart; called for every object that is not a plain builtin."""
        kind = type(thing)
        reducer = self._reducers.get(kind)
        if reducer is None:
            reducer = self._reducers[kind] = self._choose(kind)
        return reducer(self, thing) if reducer else NotImplemented

    def _choose(self, kind):
        reducer = self._by_rules(kind)
        return reduce_unless_named(reducer) if kind in self.state.named.kinds else reducer

    def _by_rules(self, kind):
        if issubclass(kind, type):
            return reduce_class
        if issubclass(kind, BaseException):
            return reducers.reduce_exception
        if (kind.__module__, kind.__name__) in NEVER:
            return reducers.refuse
        return self._by_base(kind) or self._by_kind(kind)

    def _by_base(self, kind):
        for base in kind.__mro__:
            if reducer := _OF_BASES.get((base.__module__, base.__name__)):
                return reducer
        return None

    def _by_kind(self, kind):
        block = self._reducers.get("pandas block")
        if block is not None and issubclass(kind, block):
            return arrays.reduce_block
        ndarray = getattr(sys.modules.get("numpy"), "ndarray", None)
        if ndarray is not None and issubclass(kind, ndarray) and arrays.keeps_plain(kind):
            return arrays.reduce_subclass
        if tensors.is_storage(kind):
            return tensors.reducer_of(kind)
        if reducers.has_own_new(kind):
            return reducers.reduce_past_new
        if reducers.answers_for_others(kind):
            return reducers.reduce_past_getattr
        # By its own rules.
        return False


class _NamingPickler(Pickler):
    """Packs each NaN by its name."""

    _names_nans = True

    def persistent_id(self, thing):
        """Return the name of what travels by one."""
        if type(thing) is float and math.isnan(thing):
            return self.state.nans.name(thing)
        return None


_NAMELESS = frozenset((type(None), type(...), type(NotImplemented)))


def reduce_class(pickler, cls):
    """Reduce a class of the notebook to its tracker id; others travel by name."""
    cloudpickle = pickler.cloudpickle
    if cls.__module__ != "__main__":
        if type(cls) is type and (cls in _NAMELESS or cls in cloudpickle._BUILTIN_TYPE_NAMES):
            return cloudpickle._class_reduce(cls)
        if cloudpickle._should_pickle_by_reference(cls):
            return NotImplemented
    generic = of_libraries.generic_of(cls)
    if generic is not None:
        return of_libraries.reduce_generic(generic)
    tid = pickler.state.classes.tid(cls)
    pickler.classes.add(tid)
    return rebuild.class_by_id, (tid,)


def reduce_class_root(pickler, root):
    """Reduce a class as what it is: this is the one place from which its state comes."""
    code, rest, names = root.state(pickler.cloudpickle)
    args = (root.tid, code)
    return rebuild.settle_class, args, (rest, names), None, None, rebuild.finish_class


def reduce_unless_named(reducer):
    """Return a reducer for a type of which modules of libraries have objects under a name."""

    def reduce_named(pickler, thing):
        place = pickler.state.named.find(thing)
        if place is not None:
            return rebuild.of_library, place
        return reducer(pickler, thing) if reducer else NotImplemented

    return reduce_named


def reduce_named_root(pickler, root):
    """Reduce an object of a library to its name, and what cells changed of it."""
    return root.reduced()


def reduce_lru_cache(pickler, wrapper):
    """Reduce a function under lru_cache with what is cached of it."""
    other = Pickler(pickler.state)
    try:
        return cached.reduce_lru_cache(pickler, wrapper, other)
    finally:
        other.close()


def reduce_module_root(pickler, root):
    """Reduce a module of the user to what its attributes hold."""
    other = Pickler(pickler.state)
    try:
        return rebuild.settle_module, (root.name, root.attributes(other))
    finally:
        other.close()


def _reducers(state):
    """Return type -> reducer, made anew once a library is imported that it depends on."""
    needed = (("numpy", "ndarray"), ("pandas", "__version__"))
    found = [hasattr(sys.modules.get(name), attribute) for name, attribute in needed]
    if state.reducers is None or state.reducers[0] != found:
        state.reducers = found, _make_reducers(state)
    return state.reducers[1]


def _make_reducers(state):
    table = {**reducers.for_exact_types(), **opened.REDUCERS, **idle.REDUCERS, **over.REDUCERS}
    table[ClassRoot] = reduce_class_root
    table[ModuleRoot] = reduce_module_root
    table[NamedRoot] = reduce_named_root
    table[cached.KIND] = reduce_lru_cache
    table[type(state.shell)] = reducers.reduce_shell
    kernel = getattr(state.shell, "kernel", None)
    if kernel is not None:
        table[type(kernel)] = reducers.reduce_kernel
    for stream in state.streams.values():
        table[type(stream)] = reducers.reduce_stream
    table[type] = reduce_class
    numpy = sys.modules.get("numpy")
    if hasattr(numpy, "ndarray"):
        table[numpy.ndarray] = arrays.reduce_array
        table[numpy.void] = table[numpy.record] = arrays.reduce_void
    table[memoryview] = arrays.reduce_memoryview
    pandas = sys.modules.get("pandas")
    if int(getattr(pandas, "__version__", "0").split(".")[0]) >= 3:
        table["pandas block"] = sys.modules["pandas._libs.internals"].Block
    return table


def seeds(state):
    """Return what every pickle may refer to without packing it: both kernels have their own."""
    names = state.user_ns
    return [names, names.get("_oh"), names.get("_ih"), vars(builtins)]


def _prefix(count):
    # A pickle that loads the seeds by name into the places 0.. of the memo, then returns None.
    module = b"\x8c" + bytes([len(_SEEDS)]) + _SEEDS.encode()
    steps = (module + b"\x8c\x01" + str(at).encode() + b"\x93\x940" for at in range(count))
    return b"\x80\x05" + b"".join(steps) + b"N."


class Unpickler(pickle.Unpickler):
    """Unpacks one value that a ``Pickler`` packed, here or in another kernel.

    Args:
        open_: given some bytes, returns a file that has them and then the pickle.
        buffers: what it refers to, in order.
        state: the kernel.
    """

    def __init__(self, open_, buffers, state):
        self._seeds = seeds(state)
        self._nans = state.nans
        super().__init__(open_(_prefix(len(self._seeds))), buffers=buffers)

    def find_class(self, module, name):
        """Return what a pickle calls ``module.name``."""
        if module == _SEEDS:
            return self._seeds[int(name)]
        return super().find_class(module, name)

    def persistent_load(self, name):
        """Return the NaN of that name."""
        return self._nans.get(name)

    def unpack(self):
        """Return the value.

        Raises:
            Exception: anything; unpacking runs code of the user and of libraries.
        """
        self.load()
        value = self.load()
        with contextlib.suppress(EOFError):
            while True:
                self.load()
        return value
