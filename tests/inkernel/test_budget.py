"""Packing that takes too long or makes too much costs only its own variable."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.inkernel.rig import Pair

BUDGET = (
    "_b = get_ipython().kernel.shell_handlers['relay_capture_request'].__self__.state.budget\n"
    "_b.seconds, _b.size = {seconds}, {size}\ndel _b"
)
SLOW = """
import time
class Slow:
    def __getstate__(self):
        Slow.asked = Slow.asked + 1
        {how}
        return {{}}
Slow.asked = 0
s = Slow(); good = [1]
"""


@pytest.fixture
def small(pair: Pair) -> Iterator[Pair]:
    """A pair of which ``b`` gives each component half a second and a megabyte."""
    pair.b.check(BUDGET.format(seconds=0.5, size=1_000_000))
    yield pair
    pair.b.check(BUDGET.format(seconds=10, size=0))


WAYS = {
    "it sleeps": "time.sleep(60)",
    "it computes": "while True: pass",
    "it waits for a lock": "import threading; l = threading.Lock(); l.acquire(); l.acquire()",
    "it holds on to itself": """
        while True:
            try: time.sleep(60)
            except Exception: pass""",
}


@pytest.mark.parametrize("way", WAYS)
def test_a_value_that_blocks_stays_behind(small: Pair, way: str) -> None:
    """One object that waits for a network would stop the notebook for good."""
    began = time.monotonic()
    manifest = small.cell(SLOW.format(how=WAYS[way]))
    assert time.monotonic() - began < 20
    assert manifest["left_behind"] == {
        "s": {"type": "Slow", "reason": "packing it took longer than 0.5 s"}
    }
    small.a.check("assert good == [1] and 'left behind' in repr(s)")
    small.b.run("asked = Slow.asked")
    small.b.capture()
    small.b.check("assert Slow.asked == asked, 'it is not asked again after each cell'")
    small.b.run("s = 3")
    assert small.b.capture()["left_behind"] == {}


def test_a_value_that_is_too_large_stays_behind(small: Pair) -> None:
    """A user with a slow line could not keep a large table from being sent."""
    manifest = small.cell("import numpy as np; big = np.zeros(1_000_000); good = [1]")
    assert "the limit is 1000000" in manifest["left_behind"]["big"]["reason"]
    small.a.check("assert good == [1]")
    small.b.run("big = np.zeros(10)")
    assert small.b.capture()["left_behind"] == {}


def test_a_timer_of_the_user_is_not_touched(small: Pair) -> None:
    """An alarm of the user would never ring, or ring in our code."""
    small.b.run(
        "import signal, time\nrang = []\ndef ring(*a): rang.append(1)\n"
        "old = signal.signal(signal.SIGALRM, ring)\n"
        "_ = signal.setitimer(signal.ITIMER_REAL, 0.3)\n"
    )
    small.b.run("x = 1")
    small.b.check("end = time.monotonic() + 20\nwhile not rang and time.monotonic() < end: pass")
    small.b.check("assert rang == [1]; _ = signal.signal(signal.SIGALRM, old)")


def test_the_timer_is_put_back(small: Pair) -> None:
    """A later alarm of the user would find our handler."""
    small.b.run("import signal; x = 1")
    small.b.check("assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL")
    small.b.check("assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)")


def test_what_prints_or_raises_costs_only_itself(small: Pair) -> None:
    """The output of a cell would have lines of another one."""
    manifest = small.cell(
        "class P:\n    def __getstate__(self): print('noise'); return {'a': 1}\n"
        "class R:\n    def __getstate__(self): raise SystemExit\np, r, good = P(), R(), [1]"
    )
    assert list(manifest["left_behind"]) == ["r"]
    assert small.b.output == []
    small.a.check("assert p.a == 1 and good == [1]")
