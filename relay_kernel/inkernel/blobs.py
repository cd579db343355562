"""Bytes of a snapshot on disk: content-addressed chunks, and the blobs that name them.

Rule 1: a chunk's name is the hash of its content, so a chunk is written once and never changed.
Rule 2: nothing here is flushed to the platter; the process that owns the store does that.
"""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import os
from concurrent.futures import ThreadPoolExecutor

try:
    from xxhash import xxh3_128_digest
except ImportError:  # the user's environment decides; a slower digest is as right
    xxh3_128_digest = None

#: What tells whether memory changed: with blake2b, a gigabyte takes some 20 times as long.
DIGEST = "xxh3" if xxh3_128_digest is not None else "blake2b"
#: Bytes. Large enough that a GiB needs 1,024 names, small enough that one changed number is cheap.
CHUNK = 1 << 20
#: Bytes. Shorter blobs travel inside the manifest: a file each would cost more than they hold.
INLINE = 2048
#: Bytes, and how many parts of at least so many, from which on it pays to digest them in threads.
#: With smaller ones, two threads take turns at the interpreter for longer than they work.
_LARGE, _MANY = CHUNK // 4, 16


class ChunkError(Exception):
    """A chunk is missing or is not what its name says."""


def chunk_key(view):
    """Return the name of a chunk: hex of blake2b with 20 bytes."""
    return hashlib.blake2b(view, digest_size=20).hexdigest()


def mark(view):
    """Return a digest that tells whether memory changed since last time in this kernel.

    It never leaves the kernel, so it may be a faster one than the chunk key.
    """
    if xxh3_128_digest is not None:
        return xxh3_128_digest(view)
    return hashlib.blake2b(view, digest_size=20).digest()


def flat(buffer):
    """Return ``buffer`` as a one-dimensional view of bytes, without a copy."""
    view = memoryview(buffer)
    return view if view.format == "B" and view.ndim == 1 else view.cast("B")


def marks(data):
    """Return the size of flat bytes and a digest of each chunk (or the content itself if short)."""
    return marks_of_all([data])[0]


def marks_of_all(memories):
    """Return the marks of several flat memories: one run of threads for all of them."""
    digests = iter(_marks_of([part for memory in memories for part in _parts(memory)]))
    return [_of_one(memory, digests) for memory in memories]


