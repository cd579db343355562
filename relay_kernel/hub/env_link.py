"""One target of the environment plane: its link, and what is done there for each kernel."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from relay_kernel import __version__
from relay_kernel.core.blueprint import Kind, Origin, Step, drift, from_json, step, to_json
from relay_kernel.core.errors import RelayError
from relay_kernel.envs.errors import (
    ChangedError,
    EnvError,
    GoneError,
    ImpossibleError,
    LineClosedError,
)
from relay_kernel.envs.line import Line
from relay_kernel.envs.shelf import Shelf
from relay_kernel.hub.client import open_stream
from relay_kernel.hub.env_adopt import adopt, made_there
from relay_kernel.hub.env_board import EnvBoard, EnvPhase
from relay_kernel.hub.packs import Packs
from relay_kernel.link.clock import now
from relay_kernel.link.dialling import BACK_OFF
from relay_kernel.link.errors import DialError
from relay_kernel.link.pump import Pump
from relay_kernel.link.stream import SocketStream
from relay_kernel.settings.paths import machine
from relay_kernel.wire.message import Message
from relay_kernel.wire.session import Opened, Parted, Received, Refused, Session, SessionEvent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from relay_kernel.core.blueprint import Blueprint, Drift
    from relay_kernel.hub.env_wanted import Wanted
    from relay_kernel.settings.paths import Places

log = logging.getLogger(__name__)

#: Seconds until a target that said no is asked again: a person may have mended it.
REFUSED = 30.0
#: Seconds for which the hub shall wait for a target that dials in, once it was known to be away.
HOLD = 20.0
#: How often a kernel is looked at again while it changes under us.
ROUNDS = 5
#: Seconds until what failed is tried again; longer each time.
AGAIN = (0.2, 5.0, 30.0, 120.0, 600.0)


@dataclass(frozen=True)
class _Seen:
    """What a target has of one kernel."""

    blueprint: Blueprint | None
    mirrored: list[str]
    spec: dict[str, Any]
    markers: dict[str, str]
    root: str


class EnvLink:
    """One target.

    Args:
        target: its name.
        places: of this user.
        board: what is believed of it goes there.
        wanted: what it should have of a kernel.
        names: all kernels that are mirrored, those in use first.
        heartbeat: seconds between signs of life.
    """

    def __init__(
        self,
        target: str,
        places: Places,
        board: EnvBoard,
        wanted: Callable[[str], Awaitable[Wanted]],
        names: Callable[[], list[str]],
        heartbeat: float,
    ) -> None:
        self.target = target
        self.without: frozenset[str] = frozenset()
        self._places = places
        self._board = board
        self._wanted = wanted
        self._names = names
        self._heartbeat = heartbeat
        self._line: Line | None = None
        self._shelf = Shelf()
        self._packs = Packs(places.envs / "packs" / target, target)
        self._packing: dict[str, tuple[Wanted, _Seen]] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._dirty: dict[str, None] = {}
        self._wake = asyncio.Event()
        self._failures: dict[str, int] = {}
        self._there: set[str] = set()
        self._said: dict[str, str] = {}
        self._blocked: set[str] = set()
        #: Kernels at the target that have installed something themselves.
        self._by_notebook: set[str] = set()
        self._overlays: dict[str, set[str]] = {}
        self._adopted: defaultdict[str, set[str]] = defaultdict(set)
        self.believed: dict[str, Any] = {"linked": False, "error": ""}
        self.known = asyncio.Event()
        """Set once the target was reached, or could not be."""
        self.up = asyncio.Event()
        """Set while the target is there."""

    # ------------------------------------------------------------------ the link

    async def run(self) -> None:
        """Dial, and dial again.

        Raises:
            OutdatedError: the hub is of another version; this process shall end.
        """
        tries = 0
        while True:
            began = now()
            pause = BACK_OFF[min(tries, len(BACK_OFF) - 1)]
            try:
                hold = HOLD if tries else 0.0
                streams = await open_stream(self._places, self.target, patience=hold, plane="envs")
                reason, refused = await self._speak(SocketStream(*streams))
                pause = REFUSED if refused else pause
            except DialError as error:
                reason = error.reason
                pause = REFUSED if error.permanent else 0.0 if error.waited else pause
            except OSError as error:
                reason = str(error) or type(error).__name__
            self.believed = {"linked": False, "error": reason}
            self.known.set()
            tries = 0 if now() - began > BACK_OFF[-1] else tries + 1
            await asyncio.sleep(pause)

    async def _speak(self, stream: SocketStream) -> tuple[str, bool]:
        """One link's life; returns why it ended, and whether the target would have none of us."""
        hello = {
            **{"plane": "envs", "version": __version__, "session": secrets.token_hex(8)},
            **{"server": machine(), "target": self.target, "heartbeat": self._heartbeat},
        }
        work: list[asyncio.Task[None]] = []
        refusal: list[str] = []

        def on_event(event: SessionEvent) -> None:
            if isinstance(event, Received):
                line.handle(event.message)
            elif isinstance(event, Opened):
                work.append(asyncio.create_task(self._begin(line)))
            elif isinstance(event, Refused):
                refusal.append(str(event.fields.get("why")))
            elif isinstance(event, Parted):
                line.fail(f"it said goodbye: {event.fields.get('reason')}")

        pump = Pump(Session(hello, self._heartbeat), on_event)
        line = Line(pump, self._answer, self._hear)
        reason = "it was ended here"
        try:
            reason = await pump.run_until(stream, line.closed)
        finally:
            self._line = None
            self.up.clear()
            pump.part(reason)
            await line.close(reason)
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            self._cut(reason)
        return (refusal or [line.reason])[0], bool(refusal)

    def _cut(self, reason: str) -> None:
        """What was being built is not; what was ready still is."""
        for name in self._names():
            if self._board.get(name, self.target).phase is EnvPhase.BUILDING:
                self._board.put(name, self.target, phase=EnvPhase.ABSENT, why=reason)

    async def _begin(self, line: Line) -> None:
        """The link is up: look at everything, then at what changes."""
        self._line = line
        self.believed = {"linked": True, "error": ""}
        self.known.set()
        self.up.set()
        log.info("%s is linked", self.target)
        self._failures.clear()
        self._said.clear()
        self.look(*self._names())
        while True:
            while self._dirty:
                name = next(iter(self._dirty))
                del self._dirty[name]
                await self._attend(name)
            self._wake.clear()
            await self._wake.wait()

    async def _attend(self, name: str) -> None:
        try:
            await self.settle(name)
        except (LineClosedError, GoneError):
            return
        except (RelayError, OSError) as error:
            # What a person has to change is seen when it changes; most of it, on this machine.
            first = 3 if isinstance(error, ImpossibleError) else 0
            tries = self._failures.get(name, first)
            self._failures[name] = tries + 1
            pause = AGAIN[min(tries, len(AGAIN) - 1)]
            asyncio.get_running_loop().call_later(pause, self.look, name)
        else:
            self._failures.pop(name, None)

    def look(self, *names: str) -> None:
        """These kernels may differ now; they are looked at in the background."""
        self._dirty.update(dict.fromkeys(names))
        self._wake.set()

    # ------------------------------------------------------------------ what the target says

    async def _answer(self, message: Message) -> Message:
        head = message.head
        if message.kind == "piece":
            return await self._shelf.piece(str(head["digest"]), int(head["offset"]))
        if message.kind == "wheel":
            return await self._pack(str(head["name"]), str(head["package"]))
        raise EnvError(f"nobody here answers a {message.kind[:40]}")

    async def _pack(self, name: str, package: str) -> Message:
        wanted, seen = self._packing[name]
        found = wanted.description
        if package not in found.packages:
            raise EnvError(f"{name} has no package {package[:100]!r}")
        root = f"{seen.root}/{name}/sources"
        pack = await asyncio.to_thread(self._packs.make, found, package, seen.markers, root)
        self._shelf.put(pack.digest, pack.path)
        about = {"file": pack.path.name, "digest": pack.digest, "size": pack.size}
        return Message("answer", about)

    def _hear(self, message: Message) -> None:
        name = str(message.head["name"])
        if message.kind == "changed":
            if message.head["notebook"]:
                self._by_notebook.add(name)
            self.look(name)
        elif message.kind == "progress":
            about = {key: message.head[key] for key in ("step", "done", "total")}
            if self._board.get(name, self.target).phase is EnvPhase.BUILDING:
                self._board.put(name, self.target, **about)

    # ------------------------------------------------------------------ making equal

    async def settle(self, name: str) -> None:
        """Make the environment of a kernel at the target what it should be.

        Raises:
            LineClosedError: the target is away.
            GoneError: there is no such kernel.
            ImpossibleError: a person has to change something.
            RelayError: it failed, and may work later.
        """
        async with self._locks[name]:
            try:
                await self._settle(name)
            except (LineClosedError, GoneError):
                raise
            except ImpossibleError as error:
                why = str(error)
                self._board.put(name, self.target, phase=EnvPhase.IMPOSSIBLE, why=why)
                text = f"the environment of kernel {name} cannot be had here: {why}"
                self._blocked.add(name)
                with contextlib.suppress(LineClosedError):
                    await self._say(name, text, blocks=True)
                raise
            except (RelayError, OSError) as error:
                why = str(error)
                level = logging.INFO if isinstance(error, ChangedError) else logging.WARNING
                log.log(level, "%s at %s: %s", name, self.target, why)
                phase = EnvPhase.READY if name in self._there else EnvPhase.ABSENT
                self._board.put(name, self.target, phase=phase, why=why)
                raise

    async def _settle(self, name: str) -> None:
        for _ in range(ROUNDS):
            wanted = await self._wanted(name)
            seen = await self._look(name)
            blueprint = wanted.at(seen.markers, self.without)
            differences = drift(blueprint.for_target(), seen.blueprint, seen.mirrored)
            if await self._adopt(name, wanted, seen, differences):
                continue
            todo = step(differences)
            if todo is Step.NOTHING and (
                seen.spec != wanted.spec.content or self._adopted[name] - set(seen.mirrored)
            ):
                todo = Step.ADD
            words = [each.text for each in differences]
            words += [f"{p} is for the server's platform" for p in wanted.left_out(seen.markers)]
            if others := wanted.of_conda(self.without):
                words.append(f"{', '.join(others)} of conda: no Python package, on the server only")
            if todo is Step.NOTHING:
                phase = EnvPhase.READY
                self._board.put(name, self.target, phase=phase, drift=words, why="")
                self._blocked.discard(name)
                await self._say(name, "")
                return
            self._packing[name] = (wanted, seen)
            try:
                await self._mend(name, todo, wanted, blueprint, differences, words)
            finally:
                del self._packing[name]
                if not self._packing:
                    await asyncio.to_thread(self._packs.close)
        raise ChangedError(f"{name} changes faster than it can be mirrored")

    async def _adopt(
        self, name: str, wanted: Wanted, seen: _Seen, differences: list[Drift]
    ) -> bool:
        """Take over what a notebook has installed at the target; returns whether it did."""
        overlay = {each.name for each in differences if each.kind is Kind.OVERLAY}
        before = self._overlays.get(name, overlay)
        self._overlays[name] = overlay
        if name not in self._by_notebook or seen.blueprint is None:
            return False
        self._by_notebook.discard(name)
        made = made_there(differences, seen.blueprint, before)
        names = await adopt(wanted.spec.python, made) if made else []
        if names:
            log.info("%s has %s as well, as at %s", name, ", ".join(names), self.target)
        self._adopted[name].update(names)
        return bool(names)

    async def _mend(
        self,
        name: str,
        todo: Step,
        wanted: Wanted,
        blueprint: Blueprint,
        differences: list[Drift],
        words: list[str],
    ) -> None:
        log.info("%s at %s: %s (%s)", name, self.target, todo.value, "; ".join(words[:5]))
        building = todo is Step.BUILD
        if building:
            phase = EnvPhase.BUILDING
            self._board.put(name, self.target, phase=phase, drift=words, why="")
            # Why there was none holds until there is one: most often, it is tried in vain again.
            if name not in self._blocked:
                await self._say(name, f"the environment of kernel {name} is being built here")
        else:
            self._board.put(name, self.target, drift=words)
        stale = {each.name for each in differences if each.kind is not Kind.OVERLAY}
        for package in blueprint.packages:
            fresh = building or package.name in stale
            if package.origin is Origin.EDITABLE and fresh:
                await self._refresh(name, package.name, package.sources, wanted)
        order = {"name": name, "spec": wanted.spec.content, "blueprint": to_json(blueprint)}
        if building:
            await self._ask("build", **order)
        elif todo is Step.ADD:
            new = {each.name for each in differences if each.kind is Kind.MISSING}
            # What is there already, and counts as mirrored from now on.
            new |= self._adopted.pop(name, set()) & blueprint.by_name.keys()
            await self._ask("add", **order, packages=sorted(new))

    async def _refresh(self, name: str, package: str, digest: str, wanted: Wanted) -> None:
        files = {}
        for path, file in wanted.trees[package].items():
            self._shelf.put(file.digest, file.path)
            files[path] = [file.digest, file.size, file.mode, file.mtime_ns]
        await self._ask("refresh", name=name, package=package, digest=digest, files=files)

    async def _look(self, name: str) -> _Seen:
        said = (await self._ask("look", names=[name])).head
        env = said["envs"][name]
        markers, root = dict(said["markers"]), str(said["root"])
        (self._there.discard if env is None else self._there.add)(name)
        if env is None:
            return _Seen(None, [], {}, markers, root)
        return _Seen(from_json(env["found"]), env["mirrored"], env["spec"], markers, root)

    async def forget(self, names: set[str]) -> None:
        """The target needs the environments of just these kernels."""
        said = (await self._ask("look", names=[])).head
        for name in said["there"]:
            if name not in names:
                # What is being made of it at this moment would come into being behind its removal.
                async with self._locks[name]:
                    await self._ask("drop", names=[name])

    async def _say(self, name: str, text: str, *, blocks: bool = False) -> None:
        """Have the target know why a kernel has no environment there; empty: it has.

        Args:
            name: of the kernel.
            text: one line.
            blocks: An older environment must not be used either.
        """
        if self._said.get(name) != text:
            await self._ask("note", name=name, text=text, blocks=blocks)
            self._said[name] = text

    async def _ask(self, kind: str, **head: Any) -> Message:
        if self._line is None:
            raise LineClosedError(f"{self.target} is not there")
        return await self._line.ask(kind, **head)
