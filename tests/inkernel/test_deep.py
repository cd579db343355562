"""What is nested deeply travels, or says that it is: the stack of a cell is no bound for it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tests.inkernel.test_budget import BUDGET

if TYPE_CHECKING:
    from tests.inkernel.rig import Pair

#: These count the levels of code in C by themselves.
COUNTS = sys.version_info[:2] in ((3, 12), (3, 13))

CHAIN = """
class Link:
    def __init__(self, number): self.number, self.next = number, None
head = last = Link(0)
for number in range(1, 20_000):
    last.next = Link(number); last = last.next
"""


def test_a_long_chain_travels(pair: Pair) -> None:
    """Code that makes lists of its own, a parsed page, a tree would be left behind."""
    left = pair.cell(CHAIN)["left_behind"]
    if COUNTS:
        assert left["head"]["reason"] == "it is nested too deeply"
        return
    assert (left, pair.problems) == ({}, {})
    pair.a.check(
        "found, each = 0, head\nwhile each: found, end, each = found + 1, each, each.next\n"
        "assert found == 20_000 and end is last"
    )


def test_what_asks_itself_for_ever_costs_only_itself(pair: Pair) -> None:
    """The kernel would end, with all its variables."""
    manifest = pair.cell(
        "class Asks:\n    def __reduce__(self): return self.__reduce__()\nasks = Asks(); x = 1"
    )
    assert manifest["left_behind"]["asks"]["reason"] == "it is nested too deeply"
    pair.a.check("assert x == 1")


def test_what_is_packed_deeply_has_its_time(pair: Pair) -> None:
    """One value that takes for ever would hold up each cell that follows."""
    pair.b.check(BUDGET.format(seconds=0.5, size=0))
    pair.b.run("import sys; limit = sys.getrecursionlimit()")
    manifest = pair.cell(
        CHAIN.replace("20_000", "5000")
        + "class Slow:\n    def __reduce__(self):\n        import time\n"
        "        while True: time.sleep(0.01)\nlast.next = Slow(); good = [1]"
    )
    reason = "it is nested too deeply" if COUNTS else "packing it took longer than 0.5 s"
    assert manifest["left_behind"]["head"]["reason"] == reason
    pair.a.check("assert good == [1]")
    pair.b.check("assert sys.getrecursionlimit() == limit")
    pair.b.run("head = last = None")
    pair.b.check(BUDGET.format(seconds=10, size=0))
