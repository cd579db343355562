"""The file plane beside Unison, on the same work, over one sshd on loopback.

    python -m tests.bench.files [--files N] [--large MB] [--only NAME]

Both have the server's folder here and the PC's behind SSH with the same cipher. Unison is Debian's,
with a helper of ours that tells it of changes (`tests/bench/fsmonitor.py`); it flushes nothing to
the disk, the file plane everything. What a plain copy takes is measured beside: the same bytes into
``dd`` on the PC, which flushes them too, over an SSH connection as the file plane has it. On a busy
machine: ``chrt -f 10 python -m tests.bench.files``. ext4 is several times slower to make files for
half a minute after many were removed on the same disk: let it rest before, or set ``TMPDIR``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from relay_kernel.link.ssh import connect
from relay_kernel.settings.config import load_config
from tests.files.real import served
from tests.sshd import Sshd

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

ROOT = Path(__file__).parents[2]
#: Files of a folder; bytes of a small file.
EACH, SMALL = 200, 1024
#: Seconds between two new files: Unison 2.52 looks up again only a second after it was done.
BETWEEN = 2.5
#: Seconds for which nothing happens.
IDLE = 5.0
#: Seconds that anything may take.
PATIENCE = 600.0
MIB = 1 << 20


@dataclass(frozen=True)
class Bar:
    """What a figure must not exceed."""

    limit: float
    unit: str
    beside: str = ""
    """The figure that it is a multiple of."""


BARS = {
    "new file, server to PC": Bar(0.1, "s"),
    "new file, PC to server": Bar(0.1, "s"),
    "first sync": Bar(3.0, "s"),
    "rescan, nothing changed": Bar(0.5, "s"),
    "idle CPU": Bar(1.0, "%"),
    "large file": Bar(1.5, "times", "plain copy"),
    "one changed MiB ships": Bar(2.0, "MiB"),
}


class Engine:
    """Keeps two folders equal: :attr:`here`, and :attr:`there` at the PC."""

    name = ""

    def __init__(self, folder: Path, sshd: Sshd, here: Path) -> None:
        self.folder, self.sshd = folder, sshd
        self.here, self.there = here / "work", sshd.home / "work"

    async def start(self) -> None:
        """Begin to keep them equal; returns when they are, and it listens."""

    async def stop(self) -> None:
        """End all that it has running."""

    async def again(self) -> float:
        """End everything, begin anew; the seconds until it knows that both are equal."""
        raise NotImplementedError

    def processes(self) -> list[psutil.Process]:
        """All that it has running."""
        raise NotImplementedError

    def shipped(self) -> int:
        """Bytes over the connections that stand, both ways together."""
        command = ["ss", "-tinHO", f"( sport = :{self.sshd.port} )"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return sum(map(int, re.findall(r"bytes_(?:received|acked):(\d+)", said)))

    def cpu(self) -> float:
        """Seconds of CPU that its processes have used."""
        used = 0.0
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                used += times.user + times.system
        return used


class Ours(Engine):
    """The file plane."""

    name = "relay-kernel"

    def __init__(self, folder: Path, sshd: Sshd, here: Path, real: Any) -> None:
        super().__init__(folder, sshd, here)
        self.real = real

    async def start(self) -> None:
        await self.real.linked()
        await self._equal()

    async def _equal(self) -> None:
        found = await self.real.ask("wait", seconds=PATIENCE)
        assert not found["missing"], found

    async def stop(self) -> None:
        self.real.close()

    async def again(self) -> float:
        self.real.close()
        began = time.perf_counter()
        await self._equal()
        return time.perf_counter() - began

    def processes(self) -> list[psutil.Process]:
        relay = {str(self.real.places.config.parent), str(self.sshd.relay_home)}
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("RELAY_HOME") in relay and process.pid != os.getpid():
                    found.append(process)
        return [*found, *self.sshd._connections()]


class Unison(Engine):
    """Debian's Unison, in its continuous mode."""

    name = "unison"
    _process: subprocess.Popen[str] | None = None

    def _command(self, *more: str) -> list[str]:
        ssh = (
            f"-i {self.sshd.identity} -c aes128-gcm@openssh.com -o StrictHostKeyChecking=no "
            "-o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
        )
        there = f"ssh://{self.sshd.user}@{self.sshd.host}:{self.sshd.port}/{self.there}"
        return [
            *("unison", str(self.here), there, "-sshargs", ssh, "-batch", "-auto", "-times"),
            *("-confirmbigdel=false", "-prefer", "newer", *more),
        ]

    def _environment(self) -> dict[str, str]:
        tools = f"{self.folder / 'tools'}:{os.environ['PATH']}"
        return {**os.environ, "UNISON": str(self.folder / "archives"), "PATH": tools}

    async def start(self) -> None:
        self.there.mkdir(exist_ok=True)
        log = (self.folder / "unison.log").open("a")
        self._process = subprocess.Popen(
            self._command("-repeat", "watch"),
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            text=True,
        )
        probe = self.here / "probe"
        probe.write_text("x")
        await until(lambda: (self.there / "probe").exists() or self._ended())
        assert not self._ended(), (self.folder / "unison.log").read_text()[-1000:]
        probe.unlink()
        await until(lambda: not (self.there / "probe").exists())

    async def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE)
            self._process = None
        self.sshd.kill_connections()
        for folder in (self.folder / "archives", self.sshd.home / ".unison"):
            for lock in folder.glob("lk*"):
                lock.unlink()

    def _ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    async def again(self) -> float:
        await self.stop()
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            *self._command(),
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        assert await process.wait() == 0
        return time.perf_counter() - began

    def processes(self) -> list[psutil.Process]:
        assert self._process is not None
        tree = psutil.Process(self._process.pid)
        children = psutil.Process(self.sshd._process.pid).children(recursive=True)
        return [tree, *tree.children(recursive=True), *children]


