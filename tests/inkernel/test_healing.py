"""Chunks that are damaged or gone: found, named, and written again by whoever has the value."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from tests.inkernel.rig import Pair

STATE = """\
import numpy as np
big = np.arange(300_000)
text = "x" * 5000
small = [1, 2]
table = {number: str(number) for number in range(2000)}
class Point:
    "a text that makes its class larger than what travels in the manifest"
    around = list(range(3000))
point = Point()
point.name = "p" * 4000
"""
SAME = (
    "assert big.sum() == sum(range(300_000)) and len(text) == 5000 and small == [1, 2]\n"
    "assert table[1999] == '1999' and type(point) is Point and Point.around[-1] == 2999"
)


def file_of(pair: Pair, key: str) -> Path:
    return pair.store / "chunks" / key[:2] / key


def spoil(pair: Pair, key: str) -> None:
    """Flip one bit in the middle of a chunk."""
    path = file_of(pair, key)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def keys_of(manifest: dict[str, Any]) -> list[str]:
    return sorted(manifest["chunks"])


class TestApply:
    def test_all_bad_chunks_are_named_and_nothing_is_changed(self, pair: Pair) -> None:
        """The agent can ask for them; a variable must not be given up for a flipped bit."""
        pair.cell("small = 'before'")
        pair.b.run(STATE)
        manifest = pair.b.capture()
        first, second, *_ = keys_of(manifest)
        whole = file_of(pair, second).read_bytes()
        spoil(pair, second)
        file_of(pair, first).unlink()
        reply = pair.a.try_apply(manifest, final=False)
        assert reply["status"] == "damaged"
        assert sorted(reply["keys"]) == [first, second]
        pair.a.check("assert small == 'before' and 'big' not in globals()")
        file_of(pair, second).write_bytes(whole)
        pair.b.try_capture(distrust=True)
        assert pair.a.try_apply(manifest, final=False)["problems"] == {}
        pair.a.check(SAME)

    def test_every_single_chunk_is_noticed(self, pair: Pair) -> None:
        """Of variables, classes, context and history alike."""
        pair.b.run(STATE)
        for number in range(10):
            pair.b.run(f"# {number}\n" + "# a long cell\n" * 200)
        manifest = pair.b.capture()
        for key in keys_of(manifest):
            pair.a.apply(pair.empty["a"])
            whole = file_of(pair, key).read_bytes()
            spoil(pair, key)
            reply = pair.a.try_apply(manifest, final=False)
            file_of(pair, key).write_bytes(whole)
            assert reply["status"] == "damaged", key
            assert reply["keys"] == [key]
        assert pair.a.try_apply(manifest, final=False)["status"] == "ok"
        pair.a.check(SAME)

    def test_the_last_try_takes_what_is_whole(self, pair: Pair) -> None:
        pair.b.run(STATE)
        manifest = pair.b.capture()
        (wire,) = [each for each in manifest["components"] if each["roots"] == [["n", "text"]]]
        (key,) = wire["data"]["chunks"]
        spoil(pair, key)
        reply = pair.a.try_apply(manifest, final=True)
        assert list(reply["problems"]) == ["text"]
        pair.a.check("assert small == [1, 2] and 'text' in repr(text)")
        pair.b.try_capture(distrust=True)


class TestCapture:
    def test_what_is_gone_from_the_store_is_written_again(self, pair: Pair) -> None:
        """The kernel does not look whether what it wrote is still there."""
        pair.b.run(STATE)
        before = pair.b.capture()
        shutil.rmtree(pair.store / "chunks")
        again = pair.b.try_capture(distrust=True)["manifest"]
        assert pair.chunks() >= set(again["chunks"])
        assert set(before["chunks"]) >= {key for key, size in again["chunks"].items() if size > 4e5}
        assert pair.a.apply(again) == {}
        pair.a.check(SAME)

    def test_a_torn_file_does_not_pass_for_a_chunk(self, pair: Pair) -> None:
        """After a power cut a file may have its name, and not what was written to it."""
        pair.b.run("import numpy as np; big = np.arange(300_000)")
        manifest = pair.b.capture()
        pair.b.run("del big")
        pair.b.capture()
        for key in keys_of(manifest):
            file_of(pair, key).write_bytes(b"")
        pair.b.run("big = np.arange(300_000)")
        again = pair.b.try_capture(distrust=True)["manifest"]
        assert pair.a.apply(again) == {}
        pair.a.check("assert big[-1] == 299_999")

    def test_a_value_that_could_not_be_unpacked_keeps_its_chunks(self, pair: Pair) -> None:
        """They are all that is left of it."""
        pair.b.run(
            "class Odd:\n"
            "    def __init__(self): self.load = 'x' * 5000\n"
            "    def __setstate__(self, state):\n"
            "        import os\n"
            "        if not os.environ.get('WELL'): raise RuntimeError('not here')\n"
            "        self.__dict__.update(state)\n"
            "odd = Odd()"
        )
        assert list(pair.a.apply(pair.b.capture())) == ["odd"]
        back = pair.a.try_capture(distrust=True)["manifest"]
        pair.b.run("import os; os.environ['WELL'] = '1'; del odd")
        pair.b.capture()
        back["context"].pop("environ", None)
        pair.b.run("import os; os.environ['WELL'] = '1'")
        back["context"]["environ"] = {"WELL": "1"}
        assert pair.b.apply(back) == {}
        pair.b.check("assert len(odd.load) == 5000")

    def test_a_full_disk_is_said_in_one_line_and_heals(self, pair: Pair) -> None:
        pair.b.run("small = [1]")
        pair.b.capture()
        pair.b.run("import resource; old = resource.getrlimit(resource.RLIMIT_FSIZE)")
        pair.b.run(
            "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, old[1]))\n" + STATE
        )
        reply = pair.b.try_capture()
        assert reply["status"] == "error"
        assert "the disk refused: File too large" in reply["reason"]
        assert "\n" not in reply["reason"]
        pair.b.check("resource.setrlimit(resource.RLIMIT_FSIZE, old)")
        assert pair.a.apply(pair.b.capture()) == {}
        pair.a.check(SAME)