def _of_one(memory, digests):
    size = len(memory)
    if size <= INLINE:
        return (size, bytes(memory))
    return (size, *itertools.islice(digests, -(-size // CHUNK)))


def _parts(memory):
    size = len(memory)
    if size <= INLINE:
        return ()
    if size <= CHUNK:
        return (memory,)
    view = memoryview(memory)
    return [view[at : at + CHUNK] for at in range(0, size, CHUNK)]


def _marks_of(parts):
    large = [part for part in parts if len(part) >= _LARGE]
    count = _threads()
    if len(large) < _MANY or count == 1:
        return map(mark, parts)
    found = _marks_in_threads(large, count)
    return (next(found) if len(part) >= _LARGE else mark(part) for part in parts)


def _marks_in_threads(parts, count):
    # Hashing lets other threads run meanwhile. Each has one long run of parts: handing them out
    # one by one costs as much as the hashing.
    run = -(-len(parts) // count)
    runs = [parts[at : at + run] for at in range(0, len(parts), run)]
    with ThreadPoolExecutor(count) as pool:
        found = [pool.submit(lambda own: list(map(mark, own)), own) for own in runs[1:]]
        first = list(map(mark, runs[0]))
        return itertools.chain(first, *[each.result() for each in found])


def marks_from(blob):
    """Return the marks of memory that was read from ``blob``, or None if they cannot be told."""
    if xxh3_128_digest is not None or "inline" in blob:
        return None
    return (blob["size"], *(mark_of_chunk(key, None) for key in blob["chunks"]))


def mark_of_chunk(key, view):
    """Return the digest of the content of a chunk, whose name may be as good."""
    return mark(view) if xxh3_128_digest is not None else bytes.fromhex(key)


def _threads():
    return max(1, min(8, (os.cpu_count() or 1)))


def sizes(blob):
    """Yield (key, bytes) of each chunk that ``blob`` needs."""
    keys = blob.get("chunks", ())
    left = blob.get("size", 0)
    for key in keys:
        yield key, min(CHUNK, left)
        left -= CHUNK


def within(value):
    """Yield every blob inside of a JSON value."""
    if isinstance(value, dict):
        if "chunks" in value and "size" in value:
            yield value
            return
        value = value.values()
    elif not isinstance(value, list):
        return
    for part in value:
        if isinstance(part, (dict, list)):
            yield from within(part)


class ChunkStore:
    """A folder of chunks, ``<root>/chunks/<first two letters>/<key>``."""

    def __init__(self, root):
        self.root = os.path.join(root, "chunks")
        #: Whether a chunk was found missing or damaged since somebody last set this.
        self.failed = False
        #: Whether a file of the right size may still hold something else.
        self.wary = False
        #: key -> mark of the chunks that were read since this was last cleared
        self.seen = {}
        self._serial = itertools.count()
        os.makedirs(self.root, mode=0o700, exist_ok=True)

    def path(self, key):
        """Return where the chunk ``key`` is or would be."""
        return os.path.join(self.root, key[:2], key)

    def put(self, view, key=None):
        """Write a chunk unless it is there, and return its key."""
        key = key or chunk_key(view)
        path = self.path(key)
        # A power cut tears what was never flushed, most often to no bytes at all.
        if _size(path) != len(view) or (self.wary and not _holds(path, view)):
            self._write(path, view)
        return key

    def _write(self, path, view):
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        unseen = f"{path}.{os.getpid()}.{next(self._serial)}.part"
        handle = os.open(unseen, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(view)
            os.rename(unseen, path)
        except BaseException:
            os.unlink(unseen)
            raise

    def keep(self, view, digests, known):
        """Return a blob for ``view``, writing only the chunks that no blob before it had.

        Args:
            view: flat bytes.
            digests: ``marks(view)``.
            known: mark -> key of chunks that are in the store already.
        """
        size = len(view)
        if size <= INLINE:
            return {"inline": base64.b64encode(view).decode("ascii")}
        keys = []
        for number, digest in enumerate(digests[1:]):
            key = known.get(digest)
            if key is None:
                at = number * CHUNK
                name = digest.hex() if xxh3_128_digest is None else None
                key = self.put(view[at : at + CHUNK], name)
            keys.append(key)
        return {"size": size, "chunks": keys}

    def read(self, blob):
        """Return the bytes of ``blob`` in a new bytearray.

        Raises:
            ChunkError: a chunk is missing or damaged.
        """
        if "inline" in blob:
            return bytearray(base64.b64decode(blob["inline"]))
        data = bytearray(blob["size"])
        self.read_into(blob, memoryview(data))
        return data

    def open(self, blob, head):
        """Return a file to read ``head`` and then ``blob`` from, chunk by chunk.

        Reading it raises ChunkError where a chunk is missing or damaged.
        """
        return io.BufferedReader(_Chunks(self, blob, head), CHUNK)

    def read_into(self, blob, target):
        """Fill ``target``, flat writable memory of the blob's size, and check every chunk.

        Raises:
            ChunkError: a chunk is missing or damaged; ``target`` is then partly filled.
        """
        if "inline" in blob:
            target[:] = base64.b64decode(blob["inline"])
            return
        if len(target) != blob["size"]:
            raise ChunkError(f"a blob of {blob['size']} bytes was expected to have {len(target)}")
        at = 0
        for key, size in sizes(blob):
            self._fill(key, target[at : at + size])
            at += size

    def has(self, keys):
        """Return whether all of ``keys`` are there; what they hold is not looked at."""
        return all(os.path.exists(self.path(key)) for key in keys)

    def bad(self, chunks):
        """Return which of ``chunks`` (key -> bytes) are missing or damaged. Reads them all."""
        found = []
        for key, size in chunks.items():
            try:
                self._fill(key, memoryview(bytearray(size)))
            except ChunkError:
                found.append(key)
        return found

    def _fill(self, key, part):
        try:
            with open(self.path(key), "rb", buffering=0) as file:
                count = _read_fully(file, part)
                whole = count == len(part) and not file.read(1)
        except OSError as error:
            self.failed = True
            raise ChunkError(f"chunk {key[:12]} cannot be read: {error.strerror}") from error
        if not whole or chunk_key(part) != key:
            self.failed = True
            raise ChunkError(f"chunk {key[:12]} is damaged")
        self.seen[key] = mark_of_chunk(key, part)


class _Chunks(io.RawIOBase):
    """A blob as a file that holds one chunk at a time in memory."""

    def __init__(self, store, blob, head):
        super().__init__()
        self._store = store
        self._coming = sizes(blob)
        self._rest = memoryview(head)

    def readable(self):
        """See ``io.RawIOBase``."""
        return True

    def readinto(self, target):
        """See ``io.RawIOBase``."""
        if not self._rest:
            key, size = next(self._coming, (None, 0))
            if key is None:
                return 0
            self._rest = memoryview(bytearray(size))
            self._store._fill(key, self._rest)
        count = min(len(target), len(self._rest))
        target[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _holds(path, view):
    with open(path, "rb") as file:
        return file.read() == view


def _size(path):
    try:
        return os.stat(path).st_size
    except OSError:
        return None


def _read_fully(file, part):
    count = 0
    while count < len(part):
        got = file.readinto(part[count:])
        if not got:
            break
        count += got
    return count
