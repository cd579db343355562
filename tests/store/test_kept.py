"""States of notebooks that ended: whole, bounded, and never taken from one that lives."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from relay_kernel.store import kept as module
from relay_kernel.store.chunks import ABANDONED, Store, digest
from relay_kernel.store.kept import Held, KeptState, KeptStateError, KeptStates

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_800_000_000.0


def about(kernel: str, notebook: str | None, saved: float, size: int, names: int = 2) -> bytes:
    said = {"kernel": kernel, "notebook": notebook, "saved": saved, "cell": 7, "names": names}
    return json.dumps({**said, "bytes": size, "python": "3.11"}).encode()


def end(
    home: Path, kernel: str, notebook: str | None = None, saved: float = NOW, size: int = 10
) -> Store:
    """A store as a notebook leaves it that ends: one chunk is needed, and one is not."""
    store = Store(home / "store" / kernel)
    content = f"{kernel} at {saved}".encode()
    key = digest(content)
    store.put(key, content)
    store.put(digest(b"rest"), b"rest")
    manifest = json.dumps({"chunks": {key: len(content)}}).encode()
    store.save(manifest, [key], about(kernel, notebook, saved, size))
    return store


def states(home: Path, each: int = 3, most: float = 1e9) -> KeptStates:
    return KeptStates(home / "kept", each, most)


def cells(kept: KeptStates) -> list[str]:
    return [state.kernel for state in kept.all()]


class TestTaking:
    def test_the_last_state_is_kept_and_nothing_else(self, tmp_path: Path) -> None:
        store = end(tmp_path, "k", "/book.ipynb")
        kept = states(tmp_path)
        kept.take(store.root)
        assert not store.root.exists()
        (state,) = kept.all()
        assert (state.kernel, state.of, state.cell, state.names) == ("k", "/book.ipynb", 7, 2)
        assert len(list((state.folder / "chunks").glob("*/*"))) == 1
        assert state.folder.stat().st_mode & 0o777 == 0o700

    @pytest.mark.parametrize("what", ["no manifest", "no names", "keep none"])
    def test_where_nothing_is_worth_keeping_nothing_stays(self, tmp_path: Path, what: str) -> None:
        store = end(tmp_path, "k")
        if what == "no manifest":
            (store.root / "manifest.json").unlink()
        if what == "no names":
            (store.root / "about.json").write_bytes(about("k", None, NOW, 0, names=0))
        kept = states(tmp_path, each=0 if what == "keep none" else 3)
        kept.take(store.root)
        assert not store.root.exists()
        assert kept.all() == []

    def test_what_a_killed_process_left_is_adopted(self, tmp_path: Path) -> None:
        end(tmp_path, "dead")
        code = f"import sys; sys.path[:0] = {sys.path!r}\n"
        code += "from pathlib import Path\nfrom relay_kernel.store.kept import Held\n"
        code += f"held = Held(Path({str(tmp_path / 'store' / 'dead')!r}))\n"
        code += "import os; os.kill(os.getpid(), 9)"
        subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
        kept = states(tmp_path)
        kept.adopt(tmp_path / "store")
        assert cells(kept) == ["dead"]

    def test_a_store_in_use_is_left_alone(self, tmp_path: Path) -> None:
        store = end(tmp_path, "k")
        held = Held(store.root)
        kept = states(tmp_path)
        kept.adopt(tmp_path / "store")
        assert kept.all() == []
        assert store.root.exists()
        held.release()
        kept.adopt(tmp_path / "store")
        assert cells(kept) == ["k"]

    def test_the_cache_of_another_role_is_none_of_ours(self, tmp_path: Path) -> None:
        """An agent of the same user keeps stores in the same folder: they have no manifest."""
        cache = Store(tmp_path / "store" / "cache")
        cache.put(digest(b"x"), b"x")
        states(tmp_path).adopt(tmp_path / "store")
        assert cache.get(digest(b"x")) == b"x"


class TestBounds:
    def fill(self, home: Path, *ends: tuple[str, str, float, int]) -> KeptStates:
        kept = states(home)
        for kernel, notebook, saved, size in ends:
            kept.take(end(home, kernel, notebook, saved, size).root)
        return kept

    def test_of_each_notebook_the_newest_stay(self, tmp_path: Path) -> None:
        kept = self.fill(
            tmp_path,
            *((f"a{n}", "/a.ipynb", NOW - n, 1) for n in range(5)),
            ("b", "/b.ipynb", NOW - 90, 1),
        )
        kept.trim(NOW)
        assert cells(kept) == ["a0", "a1", "a2", "b"]

    def test_old_ones_go(self, tmp_path: Path) -> None:
        kept = self.fill(
            tmp_path, ("new", "/a", NOW - ABANDONED + 60, 1), ("old", "/b", NOW - ABANDONED - 60, 1)
        )
        kept.trim(NOW)
        assert cells(kept) == ["new"]

    def test_the_oldest_go_where_all_are_too_much(self, tmp_path: Path) -> None:
        ends = [(f"k{n}", f"/{n}", NOW - n, 40) for n in range(4)]
        self.fill(tmp_path, *ends)
        kept = states(tmp_path, most=100)
        kept.trim(NOW)
        assert cells(kept) == ["k0", "k1"]

    def test_the_newest_of_all_stays_however_large_it_is(self, tmp_path: Path) -> None:
        """The disk held it already; and it is the one that a power cut makes somebody want."""
        self.fill(tmp_path, ("large", "/a", NOW, 1000), ("other", "/b", NOW - 1, 1))
        kept = states(tmp_path, most=100)
        kept.trim(NOW)
        assert cells(kept) == ["large"]

    def test_no_more_than_a_part_of_the_disk(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kept = self.fill(tmp_path, ("a", "/a", NOW, 1 << 10), ("b", "/b", NOW - 1, 1 << 10))
        monkeypatch.setattr(module, "SHARE", 0.0)
        kept.trim(NOW)
        assert cells(kept) == ["a"]


class TestLending:
    def one(self, home: Path) -> tuple[KeptStates, KeptState]:
        kept = states(home)
        kept.take(end(home, "k").root)
        return kept, kept.all()[0]

    def test_the_chunks_are_in_both(self, tmp_path: Path) -> None:
        kept, state = self.one(tmp_path)
        store = Store(tmp_path / "store" / "new")
        manifest, keys = kept.lend(state, store)
        assert json.loads(manifest)["chunks"].keys() == set(keys)
        assert store.get(keys[0]).startswith(b"k at ")
        # Its own life does not touch what is kept.
        store.remove()
        again, keys = kept.lend(state, Store(tmp_path / "store" / "newer"))
        assert again == manifest

    def test_a_damaged_chunk_that_is_removed_leaves_the_other(self, tmp_path: Path) -> None:
        kept, state = self.one(tmp_path)
        (path,) = (state.folder / "chunks").glob("*/*")
        path.unlink()
        store = Store(tmp_path / "store" / "new")
        _, keys = kept.lend(state, store)
        assert store.missing(keys) == keys

    def test_one_that_is_gone_is_said_in_one_line(self, tmp_path: Path) -> None:
        kept, state = self.one(tmp_path)
        (state.folder / "manifest.json").unlink()
        with pytest.raises(KeptStateError, match="cannot be used") as caught:
            kept.lend(state, Store(tmp_path / "store" / "new"))
        assert "\n" not in str(caught.value)
