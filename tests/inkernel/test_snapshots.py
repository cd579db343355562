"""A snapshot is whole or absent, costs only what changed, and one bad part costs only itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.inkernel.rig import Pair

BIG = "import numpy as np; big = np.arange(300_000.0); small = [1]; other = 'kept'"


def blobs_of(manifest: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the blobs of the component that holds a name."""
    for wire in manifest["components"]:
        if ["n", name] in wire["roots"]:
            return [wire["data"], *wire.get("buffers", [])]
    raise AssertionError(f"{name} is not in the manifest")


def test_nothing_is_written_for_what_did_not_change(pair: Pair) -> None:
    """A user with a slow line would wait for the same gigabyte after each cell."""
    pair.cell(BIG)
    before = pair.chunks()
    manifest = pair.b.capture()
    assert pair.chunks() == before
    pair.b.run("small.append(2)")
    after = pair.b.capture()
    assert pair.chunks() == before
    assert blobs_of(after, "big") == blobs_of(manifest, "big")


def test_one_number_costs_one_chunk(pair: Pair) -> None:
    """A user with a slow line would wait for a whole array after each change to it."""
    pair.cell(BIG)
    before = pair.chunks()
    pair.b.run("big[200_000] = -1")
    pair.b.capture()
    assert len(pair.chunks() - before) == 1


def test_small_notebooks_have_small_manifests(pair: Pair) -> None:
    """Every cell would cost a noticeable message."""
    pair.cell("".join(f"v{n} = [{n}]\n" for n in range(20)))
    assert len(json.dumps(pair.b.capture())) < 6000


def test_chunks_are_named_after_their_content_and_private(pair: Pair) -> None:
    """Another user of the machine could read a notebook's data."""
    import hashlib

    pair.cell(BIG)
    manifest = pair.b.capture()
    for key, size in manifest["chunks"].items():
        path = pair.store / "chunks" / key[:2] / key
        data = path.read_bytes()
        assert hashlib.blake2b(data, digest_size=20).hexdigest() == key
        assert len(data) == size
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_snapshot_is_of_one_moment(pair: Pair) -> None:
    """The next cell, started at once, would leak into the snapshot of the one before."""
    pair.b.run("import numpy as np; a = np.zeros(300_000)")
    manifest = pair.b.capture()
    pair.b.run("a[:] = 7")
    pair.a.apply(manifest)
    pair.a.check("assert a.sum() == 0")


def test_damaged_and_missing_chunks_cost_only_their_variable(pair: Pair) -> None:
    """One bad sector would take the whole notebook."""
    pair.b.run(BIG + "; text = 'x' * 5000")
    manifest = pair.b.capture()
    (array_key, *_), (text_key,) = (
        blobs_of(manifest, "big")[1]["chunks"],
        blobs_of(manifest, "text")[0]["chunks"],
    )
    damaged = pair.store / "chunks" / array_key[:2] / array_key
    missing = pair.store / "chunks" / text_key[:2] / text_key
    whole = damaged.read_bytes(), missing.read_bytes()
    damaged.write_bytes(b"?" * len(whole[0]))
    missing.unlink()
    problems = pair.a.apply(manifest)
    damaged.write_bytes(whole[0])
    missing.write_bytes(whole[1])
    assert sorted(problems) == ["big", "text"]
    assert "damaged" in problems["big"]
    assert "cannot be read" in problems["text"]
    pair.a.check("assert other == 'kept' and small == [1] and 'big' in repr(big)")
    assert pair.a.apply(manifest) == {}, "it is tried again, and the chunks are well now"
    pair.a.check("assert big[-1] == 299_999 and len(text) == 5000")


def test_a_class_is_not_half_changed_by_a_value_that_fails(pair: Pair) -> None:
    """``C.n`` would be new and the rest of the snapshot old."""
    pair.cell("class C:\n    n = 0\n    def f(self): return 1\nc = C()")
    pair.b.run(
        "class Bad:\n    def __reduce__(self): return (int, ('no number',))\n"
        "C.n = 5\nC.f = lambda self: 2\nC.bad = Bad()\nx = 7"
    )
    manifest = pair.b.capture()
    problems = pair.a.apply(manifest)
    assert any("no number" in reason for reason in problems.values())
    pair.a.check("assert C.n == 0 and C().f() == 1 and not hasattr(C, 'bad') and x == 7")
    assert {"x", "c"} <= set(manifest["names"])


def test_a_snapshot_that_cannot_be_taken_changes_nothing(pair: Pair) -> None:
    """The fallback would be neither the old state nor the new."""
    pair.cell("class C: n = 0\nx = 1")
    pair.b.run(
        "import os\nos.environ['RK_ATOMIC'] = '1'\nclass Stop:\n"
        "    def __setstate__(self, state): raise KeyboardInterrupt\n"
        "s = Stop(); s.a = 1; C.n = 5; x = 2"
    )
    reply = pair.a.try_apply(pair.b.capture())
    assert (reply["status"], reply["reason"]) == ("error", "it was interrupted")
    pair.a.check(
        "import os\nassert (C.n, x, 's' in globals(), os.environ.get('RK_ATOMIC')) "
        "== (0, 1, False, None)"
    )


def test_another_python_is_refused(pair: Pair) -> None:
    """Code of another Python minor version crashes the process."""
    manifest = pair.cell("x = 1")
    reply = pair.a.try_apply({**manifest, "python": "3.8"})
    assert reply["status"] == "error"
    assert "Python 3.8" in reply["reason"]
    assert "\n" not in reply["reason"]
    pair.a.check("assert x == 1")


