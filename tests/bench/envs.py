"""Figures of the environment plane: ``python -m tests.bench.envs``. Loopback, warm cache.

a kernel of 40 packages is mirrored        target: 5 s
a look at what did not change              target: 0.5 s
a new package, a changed source            as it comes
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from uv import find_uv_bin

from relay_kernel.settings.paths import find_places
from tests.envs.rig import SOON, Env, World, project
from tests.sshd import Sshd

if TYPE_CHECKING:
    from collections.abc import Iterator

#: With what they need: some 40 packages.
PACKAGES = ("ipykernel", "pandas", "requests", "rich", "jinja2", "pyyaml")
ROUNDS = 5


@contextlib.contextmanager
def rig(folder: Path) -> Iterator[World]:
    os.environ["RELAY_HOME"] = str(folder / "server")
    os.environ["JUPYTER_DATA_DIR"] = str(folder / "jupyter")
    places = find_places().make()
    command = [find_uv_bin(), "cache", "dir"]
    cache = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    with Sshd(folder / "pc", env={"UV_CACHE_DIR": cache, "UV_OFFLINE": "1"}) as pc:
        pc.install_agent()
        pc.pair(places)
        world = World(places, pc, folder / "jupyter")
        world.configure()
        try:
            yield world
        finally:
            world.close()


async def measure(world: World, folder: Path) -> None:
    env = Env.make(folder / "env")
    await asyncio.to_thread(env.install, *PACKAGES)
    async with world:
        await world.until(lambda: world.plane.links and world.plane.links["pc"].up.is_set())
        times = []
        for number in range(3):
            began = time.perf_counter()
            world.install_kernel(f"bench{number}", env)
            assert await world.plane.sync(f"bench{number}") == {"pc": ""}
            times.append(time.perf_counter() - began)
        count = len(world.versions("bench0"))
        print(f"{count} packages mirrored: {median(times):.2f} s (first {times[0]:.2f} s)")

        times = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            assert await world.plane.sync("bench0") == {"pc": ""}
            times.append(time.perf_counter() - began)
        print(f"a look at what did not change: {median(times) * 1000:.0f} ms")

        began = time.perf_counter()
        env.add_fake("later")
        assert await world.plane.caught_up("bench0", "pc", SOON)
        print(f"a new package of the server's own: {time.perf_counter() - began:.2f} s")

        source = project(folder / "demo", "demo", "x = 0\n") / "src" / "demo" / "__init__.py"
        await asyncio.to_thread(env.install, "-e", source.parents[2])
        assert await world.plane.caught_up("bench0", "pc", SOON)
        times = []
        for number in range(ROUNDS):
            began = time.perf_counter()
            source.write_text(f"x = {number + 1}\n")
            assert await world.plane.caught_up("bench0", "pc", SOON)
            times.append(time.perf_counter() - began)
        print(f"a changed source of an editable package: {median(times) * 1000:.0f} ms")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with rig(folder) as world:
            asyncio.run(measure(world, folder))


if __name__ == "__main__":
    main()
