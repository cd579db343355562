"""The planes beside the state, as R sees them: whether a target has the files and the packages."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relay_kernel.core.errors import RelayError
from relay_kernel.core.overview import EnvironmentView
from relay_kernel.files import report
from relay_kernel.files.plane import name_of
from relay_kernel.hub.client import START_TIMEOUT, reach
from relay_kernel.hub.env_board import read_envs
from relay_kernel.hub.files_client import ask_plane
from relay_kernel.hub.start import FILES
from relay_kernel.link.clock import now
from relay_kernel.link.dialling import BACK_OFF

if TYPE_CHECKING:
    from relay_kernel.settings.config import Config
    from relay_kernel.settings.paths import Places

log = logging.getLogger(__name__)

#: Seconds beyond its bound after which an answer is not waited for any more.
GRACE = 2.0
#: Seconds between attempts to have a folder kept equal that may not be.
PATIENCE = 30.0
USAGE = "%relay files [wait|pause|resume|plan|conflicts]"


class NotebookFiles:
    """Asks the process of the file and environment planes on a notebook's behalf.

    Args:
        places: of this user.
        folder: the notebook's.
        spec: the kernelspec that the notebook relays to.
    """

    def __init__(self, places: Places, folder: Path, spec: str) -> None:
        self.places = places
        self.folder = folder
        """The notebook's."""
        self._spec = spec
        self._mirrored = self._wanted = False
        self.why = ""
        """Why the folder is not kept equal; empty: it is, or will be."""
        #: Set once the folder may be kept equal, and once anything is asked of the planes.
        self._possible, self._needed = asyncio.Event(), asyncio.Event()
        self._start = asyncio.Event()
        self._writer: asyncio.StreamWriter | None = None
        self._answer_to: asyncio.Future[dict[str, Any]] | None = None
        self.in_use = False
        """Whether the folder is kept equal."""

    def configure(self, config: Config) -> None:
        """Learn whether there is any target, which folders are kept equal, what is mirrored."""
        self._mirrored = _is_mirrored(self._spec, config)
        self._wanted = bool(config.targets) and config.files.folders != ()
        if self._possible.is_set():
            # What was kept equal once is the plane's to look after.
            return
        self.why = _obstacle(self.folder, config)
        if not self.why:
            self._possible.set()
        if self._mirrored or not self.why:
            self._needed.set()

    def begin(self) -> None:
        """The kernel of the server is up: from now on a further process may start."""
        self._start.set()

    async def run(self) -> None:
        """Stay connected to the plane, and have it keep the folder equal. Never returns."""
        await self._start.wait()
        await self._needed.wait()
        tries = 0
        while True:
            began = now()
            try:
                await self._stay()
                why = "the file plane has ended, and is started again"
            except (RelayError, OSError, ValueError, TimeoutError) as error:
                why = " ".join(str(error).split()) or "the file plane does not answer"
            log.info("files: %s", why)
            if self._possible.is_set():
                self.why = why
            tries = 0 if now() - began > BACK_OFF[-1] else tries + 1
            await asyncio.sleep(BACK_OFF[min(tries, len(BACK_OFF) - 1)])

    async def _stay(self) -> None:
        """One connection's life."""
        async with asyncio.timeout(START_TIMEOUT):
            reader, self._writer = await reach(self.places, FILES)
        using = asyncio.ensure_future(self._use())
        try:
            while line := await reader.readline():
                if self._answer_to is not None and not self._answer_to.done():
                    self._answer_to.set_result(json.loads(line))
        finally:
            self.in_use = False
            self._hang_up()
            using.cancel()
            await asyncio.gather(using, return_exceptions=True)

    async def _use(self) -> None:
        await self._possible.wait()
        while True:
            answer = await self._ask_here({"do": "use", "folder": str(self.folder)}, PATIENCE)
            self.why = str(answer.get("error", ""))
            self.in_use = not self.why
            if self.in_use:
                return
            # A person may mend it.
            await asyncio.sleep(PATIENCE)

    async def _ask_here(self, wish: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Ask on the connection that stands; there is one question at a time.

        Raises:
            TimeoutError: no answer came; the connection is given up.
            LookupError: there is none.
        """
        if self._writer is None:
            raise LookupError("the file plane is not there")
        self._answer_to = asyncio.get_running_loop().create_future()
        self._writer.write(json.dumps(wish).encode() + b"\n")
        try:
            async with asyncio.timeout(seconds):
                return await self._answer_to
        except BaseException:
            # Its answer may still come: on this connection it would be taken for the next one's.
            self._hang_up()
            raise

    def _hang_up(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.transport.abort()
        if self._answer_to is not None and not self._answer_to.done():
            self._answer_to.set_exception(LookupError("the file plane hung up"))

    async def barrier(
        self, target: str, towards: str, seconds: float, beside: set[str]
    ) -> tuple[list[dict[str, Any]], int]:
        """Wait until what is at one end now is at the other.

        Args:
            target: the target's name; empty: all that are linked.
            towards: ``target`` or ``server``.
            seconds: to wait at most.
            beside: paths that are not waited for.

        Returns:
            What is not there, as ``path``, ``size`` in bytes and ``why``, and how much more there
            is. Nothing where the folder is not kept equal, and where the plane is lost meanwhile:
            the cell must go on.
        """
        if not self.in_use:
            return [], 0
        wish = {
            **{"do": "barrier", "folder": str(self.folder), "towards": towards},
            **{"target": target, "seconds": seconds, "beside": sorted(beside)},
        }
        try:
            answer = await self._ask_here(wish, seconds + GRACE)
        except (LookupError, TimeoutError) as error:
            log.warning("files: no answer to a barrier: %r", error)
            return [], 0
        if "error" in answer:
            log.warning("files: %s", answer["error"])
        return answer.get("missing", []), answer.get("more", 0)

    async def has_packages(self, target: str, seconds: float) -> bool:
        """Wait until both this server and a target have what was installed at either.

        Args:
            target: its name.
            seconds: to wait at most.

        Returns:
            Whether they have, or are not meant to.
        """
        if not self._mirrored or self._writer is None:
            return True
        wish = {"plane": "envs", "do": "caught_up", "spec": self._spec, "target": target}
        try:
            answer = await self._ask_here({**wish, "seconds": seconds}, seconds + GRACE)
        except (LookupError, TimeoutError) as error:
            log.warning("files: no answer about packages: %r", error)
            return False
        return bool(answer.get("caught_up"))

    def environment_views(self) -> tuple[EnvironmentView, ...]:
        """How the environment of the notebook's kernel stands at each target that mirrors it."""
        known = read_envs(self.places).get(self._spec, {}) if self._mirrored else {}
        return tuple(
            EnvironmentView(target, state["phase"], state["why"], tuple(state["drift"]))
            for target, state in sorted(known.items())
        )

    async def conflicts(self) -> list[dict[str, Any]]:
        """The conflicts of all folders, if the plane runs; the oldest first.

        Raises:
            RelayError: it does not answer.
        """
        answer = await ask_plane(self.places, {"do": "conflicts"}, start=False)
        found: list[dict[str, Any]] = answer["conflicts"]
        return found

    def environments(self) -> list[str]:
        """A line for each target that mirrors the environment of the notebook's kernel."""
        lines = []
        for each in self.environment_views():
            count = len(each.drift)
            many = "1 difference" if count == 1 else f"{count} differences"
            why = f": {each.reason}" if each.reason else ""
            line = f"environment of {self._spec} at {each.target}: {each.phase}{why}"
            lines.append(line + (f", {many}: see `relay kernels`" if count else ""))
        return lines

    # ------------------------------------------------------------------ %relay files

    async def answer(self, words: tuple[str, ...]) -> tuple[str, bool]:
        """What ``%relay files …`` says, and whether it could be done."""
        try:
            return "\n".join(await self._answer(words)), True
        except RelayError as error:
            return str(error), False

    async def _answer(self, words: tuple[str, ...]) -> list[str]:
        wish = {"folder": str(self.folder)}
        match words:
            case ():
                lines = report.describe(await self._ask({"do": "status"}))
                return [*lines, f"the folder of this notebook: {self.why}"] if self.why else lines
            case ("wait",):
                said = await self._ask({"do": "wait", "linked": True, **wish})
                return report.waited(said["missing"], said["away"])
            case ("pause" | "resume" as verb,):
                await self._ask({"do": verb, **wish})
                return [f"{verb}d"]
            case ("plan",):
                return report.plans((await self._ask({"do": "plan", **wish}))["plans"])
            case ("conflicts",):
                found = (await self._ask({"do": "conflicts", **wish}))["conflicts"]
                return report.conflicts(found) or ["no conflicts"]
        raise RelayError(f"%relay files {' '.join(words)}: not understood; see {USAGE}")

    async def _ask(self, wish: dict[str, Any]) -> dict[str, Any]:
        if not self._wanted:
            raise RelayError(f"no folder is kept equal: {self.why}")
        return await ask_plane(self.places, wish)


def _obstacle(folder: Path, config: Config) -> str:
    if not config.targets:
        return "there is no target to keep it equal with: see relay add"
    if config.files.folders == ():
        return "config.toml names no folders"
    try:
        name_of(folder, Path.home())
    except RelayError as error:
        return str(error)
    return ""


def _is_mirrored(spec: str, config: Config) -> bool:
    """Whether some target has an environment of ours for this kernel."""
    if any(fnmatchcase(spec, pattern) for pattern in config.envs.skip):
        return False
    return any(target.python is None for target in config.targets)


def folder_of(path: str | None) -> Path:
    """The folder of a notebook's file, where Jupyter tells that, else where R was started."""
    if path:
        with contextlib.suppress(OSError):
            folder = Path(path).expanduser().parent
            if folder.is_absolute() and folder.is_dir():
                return folder
    return Path.cwd()
