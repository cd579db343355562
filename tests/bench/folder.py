"""One end of a folder: looking, hashing and making changes, beside plain programs.

    python -m tests.bench.folder [--files N] [--at FOLDER] [--times N]

Each is timed beside what does no more than the same work: ``find`` for a look, ``cp -r`` and one
``sync`` for a commit, a loop that only reads and hashes for digests. They take turns, and the best
of each is printed: the machine may be busy with other things. A fresh place is used each time, and
nothing is removed before the end: ext4 is slow to make files where many were just removed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from relay_kernel.core.reconcile import Change
from relay_kernel.core.tree import Kind
from relay_kernel.files.folder import Folder
from relay_kernel.files.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Callable

#: Bytes of a small file; of the large one.
SMALL, LARGE = 1024, 300 << 20
#: Seconds, as asked for, with 20,000 small files.
BARS = {
    "first look": 1.5,
    "look, nothing changed": 0.35,
    "look by a new process": 0.35,
    "commit": 1.5,
    "digest of 300 MB": 0.35,
    "now, nothing happened": 0.0001,
}


class Bench:
    """Times, the best of several."""

    def __init__(self) -> None:
        self.best: dict[str, float] = {}

    def time(self, name: str, act: Callable[[], Any]) -> Any:
        """Do something, and note how long it took."""
        began = time.perf_counter()
        result = act()
        took = time.perf_counter() - began
        self.best[name] = min(took, self.best.get(name, took))
        return result

    def show(self, name: str, beside: str = "") -> None:
        """Print a line."""
        line = f"{name:28}{self.best[name]:10.4f} s"
        if name in BARS:
            line += f"   bar {BARS[name]:7.4f}"
        if beside:
            line += f"   {self.best[name] / self.best[beside]:5.2f} times {beside}"
        print(line)


def fill(root: Path, files: int) -> None:
    """A tree of small files in folders of two hundred."""
    for number in range(files):
        folder = root / f"d{number // 200}"
        if number % 200 == 0:
            folder.mkdir(parents=True)
        (folder / f"f{number}").write_bytes(os.urandom(SMALL))


def read_all(root: Path) -> None:
    """Read and hash everything, and no more."""
    for folder, _, names in os.walk(root):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                while data := file.read(1 << 20):
                    blake3(data).digest()


def run(*command: str | Path) -> None:
    """Run a program."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def copy(source: Path, target: Path) -> None:
    """What a commit is measured by."""
    run("cp", "-r", "--preserve=mode,timestamps", source, target)
    run("sync", "-f", target)


def look(bench: Bench, root: Path, state: Path) -> Folder:
    """All that is looking."""
    folder = Folder(root, state, Rules())
    folder.open()
    bench.time("first look", folder.scan)
    bench.time("read and hash", lambda: read_all(root))
    for _ in range(2):
        bench.time("look, nothing changed", folder.scan)
        bench.time("find", lambda: run("find", root, "-printf", "%s %T@ %i\n"))
    folder.close()
    folder = Folder(root, state, Rules())
    folder.open()
    bench.time("look by a new process", folder.scan)
    for _ in range(20):
        bench.time("now, nothing happened", lambda: folder.settle(now=True))
    return folder


def apply(bench: Bench, source: Folder, place: Path) -> None:
    """A commit of all of it, and its removal."""
    (place / "target").mkdir()
    target = Folder(place / "target", place / "target-state", Rules())
    target.open()
    target.scan()
    entries = sorted(source.tree.items())
    contents = source.contents([one if one[1].kind is Kind.FILE else None for one in entries])
    batch = [
        (Change(path, None, new), content)
        for (path, new), content in zip(entries, contents, strict=True)
    ]
    made = bench.time("commit", lambda: target.commit(batch))
    assert not any(made)
    assert target.tree == source.tree
    bench.time("look after the commit", lambda: target.settle(now=True))
    target.close()


def digest(bench: Bench, place: Path) -> None:
    """A large file, whose pages are in memory."""
    root = place / "large"
    root.mkdir()
    (root / "f").write_bytes(os.urandom(1 << 20) * (LARGE >> 20))
    for number in range(3):
        folder = Folder(root, place / f"large-state{number}", Rules())
        folder.open()
        bench.time("digest of 300 MB", folder.scan)
        folder.close()
        bench.time("read and hash 300 MB", lambda: read_all(root))


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--at", type=Path, default=None, help="where; the disk is what counts")
    options = parser.parse_args()
    top = Path(tempfile.mkdtemp(prefix="relay-folder-", dir=options.at))
    bench = Bench()
    try:
        for number in range(options.times):
            place = top / str(number)
            fill(place / "source", options.files)
            os.sync()
            source = look(bench, place / "source", place / "source-state")
            turns = [
                lambda p=place, s=source: apply(bench, s, p),
                lambda p=place: bench.time("cp", lambda: copy(p / "source", p / "copy")),
            ]
            for turn in turns if number % 2 else reversed(turns):
                turn()
            source.close()
        digest(bench, top)
    finally:
        shutil.rmtree(top)
    print(f"{options.files} files of {SMALL} bytes, best of {options.times}")
    bench.show("first look", "read and hash")
    bench.show("look, nothing changed", "find")
    bench.show("look by a new process", "find")
    bench.show("now, nothing happened")
    bench.show("commit", "cp")
    bench.show("look after the commit")
    bench.show("digest of 300 MB", "read and hash 300 MB")


if __name__ == "__main__":
    main()
