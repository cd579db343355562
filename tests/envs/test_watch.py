"""Folders of packages are watched under whatever names they are known by."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from relay_kernel.envs.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path


async def test_a_folder_with_two_names_is_watched_until_both_are_forgotten(tmp_path: Path) -> None:
    """As ``lib64`` of an environment: what is installed later would not be seen."""
    heard: asyncio.Queue[Collection[str]] = asyncio.Queue()
    folder, other = tmp_path / "lib", tmp_path / "lib64"
    folder.mkdir()
    other.symlink_to(folder)
    watch = Watch(heard.put_nowait)
    try:
        watch.follow([str(folder), str(other)])
        (folder / "first").write_text("")
        async with asyncio.timeout(10):
            assert set(await heard.get()) == {str(folder), str(other)}
        for left in (folder, other):
            watch.follow([str(folder), str(other)])
            watch.follow([str(left)])
            (folder / left.name).write_text("")
            async with asyncio.timeout(10):
                assert str(left) in await heard.get()
            while not heard.empty():
                heard.get_nowait()
    finally:
        watch.close()
