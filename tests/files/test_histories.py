"""Whatever happens in a folder, what was heard of it adds up to what is there."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay_kernel.core.reconcile import Change
from relay_kernel.core.tree import Entry, Kind
from tests.files.rig import End, file, folder, link

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = ["a", "b", "a/a", "a/b", "b/a", "a/b/a", ".venv", ".relayignore", "b/node_modules"]
name = st.sampled_from(NAMES)
data = st.sampled_from([b"", b"one", b"two", b"a\n", b"x" * 70_000, b"y" * 300_000])


def write(end: End, path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def append(end: End, path: Path, content: bytes) -> None:
    with path.open("ab") as out:
        out.write(content)


def remove(end: End, path: Path, content: bytes) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def move(end: End, path: Path, content: bytes) -> None:
    path.rename(end.root / NAMES[len(content) % len(NAMES)])


def make_folder(end: End, path: Path, content: bytes) -> None:
    path.mkdir(parents=True)


def make_link(end: End, path: Path, content: bytes) -> None:
    path.symlink_to(NAMES[len(content) % len(NAMES)])


def second_name(end: End, path: Path, content: bytes) -> None:
    path.hardlink_to(end.root / NAMES[len(content) % len(NAMES)])


def new_mode(end: End, path: Path, content: bytes) -> None:
    if not path.is_symlink():
        path.chmod(0o700 + len(content) % 0o77)


def same_time(end: End, path: Path, content: bytes) -> None:
    os.utime(path, ns=(10**18, 10**18))


def look(end: End, path: Path, content: bytes) -> None:
    end.folder.settle(now=bool(content))


def look_at_all(end: End, path: Path, content: bytes) -> None:
    end.folder.scan()


def come_again(end: End, path: Path, content: bytes) -> None:
    end.reopen()


def change(end: End, path: Path, content: bytes) -> None:
    """Make a change as the other end would order it, right or not."""
    where = os.fsencode(path.relative_to(end.root))
    new: Entry | None = None
    brought = None
    if content == b"one":
        new = folder()
    elif content == b"two":
        new = link(b"x")
    elif content and len(content) < 80_000:
        new, brought = file(content), content
    end.folder.commit([(Change(where, end.folder.tree.get(where), new), brought)])


ACTS: list[Callable[[End, Path, bytes], None]] = [
    *(write, append, remove, move, make_folder, make_link, second_name, new_mode, same_time),
    *(look, look_at_all, come_again, change, change, write),
]
step = st.tuples(st.sampled_from(ACTS), name, data)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.lists(step, min_size=1, max_size=25))
def test_looking_at_what_changed_is_looking_at_all(
    steps: list[tuple[Callable[[End, Path, bytes], None], str, bytes]],
) -> None:
    with tempfile.TemporaryDirectory() as place, End(Path(place)) as end:
        told: dict[bytes, Entry | None] = {}
        for act, where, content in steps:
            try:
                act(end, end.root / where, content)
            except (OSError, shutil.SameFileError):
                continue
        while end.folder.settle(now=True):
            pass
        told = dict(end.folder.tree)
        held, skipped = dict(end.folder.held), dict(end.folder.skipped)
        watch = end.folder._open_parts.watch
        assert set(watch._watches) == {  # type: ignore[attr-defined]
            b"",
            *(path for path, entry in told.items() if entry.kind is Kind.FOLDER),
        }
        assert told == end.tree()
        assert held == end.folder.held == {}
        assert skipped == end.folder.skipped
        assert not os.listdir(end.root / ".relay" / "stage")
