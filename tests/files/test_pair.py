"""Two real folders are kept equal: what is done at one is done at the other; nothing is lost."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.files.duo import NAME, SOON, content, write

if TYPE_CHECKING:
    from pathlib import Path

    from tests.files.duo import Duo

MIB = 1 << 20


def ends(duo: Duo, way: str) -> tuple[Path, Path]:
    """Where it happens, and where it is to be seen."""
    return (duo.here, duo.there) if way == "to the target" else (duo.there, duo.here)


@pytest.fixture(params=["to the target", "to the server"])
def way(request: pytest.FixtureRequest) -> str:
    return request.param


class TestBothWays:
    async def test_what_is_new_changed_and_deleted_is_so_at_the_other_end(
        self, linked: Duo, way: str
    ) -> None:
        source, other = ends(linked, way)
        write(source / "a" / "b.txt", "one")
        write(source / "big.bin", os.urandom(3 * MIB))
        (source / "link").symlink_to("a/b.txt")
        (source / "empty").mkdir()
        write(source / "script", "#!/bin/sh\n").chmod(0o755)
        await linked.equal()
        assert content(other)["a/b.txt"][1] == b"one"
        assert content(other)["link"] == b"a/b.txt"
        write(source / "a" / "b.txt", "two")
        (source / "script").chmod(0o700)
        (source / "empty").rmdir()
        (source / "link").unlink()
        await linked.equal()
        assert content(other)["a/b.txt"][1] == b"two"
        assert "link" not in content(other)
        shutil.rmtree(source / "a")
        await linked.equal()
        assert set(content(other)) == {"big.bin", "script"}
        assert linked.pair.status()["pending"] == 0

    async def test_what_was_there_before_the_first_link_is_put_together(self, duo: Duo) -> None:
        write(duo.here / "from" / "server", "s")
        write(duo.there / "from" / "target", "t")
        write(duo.here / "same", "both")
        write(duo.there / "same", "both")
        await duo.link()
        await duo.equal()
        assert {"from/server", "from/target", "same"} < set(content(duo.here))
        assert duo.pair.conflicts() == []

    @pytest.mark.alone
    async def test_a_new_small_file_is_there_within_a_tenth_of_a_second(
        self, linked: Duo, way: str
    ) -> None:
        source, other = ends(linked, way)
        seconds = []
        for number in range(15):
            began = time.perf_counter()
            write(source / f"{number}.txt", "x")
            while not (other / f"{number}.txt").exists():
                await asyncio.sleep(0.001)
            seconds.append(time.perf_counter() - began)
        assert sorted(seconds)[7] < 0.1

    async def test_names_that_are_no_text_and_odd_ones_travel(self, linked: Duo, way: str) -> None:
        source, other = ends(linked, way)
        for name in (b"caf\xe9", b"a b", b"-rf", b"new\nline", "\u00e9".encode(), b"e\xcc\x81"):
            with open(os.path.join(os.fsencode(source), name), "wb") as file:
                file.write(name)
        await linked.equal()
        assert len(os.listdir(other)) == 7

    async def test_a_file_takes_the_place_of_a_folder_and_the_other_way_round(
        self, linked: Duo, way: str
    ) -> None:
        source, other = ends(linked, way)
        write(source / "was-folder" / "x", "x")
        write(source / "was-file", "y")
        await linked.equal()
        shutil.rmtree(source / "was-folder")
        write(source / "was-folder", os.urandom(MIB))
        (source / "was-file").unlink()
        write(source / "was-file" / "z", "z")
        await linked.equal()
        assert (other / "was-folder").is_file()
        assert (other / "was-file" / "z").read_text() == "z"

    async def test_what_is_ignored_stays_where_it_is(self, linked: Duo, way: str) -> None:
        source, other = ends(linked, way)
        write(source / ".venv" / "x", "x")
        write(source / "kept", "x")
        await linked.until(lambda: (other / "kept").exists())
        assert set(content(other)) == {"kept"}

    async def test_a_rule_that_is_new_deletes_nothing(self, linked: Duo, way: str) -> None:
        source, other = ends(linked, way)
        write(source / "data" / "x", "x")
        await linked.equal()
        write(source / ".relayignore", "data/\n")
        await linked.until(lambda: not linked.known(b"data/x"))
        write(source / "data" / "y", "y")
        write(source / "after", "x")
        await linked.until(lambda: (other / "after").exists())
        assert (source / "data" / "x").exists()
        assert (other / "data" / "x").exists()
        assert not (other / "data" / "y").exists()


class TestLargeFiles:
    async def test_only_the_changed_piece_travels(self, linked: Duo, way: str) -> None:
        source, _ = ends(linked, way)
        file = write(source / "model.bin", os.urandom(20 * MIB))
        await linked.equal()
        before = linked.pieces()
        with file.open("r+b") as opened:
            opened.seek(7 * MIB)
            opened.write(os.urandom(MIB))
        await linked.equal()
        assert 4 <= linked.pieces() - before <= 5

    async def test_a_renamed_or_copied_file_does_not_travel(self, linked: Duo, way: str) -> None:
        source, other = ends(linked, way)
        file = write(source / "model.bin", os.urandom(5 * MIB))
        await linked.equal()
        before = linked.pieces()
        shutil.copyfile(file, source / "copy.bin")
        file.rename(source / "renamed.bin")
        await linked.equal()
        assert linked.pieces() == before
        assert set(content(other)) == {"renamed.bin", "copy.bin"}

    async def test_a_cut_transfer_is_taken_up_where_it_was(self, linked: Duo, way: str) -> None:
        source, _ = ends(linked, way)
        write(source / "model.bin", os.urandom(64 * MIB))
        await linked.until(lambda: linked.pieces() > 60)
        await linked.cut()
        sent = linked.pieces()
        assert sent < 256
        await linked.link()
        await linked.equal()
        assert linked.pieces() < 256 + 160
        assert linked.pieces() - sent < 256

    async def test_a_small_file_overtakes_a_large_one(self, linked: Duo, way: str) -> None:
        source, other = ends(linked, way)
        write(source / "model.bin", os.urandom(128 * MIB))
        await linked.until(lambda: linked.pieces() > 20)
        write(source / "result.txt", "42")
        await linked.until(lambda: (other / "result.txt").exists())
        assert not (other / "model.bin").exists()
        await linked.equal()

    async def test_a_writer_that_stalls_half_way_replaces_nothing(
        self, linked: Duo, way: str
    ) -> None:
        source, other = ends(linked, way)
        good = os.urandom(2 * MIB)
        file = write(source / "ck.bin", good)
        await linked.equal()
        with file.open("wb") as opened:
            opened.write(os.urandom(MIB))
            opened.flush()
            write(source / "beside", "x")
            await linked.until(lambda: (other / "beside").exists())
            assert (other / "ck.bin").read_bytes() == good
            opened.write(os.urandom(MIB))
        await linked.equal()

    async def test_a_log_streams_while_it_is_open(self, linked: Duo, way: str) -> None:
        source, other = ends(linked, way)
        with (source / "train.log").open("w") as log:
            for step in range(5):
                print("step", step, file=log, flush=True)
                await linked.until(
                    lambda step=step: (
                        (other / "train.log").exists()
                        and f"step {step}\n" in (other / "train.log").read_text()
                    )
                )


class TestConflicts:
    async def test_both_versions_are_kept_at_both_ends(self, linked: Duo) -> None:
        for name, size in (("small.txt", 10), ("large.bin", 2 * MIB)):
            write(linked.here / name, os.urandom(size))
        await linked.equal()
        await linked.cut()
        mine, yours = {}, {}
        for name, size in (("small.txt", 11), ("large.bin", 2 * MIB + 1)):
            mine[name], yours[name] = os.urandom(size), os.urandom(size)
            write(linked.here / name, mine[name])
            write(linked.there / name, yours[name])
        await linked.link()
        await linked.equal()
        conflicts = {one["path"]: one["copy"] for one in linked.pair.conflicts()}
        for name, own in mine.items():
            assert (linked.there / name).read_bytes() == own
            assert (linked.here / conflicts[name]).read_bytes() == yours[name]
            assert "pc" in conflicts[name]
        assert linked.pair.status()["conflicts"] == 2
        (linked.here / conflicts["small.txt"]).unlink()
        await linked.equal()
        assert linked.pair.status()["conflicts"] == 1

    async def test_a_cut_in_the_middle_makes_no_second_copy(self, linked: Duo) -> None:
        write(linked.here / "f", "base")
        await linked.equal()
        for _ in range(3):
            await linked.cut()
            write(linked.here / "f", os.urandom(8))
            write(linked.there / "f", os.urandom(9))
            await linked.link()
            await linked.tells("conflict")
            await linked.cut()
            await linked.link()
            await linked.equal()
        assert len(linked.pair.conflicts()) == 3
        assert len(content(linked.here)) == 4

    async def test_an_edit_outlives_a_deletion(self, linked: Duo, way: str) -> None:
        source, other = ends(linked, way)
        write(linked.here / "a" / "b" / "f", "base")
        write(linked.here / "a" / "g", "base")
        await linked.equal()
        await linked.cut()
        shutil.rmtree(source / "a")
        write(other / "a" / "b" / "f", "edited")
        await linked.link()
        await linked.equal()
        assert set(content(source)) == {"a", "a/b", "a/b/f"}
        assert linked.pair.conflicts() == []

    async def test_the_same_edit_at_both_ends_is_none(self, linked: Duo) -> None:
        write(linked.here / "f", "base")
        await linked.equal()
        await linked.cut()
        write(linked.here / "f", "new")
        write(linked.there / "f", "new")
        await linked.link()
        await linked.equal()
        assert linked.pair.conflicts() == []

    async def test_a_folder_here_and_a_file_there_are_both_kept(self, linked: Duo) -> None:
        write(linked.here / "f", "base")
        await linked.equal()
        await linked.cut()
        (linked.there / "f").unlink()
        write(linked.there / "f" / "inner", "folder")
        write(linked.here / "f", "file")
        await linked.link()
        await linked.equal()
        assert (linked.there / "f").read_text() == "file"
        (conflict,) = linked.pair.conflicts()
        assert (linked.here / conflict["copy"] / "inner").read_text() == "folder"


class TestBarrier:
    async def test_what_was_here_is_there_afterwards(self, linked: Duo) -> None:
        for number in range(50):
            write(linked.here / "many" / f"{number}", os.urandom(1000))
        write(linked.here / "large", os.urandom(3 * MIB))
        assert await linked.pair.settled(SOON) == []
        assert content(linked.there) == content(linked.here)

    async def test_what_was_there_is_here_afterwards(self, linked: Duo) -> None:
        for number in range(50):
            write(linked.there / "many" / f"{number}", os.urandom(1000))
        assert await linked.pair.fetched(SOON) == []
        assert content(linked.there) == content(linked.here)

    @pytest.mark.alone
    async def test_nothing_new_is_answered_at_once(self, linked: Duo) -> None:
        asked = linked.asked()
        began = time.perf_counter()
        for _ in range(20):
            assert await linked.pair.settled(SOON) == []
        assert (time.perf_counter() - began) / 20 < 0.005
        assert linked.asked() == asked

    @pytest.mark.alone
    async def test_its_bound_is_kept_and_what_is_missing_is_named(self, linked: Duo) -> None:
        write(linked.here / "large", os.urandom(256 * MIB))
        (missing,) = await linked.pair.settled(0.4)
        assert (missing["path"], missing["size"]) == ("large", 256 * MIB)
        await linked.equal()

    @pytest.mark.parametrize("end", ["here", "there"])
    async def test_a_look_that_takes_longer_is_told(self, linked: Duo, end: str) -> None:
        """A cell would begin without files that nobody has seen yet, and without a word."""
        assert linked.end is not None
        drivers = {"here": linked.driver, "there": linked.end._served[NAME].driver}
        go_on = threading.Event()
        busy = asyncio.ensure_future(drivers[end].work(go_on.wait))
        wait = linked.pair.settled if end == "here" else linked.pair.fetched
        (missing,) = await wait(0.2)
        assert missing == {"path": "~/work", "size": 0, "why": "is still being looked at"}
        go_on.set()
        await busy
        assert await wait(SOON) == []

    async def test_without_a_link_it_names_what_is_new(self, linked: Duo) -> None:
        await linked.cut()
        assert await linked.pair.settled(0.2) == []
        write(linked.here / "new", "x")
        (missing,) = await linked.pair.settled(0.2)
        assert missing == {"path": "new", "size": 1, "why": "pc is not linked"}
        assert linked.pair.status()["pending"] == 1


class TestPausing:
    async def test_nothing_is_brought_over_until_it_goes_on(self, linked: Duo) -> None:
        linked.pair.pause()
        write(linked.here / "f", "x")
        (missing,) = await linked.pair.settled(0.3)
        assert missing["why"] == "paused by you"
        assert not (linked.there / "f").exists()
        await linked.pair.resume()
        assert await linked.pair.settled(SOON) == []

    async def test_it_lasts(self, linked: Duo) -> None:
        linked.pair.pause()
        await linked.cut()
        await linked.stop()
        await linked.start()
        assert linked.pair.status()["paused"] == "paused by you"

    async def test_a_plan_says_what_would_be_done(self, linked: Duo) -> None:
        write(linked.here / "old", "x")
        await linked.equal()
        linked.pair.pause()
        write(linked.here / "new", "xyz")
        (linked.there / "old").unlink()
        await linked.pair.fetched(0.2)
        await linked.pair.settled(0.2)
        plan = linked.pair.plan()
        assert plan["target"] == [{"do": "create", "path": "new", "kind": "file", "size": 3}]
        assert plan["server"] == [{"do": "delete", "path": "old", "kind": "file", "size": 0}]


class TestAlarms:
    """A folder that is suddenly empty is no work of a person."""

    async def fill(self, duo: Duo, count: int = 50) -> None:
        for number in range(count):
            write(duo.here / "data" / f"{number}", f"{number}")
        write(duo.here / "top", "x")
        await duo.equal()

    async def test_most_of_a_folder_is_not_deleted_unasked(self, linked: Duo, way: str) -> None:
        source, other = ends(linked, way)
        await self.fill(linked)
        shutil.rmtree(source / "data")
        reason = (await linked.tells("paused"))["why"]
        assert "files" in reason
        assert "are gone" in reason
        assert len(list((other / "data").iterdir())) > 20
        await linked.pair.resume()
        await linked.equal()
        assert set(content(other)) == {"top"}

    async def test_it_can_be_had_back(self, linked: Duo, way: str) -> None:
        source, _ = ends(linked, way)
        await self.fill(linked)
        before = content(linked.here)
        shutil.rmtree(source / "data")
        await linked.tells("paused")
        await linked.pair.fetched(0.3)
        await linked.pair.settled(0.3)
        await linked.pair.resume(bring_back=True)
        await linked.equal()
        assert set(content(source)) >= {k for k in before if k in content(linked.here)}
        assert len(content(linked.here)) > 20

    async def test_a_moved_folder_is_no_deletion(self, linked: Duo, way: str) -> None:
        source, other = ends(linked, way)
        await self.fill(linked)
        (source / "data").rename(source / "moved")
        await linked.equal()
        assert len(list((other / "moved").iterdir())) == 50

    async def test_a_root_that_was_exchanged_deletes_nothing(self, linked: Duo, way: str) -> None:
        source, other = ends(linked, way)
        await self.fill(linked)
        await linked.cut()
        await linked.stop()
        source.rename(source.with_name("unmounted"))
        source.mkdir()
        if way == "to the target":
            with pytest.raises(Exception, match="not the folder"):
                await linked.start()
            source.rmdir()
            source.with_name("unmounted").rename(source)
            await linked.start()
        else:
            await linked.start()
            await linked.link()
            assert "not the folder" in (await linked.tells("trouble"))["why"]
        assert len(list((other / "data").iterdir())) == 50

    async def test_a_lost_base_asks_and_deletes_nothing(self, linked: Duo) -> None:
        await self.fill(linked)
        await linked.cut()
        await linked.stop()
        for part in linked.state.glob("base.sqlite*"):
            part.unlink()
        (linked.here / "data" / "1").unlink()
        await linked.start()
        await linked.link()
        assert "in common is lost" in (await linked.tells("paused"))["why"]
        assert not (linked.here / "data" / "1").exists()
        await linked.pair.resume()
        await linked.equal()
        assert (linked.here / "data" / "1").read_text() == "1"

    async def test_another_disk_at_the_target_asks_and_deletes_nothing(self, linked: Duo) -> None:
        await self.fill(linked)
        await linked.cut()
        shutil.rmtree(linked.state / "there")
        shutil.rmtree(linked.there)
        await linked.link()
        assert "not the one that it was" in (await linked.tells("paused"))["why"]
        assert len(list((linked.here / "data").iterdir())) == 50
        await linked.pair.resume()
        await linked.equal()
        assert len(list((linked.there / "data").iterdir())) == 50

    async def test_what_a_power_cut_damaged_is_mended(self, linked: Duo) -> None:
        await self.fill(linked, 5)
        write(linked.here / "model.bin", os.urandom(MIB))
        await linked.equal()
        before = content(linked.here)
        await linked.cut()
        for name in ("data/1", "model.bin", "top"):
            found = (linked.there / name).stat()
            os.truncate(linked.there / name, 0)
            os.utime(linked.there / name, ns=(found.st_mtime_ns, found.st_mtime_ns))
        linked.boot = "boot-2"
        await linked.link()
        await linked.equal()
        assert content(linked.there) == content(linked.here) == before

    async def test_an_edit_after_a_boot_is_an_edit(self, linked: Duo) -> None:
        await self.fill(linked, 5)
        await linked.cut()
        write(linked.there / "top", "")
        linked.boot = "boot-2"
        await linked.link()
        await linked.equal()
        assert (linked.here / "top").read_text() == ""


class TestTrouble:
    async def test_a_file_that_changes_while_it_travels_comes_over_in_the_end(
        self, linked: Duo, way: str
    ) -> None:
        source, _ = ends(linked, way)
        for _ in range(4):
            write(source / "model.bin", os.urandom(32 * MIB))
            sent = linked.pieces()
            await linked.until(lambda sent=sent: linked.pieces() > sent)
        await linked.equal()

    async def test_a_removal_whose_answer_was_lost_is_no_persons_removal(
        self, linked: Duo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The file comes back on the server: with the base of before, it would be removed there."""
        write(linked.here / "again", "the same")
        await linked.equal()
        monkeypatch.setattr(linked.line, "_on_answer", lambda message: None)
        (linked.here / "again").unlink()
        await linked.until(lambda: not (linked.there / "again").exists())
        await linked.cut()
        write(linked.here / "again", "the same")
        await linked.until(lambda: b"again" in linked.driver.tree)
        await linked.link()
        await linked.equal()
        assert (linked.here / "again").read_text() == "the same"
        assert (linked.there / "again").read_text() == "the same"
        assert not any(linked.pair.base.orders.values())

    async def test_a_link_that_is_cut_again_and_again_loses_nothing(self, duo: Duo) -> None:
        wanted = set()
        for number in range(8):
            await duo.link()
            for index in range(20):
                name = f"{number}-{index}"
                wanted.add(name)
                write(ends(duo, "to the target")[index % 2] / name, os.urandom(3000))
            await asyncio.sleep(0.02 * (number % 4))
            await duo.cut()
        await duo.link()
        await duo.equal()
        assert set(content(duo.here)) == wanted
        assert duo.pair.conflicts() == []

    async def test_a_full_disk_stops_only_what_does_not_fit(
        self, linked: Duo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        disk = os.statvfs(linked.there)
        monkeypatch.setattr("relay_kernel.files.stage.MARGIN", disk.f_blocks * disk.f_frsize)
        monkeypatch.setattr("relay_kernel.files.stage.PART", 1.0)
        write(linked.here / "large", os.urandom(MIB))
        await linked.until(lambda: "large" in linked.pair.status()["refused"])
        assert "no space" in linked.pair.status()["refused"]["large"]
        monkeypatch.undo()
        (linked.here / "small").symlink_to("x")
        await linked.until(lambda: (linked.there / "small").is_symlink())
        assert linked.pair.folder == NAME

    async def test_what_was_refused_and_is_gone_since_is_told_of_no_more(
        self, linked: Duo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        disk = os.statvfs(linked.there)
        monkeypatch.setattr("relay_kernel.files.stage.MARGIN", disk.f_blocks * disk.f_frsize)
        monkeypatch.setattr("relay_kernel.files.stage.PART", 1.0)
        write(linked.here / "large", os.urandom(MIB))
        await linked.until(lambda: "large" in linked.pair.status()["refused"])
        (linked.here / "large").unlink()
        await linked.until(lambda: not linked.pair.status()["refused"])
        assert await linked.pair.settled(SOON) == []
