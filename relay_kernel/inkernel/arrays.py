"""NumPy arrays: their memory leaves the pickle, and arrays that share memory keep sharing it."""

from __future__ import annotations

import ctypes
import operator
import sys

from . import mapped, rebuild
from .blobs import INLINE


class Sharing:
    """How the arrays of one dump lie in each other's memory.

    ``views`` maps the id of an array to (owner, offset in bytes, whether it may be written to):
    such an array is packed as a view of the owner. Owners, and arrays found alone, are packed
    with their memory.
    """

    def __init__(self, views=None):
        self.views = views or {}
        #: ids of owners that are written to through a view, though they themselves may not be
        self.writeable = {id(owner) for owner, _, writes in self.views.values() if writes}
        #: (first byte, byte after the last, array), of arrays that may share
        self.spans = []
        #: the same of memory that is not NumPy's
        self.others = []
        #: ids of arrays whose memory is private by the rules of their holder
        self.private = set()

    @property
    def used(self):
        """Whether anything was noted here."""
        return bool(self.spans or self.others or self.views or self.private)

    def overlapping(self):
        """Return a plan with views for the arrays that overlap, or None when none do."""
        views = {}
        for group in _overlaps(self.spans):
            if len(group) > 1:
                views.update(_plan(group))
        return views or None


def bounds(array):
    """Return (first byte, byte after the last) of the memory an array reaches."""
    low = high = array.__array_interface__["data"][0]
    if array.flags.forc:
        return low, low + array.nbytes
    for step, count in _steps(array):
        if step < 0:
            low += step * (count - 1)
        else:
            high += step * (count - 1)
    return low, high + array.itemsize


def _steps(array):
    return [(step, array.shape[axis]) for axis, step in enumerate(array.strides)]


def _overlaps(spans):
    """Yield lists of spans that overlap, directly or through each other."""
    group, end = [], -1
    for span in sorted(spans, key=lambda span: span[:2]):
        if group and span[0] >= end:
            yield group
            group = []
        group.append(span)
        end = max(end, span[1]) if len(group) > 1 else span[1]
    if group:
        yield group


def _plan(group):
    """Return id -> (owner, offset, whether it may be written to) for arrays that overlap."""
    low = min(span[0] for span in group)
    high = max(span[1] for span in group)
    cover = _cover(group, low, high)
    if cover is None:
        cover = _hidden_memory(group[0][2], low, high)
    if cover is None:
        return {}
    return {
        id(array): (cover, array.__array_interface__["data"][0] - low, array.flags.writeable)
        for _, _, array in group
        if array is not cover
    }


def _cover(group, low, high):
    """Return an array of the group that the others can be views of."""
    writeable = any(array.flags.writeable for _, _, array in group)
    for start, end, array in group:
        whole = start == low and end == high and array.flags.forc
        if whole and (array.flags.writeable or not writeable):
            return array
    return None


def _hidden_memory(array, low, high):
    """Return bytes low..high of the array that ``array`` and others are views of."""
    numpy = sys.modules["numpy"]
    owner = array
    while isinstance(owner.base, numpy.ndarray):
        owner = owner.base
    if not owner.flags.forc or owner.dtype.hasobject:
        return None
    owner = owner.view(numpy.ndarray)
    start, end = bounds(owner)
    if not (start <= low and high <= end):
        return None
    return _line(owner).view(numpy.uint8)[low - start : high - start]


def _line(array):
    return array.reshape(-1) if array.flags.c_contiguous else array.T.reshape(-1)


def _byte_owner(array):
    """Return the bytearray an array is laid over, or None."""
    owner = array.base
    while owner is not None and type(owner) is not bytearray:
        owner = owner.obj if type(owner) is memoryview else getattr(owner, "base", None)
    return owner


def address(owner):
    """Return where the memory of writable ``owner`` starts."""
    return ctypes.addressof((ctypes.c_char * 0).from_buffer(owner))


