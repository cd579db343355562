"""The target's end of the file plane: all its folders, on one link."""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import TYPE_CHECKING

import msgspec

from relay_kernel.files.driver import Driver
from relay_kernel.files.errors import FolderError, UnsafePathError
from relay_kernel.files.folder import Folder
from relay_kernel.files.line import Carrier, Line
from relay_kernel.files.rules import Rules
from relay_kernel.files.served import Facts, ServedFolder
from relay_kernel.wire.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from relay_kernel.wire.message import Message


class End:
    """A follower: opens the folders that the server names, below this home, and serves them.

    Args:
        carrier: to the server.
        home: of this user, here.
        state: 0700; what is remembered of the folders.
        boot: names the present boot of this machine.
    """

    def __init__(self, carrier: Carrier, home: Path, state: Path, boot: str) -> None:
        self.line = Line(carrier, self._answer)
        self._home = home
        self._state = state
        self._boot = boot
        self._served: dict[str, ServedFolder] = {}
        self._facts: dict[str, Facts] = {}

    async def _answer(self, message: Message) -> Message:
        name = str(message.head["folder"])
        if message.kind == "open":
            return await self._open(name, message)
        served = self._served.get(name)
        if served is None:
            raise FolderError(f"{name} is not open here")
        return await served.answer(message)

    async def _open(self, name: str, message: Message) -> Message:
        await self._shut(name)
        root = below_home(self._home, name)
        try:
            rules = msgspec.convert(message.head["rules"], Rules)
        except msgspec.ValidationError as error:
            raise ProtocolError(f"the rules of {name} cannot be read: {error}") from None
        state = self._state / state_name(name)
        if not state.exists():
            # It is new here. One that was here before and is gone is another matter.
            state.mkdir(mode=0o700, parents=True)
            root.mkdir(parents=True, exist_ok=True)
        driver = Driver(Folder(root, state, rules))
        try:
            await driver.open(adopt=message.head.get("adopt") is True)
        except BaseException:
            await driver.close()
            raise
        facts = self._facts[name] = Facts(state / "facts.json", self._boot)
        served = self._served[name] = ServedFolder(name, driver, self.line, facts)
        self.line.listen(name, served.hear)
        return served.picture()

    async def _shut(self, name: str) -> None:
        served = self._served.pop(name, None)
        if served is not None:
            self.line.forget(name)
            await served.close()
            await served.driver.close()

    def goodbye(self) -> None:
        """The machine is shut down in order."""
        for facts in self._facts.values():
            with contextlib.suppress(OSError):
                facts.goodbye()

    async def close(self, reason: str) -> None:
        """The link is gone: let go of everything."""
        await self.line.close(reason)
        for name in [*self._served]:
            await self._shut(name)


def below_home(home: Path, name: str) -> Path:
    """The folder that is called ``name`` on the line.

    Raises:
        UnsafePathError: it is the home itself, or leads out of it.
    """
    parts = name.split("/")
    if any(part in {"", ".", ".."} or "\0" in part for part in parts):
        raise UnsafePathError(f"{name[:100]!r} is no folder below the home: it was refused")
    return home.joinpath(*parts)


def state_name(folder: str) -> str:
    """The name of the folder's own folder in the state: readable, and different for each."""
    digest = hashlib.blake2b(os.fsencode(folder), digest_size=6).hexdigest()
    plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in folder)
    return f"{plain[-40:]}-{digest}"


def names_of(folders: Iterable[Path], home: Path) -> dict[str, Path]:
    """What folders are called on the line -> where they are."""
    return {str(folder.relative_to(home)): folder for folder in folders}
