"""Waiting until what is at one end is at the other, and what has not got there."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from relay_kernel.files.desk import SERVER, TARGET
from relay_kernel.files.line import LineClosedError
from relay_kernel.files.root import show

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from relay_kernel.core.tree import Tree
    from relay_kernel.files.pair import Pair
    from relay_kernel.files.work import Work


class Barrier:
    """The barriers of one pair."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._moved: asyncio.Future[None] | None = None
        self._behind: set[bytes] | None = None

    def moved(self) -> None:
        """Something has changed: wake whoever waits."""
        if self._moved is not None and not self._moved.done():
            self._moved.set_result(None)
        self._moved = None

    async def _movement(self) -> None:
        """Wait until anything has changed."""
        if self._moved is None:
            self._moved = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._moved)

    # ------------------------------------------------------------------ without a link

    def behind(self, paths: set[bytes]) -> None:
        """These have changed at the server while there is no link."""
        if self._behind is not None:
            self._behind |= paths

    def forget(self) -> None:
        """There was a link: what differs from the base is to be found anew."""
        self._behind = None

    # ------------------------------------------------------------------ waiting

    async def settled(
        self, bound: float, beside: frozenset[bytes] = frozenset(), *, linked: bool = False
    ) -> list[dict[str, Any]]:
        """Wait until everything that is at the server now is at the target.

        Answers at once where nothing is new here. What is being written is not waited for, nor
        what was refused again and again.

        Args:
            bound: seconds to wait at most.
            beside: paths that are not waited for.
            linked: a link is not waited for: where there is none, this answers at once.

        Returns:
            What is not there yet: ``path``, ``size`` in bytes, ``why``. Empty: all is there. The
            folder itself, where it could not even be looked at in time.
        """
        looked = False
        async with _within(bound):
            await self._pair.driver.settle(now=True)
            looked = True
            return await self._wait(TARGET, beside, linked=linked)
        return self.missing(TARGET) or self._unseen(looked=looked)

    async def fetched(
        self, bound: float, beside: frozenset[bytes] = frozenset(), *, linked: bool = False
    ) -> list[dict[str, Any]]:
        """Wait until everything that is at the target now is here; see :meth:`settled`."""
        looked = False
        async with _within(bound):
            while not await self._look_there():
                if linked:
                    break
                await self._movement()
            looked = True
            return await self._wait(SERVER, beside, linked=linked)
        return self.missing(SERVER) or self._unseen(looked=looked or self._pair.work is None)

    def _unseen(self, *, looked: bool) -> list[dict[str, Any]]:
        """The folder, unless it was looked at: what is new in it is not known then."""
        found = {"path": f"~/{self._pair.folder}", "size": 0, "why": "is still being looked at"}
        return [] if looked else [found]

    async def _look_there(self) -> bool:
        """Have the target look at what happened a moment ago; false: it is not linked."""
        work = self._pair.work
        if work is None:
            return False
        try:
            await work.look(everything=False)
        except LineClosedError:
            while self._pair.work is work:
                await self._movement()
            return False
        return True

    async def _wait(
        self, towards: str, beside: frozenset[bytes], *, linked: bool
    ) -> list[dict[str, Any]]:
        paths: set[bytes] | None = None
        rest: list[bytes] = []
        work: Work | None = None
        while not self._pair.paused:
            if self._pair.work is not work:
                # Another link: everything is looked at anew.
                work, paths = self._pair.work, None
            if work is None:
                if linked or not self.open_paths():
                    return self.missing(towards)
            elif not work.desk.everything:
                if paths is None:
                    paths = work.desk.open_paths(towards)
                    rest = [*(paths - beside)]
                # The rest is not looked at for as long as one of it waits: there may be a lot.
                while rest and not work.desk.waits(rest[-1], towards):
                    rest.pop()
                if not rest:
                    waiting = {path for path in paths & beside if work.desk.waits(path, towards)}
                    return self.missing(towards, waiting)
            await self._movement()
        return self.missing(towards)

    def missing(self, towards: str, paths: set[bytes] | None = None) -> list[dict[str, Any]]:
        """What has not got there, the smallest first.

        Args:
            towards: where.
            paths: what is asked about, beside what is not taken at all; None: everything.
        """
        pair, work = self._pair, self._pair.work
        paths = self.open_paths(towards) if paths is None else paths
        reasons = {**pair.driver.held}
        if work is not None:
            reasons = work.reasons(towards)
        every = pair.paused or pair.trouble or pair.driver.trouble
        every = every or ("" if work else f"{pair.target} is not linked")
        found = []
        for path in paths | reasons.keys():
            entry = pair.driver.tree.get(path) or (work.remote.tree.get(path) if work else None)
            why = reasons.get(path) or every or "is on its way"
            found.append({"path": show(path), "size": entry.size if entry else 0, "why": why})
        found.sort(key=lambda one: (one["size"], one["path"]))
        return found

    def open_paths(self, towards: str = "") -> set[bytes]:
        """What has still to be brought over; without a link, what differs from the base."""
        pair, work = self._pair, self._pair.work
        if work is not None and not work.desk.everything:
            ways = [towards] if towards else [SERVER, TARGET]
            return set[bytes]().union(*(work.desk.open_paths(way) for way in ways))
        if self._behind is None:
            self._behind = differing(pair.base.entries, pair.driver.tree)
        return {p for p in self._behind if pair.base.entries.get(p) != pair.driver.tree.get(p)}


def differing(base: Tree, tree: Tree) -> set[bytes]:
    """Where two trees differ."""
    return {p for p, e in tree.items() if base.get(p) != e} | (base.keys() - tree.keys())


@contextlib.asynccontextmanager
async def _within(bound: float) -> AsyncIterator[None]:
    """A bound that ends the block in silence."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(bound):
            yield
