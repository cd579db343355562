"""An agent beside a bad disk: it asks again, captures again, and gives up only what nobody has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay_kernel.store.chunks import CHUNK

if TYPE_CHECKING:
    from pathlib import Path

    from relay_kernel.store.chunks import Store
    from relay_kernel.wire.message import Message
    from tests.agent.conftest import Hosted

MAKE = "import os; big = os.urandom(3 << 20); total = sum(big); small = [1]"


def file_of(store: Store, key: str) -> Path:
    return store.root / "chunks" / key[:2] / key


def spoil(store: Store, key: str) -> None:
    data = bytearray(file_of(store, key).read_bytes())
    data[len(data) // 2] ^= 1
    file_of(store, key).write_bytes(data)


def large(captured: Message) -> list[str]:
    """Keys of the chunks of ``big``; the others are of the context."""
    return sorted(captured.head["chunks"])


class TestApply:
    async def given(self, owner: Hosted) -> Message:
        """A state on this side, and a fresh kernel on the other."""
        await owner.start()
        _, captured = await owner.run(MAKE, cell=1)
        await owner.fetch(captured)
        await owner.start(epoch=2)
        return captured

    async def test_damaged_chunks_are_asked_for_again(self, owner: Hosted) -> None:
        captured = await self.given(owner)
        bad = large(captured)[:2]
        for key in bad:
            spoil(owner.host.store, key)
        owner.apply(captured, 2)
        want = await owner.report("want", "applied")
        assert (want.kind, sorted(want.head["keys"])) == ("want", bad)
        applied = await owner.report("applied", "unapplied")
        assert (applied.kind, applied.head["problems"]) == ("applied", {})
        assert await owner.value("sum(big) == total") == "True"

    async def test_what_nobody_has_any_more_costs_only_itself(self, owner: Hosted) -> None:
        captured = await self.given(owner)
        bad = large(captured)
        for key in bad:
            spoil(owner.host.store, key)
            file_of(owner.store, key).unlink()
        # R knows of no other kernel that has them, and says so.
        owner.pump.bulk_source = None
        owner.apply(captured, 2)
        want = await owner.report("want")
        for key in want.head["keys"]:
            owner.order("chunk", key=key, error="gone", lost=True)
        applied = await owner.report("applied", "unapplied")
        assert applied.kind == "applied"
        assert "big" in applied.head["problems"]
        assert await owner.value("(small, 'big' in repr(big))") == "([1], True)"
        assert owner.host.store.writers == 0

    async def test_a_disk_that_spoils_everything_is_not_tried_for_ever(self, owner: Hosted) -> None:
        captured = await self.given(owner)
        key = next(k for k in large(captured) if file_of(owner.store, k).stat().st_size == CHUNK)
        put = owner.host.store.put

        def put_badly(name: str, data: bytes) -> None:
            put(name, data)
            if name == key:
                spoil(owner.host.store, name)

        owner.host.store.put = put_badly  # type: ignore[method-assign]
        spoil(owner.host.store, key)
        owner.apply(captured, 2)
        applied = await owner.report("applied", "unapplied")
        assert list(applied.head["problems"]) == ["big"]
        assert await owner.value("small") == "[1]"


class TestCapture:
    async def test_what_the_kernel_believes_to_be_there_is_written_again(
        self, owner: Hosted
    ) -> None:
        await owner.start()
        _, captured = await owner.run(MAKE, cell=1)
        keys = large(captured)
        spoil(owner.host.store, keys[0])
        for key in keys[1:]:
            file_of(owner.host.store, key).unlink()
        owner.order("capture", cell=1, epoch=1, distrust=True)
        again = await owner.report("captured", "uncaptured")
        assert (again.kind, again.head["cell"], again.head["epoch"]) == ("captured", 1, 1)
        assert owner.host.store.missing(again.head["chunks"]) == []
        await owner.fetch(again)
        assert owner.host.store.writers == 0

    async def test_it_counts_as_the_cell_behind_which_it_comes(self, owner: Hosted) -> None:
        """It stands in the queue behind a cell that R had not seen finish."""
        await owner.start()
        await owner.run("x = 1", cell=1)
        owner.execute("x = 2", cell=2)
        owner.order("capture", cell=1, epoch=1, distrust=False)
        assert (await owner.report("captured")).head["cell"] == 2
        assert (await owner.report("captured")).head["cell"] == 2

    async def test_one_of_an_older_epoch_is_refused(self, owner: Hosted) -> None:
        await owner.start()
        await owner.run("x = 1", cell=1, epoch=3)
        owner.order("capture", cell=1, epoch=2, distrust=True)
        await owner.run("x = 2", cell=2, epoch=3)
        assert [report.kind for report in owner.reports if report.kind == "captured"] == []
