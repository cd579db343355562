"""Random work at both ends, with cuts: both become equal, and no version is lost unseen.

A content is live until something that saw it replaced or removed it ("Mysteries of Dropbox"). To
see and to remove must be one step, or the test would blame the pair: a file is moved away, and
looked at there.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from typing import TYPE_CHECKING

import pytest

from relay_kernel.files import scan
from tests.files.duo import Duo, content

if TYPE_CHECKING:
    from pathlib import Path

NAMES = [*"abcd", "d1/a", "d1/b", "d2/a", "d2/sub/a"]


class Person:
    """Works in a folder, and remembers which contents nobody has given up."""

    def __init__(self, seed: int, grave: Path) -> None:
        self._random = random.Random(seed)
        self._grave = grave
        self._count = 0
        self.live: set[bytes] = set()

    def act(self, root: Path) -> None:
        """Write or remove something."""
        path = root / self._random.choice(NAMES)
        self._count += 1
        away = self._grave / f"{self._count}"
        with contextlib.suppress(OSError):
            path.rename(away)
            if away.is_file():
                self.live.discard(away.read_bytes())
            else:
                away.rename(path)
        if self._random.random() < 0.7:
            self._write(path)

    def _write(self, path: Path) -> None:
        size = self._random.choice([20, 20, 3000, 400_000])
        new = b"%d " % self._count + self._random.randbytes(size)
        draft = self._grave / f"draft-{self._count}"
        draft.write_bytes(new)
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            os.link(draft, path)
            self.live.add(new)
        draft.unlink()


@pytest.mark.parametrize("seed", range(6))
async def test_nothing_is_lost_and_both_become_equal(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if seed % 2:
        # Each look is told of in parts, and worked on meanwhile.
        monkeypatch.setattr(scan, "PART", 1)
    grave = tmp_path / "grave"
    grave.mkdir()
    person, chance = Person(seed, grave), random.Random(seed)
    async with Duo(tmp_path) as duo:
        await duo.link()
        for _ in range(150):
            person.act(chance.choice([duo.here, duo.there]) if duo.there.exists() else duo.here)
            if chance.random() < 0.3:
                await asyncio.sleep(chance.random() * 0.05)
            if chance.random() < 0.04:
                await duo.cut()
                if chance.random() < 0.5:
                    await duo.stop()
                    await duo.start()
                for _ in range(chance.randrange(4)):
                    person.act(chance.choice([duo.here, duo.there]))
                await duo.link()
            if duo.pair.paused:
                await duo.pair.resume()
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(duo.equal(), 3.0)
                break
            assert duo.pair.paused, duo.pair.status()
            await duo.pair.resume()
        found = {one[1] for one in content(duo.here).values() if isinstance(one, tuple)}
        lost = [what[:8] for what in person.live - found]
        assert not lost
