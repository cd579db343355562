"""What tells whether memory changed, with and without the fast digest of the user's environment."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from relay_kernel.inkernel import blobs
from tests.inkernel.rig import Pair

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZES = [0, 1, blobs.INLINE, blobs.INLINE + 1, blobs.CHUNK, blobs.CHUNK + 1, 20 * blobs.CHUNK + 7]


@pytest.fixture(params=["blake2b", "another"])
def digest(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Without ``xxhash``, and with something in its place that gives other digests."""
    other = None if request.param == "blake2b" else lambda view: hashlib.md5(view).digest()
    monkeypatch.setattr(blobs, "xxh3_128_digest", other)
    return str(request.param)


@pytest.mark.usefixtures("digest")
def test_marks_change_with_any_byte_and_only_in_its_chunk() -> None:
    """A change would not be seen, or a gigabyte sent for it."""
    for size in SIZES[1:]:
        data = bytearray(os.urandom(size))
        before = blobs.marks(data)
        assert blobs.marks(bytes(data)) == before
        for at in {0, size // 2, size - 1}:
            data[at] ^= 1
            after = blobs.marks(data)
            different = [n for n in range(len(before)) if before[n] != after[n]]
            assert different == [1 if size <= blobs.INLINE else 1 + at // blobs.CHUNK]
            data[at] ^= 1


@pytest.mark.usefixtures("digest")
def test_many_memories_at_once_have_the_marks_that_each_has() -> None:
    """Arrays of one list would be taken for each other."""
    memories = [os.urandom(size) for size in [*SIZES, *reversed(SIZES)]]
    assert blobs.marks_of_all(memories) == [blobs.marks(memory) for memory in memories]
    assert blobs.marks_of_all([]) == []


@pytest.mark.usefixtures("digest")
def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    """A snapshot would be written under names that nobody finds."""
    store = blobs.ChunkStore(str(tmp_path))
    for size in SIZES:
        data = os.urandom(size)
        blob = store.keep(memoryview(data), blobs.marks(data), {})
        assert store.read(blob) == data


def test_the_manifest_tells_which_digest_it_is(pair: Pair) -> None:
    """A user with slow captures would not learn that a package is missing."""
    manifest = pair.cell("x = 1")
    pair.b.check("import importlib.util; found = importlib.util.find_spec('xxhash') is not None")
    pair.b.run("print(found)")
    assert manifest["digest"] == ("xxh3" if "True" in pair.b.shown() else "blake2b")


#: In place of xxhash, in a kernel.
ANOTHER = """\
import sys
sys.modules["_relay_inkernel.blobs"].xxh3_128_digest = (
    lambda view, md5=__import__("hashlib").md5: md5(view).digest()
)
del sys
"""


@pytest.fixture(params=["", ANOTHER], ids=["blake2b", "another"])
def own_pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    """Kernels with either digest."""
    pair = Pair(tmp_path)
    for kernel in (pair.a, pair.b):
        kernel.run(request.param)
    yield pair
    pair.stop()


def test_a_value_that_packs_otherwise_after_a_trip_is_never_put_together_of_both(
    own_pair: Pair,
) -> None:
    """What came with the last switch would be taken for what is here: half old, half new."""
    own_pair.cell(
        "class Odd:\n"
        "    trips = 0\n"
        "    def __getstate__(self): return self.trips\n"
        "    def __setstate__(self, trips): self.trips = trips + 1\n"
        "many = [Odd(), 'x' * 3_000_000, 0]"
    )
    before = own_pair.chunks()
    own_pair.a.check("many[2] = 1; assert many[0].trips == 1")
    own_pair.back()
    assert len(own_pair.chunks() - before) == 2, "what is the same is written again, or too little"
    own_pair.b.check("assert many[2] == 1 and many[0].trips == 2")
