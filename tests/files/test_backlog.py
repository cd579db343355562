"""What is next: folders, then the small and the new; deletions last, and deepest first."""

from __future__ import annotations

from relay_kernel.core.plan import Change
from relay_kernel.core.tree import Entry, Kind
from relay_kernel.files.backlog import BATCH, BATCH_BYTES, Backlog, Job
from relay_kernel.files.digest import CHUNK, digest

FOLDER = Entry(Kind.FOLDER, mode=0o755)


def file(size: int, mtime_ns: int = 0) -> Entry:
    return Entry(Kind.FILE, digest(str((size, mtime_ns)).encode()), 0o644, size, mtime_ns)


def backlog(*changes: Change) -> Backlog:
    found = Backlog()
    for change in changes:
        found.put(Job("target", change, change.path))
    return found


def paths(jobs: list[Job]) -> list[bytes]:
    return [job.path for job in jobs]


def test_folders_come_before_what_is_in_them_and_deletions_last_and_deepest_first() -> None:
    found = backlog(
        Change(b"old", FOLDER, None),
        Change(b"new/f", None, file(1)),
        Change(b"old/f", file(1), None),
        Change(b"new", None, FOLDER),
    )
    assert paths(found.take_batch()) == [b"new", b"new/f", b"old/f", b"old"]
    assert len(found) == 4
    assert not found.take_batch()


def test_a_new_folder_waits_for_the_batch_that_brings_its_content() -> None:
    each = 2 * BATCH // 3
    inside = [Change(b"d%d/f%d" % (d, n), None, file(1, d)) for d in range(3) for n in range(each)]
    folders = [Change(b"d%d" % d, None, FOLDER) for d in range(3)]
    found = backlog(*folders, Change(b"empty", None, FOLDER), *inside)
    batches = [[path for path in paths(found.take_batch()) if b"/" not in path] for _ in range(3)]
    assert batches == [[b"d1", b"d2", b"empty"], [b"d0"], []]
    assert not found.waiting


def test_a_batch_is_bounded_and_takes_the_small_and_new_first() -> None:
    half = BATCH_BYTES // 8
    large = [Change(b"%d" % n, None, file(half, n)) for n in range(12)]
    found = backlog(*large, Change(b"small", None, file(10)))
    first = paths(found.take_batch())
    assert b"small" in first
    assert b"11" in first
    assert b"0" not in first
    assert set(first) | set(paths(found.take_batch())) == {c.path for c in large} | {b"small"}


def test_what_is_large_travels_alone_and_is_committed_when_it_has_come() -> None:
    found = backlog(
        Change(b"large", None, file(CHUNK + 1)), Change(b"larger", None, file(CHUNK * 9))
    )
    assert not found.take_batch()
    job = found.take_large()
    assert job
    assert job.path == b"large"
    job.brought = True
    found.back(job)
    assert paths(found.take_batch()) == [b"large"]


def test_a_mode_carries_nothing() -> None:
    other = Entry(Kind.FILE, file(CHUNK * 9).content, 0o600, CHUNK * 9)
    found = backlog(Change(b"f", file(CHUNK * 9), other))
    assert found.size == 0
    assert paths(found.take_batch()) == [b"f"]


def test_a_newer_decision_takes_the_place_of_what_waits() -> None:
    found = backlog(Change(b"f", None, file(5)), Change(b"f", file(5), None))
    assert len(found) == 1
    assert paths(found.discard([b"f"])) == [b"f"]
    assert len(found) == 0
