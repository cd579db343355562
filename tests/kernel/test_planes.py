"""What R knows of files, environments and machines, for whoever looks."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from relay_kernel.core import events as ev
from relay_kernel.core.model import LOCAL
from relay_kernel.core.overview import Usage
from relay_kernel.kernel.planes import Meter, PlaneWatch
from relay_kernel.link.clock import now
from tests.kernel.rig import PC, Notebook, notebook

if TYPE_CHECKING:
    from relay_kernel.settings.paths import Places

BOUND = 30.0


@pytest.fixture
async def book(places: Places) -> Notebook:
    return notebook(places)


async def test_what_the_planes_write_down_is_known_and_known_again(
    book: Notebook, places: Places
) -> None:
    changed = asyncio.Event()
    watch = PlaneWatch(book.files, changed.set)
    state = {"phase": "ready", "drift": ["numpy is 2.0"], "why": ""}
    places.envs_status.write_text(json.dumps({"envs": {"python3": {PC: state}}}))
    places.files_status.write_text("{torn")
    watch.begin()
    assert [one.drift for one in watch.environments] == [("numpy is 2.0",)]
    try:
        for pending in (0, 3):
            async with asyncio.timeout(BOUND):
                await changed.wait()
                changed.clear()
            assert watch.view.pending == ({PC: pending} if pending else {})
            one = {"pending": 3, "conflicts": 0, "last_sync": None}
            places.files_status.write_text(json.dumps({"pid": 1, "files": {PC: one}}))
        assert watch.view.reason
    finally:
        watch.close()


async def test_nobody_is_asked_when_nobody_watches_any_more(book: Notebook) -> None:
    usage = {PC: Usage(0.5, 4, 1, 2)}
    meter = Meter(book.router, book.links, usage, lambda: None)
    meter.watch(now() - 1)
    assert usage == {}


async def test_a_target_that_is_not_linked_is_not_asked(book: Notebook) -> None:
    usage = {PC: Usage(0.5, 4, 1, 2), LOCAL: Usage(0.5, 4, 1, 2)}
    book.feed(ev.TargetOpened(PC), ev.LinkClosed(PC, "the link was cut"))
    meter = Meter(book.router, book.links, usage, lambda: None)
    meter.watch(now() + BOUND)
    meter.close()
    assert set(usage) == {LOCAL}
