"""Nothing of ours is seen in the notebook: no name, no history, no output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.inkernel.rig import PlainKernel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.inkernel.rig import Pair

NOISY = """
import sys, threading, warnings
class Noisy:
    def __reduce__(self):
        print("out"); print("err", file=sys.stderr); warnings.warn("warned")
        return Noisy, ()
n = Noisy()
"""


def test_nothing_is_left_in_the_namespace(pair: Pair) -> None:
    """Completion would offer the user our names."""
    pair.cell("x = 1")
    for kernel in (pair.a, pair.b):
        kernel.check("assert not [n for n in globals() if 'relay' in n.lower()]")
        kernel.check("assert type(globals()) is dict")


def test_nothing_is_left_in_the_history(pair: Pair) -> None:
    """The first cell would be In[2]."""
    pair.cell("x = 1")
    pair.b.check("assert In[1] == 'x = 1' and len(In) == 3")


def test_nothing_is_published(pair: Pair) -> None:
    """Code of the user that runs while a value is packed would print under some cell."""
    pair.b.run(NOISY)
    manifest = pair.b.capture()
    assert pair.b.output == []
    pair.a.apply(manifest)
    assert pair.a.output == []
    pair.b.run("print('still heard')")
    assert pair.b.shown() == "still heard\n"


def test_the_interpreter_is_set_as_without_us(pair: Pair, tmp_path: Path) -> None:
    """What would cost all code of the user, and no time of a capture."""
    asked = (
        "import gc, sys, threading\nprint(gc.get_threshold(), gc.isenabled(), gc.callbacks, "
        "sys.getswitchinterval(), sorted(each.name for each in threading.enumerate()))"
    )
    plain = PlainKernel(tmp_path)
    try:
        pair.cell("x = [1]")
        for kernel in (plain, pair.b):
            kernel.check(asked)
        assert pair.b.shown() == plain.shown() != ""
    finally:
        plain.stop()


def test_user_code_is_not_slowed_by_hooks(pair: Pair) -> None:
    """A hook in the namespace or the events would cost on every cell for ever."""
    pair.cell("x = 1")
    pair.b.check(
        "import sys\nassert sys.gettrace() is None and sys.getprofile() is None\n"
        "ip = get_ipython()\nassert not [f for fs in ip.events.callbacks.values() for f in fs "
        "if 'relay' in f.__module__]"
    )
