"""A pickle that is not kept is told from others as one that is."""

from __future__ import annotations

import pickle

import pytest

from relay_kernel.inkernel import blobs
from relay_kernel.inkernel.memos import MEMOIZE
from relay_kernel.inkernel.sinks import Digested, Kept

MIB = 1 << 20


@pytest.mark.parametrize(
    "sizes",
    [
        [],
        [0],
        [1],
        [blobs.INLINE],
        [blobs.INLINE + 1],
        [MIB],
        [MIB - 1, 1],
        [MIB + 1],
        [1, 3 * MIB, 5],
        [70_000] * 40,
    ],
)
def test_both_have_the_same_marks(sizes: list[int]) -> None:
    kept, digested = Kept(), Digested()
    for again in range(2):
        for at, size in enumerate(sizes):
            part = bytes([at + again]) * size
            kept.write(part)
            digested.write(memoryview(part) if at % 2 else part)
        assert digested.take().marks == blobs.marks(kept.take())


@pytest.mark.parametrize("value", [list(range(100_000)), [str(at) for at in range(100_000)]])
def test_a_digest_knows_about_how_many_objects_it_is_about(value: list[object]) -> None:
    sink = Digested()
    pickle.Pickler(sink, 5).dump(value)
    counted = pickle.dumps(value, 5).count(MEMOIZE)
    assert counted * 0.5 <= sink.take().about <= counted * 1.5 + 20_000
