"""State on disk: what is there is whole, what is needed stays, and nobody else can read it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from relay_kernel.store.chunks import ABANDONED, Store, StoreError, digest, sweep

if TYPE_CHECKING:
    from pathlib import Path

A, B, C = b"first", b"second", b"third"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "a" / "store")


def put(store: Store, *contents: bytes) -> list[str]:
    keys = [digest(data) for data in contents]
    for key, data in zip(keys, contents, strict=True):
        store.put(key, data)
    return keys


def path(store: Store, key: str) -> Path:
    return store.root / "chunks" / key[:2] / key


class TestChunks:
    def test_what_is_put_can_be_got(self, store: Store) -> None:
        contents = (A, b"", bytes(1 << 20))
        for key, data in zip(put(store, *contents), contents, strict=True):
            assert store.get(key) == data

    def test_putting_twice_is_putting_once(self, store: Store) -> None:
        (key,) = put(store, A)
        put(store, A)
        assert store.get(key) == A

    def test_what_is_not_here_is_missing_in_order_and_in_words(self, store: Store) -> None:
        (here,) = put(store, B)
        away = [digest(A), digest(C)]
        assert store.missing([away[1], here, away[0]]) == [away[1], away[0]]
        with pytest.raises(StoreError, match=away[0][:12]) as caught:
            store.get(away[0])
        assert "\n" not in str(caught.value)

    def test_a_second_store_on_the_same_folder_has_the_same_chunks(self, store: Store) -> None:
        """Kernels write chunks there themselves."""
        (key,) = put(Store(store.root), A)
        assert store.get(key) == A
        assert store.missing([key]) == []

    def test_a_chunk_damaged_on_disk_is_noticed_and_removed(self, store: Store) -> None:
        (key,) = put(store, A)
        path(store, key).write_bytes(b"f1rst")
        with pytest.raises(StoreError, match="damaged"):
            store.get(key)
        # So that it is asked for again.
        assert store.missing([key]) == [key]
        put(store, A)
        assert store.get(key) == A

    def test_a_chunk_that_arrives_damaged_is_refused(self, store: Store) -> None:
        (key,) = put(store, A)
        with pytest.raises(StoreError, match="damaged"):
            store.put(key, B)
        assert store.get(key) == A
        with pytest.raises(StoreError):
            store.put(digest(C), B)
        assert store.missing([digest(C)])

    @pytest.mark.parametrize(
        "key",
        ["", "..", "../../../etc/passwd", "/etc/passwd", "a" * 39, "A" * 40, f"{'a' * 40}\n"],
    )
    def test_a_key_that_is_a_path_or_anything_else_is_refused(self, store: Store, key: str) -> None:
        with pytest.raises(StoreError):
            store.get(key)
        with pytest.raises(StoreError):
            store.put(key, A)
        with pytest.raises(StoreError):
            store.missing([key])
        with pytest.raises(StoreError):
            store.save(b"{}", [key])

    def test_a_failed_write_leaves_nothing_under_the_name(self, store: Store) -> None:
        key = digest(A)
        # The folder's place is taken by a file: as good as a disk that refuses.
        path(store, key).parent.write_bytes(b"")
        with pytest.raises(FileExistsError):
            store.put(key, A)
        assert store.missing([key]) == [key]


class TestKeeping:
    def test_what_nobody_keeps_any_more_is_removed(self, store: Store) -> None:
        one, two, three = put(store, A, B, C)
        store.keep("mover", [one, two])
        store.keep("host", [two, three])
        store.keep("mover", [])
        assert store.missing([one, two, three]) == [one]
        store.keep("host", [three])
        assert store.missing([one, two, three]) == [one, two]

    def test_nothing_is_removed_while_a_kernel_may_write(self, store: Store) -> None:
        """It does not write again what it finds: a chunk removed now would be lost to it."""
        one, two = put(store, A, B)
        store.keep("host", [one])
        store.writers += 1
        store.keep("host", [two])
        assert store.missing([one, two]) == []
        store.writers -= 1
        store.keep("host", [two])
        assert store.missing([one, two]) == [one]

    def test_what_was_never_kept_is_left_alone(self, store: Store) -> None:
        one, two = put(store, A, B)
        store.keep("host", [one])
        store.keep("host", [])
        assert store.missing([one, two]) == [one]

    def test_keeping_what_has_not_come_yet_is_no_error(self, store: Store) -> None:
        store.keep("mover", [digest(A)])
        put(store, A)
        store.keep("mover", [])
        assert store.missing([digest(A)])

    def test_what_a_killed_process_left_goes_at_the_next_keep(self, store: Store) -> None:
        one, two = put(store, A, B)
        torn = path(store, one).with_name(f"{one}.123.0.part")
        torn.write_bytes(b"half")
        store.untidy = True
        store.writers = 1
        store.keep("host", [one])
        assert torn.exists(), "a kernel may be writing it"
        store.writers = 0
        store.keep("mover", [])
        assert store.missing([one, two]) == [two]
        assert not torn.exists()

    def test_dropped_chunks_are_missing(self, store: Store) -> None:
        one, two = put(store, A, B)
        store.drop([one, digest(C)])
        assert store.missing([one, two]) == [one]

    def test_remove_leaves_nothing(self, store: Store) -> None:
        keys = put(store, A, B)
        store.save(b"{}", keys)
        store.remove()
        assert not store.root.exists()
        store.remove()


class TestManifests:
    def test_save_writes_the_manifest(self, store: Store) -> None:
        keys = put(store, A, B)
        store.save(b'{"cell": 1}', keys)
        assert (store.root / "manifest.json").read_bytes() == b'{"cell": 1}'
        store.save(b'{"cell": 2}', keys)
        assert (store.root / "manifest.json").read_bytes() == b'{"cell": 2}'

    def test_a_manifest_of_a_chunk_that_is_not_here_is_not_saved(self, store: Store) -> None:
        """A manifest on disk says that the state is safe: it must not say so too early."""
        keys = put(store, A)
        store.save(b"old", keys)
        with pytest.raises(FileNotFoundError):
            store.save(b"new", [*keys, digest(B)])
        assert (store.root / "manifest.json").read_bytes() == b"old"
        put(store, B)
        store.save(b"new", [*keys, digest(B)])
        assert (store.root / "manifest.json").read_bytes() == b"new"

    def test_a_chunk_that_was_collected_is_not_taken_for_durable(self, store: Store) -> None:
        (key,) = put(store, A)
        store.keep("mover", [key])
        store.save(b"one", [key])
        store.keep("mover", [])
        with pytest.raises(FileNotFoundError):
            store.save(b"two", [key])


def test_nobody_else_can_read_it(store: Store) -> None:
    (key,) = put(store, A)
    store.save(b"{}", [key])
    folders = (store.root, store.root / "chunks", path(store, key).parent)
    assert {folder.stat().st_mode & 0o777 for folder in folders} == {0o700}
    assert path(store, key).stat().st_mode & 0o777 == 0o600


class TestSweeping:
    def test_only_stores_that_were_left_long_ago_are_removed(self, tmp_path: Path) -> None:
        old, new = Store(tmp_path / "old"), Store(tmp_path / "new")
        for store in (old, new):
            put(store, A)
        began = new.root.stat().st_mtime
        os.utime(old.root, (began - ABANDONED, began - ABANDONED))
        sweep(tmp_path, began + 1)
        assert not old.root.exists()
        assert new.missing([digest(A)]) == []

    def test_a_folder_that_is_not_there_yet_is_no_error(self, tmp_path: Path) -> None:
        sweep(tmp_path / "none", 0.0)
