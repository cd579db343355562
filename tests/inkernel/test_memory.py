"""A standby with less memory than the state: what does not fit stays on its disk, whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.inkernel.rig import Kernel, Pair

#: 91 MiB in one array, shared by two names; 22 MiB in another; and what is needed besides.
STATE = """\
import numpy as np
big = np.arange(12_000_000)
part = big[10:20]
middle = np.ones(3_000_000)
small = [1, 2]
def mean(): return float(big.mean())
class Box:
    def total(self): return int(middle.sum())
box = Box()"""

LIMIT = """\
import resource as _r
_pages = int(open("/proc/self/statm").read().split()[0]) * _r.getpagesize()
_r.setrlimit(_r.RLIMIT_AS, (_pages + ({mib} << 20), _r.RLIM_INFINITY)); del _r, _pages"""
FREE = "import resource as _r; _r.setrlimit(_r.RLIMIT_AS, (_r.RLIM_INFINITY,) * 2); del _r"


def limit(kernel: Kernel, mib: int) -> None:
    """Leave the kernel so much address space."""
    kernel.check(LIMIT.format(mib=mib))


@pytest.fixture
def tight(pair: Pair) -> Iterator[Pair]:
    """The state on ``b``; ``a`` has room for all but ``big``."""
    pair.a.check("import numpy")
    pair.b.check(STATE)
    limit(pair.a, 130)
    yield pair
    pair.a.check(FREE)


def parked(pair: Pair) -> dict[str, str]:
    return pair.a.try_apply(pair.b.capture())["parked"]


class TestApply:
    def test_what_does_not_fit_stays_on_the_disk_and_that_is_no_problem(self, tight: Pair) -> None:
        reply = tight.a.try_apply(tight.b.capture())
        assert reply["problems"] == {}
        assert sorted(reply["parked"]) == ["big", "part"]
        assert reply["parked"]["big"].startswith("it needs 91 MiB and ")
        tight.a.check("assert middle.sum() == 3e6 and small == [1, 2]")

    def test_it_is_loaded_at_the_next_snapshot_once_there_is_room(self, tight: Pair) -> None:
        assert parked(tight)
        tight.a.check(FREE)
        tight.b.check("small.append(3)")
        assert parked(tight) == {}
        tight.a.check("assert big[-1] == 11_999_999 and part.base is big and small == [1, 2, 3]")

    def test_it_goes_on_to_others_unread(self, tight: Pair) -> None:
        """This kernel takes over, and gives the state back: nothing of it may be lost."""
        assert parked(tight)
        limit(tight.a, 100)
        tight.a.check("small.append(3)")
        back = tight.a.capture()
        assert "big" not in back["left_behind"]
        tight.b.check("del big, part, middle")
        tight.b.capture()
        assert tight.b.apply(back) == {}
        tight.b.check("assert big[-1] == 11_999_999 and part.base is big and small == [1, 2, 3]")

    def test_a_capture_that_distrusts_the_disk_does_not_lose_it(self, tight: Pair) -> None:
        assert parked(tight)
        again = tight.a.try_capture(distrust=True)["manifest"]
        assert "big" not in again["left_behind"]
        assert tight.chunks() >= set(again["chunks"])


class TestTouch:
    def test_a_cell_that_names_it_has_it(self, tight: Pair) -> None:
        assert parked(tight)
        tight.a.check(FREE)
        tight.a.check("assert big[5] == 5 and part.base is big")
        assert tight.a.try_capture()["parked"] == {}
        # What changes here now is seen.
        tight.a.check("part[0] = -1")
        assert tight.b.apply(tight.a.capture()) == {}
        tight.b.check("assert big[10] == -1 and part.base is big")

    def test_one_that_uses_it_through_a_function_has_it(self, tight: Pair) -> None:
        assert parked(tight)
        tight.a.check(FREE)
        tight.a.check("assert mean() == 5_999_999.5")

    def test_and_through_a_method(self, pair: Pair) -> None:
        pair.a.check("import numpy")
        pair.b.check(STATE)
        limit(pair.a, 40)
        assert "middle" in parked(pair)
        pair.a.check(FREE)
        pair.a.check("assert box.total() == 3_000_000")

    def test_where_it_still_does_not_fit_that_is_said_in_one_line(self, tight: Pair) -> None:
        assert parked(tight)
        limit(tight.a, 40)
        reply = tight.a.run("big.sum()")
        assert reply["ename"] == "LeftBehindError"
        assert reply["evalue"].startswith("`big` is kept on disk: it needs 91 MiB and ")
        assert "could not be loaded" in reply["evalue"]
        assert "\n" not in reply["evalue"]
        tight.a.check("assert small == [1, 2]")
        tight.a.check(FREE)
        tight.a.check("assert big[5] == 5")

    def test_a_new_value_for_its_name_is_the_users(self, tight: Pair) -> None:
        assert parked(tight)
        tight.a.check("big = 'mine'")
        assert tight.b.apply(tight.a.capture()) == {}
        tight.b.check("assert big == 'mine'")


def in_memory(kernel: Kernel, what: str) -> int:
    """Bytes that a kernel's process has now (``VmRSS``) or had at most (``VmHWM``)."""
    lines = Path(f"/proc/{kernel.manager.provisioner.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{what}:"))


def peak_of_apply(kernel: Kernel, manifest: dict[str, Any]) -> int:
    """Bytes that a kernel has at most while it takes a state over."""
    Path(f"/proc/{kernel.manager.provisioner.pid}/clear_refs").write_text("5")
    assert kernel.apply(manifest) == {}
    return in_memory(kernel, "VmHWM")


def test_a_large_pickle_is_never_in_memory_as_a_whole(pair: Pair) -> None:
    """An apply needs the value; not also its pickle, neither to load it nor to know it again."""
    pair.b.check("x = 0")
    pair.a.apply(pair.b.capture())
    before = in_memory(pair.a, "VmRSS")
    pair.b.check("big = [str(number) * 100 for number in range(200_000)]")
    manifest = pair.b.capture()
    (wire,) = [each for each in manifest["components"] if each["roots"] == [["n", "big"]]]
    pickle = wire["data"]["size"]
    assert pickle > 100 << 20
    first = peak_of_apply(pair.a, manifest)
    pair.b.run("import sys; print(sum(map(sys.getsizeof, big)) + sys.getsizeof(big))")
    value = int(pair.b.shown())
    assert value > pickle
    pair.b.check("x = 1")
    beside = peak_of_apply(pair.a, pair.b.capture())
    assert max(first, beside) - before < 1.7 * value
    pair.a.check("assert x == 1 and big[-1] == '199999' * 100")
