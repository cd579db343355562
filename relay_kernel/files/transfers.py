"""Files that are brought over piece by piece: what is there already never travels.

The receiver asks for the pieces that it lacks, a window of them at a time; the sender reads the
piece that is due next whenever the link has room. So a smaller or newer file overtakes a large one
between two pieces, and nobody holds more of a file in memory than the window.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from relay_kernel.core.errors import RelayError
from relay_kernel.files.digest import CHUNK
from relay_kernel.files.errors import ChangedError
from relay_kernel.wire.compression import expand, squeeze
from relay_kernel.wire.errors import ProtocolError
from relay_kernel.wire.message import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from relay_kernel.core.tree import Entry

#: Pieces that are asked for and have not come yet, at most.
WINDOW = 128
#: Pieces that are read at a time.
GROUP = 8
#: Pieces that are read before the link has room for them.
AHEAD = 16
#: Groups that are read at the same time.
READERS = 2


class Source(Protocol):
    """Where pieces are read."""

    async def read(self, path: bytes, entry: Entry, numbers: Sequence[int]) -> list[bytes]:
        """Some pieces of a file that still is ``entry``.

        Raises:
            ChangedError: it is not.
        """
        ...


class Sink(Protocol):
    """A file that is being received."""

    def put(self, number: int, data: bytes) -> None:
        """Take in one of them.

        Raises:
            RelayError: it is damaged, or there is no room for it.
        """

    def finish(self) -> None:
        """All is there."""


@dataclass
class Offer:
    """A file whose pieces may be asked for."""

    source: Source
    path: bytes
    entry: Entry
    wanted: deque[int] = field(default_factory=deque)
    total: int = 0
    """Pieces that travel."""
    sent: int = 0
    """Pieces that were handed to the link."""


class Outgoing:
    """The bulk source of one end of a link.

    Args:
        tell: sends a notice.
        ready: called when :meth:`next` may have something to give.
    """

    def __init__(
        self, tell: Callable[[str, dict[str, Any]], None], ready: Callable[[], None]
    ) -> None:
        self._tell = tell
        self._ready = ready
        self._offers: dict[int, Offer] = {}
        self._read: deque[tuple[int, Message]] = deque()
        self._readers: set[asyncio.Task[None]] = set()
        self._reading = 0
        self.shipped = 0
        """Pieces that were handed to the link so far."""

    def offer(self, number: int, source: Source, path: bytes, entry: Entry) -> Offer:
        """From now on pieces of this file may be asked for, under ``number``."""
        self._offers[number] = Offer(source, path, entry)
        return self._offers[number]

    def withdraw(self, number: int) -> None:
        """No more."""
        self._offers.pop(number, None)

    def handle(self, message: Message) -> None:
        """The receiver wants some pieces, or no more of them."""
        number = message.head["t"]
        offer = self._offers.get(number)
        if message.kind == "drop":
            self.withdraw(number)
        elif offer is None:
            self._tell("gone", {"t": number, "why": "it is not offered any more"})
        else:
            offer.wanted.extend(int(wanted) for wanted in message.head["n"])
            offer.total = int(message.head["of"])
            self._read_ahead()

    def next(self) -> Message | None:
        """The next piece, if one is read; ``ready`` is called when there is one."""
        while self._read:
            number, message = self._read.popleft()
            offer = self._offers.get(number)
            self._read_ahead()
            if offer is not None:
                offer.sent += 1
                self.shipped += 1
                return message
        return None

    def _read_ahead(self) -> None:
        while len(self._readers) < READERS and len(self._read) + self._reading < AHEAD:
            due = [number for number, offer in self._offers.items() if offer.wanted]
            if not due:
                return
            number = min(due, key=lambda n: _rank(self._offers[n].entry))
            wanted = self._offers[number].wanted
            numbers = [wanted.popleft() for _ in range(min(GROUP, len(wanted)))]
            self._reading += len(numbers)
            reader = asyncio.ensure_future(self._fetch(number, self._offers[number], numbers))
            self._readers.add(reader)
            reader.add_done_callback(self._readers.discard)

    async def _fetch(self, number: int, offer: Offer, numbers: list[int]) -> None:
        try:
            pieces = await offer.source.read(offer.path, offer.entry, numbers)
            packed = await asyncio.to_thread(
                lambda: [_piece(number, n, data) for n, data in zip(numbers, pieces, strict=True)]
            )
            self._read.extend((number, message) for message in packed)
        except (RelayError, OSError) as error:
            self.withdraw(number)
            self._tell("gone", {"t": number, "why": str(error)})
        finally:
            self._reading -= len(numbers)
        self._readers.discard(asyncio.current_task())
        self._read_ahead()
        self._ready()

    async def close(self) -> None:
        """The link is gone."""
        self._offers.clear()
        self._read.clear()
        readers = [*self._readers]
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)


@dataclass
class _Coming:
    queue: asyncio.Queue[tuple[int, bytes, int | None]] = field(default_factory=asyncio.Queue)
    """Number, content, and its plain size where it is compressed."""
    failure: RelayError | None = None


class Incoming:
    """The files that are being received at one end of a link.

    Args:
        tell: sends a notice.
    """

    def __init__(self, tell: Callable[[str, dict[str, Any]], None]) -> None:
        self._tell = tell
        self._coming: dict[int, _Coming] = {}
        self.received = 0
        """Pieces that came so far."""

    def handle(self, message: Message) -> None:
        """A piece has come, or word that none will."""
        coming = self._coming.get(message.head["t"])
        if coming is None:
            return
        if message.kind == "gone":
            self._fail(coming, ChangedError(str(message.head.get("why"))))
            return
        size = message.head.get("zstd")
        if size is not None and not (isinstance(size, int) and 0 <= size <= CHUNK):
            raise ProtocolError(f"a piece claims to have {size} bytes")
        self.received += 1
        coming.queue.put_nowait((int(message.head["n"]), bytes(message.parts[0]), size))

    async def receive(
        self,
        number: int,
        sink: Sink,
        wants: Sequence[int],
        progress: Callable[[int, int], None],
    ) -> None:
        """Bring over what ``sink`` lacks of a file that the other end offers under ``number``.

        Args:
            number: of the offer.
            sink: the file.
            wants: the pieces that it lacks, by number.
            progress: called with the pieces that have come, and those that travel in all.

        Raises:
            ChangedError: the file is no more what was offered.
            RelayError: there is no room, a piece is damaged, the link was cut.
        """
        progress(0, len(wants))
        coming = self._coming[number] = _Coming()
        try:
            await self._bring(number, coming, sink, deque(wants), progress)
        finally:
            self._coming.pop(number, None)
            self._tell("drop", {"t": number})
        await _to_end(sink.finish)

    async def _bring(
        self,
        number: int,
        coming: _Coming,
        sink: Sink,
        wants: deque[int],
        progress: Callable[[int, int], None],
    ) -> None:
        total, asked = len(wants), set[int]()
        while wants or asked:
            if wants and len(asked) <= WINDOW // 2:
                more = [wants.popleft() for _ in range(min(len(wants), WINDOW - len(asked)))]
                asked.update(more)
                self._tell("want", {"t": number, "n": more, "of": total})
            arrived = [await coming.queue.get()]
            with contextlib.suppress(asyncio.QueueEmpty):
                while True:
                    arrived.append(coming.queue.get_nowait())
            if coming.failure:
                raise coming.failure
            arrived = [piece for piece in arrived if piece[0] in asked]
            await _to_end(_put_all, sink, arrived)
            asked.difference_update(piece[0] for piece in arrived)
            progress(total - len(wants) - len(asked), total)

    async def close(self, reason: RelayError) -> None:
        """The link is gone: whoever waits for a file learns why."""
        for coming in self._coming.values():
            self._fail(coming, reason)

    @staticmethod
    def _fail(coming: _Coming, failure: RelayError) -> None:
        coming.failure = coming.failure or failure
        coming.queue.put_nowait((-1, b"", None))


async def _to_end(call: Callable[..., None], *arguments: Any) -> None:
    """Run a call in a thread; also when cancelled, return only when it has returned.

    Else a file could be closed, and its descriptor be another's, while it is written to.
    """
    running = asyncio.ensure_future(asyncio.to_thread(call, *arguments))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait({running})
        raise


def _rank(entry: Entry) -> tuple[int, int]:
    """Small before large, and the newer first where both are alike."""
    return entry.size.bit_length(), -entry.mtime_ns


def _put_all(sink: Sink, arrived: list[tuple[int, bytes, int | None]]) -> None:
    for number, data, size in arrived:
        sink.put(number, data if size is None else expand(data, size))


def _piece(number: int, piece: int, data: bytes) -> Message:
    """A piece on its way. Its kind is one whose parts are not looked at again for compression."""
    small = squeeze(data)
    head: dict[str, Any] = {"t": number, "n": piece}
    if small is None:
        return Message("chunk", head, (data,))
    return Message("chunk", {**head, "zstd": len(data)}, (small,))
