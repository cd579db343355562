"""The target's end of one pair: scans, watches, serves and applies; decides nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

from relay_kernel.core.errors import RelayError
from relay_kernel.files.haul import commit_all, ignored, receive
from relay_kernel.files.packing import (
    pack_entries,
    pack_paths,
    pack_pieces,
    pack_reasons,
    pack_values,
    unpack_changes,
    unpack_entry,
    unpack_paths,
    unpack_pieces,
    unpack_values,
)
from relay_kernel.settings.atomic import replace_file
from relay_kernel.wire.errors import ProtocolError
from relay_kernel.wire.message import Message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from relay_kernel.core.plan import Change
    from relay_kernel.files.driver import Driver, News
    from relay_kernel.files.line import Line

#: Said of a change whose old version is kept nowhere else any more.
NOT_KEPT = "changed meanwhile"


class ServedFolder:
    """One folder, on one link.

    Args:
        name: of the folder, on the line.
        driver: it, opened.
        line: to the server.
        facts: the file where it is remembered which base it belongs to.
    """

    def __init__(self, name: str, driver: Driver, line: Line, facts: Facts) -> None:
        self._name = name
        self.driver = driver
        self._line = line
        self._facts = facts
        self._staged: dict[int, Any] = {}
        self._dropping: set[asyncio.Future[None]] = set()
        self._told: tuple[dict[bytes, str], dict[bytes, str]] = ({}, {})
        self._verbs: dict[str, Callable[[Message], Awaitable[Message]]] = {
            "settle": self._settle,
            "scan": self._scan,
            "fetch": self._fetch,
            "offer": self._offer,
            "receive": self._receive,
            "take": self._take,
            "commit": self._commit,
            "flush": self._flush,
            "adopt": self._adopt,
            "trash": self._trash,
            "restore": self._restore,
        }
        driver.listen(self._report)

    def picture(self) -> Message:
        """All of the folder, for the answer to ``open``."""
        driver = self.driver
        self._told = (driver.held, driver.skipped)
        parts = (pack_entries(driver.tree.items()), *self._reasons())
        return Message("answer", {**self._facts.known, "free": driver.free}, parts)

    async def answer(self, message: Message) -> Message:
        """Do what is asked for.

        Raises:
            RelayError, OSError: it cannot be done.
        """
        verb = self._verbs.get(message.kind)
        if verb is None:
            raise ProtocolError(f"no folder can {message.kind[:40]!r}")
        return await verb(message)

    def hear(self, message: Message) -> None:
        """A notice of the server."""
        if message.kind == "discard":
            staging = self._staged.pop(message.head["t"], None)
            if staging is not None:
                self._dropping.add(task := asyncio.ensure_future(self.driver.work(staging.drop)))
                task.add_done_callback(self._dropping.discard)

    async def close(self) -> None:
        """The link is gone. What has arrived in part is kept for the next."""
        self.driver.forget(self._report)
        for staging in self._staged.values():
            await self.driver.work(staging.leave)
        self._staged.clear()

    # ------------------------------------------------------------------ reports

    def _report(self, news: News) -> None:
        driver = self.driver
        if news.ours is self:
            return
        head: dict[str, Any] = {"folder": self._name, "free": driver.free}
        hidden = ignored(driver.folder, news.changes)
        told = (driver.held, driver.skipped)
        reasons = self._reasons() if told != self._told else ()
        self._told = told
        if driver.trouble:
            head["trouble"] = driver.trouble
        parts = (pack_entries(news.changes.items()), pack_paths(hidden), *reasons)
        self._line.tell("changed", head, parts)

    def _reasons(self) -> tuple[bytes, bytes]:
        return pack_reasons(self.driver.held), pack_reasons(self.driver.skipped)

    async def _settle(self, message: Message) -> Message:
        await self.driver.settle(now=True)
        return Message("answer")

    async def _scan(self, message: Message) -> Message:
        await self.driver.scan()
        return Message("answer")

    # ------------------------------------------------------------------ content

    async def _fetch(self, message: Message) -> Message:
        paths, packed, flushed = message.parts
        entries = [unpack_entry(one) for one in unpack_values(packed)]
        wanted = list(zip(unpack_paths(paths), entries, strict=True))
        contents, _ = await asyncio.gather(
            asyncio.to_thread(self.driver.folder.contents, wanted),
            self.driver.flush(unpack_paths(flushed)),
        )
        return Message("answer", {}, (pack_values(contents),))

    async def _flush(self, message: Message) -> Message:
        await self.driver.flush(unpack_paths(message.parts[0]))
        return Message("answer")

    async def _offer(self, message: Message) -> Message:
        entry, (path,) = unpack_entry(message.parts[0]), unpack_paths(message.parts[1])
        pieces = await self.driver.work(self.driver.folder.pieces, path, entry)
        self._line.outgoing.offer(message.head["t"], self.driver, path, entry)
        return Message("answer", {}, (pack_pieces(pieces),))

    async def _receive(self, message: Message) -> Message:
        entry, (path,) = unpack_entry(message.parts[0]), unpack_paths(message.parts[1])
        pieces, number = unpack_pieces(message.parts[2], entry), int(message.head["t"])
        self._staged[number] = await receive(self.driver, self._line, number, path, entry, pieces)
        return Message("answer")

    async def _take(self, message: Message) -> Message:
        """Put together a second copy of what lies at another path here."""
        entry, (path,) = unpack_entry(message.parts[0]), unpack_paths(message.parts[1])
        folder = self.driver.folder
        pieces = await self.driver.work(folder.pieces, path, entry)
        staging = await self.driver.work(folder.stage, entry, path)
        try:
            if await self.driver.work(staging.wants, pieces):
                raise RelayError(NOT_KEPT)
            await self.driver.work(staging.finish)
        except BaseException:
            await self.driver.work(staging.drop)
            raise
        self._staged[int(message.head["t"])] = staging
        return Message("answer")

    # ------------------------------------------------------------------ changes

    async def _commit(self, message: Message) -> Message:
        changes = unpack_changes(message.parts[0])
        brought = unpack_values(message.parts[1])
        ready = [
            (change, self._content(change, what))
            for change, what in zip(changes, brought, strict=True)
        ]
        results = await commit_all(self.driver, ready, self)
        return Message("answer", {"free": self.driver.free}, (pack_values(results),))

    def _content(self, change: Change, what: object) -> object:
        """What a change brings; a text is why it cannot be made."""
        if change.kept_at is not None and self.driver.tree.get(change.kept_at) != change.old:
            return NOT_KEPT
        if isinstance(what, int):
            return self._staged.pop(what, "it has not arrived")
        return what

    # ------------------------------------------------------------------ the rest

    async def _adopt(self, message: Message) -> Message:
        await asyncio.to_thread(self._facts.adopt, str(message.head["base"]))
        return Message("answer")

    async def _trash(self, message: Message) -> Message:
        found = await self.driver.work(self.driver.folder.trash.list)
        parts = (
            pack_paths(one.path for one in found),
            pack_values([one.when for one in found]),
            pack_values([one.size for one in found]),
        )
        return Message("answer", {}, parts)

    async def _restore(self, message: Message) -> Message:
        (path,) = unpack_paths(message.parts[0])
        await self.driver.work(self.driver.folder.trash.restore, path, str(message.head["when"]))
        await self.driver.settle(now=True)
        return Message("answer")


class Facts:
    """What this machine remembers of a folder: which base it belongs to, and how a boot ended.

    Args:
        file: where.
        boot: of this machine, now.
    """

    def __init__(self, file: Path, boot: str) -> None:
        self._file = file
        self._boot = boot
        self.known: dict[str, str] = {"base": "", "ended": ""}
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(file.read_text(encoding="utf-8"))
            self.known.update({key: str(found[key]) for key in self.known if key in found})
        self.known["boot"] = boot
        if self.known["ended"] == boot:
            # It was not the machine that ended, only this program.
            self.known["ended"] = ""
            self._write()

    def adopt(self, base: str) -> None:
        """The folder belongs to this base from now on."""
        if base != self.known["base"]:
            self.known["base"] = base
            self._write()

    def goodbye(self) -> None:
        """The machine is shut down in order: what was written here reaches its disk."""
        self.known["ended"] = self._boot
        self._write()

    def _write(self) -> None:
        replace_file(self._file, json.dumps(self.known) + "\n")
