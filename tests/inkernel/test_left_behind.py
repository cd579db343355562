"""What cannot travel is named with its reason, and says so when it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.inkernel.rig import Pair

REASONS = {
    "v = (i for i in range(3))": "suspended in the middle",
    "import threading; v = threading.Lock(); v.acquire()": "a lock that is held belongs to",
    "import threading; v = {'deep': [threading.RLock()]}; v['deep'][0].acquire()": (
        "it holds a RLock, and a lock that is held"
    ),
    "import threading; v = threading.Thread()": "a thread runs in one process",
    "import concurrent.futures; v = concurrent.futures.Future()": "is made in one process",
    "import socket; v = socket.socket()": "an open connection belongs",
    "v = open('/etc/hostname')": "an open file belongs",
    "v = open('/etc/hostname', 'rb')": "an open file belongs",
    "v = [open('/etc/hostname')]": "it holds a TextIOWrapper",
    "import subprocess; v = subprocess.Popen(['true'])": "a running program belongs",
    "import sqlite3; v = sqlite3.connect(':memory:')": "an open connection belongs",
    "import ipywidgets; v = ipywidgets.IntSlider()": "a widget belongs to the kernel",
    "import ipywidgets; v = [ipywidgets.HTML()]": "HTML, and a widget belongs to the kernel",
    "import tempfile; v = tempfile.TemporaryDirectory()": "a temporary folder belongs",
    "v = []\nfor _ in range(100_000): v = [v]": "nested too deeply",
    "class E:\n    def __reduce__(self): raise ValueError('my own\\nwords')\nv = E()": (
        "ValueError: my own words"
    ),
}


@pytest.mark.parametrize("code", REASONS)
def test_reasons_are_one_short_line(pair: Pair, code: str) -> None:
    """A user would not know what to do about a variable that is gone."""
    manifest = pair.cell(code + "\ngood = [1]")
    assert pair.problems == {}
    assert list(manifest["left_behind"]) == ["v"]
    reason = manifest["left_behind"]["v"]["reason"]
    assert REASONS[code] in reason
    assert "\n" not in reason
    assert len(reason) < 300
    pair.a.check("assert good == [1]")


USES = [
    "v + 1",
    "v()",
    "v.x",
    "v.x = 1",
    "v[0]",
    "next(v)",
    "list(v)",
    "bool(v)",
    "v == 3",
    "with v: 0",
]


@pytest.mark.parametrize("use", USES)
def test_any_use_raises_one_clear_error(pair: Pair, use: str) -> None:
    """A user would get an error that is about something else, or a wrong result."""
    pair.cell("v = (i for i in range(3))")
    reply = pair.a.run(use)
    assert reply["ename"] == "LeftBehindError"
    assert "`v` is not here: it is a generator that lives in the pc" in reply["evalue"]
    assert "suspended" in reply["evalue"]


def test_it_can_be_looked_at(pair: Pair) -> None:
    """Showing a list with one such value in it would fail."""
    pair.cell("v = (i for i in range(3))")
    pair.a.run("[v]")
    assert "v was left behind: a generator that lives in the pc" in pair.a.shown()


def test_the_real_value_is_there_again_on_return(pair: Pair) -> None:
    """A user would lose a generator because the server ran a cell meanwhile."""
    pair.cell("v = (i for i in range(3)); next(v); x = 1")
    pair.a.run("x = 2; w = v; box = [v]")
    assert pair.back()["left_behind"].keys() == {"v", "w"}
    assert pair.problems == {}
    pair.b.check("assert next(v) == 1 and x == 2 and w is v and box[0] is v")


def test_a_class_travels_without_what_cannot(pair: Pair) -> None:
    """One lock in a class would take all its instances."""
    manifest = pair.cell(
        "import threading\nclass C:\n    lock = threading.Lock(); n = 1\nc = C(); C.lock.acquire()"
    )
    assert list(manifest["left_behind"]) == ["C.lock"]
    assert pair.problems == {}
    pair.a.check("assert c.n == 1 and 'left behind' in repr(C.lock)")
    pair.a.run("C.n = 2")
    assert list(pair.back()["left_behind"]) == ["C.lock"]
    pair.b.check("assert C.n == 2\nC.lock.release()")


def test_what_loads_wrong_costs_only_itself(pair: Pair) -> None:
    """A set in a cycle, which pickle writes and cannot read, would stop the snapshot."""
    pair.b.run(
        "class H:\n    def __init__(self): self.k = 1; self.s = {self}\n"
        "    def __hash__(self): return self.k\nh = H(); x = 1"
    )
    problems = pair.a.apply(pair.b.capture())
    assert list(problems) == ["h"]
    pair.a.check("assert x == 1 and 'left behind' in repr(h)")
    pair.back()
    pair.b.check("assert h in h.s")


def test_when_it_is_made_again_it_is_no_longer_left_behind(pair: Pair) -> None:
    """A variable would stay on the list of the lost after the user replaced it."""
    pair.cell("v = (i for i in range(3))")
    manifest = pair.cell("v = [0, 1, 2]")
    assert manifest["left_behind"] == {}
    pair.a.check("assert v == [0, 1, 2]")


def test_it_really_goes_when_it_is_deleted(pair: Pair) -> None:
    """A large object with a lock in it would fill the memory for good."""
    pair.b.run(
        "import weakref, threading\nclass Big:\n"
        "    def __init__(self): self.lock = threading.Lock(); self.lock.acquire()\n"
        "v = Big(); get_ipython().rk_seen = weakref.ref(v)"
    )
    assert list(pair.b.capture()["left_behind"]) == ["v"]
    pair.b.run("del v")
    assert pair.b.capture()["left_behind"] == {}
    pair.b.check("assert get_ipython().rk_seen() is None")


def test_a_result_that_stays_behind_is_listed_once(pair: Pair) -> None:
    """``%relay vars`` would list the same generator four times."""
    manifest = pair.cell("(i for i in range(3))")
    assert list(manifest["left_behind"]) == ["Out[1]"]
    pair.a.check("assert 'left behind' in repr(_) and 'left behind' in repr(Out[1])")
    pair.back()
    pair.b.check("assert next(_) == 0 and next(Out[1]) == 1")


def test_a_lock_travels_once_it_is_free(pair: Pair) -> None:
    """All that has a lock would stay behind, though nobody uses that."""
    pair.cell(
        "import threading\nclass Counts:\n"
        "    def __init__(self): self.n, self.lock = 0, threading.RLock()\n"
        "counts = Counts(); counts.lock.acquire()"
    )
    manifest = pair.cell("counts.n += 1")
    assert list(manifest["left_behind"]) == ["counts"]
    assert pair.cell("counts.lock.release()")["left_behind"] == {}
    pair.a.check("assert counts.n == 1\nwith counts.lock: counts.n += 1")
    assert pair.back()["left_behind"] == {}
    pair.b.check("assert counts.n == 2\nwith counts.lock: pass")


def test_what_threads_of_the_user_may_use_stays_with_them(pair: Pair) -> None:
    """Who waits on the other machine for what a thread here will put would wait for ever."""
    manifest = pair.cell(
        "import queue, threading\njobs = queue.Queue()\n"
        "done, own = threading.Event(), threading.local()\n"
        "worker = threading.Thread(target=done.wait, daemon=True); worker.start()"
    )
    left = manifest["left_behind"]
    assert left.keys() == {"jobs", "done", "own", "worker"}
    assert left["own"]["reason"] == "threads of yours run, which may use it"
    assert "lock, and threads of yours run, which may use it" in left["jobs"]["reason"]
    assert left["worker"]["reason"] == "a thread runs in one process"
    manifest = pair.cell("done.set(); worker.join(); jobs.put(1)")
    assert list(manifest["left_behind"]) == ["worker"]
    pair.a.check("assert jobs.get() == 1 and done.is_set() and not vars(own)")


def test_a_finalizer_is_not_called_for_a_copy(pair: Pair) -> None:
    """A folder would be removed because the notebook came back to where it was made."""
    pair.cell(
        "import weakref; log = []\nclass T: pass\nt = T(); end = weakref.finalize(t, log.append, 1)"
    )
    pair.a.run("t.x = 1")
    pair.back()
    pair.b.check("import gc; gc.collect()\nassert t.x == 1 and log == []")
