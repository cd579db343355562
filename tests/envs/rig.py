"""Kernels of a server with environments of their own, a PC, and the plane between them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import psutil
import tomlkit
from uv import find_uv_bin

from relay_kernel.envs.mirror import Mirror
from relay_kernel.hub.envs import EnvPlane
from relay_kernel.hub.lock import take
from relay_kernel.settings.atomic import replace_file
from relay_kernel.settings.paths import machine
from tests.e2e.rig import end_hub, processes_of
from tests.processes import wait_ended
from tests.sshd import Sshd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from relay_kernel.settings.paths import Places
    from tests.hub.joining import JoiningPc

#: Seconds for anything that is expected to happen.
SOON = 60.0
#: Without it nothing passes for an environment of a kernel.
KERNEL = "ipykernel"


@dataclass(frozen=True)
class Env:
    """A virtual environment on the server."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, python: str | Path = sys.executable) -> Self:
        uv("venv", "--python", str(python), str(folder))
        return cls(folder)

    @property
    def python(self) -> str:
        return str(self.folder / "bin" / "python")

    @property
    def site(self) -> Path:
        (found,) = self.folder.glob("lib/python3*/site-packages")
        return found

    def install(self, *arguments: str | Path) -> None:
        uv("pip", "install", "--python", self.python, *map(str, arguments))

    def remove(self, *names: str) -> None:
        uv("pip", "uninstall", "--python", self.python, *names)

    def add_fake(self, name: str, version: str = "1.0", *, tag: str = "py3-none-any") -> None:
        """A package with hardly anything in it; no index has it."""
        (self.site / f"{name}.py").write_text(f"version = {version!r}\n")
        info = self.site / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "WHEEL").write_text(f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        (info / "INSTALLER").write_text("pip\n")
        files = [f"{name}.py", *(f"{info.name}/{inner}" for inner in ("METADATA", "WHEEL"))]
        record = "".join(f"{file},,\n" for file in [*files, f"{info.name}/RECORD"])
        (info / "RECORD").write_text(record)


def uv(*arguments: str) -> None:
    """Run uv as a person would on the server."""
    env = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    done = subprocess.run(
        [find_uv_bin(), "--quiet", "--no-config", *arguments],
        check=False,
        capture_output=True,
        text=True,
        env=env,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


def project(folder: Path, name: str, code: str, version: str = "1.0") -> Path:
    """A package of one's own, with its code in a folder ``src``."""
    source = folder / "src" / name
    source.mkdir(parents=True)
    (source / "__init__.py").write_text(code)
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "{name}"\nversion = "{version}"\n'
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        f'[tool.hatch.build.targets.wheel]\npackages = ["src/{name}"]\n'
    )
    return folder


class World:
    """The server's plane and a PC, which is another home on this machine."""

    def __init__(self, places: Places, pc: Sshd | JoiningPc, data: Path) -> None:
        self.places, self.pc, self.data = places, pc, data
        #: No notebook starts a second plane beside the one that the test runs.
        self.alone = take(places.files_lock, "the test")
        self._running: asyncio.Task[None] | None = None

    # ------------------------------------------------------------------ the server

    def install_kernel(self, name: str, env: Env, **more: Any) -> None:
        """As ``python -m ipykernel install --user --name NAME`` does."""
        folder = self.data / "kernels" / name
        folder.mkdir(parents=True, exist_ok=True)
        argv = [env.python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        spec = {"argv": argv, "display_name": name, "language": "python", **more}
        (folder / "kernel.json").write_text(json.dumps(spec))

    def configure(self, **envs: Any) -> None:
        """Set ``[envs]`` in ``config.toml``; kernels of the machine itself never count."""
        whole = tomlkit.parse(self.places.config.read_text())
        whole["envs"] = {"skip": ["python3*"], **envs}
        whole["kernel"] = {"heartbeat": 0.5, "lost_after": 4.0, "wait_at_submit": 2.0}
        replace_file(self.places.config, tomlkit.dumps(whole))

    async def __aenter__(self) -> Self:
        self.plane = EnvPlane(self.places)
        self._running = asyncio.create_task(self.plane.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._running is not None
        self._running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._running

    def close(self) -> None:
        """End all that was started, here and there."""
        end_hub(self.places)
        left = processes_of(self.pc.relay_home)
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        wait_ended(*left)
        self.alone.close()

    def state(self, name: str, target: str = "pc") -> dict[str, Any]:
        return self.plane.status().get(name, {}).get(target, {"phase": "unknown", "drift": []})

    async def until(self, holds: Callable[[], object], within: float = SOON) -> None:
        """Wait until something is so."""
        try:
            async with asyncio.timeout(within):
                while not holds():
                    await asyncio.sleep(0.01)
        except TimeoutError:
            links = {name: link.believed for name, link in self.plane.links.items()}
            raise AssertionError(f"{self.plane.status()}; {links}; {self.log}") from None

    async def phase(self, name: str, phase: str) -> dict[str, Any]:
        """Wait for a phase; returns the state then."""
        await self.until(lambda: self.state(name)["phase"] == phase)
        return self.state(name)

    # ------------------------------------------------------------------ the PC

    @property
    def root(self) -> Path:
        return self.pc.relay_home / "state" / "envs" / machine()

    def mirror(self, name: str) -> Mirror:
        return Mirror(self.root, name)

    def run(self, name: str, code: str) -> str:
        """What code prints in the environment at the PC."""
        environment = self.mirror(name).current
        assert environment is not None, f"{name} has no environment"
        python = self.mirror(name).python(environment)
        done = subprocess.run(
            [python, "-c", code], capture_output=True, text=True, check=False, cwd="/"
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def versions(self, name: str) -> dict[str, str]:
        """Package -> version, by what lies in the environment at the PC."""
        environment = self.mirror(name).current
        assert environment is not None, f"{name} has no environment"
        try:
            infos = list(environment.glob("lib/python3*/site-packages/*.dist-info/RECORD"))
        except FileNotFoundError:
            # A new one has taken its place, and it is being removed.
            return self.versions(name)
        found = (info.parent.name.removesuffix(".dist-info").partition("-") for info in infos)
        return {package: version for package, _, version in found}

    @property
    def log(self) -> str:
        path = self.pc.relay_home / "log" / "envs.log"
        return path.read_text()[-3000:] if path.exists() else ""


@contextlib.contextmanager
def a_world(
    places: Places, folder: Path, data: Path, environment: Mapping[str, str]
) -> Iterator[World]:
    """A server with no kernels of its own yet, and a paired PC that is on.

    Args:
        places: of the server.
        folder: of the PC, in ``pc``.
        data: Jupyter's data folder on the server.
        environment: what is set in the sessions on the PC.
    """
    with Sshd(folder / "pc", env=dict(environment)) as pc:
        pc.install_agent()
        pc.pair(places)
        world = World(places, pc, data)
        world.configure()
        yield world
        world.close()
