"""Frames and columns of polars: numbers leave the pickle as they lie in memory, without a copy.

What polars packs by itself is one long copy, made anew after each cell. Columns of text, of nested
values and with values missing are still packed by polars, but one by one and beside the pickle, so
that only what changed of them is kept. Nothing of a column is shared with others on the other side:
polars itself copies what is shared before it writes to it.
"""

from __future__ import annotations

import functools
import importlib
import sys

from . import rebuild
from .blobs import INLINE

#: What polars knows of a column, and goes by: it is not computed again.
_ORDERS = ("SORTED_ASC", "SORTED_DESC")


def reduce_series(pickler, series):
    """Reduce a column."""
    if type(series) is not sys.modules["polars"].Series:
        return NotImplemented
    return rebuild.polars_series, (_column(pickler, series),)


def reduce_frame(pickler, frame):
    """Reduce a frame to its columns."""
    if type(frame) is not sys.modules["polars"].DataFrame or not frame.width:
        return NotImplemented
    columns = [_column(pickler, series) for series in frame.get_columns()]
    return rebuild.polars_frame, (columns,)


def reduce_lazy(pickler, frame):
    """Reduce a query to what polars packs it to."""
    if type(frame) is not sys.modules["polars"].LazyFrame:
        return NotImplemented
    return rebuild.polars_packed, ("LazyFrame", *_payload(pickler, frame.__getstate__()))


def _column(pickler, series):
    """Return what ``rebuild.polars_series`` takes."""
    parts = _memory(series)
    if parts is None:
        return None, None, None, "", [_payload(pickler, series.__getstate__())]
    payloads = [_payload(pickler, memoryview(part.view("u1"))) for part in parts]
    order = next((flag for flag, is_so in series.flags.items() if is_so and flag in _ORDERS), "")
    return series.name, series.dtype, parts[0].dtype, order, payloads


def _memory(series):
    """Return the numbers of a column as arrays over its memory; None: they do not lie there so."""
    kind = series.dtype
    try:
        if not (kind.is_integer() or kind.is_float() or kind.is_temporal()) or not len(series):
            return None
        if not _has_numpy():
            return None
        chunks = series.get_chunks() if series.n_chunks() > 1 else [series]
        return [chunk.to_physical().to_numpy(allow_copy=False) for chunk in chunks]
    except Exception:
        # Values are missing, an integer has 128 bits, or polars is an old one.
        return None


@functools.lru_cache(maxsize=None)
def _has_numpy():
    """Return whether there is a NumPy: without one, polars panics on stderr where it needs it."""
    try:
        importlib.import_module("numpy")
    except Exception:
        return False
    return True


def _payload(pickler, memory):
    """Return bytes, or the number of the buffer that has them, and how many they are."""
    size = len(memory)
    return bytes(memory) if size <= INLINE else pickler.out_of_band(memory), size
