"""The file plane over SSH, in both directions of dialling; its processes are cut and killed."""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from relay_kernel.core.errors import RelayError
from relay_kernel.hub.files_client import ask_plane
from tests.files.duo import content, write
from tests.files.real import SOON, Real
from tests.hub.joining import JoiningPc
from tests.hub.test_joined import let_in, server_with
from tests.processes import ended
from tests.sshd import Sshd

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from relay_kernel.settings.paths import Places

pytestmark = pytest.mark.sshd

MIB = 1 << 20


class Road(NamedTuple):
    """How the server and the PC reach each other, and how that is cut."""

    real: Real
    cut: Callable[[], object]


@pytest.fixture(params=["the server dials", "the PC dials"])
async def road(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    places: Places,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Road]:
    with tempfile.TemporaryDirectory(prefix="home-") as home:
        monkeypatch.setenv("HOME", home)
        if request.param == "the server dials":
            with Sshd(tmp_path / "pc") as sshd:
                sshd.pair(places, python=sys.executable)
                real = Real(places, Path(home), sshd.home)
                yield Road(real, sshd.kill_connections)
                real.close()
            return
        with server_with(tmp_path, places) as sshd, JoiningPc(tmp_path / "pc") as dialler:
            let_in(places, tmp_path / "home", dialler.public_key)
            dialler.join(sshd.address)
            real = Real(places, Path(home), dialler.home)
            yield Road(real, sshd.kill_connections)
            real.close()


@pytest.fixture
async def real(road: Road) -> Real:
    """Linked and at rest; one file there already."""
    write(road.real.here / "first", "x")
    road.real.configure("~/work")
    await road.real.linked()
    await road.real.equal()
    return road.real


@pytest.mark.alone
async def test_both_ways_quickly(real: Real) -> None:
    for source, other in ((real.here, real.there), (real.there, real.here)):
        seconds = []
        for number in range(9):
            name = f"{source.parent.name}-{number}"
            began = time.perf_counter()
            write(source / name, "x")
            await real.until((other / name).exists)
            seconds.append(time.perf_counter() - began)
        assert statistics.median(seconds) < 0.2
        write(source / "deep" / "large", os.urandom(4 * MIB))
        await real.equal()
        (source / "deep" / "large").unlink()
        await real.equal()
    status = (await real.ask("status"))["files"]["pc"]
    assert (status["pending"], status["conflicts"]) == (0, 0)
    assert status["last_sync"]


async def test_a_cut_link_is_caught_up(real: Real, road: Road) -> None:
    for round_ in range(2):
        write(real.here / f"large-{round_}", os.urandom(24 * MIB))
        await asyncio.sleep(0.3)
        assert road.cut()
        write(real.here / f"here-{round_}", "x")
        write(real.there / f"there-{round_}", "x")
        (real.there / "first").unlink(missing_ok=True)
        await real.linked()
        await real.equal()
    assert "first" not in content(real.here)
    assert len(content(real.here)) == 6


@pytest.mark.parametrize("victim", ["files-plane", "--files"])
async def test_a_killed_process_is_caught_up(real: Real, victim: str) -> None:
    for round_ in range(2):
        write(real.here / f"large-{round_}", os.urandom(24 * MIB))
        write(real.there / f"other-{round_}", os.urandom(24 * MIB))
        await asyncio.sleep(0.2 * round_)
        real.kill(victim)
        write(real.here / f"here-{round_}", "x")
        write(real.there / f"there-{round_}", "x")
        (real.here / "first").unlink(missing_ok=True)
        await real.linked()
        await real.equal()
    assert len(content(real.there)) == 8
    assert (await real.ask("conflicts"))["conflicts"] == []


async def test_a_frozen_end_makes_way_for_a_new_one(real: Real, road: Road) -> None:
    (old,) = real.processes("--files")
    old.send_signal(signal.SIGSTOP)
    road.cut()
    write(real.here / "new", "x")
    await asyncio.sleep(0.5)
    old.send_signal(signal.SIGCONT)
    await real.until((real.there / "new").exists)
    await ended(old)


async def test_the_end_lets_other_programs_go_first(real: Real) -> None:
    (end,) = real.processes("--files")
    assert end.nice() == 10


async def test_bulk_has_an_ssh_connection_of_its_own(real: Real) -> None:
    from relay_kernel.hub.client import open_stream

    write(real.here / "large", os.urandom(64 * MIB))
    _, writer = await open_stream(real.places, "pc")
    writer.transport.abort()
    await real.equal()


class TestAsking:
    async def test_a_notebook_s_folder_is_kept_equal_while_none_is_configured(
        self, road: Road
    ) -> None:
        real = road.real
        write(real.here / "a.ipynb", "{}")
        assert (await real.ask("use", folder=str(real.here)))["folder"] == "work"
        assert (await real.ask("use", folder=str(real.here)))["folder"] == "work"
        await real.linked()
        missing = await real.ask("barrier", target="pc", folder=str(real.here), seconds=SOON)
        assert missing["missing"] == []
        assert (real.there / "a.ipynb").exists()

    async def test_the_home_and_what_is_outside_are_refused(
        self, places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        real = Real(places, tmp_path, tmp_path / "nobody")
        try:
            for folder, why in ((tmp_path, "whole home"), (Path("/etc"), "below the home")):
                with pytest.raises(RelayError, match=why):
                    await real.ask("use", folder=str(folder))
            with pytest.raises(RelayError, match="cannot 'dance'"):
                await real.ask("dance")
            with pytest.raises(RelayError, match="no target mars"):
                await real.ask("barrier", target="mars", folder=str(real.here))
        finally:
            real.close()

    async def test_paused_and_resumed(self, real: Real) -> None:
        await real.ask("pause", target="pc")
        write(real.here / "new", "xyz")
        answer = await real.ask("barrier", target="pc", towards="target", seconds=0.3)
        assert [(one["path"], one["why"]) for one in answer["missing"]] == [
            ("new", "paused by you")
        ]
        (plan,) = (await real.ask("plan"))["plans"]
        assert [one["path"] for one in plan["target"]] == ["new"]
        await real.ask("resume")
        await real.equal()

    async def test_what_was_deleted_comes_back_from_the_trash(self, real: Real) -> None:
        (real.here / "first").unlink()
        await real.equal()
        (trashed,) = (await real.ask("trash", target="pc", at="target"))["trash"]
        assert trashed["path"] == "first"
        where = {"target": "pc", "folder": "work", "at": "target"}
        await real.ask("restore", **where, path="first", when=trashed["when"])
        await real.equal()
        assert (real.here / "first").read_text() == "x"

    async def test_a_folder_that_is_configured_later_is_taken_up(self, road: Road) -> None:
        real = road.real
        await real.ask("status")
        write(real.here / "x", "x")
        real.configure("~/work")
        await real.until(lambda: (real.there / "x").exists())

    async def test_it_ends_when_nobody_needs_it(self, places: Places, tmp_path: Path) -> None:
        real = Real(places, tmp_path, tmp_path / "nobody")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "relay_kernel.cli", "files-plane", "--idle-after", "0.1"),
        )
        assert await asyncio.wait_for(process.wait(), SOON) == 0
        with pytest.raises(RelayError, match="does not run"):
            await ask_plane(places, {"do": "status"}, start=False)
        assert not real.processes("files-plane")
