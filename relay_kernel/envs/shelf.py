"""What the other end may fetch: files, by the digest of their content, in pieces."""

from __future__ import annotations

import asyncio
import hashlib
import re
from typing import TYPE_CHECKING

from relay_kernel.envs.errors import ChangedError, EnvError
from relay_kernel.wire.message import Message

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from relay_kernel.envs.line import Line

#: Bytes of a piece.
PIECE = 512 << 10
#: How many pieces are asked for before the first has come.
AHEAD = 8

_DIGEST = re.compile(r"[0-9a-f]{64}")


class Shelf:
    """Files that may be fetched. They lie where they are; none is copied."""

    def __init__(self) -> None:
        self._files: dict[str, Path] = {}

    def put(self, digest: str, path: Path) -> None:
        """From now on ``path`` may be fetched."""
        self._files[digest] = path

    async def piece(self, digest: str, offset: int) -> Message:
        """The answer to a question for a piece.

        Raises:
            ChangedError: it is not there any more.
        """
        path = self._files.get(digest)
        if path is None:
            raise ChangedError(f"there is no file {digest[:12]} to be fetched")
        try:
            data = await asyncio.to_thread(_read, path, offset)
        except OSError as error:
            raise ChangedError(f"{path} cannot be read: {error.strerror}") from error
        return Message("answer", {}, (data,))


async def fetch(
    line: Line, digest: str, size: int, path: Path, came: Callable[[int], None] | None = None
) -> None:
    """Bring a file over to ``path``; go on where an earlier attempt was cut.

    Args:
        line: to where it is.
        digest: of its content, SHA-256 in hex.
        size: in bytes.
        path: where it shall be; its folder exists.
        came: called with the bytes of each piece that came.

    Raises:
        ChangedError: it is no longer what it was.
        OSError: it cannot be written.
    """
    if not _DIGEST.fullmatch(digest):
        raise EnvError(f"{digest[:70]!r} names no file")
    draft = path.with_name(f".{digest[:16]}.part")
    have = min(draft.stat().st_size, size) if draft.exists() else 0
    have -= have % PIECE
    if came and have:
        came(have)
    with draft.open("r+b" if have else "wb") as file:
        file.truncate(have)
        file.seek(have)
        await _receive(line, digest, range(have, size, PIECE), file.write, came)
    if await asyncio.to_thread(digest_of, draft) != digest:
        draft.unlink()
        raise ChangedError(f"{path.name} has changed while it was brought over")
    draft.replace(path)


async def _receive(
    line: Line,
    digest: str,
    offsets: range,
    write: Callable[[bytes], object],
    came: Callable[[int], None] | None,
) -> None:
    waiting: list[asyncio.Task[Message]] = []
    rest = iter(offsets)
    try:
        while True:
            while len(waiting) < AHEAD and (offset := next(rest, None)) is not None:
                question = line.ask("piece", digest=digest, offset=offset)
                waiting.append(asyncio.ensure_future(question))
            if not waiting:
                return
            (data,) = (await waiting.pop(0)).parts
            write(bytes(data))
            if came:
                came(len(data))
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


def digest_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(path: Path, offset: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(PIECE)
