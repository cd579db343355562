"""What may be asked of the file plane: one JSON object, one answer."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from relay_kernel.core.errors import RelayError
from relay_kernel.files.root import show

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from relay_kernel.files.pair import Pair
    from relay_kernel.files.plane import Plane

#: Seconds that a barrier waits where it is not said.
BOUND = 10.0
#: Missing paths that an answer names; the smallest first.
SHOWN = 200
#: The longest that anything may be waited for.
LONGEST = 86400.0


class WishError(RelayError):
    """What was asked for is not understood; one line says why."""


class Wishes:
    """Answers on behalf of one plane.

    ``{"do": "status"}`` and so on; ``target`` and ``folder`` choose the pairs that are meant, where
    they are left out all are. A folder is named, or the path of anything in it is given.
    """

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._verbs: dict[str, Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]] = {
            "status": self._status,
            "use": self._use,
            "barrier": self._barrier,
            "wait": self._wait,
            "pause": self._pause,
            "resume": self._resume,
            "plan": self._plan,
            "conflicts": self._conflicts,
            "dismiss": self._dismiss,
            "trash": self._trash,
            "restore": self._restore,
        }

    async def answer(self, wish: dict[str, Any]) -> dict[str, Any]:
        """Do what is asked for.

        Raises:
            RelayError: it cannot be done, or is not understood; one line says why.
            OSError: the disk refused.
        """
        verb = self._verbs.get(str(wish.get("do")))
        if verb is None:
            raise WishError(f"the file plane cannot {wish.get('do')!r}: {', '.join(self._verbs)}")
        return await verb(wish)

    async def _status(self, wish: dict[str, Any]) -> dict[str, Any]:
        return self._plane.status()

    async def _use(self, wish: dict[str, Any]) -> dict[str, Any]:
        return {"folder": await self._plane.use(_text(wish, "folder"))}

    async def _barrier(self, wish: dict[str, Any]) -> dict[str, Any]:
        """Wait until all that is at one end now is at the other, but for the paths ``beside``."""
        towards, seconds = _text(wish, "towards", "target"), _seconds(wish, BOUND)
        if towards not in {"target", "server"}:
            raise WishError(f"towards is {towards!r}, but must be target or server")
        beside = frozenset(os.fsencode(path) for path in _texts(wish, "beside"))
        # What is at a target that is not linked cannot be known, and need not be waited for.
        pairs = [pair for pair in self._pairs(wish) if towards == "target" or pair.work]
        barriers = [
            p.settled(seconds, beside) if towards == "target" else p.fetched(seconds, beside)
            for p in pairs
        ]
        return _missing(pairs, await asyncio.gather(*barriers))

    async def _wait(self, wish: dict[str, Any]) -> dict[str, Any]:
        """Wait until both ends are equal, however long large files take.

        With ``linked``, no target that is away is waited for: it is named instead.
        """
        seconds, linked = _seconds(wish, LONGEST), wish.get("linked") is True

        async def both(pair: Pair) -> list[dict[str, Any]]:
            missing = await pair.settled(seconds, linked=linked)
            if linked and pair.work is None:
                return missing
            return [*missing, *await pair.fetched(seconds, linked=linked)]

        pairs = self._pairs(wish)
        missing = await asyncio.gather(*(both(pair) for pair in pairs))
        away = sorted({pair.target for pair in pairs if pair.work is None})
        return {**_missing(pairs, missing), "away": away}

    async def _pause(self, wish: dict[str, Any]) -> dict[str, Any]:
        pairs = self._pairs(wish)
        for pair in pairs:
            pair.pause()
        return {"pairs": [_of(pair) for pair in pairs]}

    async def _resume(self, wish: dict[str, Any]) -> dict[str, Any]:
        """Go on; also with a folder here that is not the one that it was."""
        if (folder := _text(wish, "folder", "")) in self._plane.troubles:
            await self._plane.adopt(folder)
        pairs = self._pairs(wish)
        for pair in pairs:
            await pair.resume(bring_back=wish.get("bring_back") is True)
        return {"pairs": [_of(pair) for pair in pairs]}

    async def _plan(self, wish: dict[str, Any]) -> dict[str, Any]:
        return {"plans": [{**_of(pair), **pair.plan()} for pair in self._pairs(wish)]}

    async def _conflicts(self, wish: dict[str, Any]) -> dict[str, Any]:
        pairs = self._pairs(wish)
        return {"conflicts": [{**_of(pair), **one} for pair in pairs for one in pair.conflicts()]}

    async def _dismiss(self, wish: dict[str, Any]) -> dict[str, Any]:
        """Forget a conflict by its ``copy``; without it, all."""
        dismissed = []
        named = _text(wish, "copy") if "copy" in wish else None
        for pair in self._pairs(wish):
            known = [conflict.copy for conflict in pair.base.conflicts]
            # A name that no terminal can print is written as it was shown.
            copies = [c for c in known if named is None or named in {show(c), os.fsdecode(c)}]
            pair.dismiss(copies)
            dismissed += [{**_of(pair), "copy": show(copy)} for copy in copies]
        if named is not None and not dismissed:
            raise WishError(f"no conflict has the copy {named}: see relay files conflicts")
        return {"dismissed": dismissed}

    async def _trash(self, wish: dict[str, Any]) -> dict[str, Any]:
        """What was displaced ``at`` the server or the target."""
        end = _text(wish, "at", "server")
        found = [(pair, await pair.trash(end)) for pair in self._pairs_at(wish, end)]
        return {"trash": [{**_of(pair), "at": end, **one} for pair, ones in found for one in ones]}

    async def _restore(self, wish: dict[str, Any]) -> dict[str, Any]:
        """Put ``path`` back as it was displaced at the moment ``when``."""
        end, path, when = _text(wish, "at", "server"), _text(wish, "path"), _text(wish, "when")
        pairs = self._pairs_at(wish, end)
        if len(pairs) != 1:
            raise WishError("say which folder and which target is meant: there are several")
        await pairs[0].restore(end, os.fsencode(path), when)
        return {"restored": {**_of(pairs[0]), "at": end, "path": path, "when": when}}

    def _pairs(self, wish: dict[str, Any]) -> list[Pair]:
        return self._plane.pairs(_text(wish, "target", ""), _text(wish, "folder", ""))

    def _pairs_at(self, wish: dict[str, Any], end: str) -> list[Pair]:
        """Those that are meant; the server's end of a folder is looked at once."""
        pairs = self._pairs(wish)
        return list({pair.folder: pair for pair in pairs}.values()) if end == "server" else pairs


def _of(pair: Pair) -> dict[str, Any]:
    return {"folder": pair.folder, "target": pair.target}


def _missing(pairs: list[Pair], found: list[list[dict[str, Any]]]) -> dict[str, Any]:
    missing = [{**_of(p), **one} for p, ones in zip(pairs, found, strict=True) for one in ones]
    return {"missing": missing[:SHOWN], "more": max(0, len(missing) - SHOWN)}


def _text(wish: dict[str, Any], key: str, default: str | None = None) -> str:
    value = wish.get(key, default)
    if not isinstance(value, str) or "\0" in value:
        raise WishError(f"{key} is {value!r}, but must be a text")
    return value


def _texts(wish: dict[str, Any], key: str) -> list[str]:
    value = wish.get(key, [])
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise WishError(f"{key} is {value!r}, but must be a list of texts")
    return value


def _seconds(wish: dict[str, Any], default: float) -> float:
    value = wish.get("seconds", default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LONGEST:
        raise WishError(f"seconds is {value!r}, but must be a number from 0 to {LONGEST:g}")
    return float(value)
