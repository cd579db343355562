"""One history: two people, what befalls the plane meanwhile, and what must hold at the end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from relay_kernel.core.errors import RelayError
from tests.files.chaos.person import Ledger, Person
from tests.files.chaos.values import TornError, link_value, values
from tests.files.duo import content

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests.files.real import Real

#: Seconds until both ends must be equal once all is quiet.
HEALED = 90.0
#: Seconds after which the plane has surely written down what it has brought over.
WRITTEN = 1.0
ROOT = Path(__file__).parents[3]


@dataclass
class Verdict:
    """What came of it.

    Attributes:
        wrong: what should not be, a line each. Empty: it was as it should be.
        figures: how often what happened.
    """

    wrong: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)


class History:
    """A context manager: it leaves nothing running.

    Args:
        real: linked, and at rest.
        cut: ends the SSH connections that stand.
        folder: for reports.
        seed: of what the people do and what befalls; not of when.
    """

    def __init__(
        self, real: Real, cut: Callable[[], object], folder: Path, seed: int, *, calm: bool = False
    ) -> None:
        self._real = real
        self._cut = cut
        self._folder = folder
        self._random = random.Random(seed)
        self._calm = calm
        self._ledger = Ledger()
        self._befell: dict[str, int] = {}
        self._when: list[tuple[float, float]] = []
        self._met: dict[str, dict[str, float]] = {}
        self._people = [
            Person("server", real.here, real.there, self._ledger, seed),
            Person("pc", real.there, real.here, self._ledger, seed),
        ]
        self._onlookers: list[tuple[subprocess.Popen[str], Path]] = []

    def __enter__(self) -> Self:
        for person in self._people:
            report = self._folder / f"{person.name}.jsonl"
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "tests.files.chaos.onlooker"),
                    *(os.fsdecode(person.root), str(report)),
                ],
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
            )
            self._onlookers.append((process, report))
        for process, _ in self._onlookers:
            assert process.stdout is not None
            assert process.stdout.readline() == "looks\n"
        return self

    def __exit__(self, *_: object) -> None:
        for person in self._people:
            if person.is_alive():
                person.stop()
        for process, _ in self._onlookers:
            process.terminate()
            process.communicate(timeout=HEALED)
            assert process.returncode == 0

    # ------------------------------------------------------------------ what happens

    async def play(self, seconds: float) -> Verdict:
        """Let it happen for so long, and look what came of it."""
        began = time.monotonic()
        for person in self._people:
            person.start()
        asking = asyncio.ensure_future(self._keep_asking())
        while time.monotonic() - began < seconds:
            await asyncio.sleep(self._random.uniform(0.5, 2.5))
            if not self._calm:
                await self._befall()
        for person in self._people:
            await asyncio.to_thread(person.stop)
        verdict = Verdict()
        try:
            async with asyncio.timeout(HEALED):
                await self._equal()
        except TimeoutError:
            verdict.wrong.append(f"not equal after {HEALED:g} s: {await self._status()}")
        asking.cancel()
        self.__exit__()
        self._judge(verdict)
        if verdict.wrong:
            self._keep()
        return verdict

    def _keep(self) -> None:
        """Keep for whoever looks into it what everybody did, both homes and all logs."""
        lines = (f"{when:.4f} {text}\n" for when, text in sorted(self._ledger.story))
        (self._folder / "story.txt").write_text("".join(lines))
        homes = {person.name: Path(os.fsdecode(person.root)).parent for person in self._people}
        for name, home in {**homes, "relay": self._real.places.config.parent}.items():
            ignored = shutil.ignore_patterns("*.sock")
            shutil.copytree(home, self._folder / f"home-{name}", symlinks=True, ignore=ignored)

    async def _befall(self) -> None:
        fate: tuple[str, Callable[[], Coroutine[Any, Any, None]]] = self._random.choice(
            [
                ("plane killed", self._kill("files-plane")),
                ("end killed", self._kill("--files")),
                ("both killed", self._kill("files-plane", "--files")),
                ("link cut", self._sever),
                ("end frozen", self._freeze),
            ]
        )
        self._befell[fate[0]] = self._befell.get(fate[0], 0) + 1
        began = time.monotonic()
        await fate[1]()
        self._when.append((began, time.monotonic()))

    def _kill(self, *words: str) -> Callable[[], Coroutine[Any, Any, None]]:
        async def act() -> None:
            for word in words:
                await asyncio.to_thread(self._real.kill, word)
            await asyncio.sleep(self._random.choice([0.0, 0.0, 0.5]))

        return act

    async def _sever(self) -> None:
        self._cut()

    async def _freeze(self) -> None:
        """It stands still, its link is cut, another takes its place, and it goes on."""
        frozen = self._real.processes("--files")
        for process in frozen:
            with contextlib.suppress(Exception):
                process.send_signal(signal.SIGSTOP)
        self._cut()
        await asyncio.sleep(self._random.uniform(0.1, 1.0))
        for process in frozen:
            with contextlib.suppress(Exception):
                process.send_signal(signal.SIGCONT)

    # ------------------------------------------------------------------ what keeps it going

    async def _keep_asking(self) -> None:
        """As a person does: the plane is started where it is not there, and told to go on."""
        while True:
            with contextlib.suppress(RelayError, OSError):
                status = await self._real.ask("status")
                if any(each["targets"]["pc"]["paused"] for each in status["folders"].values()):
                    self._befell["asked"] = self._befell.get("asked", 0) + 1
                    await self._real.ask("resume")
            await asyncio.sleep(0.3)

    async def _equal(self) -> None:
        while True:
            with contextlib.suppress(RelayError, OSError, KeyError):
                if (await self._real.ask("status"))["targets"]["pc"]["linked"]:
                    missing = await self._real.ask("wait", seconds=5)
                    status = (await self._real.ask("status"))["files"]["pc"]
                    quiet = not missing["missing"] and not status["pending"]
                    if quiet and content(self._real.here) == content(self._real.there):
                        return
            await asyncio.sleep(0.1)

    async def _status(self) -> str:
        """What is different, and what the plane says of it."""
        here, there = content(self._real.here), content(self._real.there)
        differ = {
            path: [_shown(each.get(path)) for each in (here, there)]
            for path in here.keys() | there.keys()
            if here.get(path) != there.get(path)
        }
        with contextlib.suppress(RelayError, OSError, KeyError):
            plans = (await self._real.ask("plan"))["plans"]
            folders = (await self._real.ask("status"))["folders"]
            return json.dumps({"differ": differ, "plans": plans, "folders": folders})
        return f"it does not answer; {differ}"

    # ------------------------------------------------------------------ what must hold

    def _judge(self, verdict: Verdict) -> None:
        ledger = self._ledger
        verdict.wrong += ledger.wrong
        here, there = (self._found(person, verdict) for person in self._people)
        for path in sorted(here.keys() ^ there.keys()):
            verdict.wrong.append(f"{path} is at one end only")
        found = {value for each in here.values() for value in each}
        away = set[str]().union(*(person.taken_away() for person in self._people))
        for value in sorted(ledger.due - found - away):
            verdict.wrong.append(f"{value} is lost: {self._told(value)}; {self._trashed(value)}")
        verdict.wrong += self._torn(verdict.figures)
        back = (found & ledger.died.keys()) - ledger.touched
        copied = {value for value in back if self._copied(value, there)}
        undone = {value for value in back - copied if self._half_done(value)}
        for value in sorted(back - copied - undone):
            places = [path for path, each in here.items() if value in each]
            verdict.wrong.append(f"{value} is back at {places}: {self._told(value)}")
        verdict.figures.update(
            values=len(ledger.born),
            found=len(found),
            given_up=len(ledger.died),
            copied=len(copied),
            undone=len(undone),
            copies=sum(" (" in path for path in here),
            **{key.replace(" ", "_"): count for key, count in sorted(self._befell.items())},
            acts=dict(sorted(ledger.done.items())),
        )

    def _found(self, person: Person, verdict: Verdict) -> dict[str, list[str]]:
        """The values at each path of one end."""
        found: dict[str, list[str]] = {}
        root = Path(os.fsdecode(person.root))
        for path, what in content(root).items():
            if isinstance(what, tuple):
                try:
                    found[path] = values(what[1], grows=".log" in path)
                except TornError as torn:
                    verdict.wrong.append(f"{path} of {person.name} at the end: {torn}")
            elif os.path.islink(root / path):
                found[path] = [link_value(what)]
        return found

    def _torn(self, figures: dict[str, Any]) -> list[str]:
        """What the onlookers saw that nobody was just writing."""
        spans: dict[tuple[int, int], list[tuple[float, float]]] = {}
        for device, inode, began, ended in self._ledger.rewriting:
            spans.setdefault((device, inode), []).append((began, ended))
        wrong = []
        figures["reads"] = 0
        for _, report in self._onlookers:
            for line in report.read_text().splitlines():
                seen = json.loads(line)
                if "read" in seen:
                    figures["reads"] += seen["read"]
                    self._met[report.stem] = seen["met"]
                    continue
                during = spans.get((seen["device"], seen["inode"]), [])
                if not any(a <= seen["ended"] and seen["began"] <= b for a, b in during):
                    wrong.append(f"torn, seen at {report.stem}: {seen['path']}: {seen['what']}")
        return wrong

    def _half_done(self, value: str) -> bool:
        """Whether the plane was ended just as it had brought this over.

        What it had not written down yet is new to it afterwards. Where it was given up it comes
        back then: rather that than to delete it where nobody has.
        """
        (other,) = self._met.keys() - {value.rpartition("-")[0]}
        came = self._met[other].get(value, self._ledger.died[value])
        return any(a <= came + WRITTEN and came <= b + 0.1 for a, b in self._when)

    def _copied(self, value: str, places: dict[str, list[str]]) -> bool:
        """Whether it is kept beside its name, and came there before it was given up."""
        soon = self._ledger.died[value] + time.time() - time.monotonic() + 1.0
        copies = [path for path, found in places.items() if value in found]
        return all(" (pc" in p and (self._real.there / p).lstat().st_ctime < soon for p in copies)

    def _told(self, value: str) -> str:
        born, died = self._ledger.born.get(value), self._ledger.died.get(value)
        text = f"made at {born:.2f}" if born else "never made"
        text += f", given up at {died:.2f}" if died else ""
        met = [f"{name} {met[value]:.2f}" for name, met in self._met.items() if value in met]
        troubles = [f"{began:.2f}" for began, _ in self._when]
        return f"{text}, met at {', '.join(met)}, troubles at {', '.join(troubles)}"

    def _trashed(self, value: str) -> str:
        """Where it lies beside the folders, if anywhere."""
        for person in self._people:
            own = Path(os.fsdecode(person.root)) / ".relay"
            for path in own.rglob("*"):
                with contextlib.suppress(OSError):
                    if path.is_symlink():
                        data = os.fsencode(os.readlink(path)) + b">"
                    elif path.is_file():
                        data = path.read_bytes()
                    else:
                        continue
                    if f"{value} ".encode() in data or f"{value}>".encode() in data:
                        return f"it is in {path}"
        return "it is nowhere"


def _shown(what: object) -> str:
    return repr(what)[:80]