# ---------------------------------------------------------------------- the work


async def until(holds: Callable[[], bool], pause: float = 0.001) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(pause)


def fill(root: Path, files: int) -> None:
    """A tree of small files."""
    for number in range(files):
        folder = root / f"d{number // EACH}"
        if number % EACH == 0:
            folder.mkdir(parents=True)
        (folder / f"f{number}").write_bytes(os.urandom(SMALL))


async def filled(root: Path, files: int) -> None:
    """Wait until all of it is there, at little cost."""
    for number in range(-(-files // EACH)):
        folder, count = root / f"d{number}", min(EACH, files - number * EACH)

        def full(folder: Path = folder, count: int = count) -> bool:
            try:
                return sum(not each.startswith(".") for each in os.listdir(folder)) == count
            except FileNotFoundError:
                return False

        await until(full, 0.01)


async def latency(source: Path, other: Path, way: str, times: int) -> float:
    """Seconds from the end of a write to the sight of the file at the other end; the median."""
    seconds = []
    for number in range(times):
        name = f"new-{way}-{number}"
        (source / name).write_text("x")
        began = time.perf_counter()
        await until((other / name).exists)
        seconds.append(time.perf_counter() - began)
        await asyncio.sleep(random.uniform(0.8, 1.2) * BETWEEN)
    return statistics.median(seconds)


async def measure(
    engine: Engine, files: int, times: int, large: Path
) -> AsyncIterator[tuple[str, float]]:
    """All figures of one engine."""
    apart = engine.here.parent / "apart"
    fill(apart / "tree", files)
    os.sync()
    await engine.start()
    empty = min([await engine.again() for _ in range(3)])
    await engine.stop()
    await engine.start()

    began = time.perf_counter()
    (apart / "tree").rename(engine.here / "tree")
    await filled(engine.there / "tree", files)
    yield "first sync", time.perf_counter() - began
    await asyncio.sleep(2.0)

    yield "new file, server to PC", await latency(engine.here, engine.there, "down", times)
    yield "new file, PC to server", await latency(engine.there, engine.here, "up", times)

    used = engine.cpu()
    await asyncio.sleep(IDLE)
    yield "idle CPU", 100 * (engine.cpu() - used) / IDLE

    whole = min([await engine.again() for _ in range(3)])
    yield "start of both ends, unchanged", whole
    yield "rescan, nothing changed", max(0.0, whole - empty)
    await engine.stop()
    await engine.start()

    seconds = []
    for number in range(3):
        name = f"large-{number}"
        # Another content each time: one that is known travels by its name alone.
        (apart / name).write_bytes(os.urandom(large.stat().st_size))
        os.sync()
        began = time.perf_counter()
        (apart / name).rename(engine.here / name)
        await until((engine.there / name).exists)
        seconds.append(time.perf_counter() - began)
        assert (engine.there / name).stat().st_size == large.stat().st_size
        await asyncio.sleep(1.0)
        if number < 2:
            (engine.here / name).unlink()
            await until(lambda path=engine.there / name: not path.exists())
            await asyncio.sleep(1.0)
    yield "large file", min(seconds)

    before = engine.shipped()
    patch = os.urandom(MIB)
    began = time.perf_counter()
    with (engine.here / "large-2").open("r+b") as file:
        file.seek(100 * MIB + 12345)
        file.write(patch)

    def patched() -> bool:
        with (engine.there / "large-2").open("rb") as file:
            file.seek(100 * MIB + 12345)
            return file.read(MIB) == patch

    await until(patched, 0.01)
    yield "one changed MiB", time.perf_counter() - began
    yield "one changed MiB ships", (engine.shipped() - before) / MIB
    await engine.stop()


async def plain_copy(engine: Ours, large: Path) -> float:
    """Seconds until a file is read here, and on the PC's disk, over a connection like ours."""
    (target,) = load_config(engine.real.places.config).targets
    best = PATIENCE
    for _ in range(3):
        connection = await connect(target, engine.real.places)
        began = time.perf_counter()
        channel = await connection.open_channel(into(engine.sshd))
        with large.open("rb") as file:
            while data := file.read(MIB):
                await channel.write(data)
        channel.write_eof()
        assert await channel.finish(PATIENCE) == 0
        best = min(best, time.perf_counter() - began)
        connection.abort()
        os.sync()
    return best


def into(sshd: Sshd) -> str:
    """What writes its input to a new file on the PC, through to the disk.

    The earlier ones stay: memory that was just used for another file is had more cheaply.
    """
    copy = f"{sshd.home}/copy-{time.monotonic_ns()}"
    return f"dd of={copy} bs=1M iflag=fullblock conv=fsync status=none"


def openssh_copy(sshd: Sshd, large: Path) -> float:
    """The same by OpenSSH's own client."""
    command = [
        *("ssh", "-i", str(sshd.identity), "-p", str(sshd.port), "-c", "aes128-gcm@openssh.com"),
        *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
        *("-o", "LogLevel=ERROR", f"{sshd.user}@{sshd.host}", into(sshd)),
    ]
    best = PATIENCE
    for _ in range(3):
        with large.open("rb") as file:
            began = time.perf_counter()
            subprocess.run(command, stdin=file, check=True)
            best = min(best, time.perf_counter() - began)
        os.sync()
    return best


# ---------------------------------------------------------------------- all of it


@contextlib.contextmanager
def rig(folder: Path) -> Iterator[tuple[Sshd, Any]]:
    """A server and a PC, on which Unison finds its helper."""
    tools = folder / "tools"
    tools.mkdir(parents=True)
    helper = tools / "unison-fsmonitor"
    helper.write_text(f"#!/bin/sh\nexec {sys.executable} {ROOT / 'tests/bench/fsmonitor.py'}\n")
    helper.chmod(0o755)
    pc = Sshd(folder / "pc", path=f"{tools}:{os.environ['PATH']}")
    with served(folder, pc) as (real, _):
        yield pc, real


async def all_of(options: argparse.Namespace, folder: Path) -> dict[str, dict[str, float]]:
    """Figures by engine."""
    large = folder / "large"
    large.write_bytes(os.urandom(options.large * MIB))
    figures: dict[str, dict[str, float]] = {}
    for kind in (Ours, Unison):
        if options.only not in {None, kind.name}:
            continue
        if kind is Unison and shutil.which("unison") is None:
            print("unison is not installed (Debian: apt-get install unison)")
            continue
        with rig(folder / kind.name) as (pc, real):
            here = Path(os.environ["HOME"])
            more = [real] if kind is Ours else []
            engine = kind(folder / kind.name, pc, here, *more)
            figures[kind.name] = {}
            async for name, value in measure(engine, options.files, options.times, large):
                figures[kind.name][name] = value
                print(f"{kind.name}: {name} {value:.3f}", flush=True)
            if isinstance(engine, Ours):
                figures[kind.name]["plain copy"] = await plain_copy(engine, large)
                figures[kind.name]["plain copy, OpenSSH"] = openssh_copy(pc, large)
    return figures


def show(figures: dict[str, dict[str, float]]) -> bool:
    """Print a table; say whether every bar is met."""
    ours, theirs = figures.get(Ours.name, {}), figures.get(Unison.name, {})
    met = True
    print(f"\n{'':32}{Ours.name:>14}{Unison.name:>12}")
    for name, value in (ours or theirs).items():
        other = f"{theirs[name]:12.3f}" if name in theirs else f"{'':12}"
        line = f"{name:32}{value:14.3f}{other}"
        if name in ours and (bar := BARS.get(name)):
            measured = value / ours[bar.beside] if bar.beside else value
            good = measured <= bar.limit
            met = met and good
            of = f" {bar.beside}" if bar.beside else ""
            line += f"   {measured:.3g} {bar.unit}{of}, bar {bar.limit:g}: "
            line += "met" if good else "NOT MET"
        print(line)
    return met


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--large", type=int, default=300, help="MB")
    parser.add_argument("--times", type=int, default=9, help="new files, each way")
    parser.add_argument("--only", choices=[Ours.name, Unison.name], default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        figures = asyncio.run(all_of(options, Path(folder)))
    sys.exit(not show(figures))


if __name__ == "__main__":
    main()
