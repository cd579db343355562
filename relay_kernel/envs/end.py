"""The target's end of the environment plane: looks, builds and copies as the server asks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from relay_kernel.core.blueprint import from_json, to_json
from relay_kernel.envs.build import Builder, Order
from relay_kernel.envs.copies import refresh
from relay_kernel.envs.describe import Descriptions
from relay_kernel.envs.errors import EnvError
from relay_kernel.envs.found import found
from relay_kernel.envs.line import Carrier, Line
from relay_kernel.envs.mirror import Mirror, Note
from relay_kernel.envs.notebooks import installers, running
from relay_kernel.envs.shelf import fetch
from relay_kernel.envs.uv import Uv, find_uv
from relay_kernel.envs.watch import Watch
from relay_kernel.wire.message import Message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection
    from pathlib import Path

    import psutil

log = logging.getLogger(__name__)

#: Beside the environments: what is brought over for the one that is being built.
WHEELS = ".wheels"
#: Bytes after which it is told again how much of a wheel has come.
TELL_EACH = 4 << 20
#: Seconds of quiet that end a series of changes.
QUIET = 0.3


class End:
    """Serves one server.

    Args:
        carrier: to it.
        root: 0700; the environments that mirror those of this server.
        target: what this machine is called there.
    """

    def __init__(self, carrier: Carrier, root: Path, target: str) -> None:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._root = root
        self._target = target
        self._known = Descriptions(root / "known.json")
        self._building = asyncio.Lock()
        self._compiling: asyncio.Task[None] | None = None
        self._sites: dict[str, str] = {}
        self._bursts: dict[str, _Burst] = {}
        self.line = Line(carrier, self._answer, lambda message: None)
        self._watch = Watch(self._changed)
        self._answers: dict[str, Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]] = {
            "look": self._look,
            "build": self._build,
            "add": self._add,
            "refresh": self._refresh,
            "note": self._note,
            "drop": self._drop,
        }

    async def _answer(self, message: Message) -> Message:
        answer = self._answers.get(message.kind)
        if answer is None:
            raise EnvError(f"nobody here answers a {message.kind[:40]}")
        try:
            return Message("answer", await answer(message.head))
        except (KeyError, TypeError, ValueError) as error:
            raise EnvError(f"a {message.kind[:40]} cannot be read: {error!r}") from error

    # ------------------------------------------------------------------ looking

    async def _look(self, head: dict[str, Any]) -> dict[str, Any]:
        """What there is of each kernel that is asked for, and which others there are."""
        envs = {}
        for name in head["names"]:
            mirror, followed = Mirror(self._root, name), set(self._sites)
            envs[name] = await asyncio.to_thread(self._seen, mirror)
            self._follow()
            if self._sites.keys() - followed:
                # It may have changed before it was followed.
                envs[name] = await asyncio.to_thread(self._seen, mirror)
        self._follow()
        there = sorted(path.name for path in self._root.glob("*/") if path.name != WHEELS)
        machine = {"markers": _markers(), "libc": list(platform.libc_ver())}
        return {**machine, "root": os.fspath(self._root), "envs": envs, "there": there}

    def _seen(self, mirror: Mirror) -> dict[str, Any] | None:
        seen = found(mirror, self._known)
        environment = mirror.current
        if seen is None or environment is None:
            return None
        blueprint, record = seen
        for site in self._known.sites(mirror.python(environment)):
            if site.startswith(os.fspath(environment)):
                self._sites[site] = mirror.name
        mirrored = sorted(record.blueprint.by_name)
        return {"found": to_json(blueprint), "mirrored": mirrored, "spec": record.spec}

    def _follow(self) -> None:
        self._sites = {site: name for site, name in self._sites.items() if os.path.isdir(site)}
        self._watch.follow(self._sites)

    def _changed(self, folders: Collection[str]) -> None:
        for name in {self._sites[folder] for folder in folders if folder in self._sites}:
            if name in self._bursts:
                self._bursts[name].again = True
            else:
                burst = self._bursts[name] = _Burst()
                burst.task = asyncio.ensure_future(self._tell_after(name, burst))

    async def _tell_after(self, name: str, burst: _Burst) -> None:
        """Tell the server of a change, once whoever makes it is done."""
        by_notebook = False
        environment = Mirror(self._root, name).current
        at_work: list[psutil.Process] = []
        while environment is not None:
            burst.again = False
            at_work = running(at_work) + await asyncio.to_thread(installers, environment)
            by_notebook = by_notebook or bool(at_work)
            await asyncio.sleep(QUIET)
            if not burst.again and not at_work:
                break
        del self._bursts[name]
        self.line.tell("changed", name=name, notebook=by_notebook)

    # ------------------------------------------------------------------ building

    async def _build(self, head: dict[str, Any]) -> dict[str, Any]:
        mirror = Mirror(self._root, head["name"])
        async with self._building:
            await self._end_compiling()
            environment = await self._builder(mirror).build(_order(head))
            await self._drop_wheels()
        mirror.write_note(None)
        log.info("%s has the environment %s", mirror.name, environment.name)
        self._compile(environment)
        return {}

    async def _add(self, head: dict[str, Any]) -> dict[str, Any]:
        mirror = Mirror(self._root, head["name"])
        async with self._building:
            await self._builder(mirror).add(_order(head), head["packages"])
            await self._drop_wheels()
        log.info("%s has %s in addition", mirror.name, ", ".join(head["packages"]))
        return {}

    async def _drop_wheels(self) -> None:
        """What was brought over is installed; where that failed, it stays for the next attempt."""
        await asyncio.to_thread(shutil.rmtree, self._root / WHEELS, ignore_errors=True)

    def _builder(self, mirror: Mirror) -> Builder:
        show = partial(self._show, mirror.name)
        supply = _Wheels(self.line, mirror.name, self._root / WHEELS, show)
        return Builder(mirror, Uv(find_uv()), supply, show, self._target)

    def _show(self, name: str, step: str, done: int = 0, total: int = 0) -> None:
        if not done:
            log.info("%s: %s", name, step)
        self.line.tell("progress", name=name, step=step, done=done, total=total)

    def _compile(self, environment: Path) -> None:
        """Compile in the background, so that the first imports are quick."""
        self._compiling = asyncio.ensure_future(_compiled(environment))

    async def _end_compiling(self) -> None:
        """It runs the interpreter of an environment, which is in use for as long."""
        if self._compiling is not None:
            self._compiling.cancel()
            await asyncio.gather(self._compiling, return_exceptions=True)
            self._compiling = None

    # ------------------------------------------------------------------ the rest

    async def _refresh(self, head: dict[str, Any]) -> dict[str, Any]:
        mirror = Mirror(self._root, head["name"])
        folder = mirror.sources(_plain(head["package"]))
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            await refresh(self.line, folder, head["digest"], head["files"])
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        return {}

    async def _note(self, head: dict[str, Any]) -> dict[str, Any]:
        text = str(head["text"])
        note = Note(text, head["blocks"] is True) if text else None
        Mirror(self._root, head["name"]).write_note(note)
        return {}

    async def _drop(self, head: dict[str, Any]) -> dict[str, Any]:
        """Kernels are gone from the server."""
        await self._end_compiling()
        for name in head["names"]:
            mirror = Mirror(self._root, name)
            await asyncio.to_thread(partial(mirror.sweep, everything=True))
            log.info("%s is gone from the server", name)
        self._follow()
        return {}

    async def close(self, reason: str) -> None:
        """The link is gone; what was being built is given up."""
        self._watch.close()
        for burst in self._bursts.values():
            if burst.task is not None:
                burst.task.cancel()
        await self.line.close(reason)
        await self._end_compiling()


@dataclass
class _Burst:
    """Changes of one environment that belong together."""

    task: asyncio.Task[None] | None = None
    again: bool = False
    """There was another one."""


class _Wheels:
    """The server's own packages, brought over when they are needed."""

    def __init__(
        self, line: Line, name: str, folder: Path, show: Callable[[str, int, int], None]
    ) -> None:
        self._line = line
        self._name = name
        self._folder = folder
        self._show = show

    async def wheel(self, package: str) -> Path:
        """See :class:`relay_kernel.envs.install.Supply`."""
        about = (await self._line.ask("wheel", name=self._name, package=package)).head
        file, digest, size = str(about["file"]), str(about["digest"]), int(about["size"])
        path = self._folder / digest[:16] / _plain(file)
        if path.exists():
            return path
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        came = told = 0

        def count(more: int) -> None:
            nonlocal came, told
            came += more
            if came - told >= TELL_EACH or came == size:
                told = came
                self._show(f"bringing {package} over", came, size)

        await fetch(self._line, digest, size, path, count)
        return path


def _order(head: dict[str, Any]) -> Order:
    return Order(dict(head["spec"]), from_json(head["blueprint"]))


def _plain(name: str) -> str:
    """A name that is one step of a path.

    Raises:
        EnvError: it is not.
    """
    if not name or name.startswith(".") or "/" in name or "\0" in name:
        raise EnvError(f"{name[:100]!r} is no name of a file: it was refused")
    return name


def _markers() -> dict[str, str]:
    system = platform.uname()
    return {
        "os_name": os.name,
        "platform_machine": system.machine,
        "platform_system": system.system,
        "platform_release": system.release,
        "platform_version": system.version,
        "sys_platform": sys.platform,
    }


async def _compiled(environment: Path) -> None:
    command = [os.fspath(environment / "bin" / "python"), "-m", "compileall", "-q"]
    process = await asyncio.create_subprocess_exec(
        *command,
        os.fspath(environment / "lib"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        cwd="/",
    )
    try:
        await process.wait()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