def reduce_array(pickler, array):
    """Reduce an ndarray (exactly that type): to a view, to a buffer, or in line when small."""
    dtype = array.dtype
    if dtype.hasobject or not dtype.itemsize:
        return NotImplemented
    if not array.size:
        return _whole(array, b"", array.flags.writeable)
    if array.base is not None and (root := mapped.root_of(array)) is not None:
        return mapped.reduce_view(array, root)
    place = pickler.sharing.views.get(id(array))
    if place is None and array.base is not None:
        owner = _byte_owner(array)
        if owner:
            place = owner, array.__array_interface__["data"][0] - address(owner), True
    if place is not None:
        owner, offset, _ = place
        shape, strides, writeable = array.shape, array.strides, array.flags.writeable
        return rebuild.array_view, (owner, dtype, shape, strides, offset, writeable)
    if id(array) not in pickler.sharing.private:
        pickler.sharing.spans.append((*bounds(array), array))
    writeable = array.flags.writeable or id(array) in pickler.sharing.writeable
    if array.nbytes <= INLINE:
        return _whole(array, array.tobytes("A"), writeable)
    return _whole(array, pickler.out_of_band(_memory(array)), writeable)


def keeps_plain(kind):
    """Return whether ``kind``, a subclass of ndarray, packs nothing but memory and attributes."""
    numpy = sys.modules["numpy"]
    masked = getattr(sys.modules.get("numpy.ma"), "MaskedArray", numpy.ndarray)
    own = [getattr(kind, name) for name in ("__reduce__", "__reduce_ex__", "__setstate__")]
    return any(
        issubclass(kind, base)
        and own == [getattr(base, name) for name in ("__reduce__", "__reduce_ex__", "__setstate__")]
        for base in (numpy.ndarray, masked)
    )


def reduce_subclass(pickler, array):
    """Reduce an array of another class to a plain one over the same memory, and attributes.

    The plain one is the same one in both passes of a dump.
    """
    if array.dtype.hasobject or not array.dtype.itemsize:
        return NotImplemented
    root = mapped.root_of(array)
    if root is not None:
        return mapped.reduce_root(array) if root is array else mapped.reduce_view(array, root)
    args = type(array), _plain(pickler, array, lambda: array.view(sys.modules["numpy"].ndarray))
    # One that is not written to, of a file that is only here: its content is as good.
    own = {name: value for name, value in vars(array).items() if name != "_mmap"}
    return rebuild.array_of, args, own, None, None, rebuild.set_attributes


def _plain(pickler, thing, make):
    known = pickler.plains.get(id(thing))
    if known is None:
        known = pickler.plains[id(thing)] = thing, make()
    return known[1]


def reduce_void(pickler, element):
    """Reduce an element of a structured array, which is a view of it."""
    if element.base is None or element.dtype.hasobject or not element.dtype.itemsize:
        return NotImplemented
    plain = _plain(pickler, element, lambda: sys.modules["numpy"].asarray(element))
    return operator.getitem, (plain, ())


def _memory(array):
    if not array.flags.forc:
        array = array.copy("C")
    return memoryview(_line(array).view(sys.modules["numpy"].uint8))


def _whole(array, payload, writeable):
    flags = array.flags
    order = "F" if flags.f_contiguous and not flags.c_contiguous else "C"
    return rebuild.array, (payload, array.dtype, array.shape, order, writeable)


def reduce_memoryview(pickler, view):
    """Reduce a memoryview to part of the object it looks into."""
    owner = view.obj
    if not view.contiguous or owner is None:
        return NotImplemented
    layout, shape, size = view.format, view.shape, view.nbytes
    if not view.readonly and size:
        offset = address(view) - address(owner)
        return rebuild.memory_view, (owner, offset, size, layout, shape, False)
    if memoryview(owner).nbytes != size:
        # Where a read-only view begins cannot be asked for; its bytes are as good.
        owner = view.tobytes()
    return rebuild.memory_view, (owner, 0, size, layout, shape, view.readonly)


def reduce_block(pickler, block):
    """Reduce a pandas block: since pandas 3 two frames never see each other's writes.

    So memory that frames happen to share until one is written to must not be shared for good
    on the other side, where pandas would not know of it.
    """
    values = block.values
    numpy = sys.modules["numpy"]
    if type(values) is not numpy.ndarray or values.dtype.hasobject:
        return NotImplemented
    values = values.view()
    pickler.sharing.private.add(id(values))
    function, args = block.__reduce__()[:2]
    return function, (values, *args[1:])
