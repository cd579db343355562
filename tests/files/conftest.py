"""Folders that tests look at and change."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.files.duo import Duo
from tests.files.rig import End, mount

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path


@pytest.fixture
def end(tmp_path: Path) -> Iterator[End]:
    """An open folder, empty."""
    with End(tmp_path / "here") as one:
        yield one


@pytest.fixture
def other(tmp_path: Path) -> Iterator[End]:
    """A second one, on the same disk."""
    with End(tmp_path / "there") as one:
        yield one


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mounts a filesystem of its own; needs root."""
    mounted: list[Path] = []

    def make(*options: str) -> Path:
        if os.getuid() != 0:
            reason = "only root can mount a disk"
            if os.environ.get("CI"):
                pytest.fail(reason)
            pytest.skip(reason)
        place = tmp_path / f"disk{len(mounted)}"
        mount(place, *options)
        mounted.append(place)
        return place

    yield make
    for place in mounted:
        mount(place, off=True)


@pytest.fixture
async def duo(tmp_path: Path) -> AsyncIterator[Duo]:
    """A server and a target; no link yet, both folders empty."""
    async with Duo(tmp_path) as duo:
        yield duo


@pytest.fixture
async def linked(duo: Duo) -> Duo:
    """The same, linked and at rest."""
    await duo.link()
    await duo.equal()
    return duo