def test_unchanged_values_stay_the_same_objects(pair: Pair) -> None:
    """A user's references from outside the namespace would go stale after each return."""
    pair.cell("a = [1]; b = {2}; import numpy as np; c = np.zeros(5000)")
    pair.b.run("get_ipython().rk = (id(a), id(b), id(c))")
    pair.a.run("b.add(3)")
    pair.back()
    pair.b.check("rk = get_ipython().rk; assert rk[0] == id(a) and rk[2] == id(c) and b == {2, 3}")


def test_a_cell_that_was_cut_is_put_back(pair: Pair) -> None:
    """After a loss, a cell that half ran would be run again over what it had half done."""
    manifest = pair.cell("rows = []; total = 0\nclass C: n = 0")
    pair.b.run("rows.append(1); total = 5; C.n = 1; C.extra = 2; left = 3")
    assert pair.b.apply(manifest) == {}
    pair.b.check("assert (rows, total, C.n, 'left' in globals()) == ([], 0, 0, False)")
    pair.b.check("assert not hasattr(C, 'extra')")


def test_a_container_that_a_thread_works_on_stops_nothing(pair: Pair) -> None:
    """One background thread would keep every snapshot from being taken."""
    pair.b.run(
        "import threading, itertools\nd = {}; done = threading.Event()\n"
        "def work():\n    for i in itertools.count():\n        if done.is_set(): return\n"
        "        d[i % 100_000] = i\n        if i % 7 == 0: d.pop(i % 1000, None)\n"
        "t = threading.Thread(target=work, daemon=True); t.start()"
    )
    pair.b.run("z = 1")
    manifest = pair.b.capture()
    pair.b.run("done.set(); t.join()")
    assert pair.a.apply(manifest) == {}
    pair.a.check("assert z == 1")


def test_the_count_and_the_prompt_go_on(pair: Pair) -> None:
    """The numbers of cells would jump when the notebook changes machines."""
    for code in ("1+1", "2+2", "3+3"):
        pair.cell(code)
    reply = pair.a.run("Out[3] + _")
    assert reply["execution_count"] == 4
    assert pair.a.shown() == "12"
    pair.back()
    assert pair.b.run("_ + _2")["execution_count"] == 5
    assert pair.b.shown() == "16"


def test_long_histories_are_cheap_and_right(pair: Pair) -> None:
    """A long session would send all that was ever typed after each cell."""
    for number in range(80):
        pair.b.run(f"{number}")
    manifest = pair.b.capture()
    assert len(manifest["context"]["history"]["segments"]) == 1 + 2
    assert pair.a.apply(manifest) == {}
    pair.a.check("assert In[1] == '0' and In[80] == '79' and _i80 == '79' and _i == '79'")


def test_a_missing_folder_is_reported_and_the_rest_goes_on(pair: Pair, tmp_path: Any) -> None:
    """A folder that only the PC has would take the state of the notebook with it."""
    gone = tmp_path / "gone"
    gone.mkdir()
    pair.b.run(f"import os; os.chdir({str(gone)!r}); x = 1")
    manifest = pair.b.capture()
    pair.b.run("os.chdir('/')")
    gone.rmdir()
    problems = pair.a.apply(manifest)
    assert "there is no folder" in problems["folder"]
    pair.a.check("assert x == 1")


def test_a_missing_module_costs_only_what_needs_it(pair: Pair, tmp_path: Any) -> None:
    """A package that only the PC has would take the state of the notebook with it."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "rk_only_here.py").write_text("class K: pass\n")
    pair.b.run(f"import sys; sys.path.append({str(folder)!r}); import rk_only_here as m; x = 1")
    pair.b.run(f"k = m.K(); sys.path.remove({str(folder)!r})")
    problems = pair.a.apply(pair.b.capture())
    assert "'rk_only_here' is not installed here" in problems["m"]
    assert "k" in problems
    pair.a.check("assert x == 1")
    manifest = pair.back()
    assert manifest["left_behind"].keys() >= {"m", "k"}
    pair.b.check("assert type(k) is m.K")


def test_a_capture_follows_each_cell_unasked(pair: Pair) -> None:
    """A PC that dies right after a cell would take its result along."""
    for code in ("x = 1", "x = 2; 1/0"):
        reply = pair.b.followed(code)
        assert reply["status"] == "ok"
        manifest = json.loads(bytes(reply["buffers"][0]))
        assert reply["chunks"] == list(manifest["chunks"])
        assert manifest["names"] == ["x"]
    assert pair.a.apply({**manifest, "cell": 2}) == {}
    pair.a.check("assert x == 2")


def test_an_interrupt_while_packing_harms_nothing(pair: Pair) -> None:
    """A late Ctrl-C would kill the kernel, or the state of the notebook."""
    reply = pair.b.followed(
        "import signal, os\nclass Slow:\n    on = True\n    def __getstate__(self):\n"
        "        if Slow.on:\n            Slow.on = False; os.kill(os.getpid(), signal.SIGINT)\n"
        "        return {'a': 1}\ns = Slow(); x = 1"
    )
    assert (reply["status"], reply["reason"]) == ("error", "it was interrupted")
    assert pair.a.apply(pair.b.capture()) == {}
    pair.a.check("assert x == 1 and s.a == 1")
