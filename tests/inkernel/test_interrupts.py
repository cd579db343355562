"""What meets ipykernel's own code, right before or behind a cell's: it sends no reply then."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.inkernel.rig import Pair

#: Sends the kernel a real SIGINT where the next cell has just been shown, or has just ended.
TRAP = """\
import functools, os, signal
def trap(at):
    kernel, name = get_ipython().kernel, "init_metadata" if at == "start" else "finish_metadata"
    method = getattr(kernel, name)
    @functools.wraps(method)
    def once(*args):
        setattr(kernel, name, method)
        os.kill(os.getpid(), signal.SIGINT)
        return method(*args)
    setattr(kernel, name, once)
"""


def test_a_cell_whose_start_is_interrupted_is_answered(pair: Pair) -> None:
    """It would run for ever, for whoever looks at it: ipykernel sends no reply."""
    pair.b.check(TRAP)
    pair.b.run("trap('start')")
    reply = pair.b.run("never = 1")
    assert (reply["status"], reply["ename"]) == ("error", "KeyboardInterrupt")
    assert [m["msg_type"] for m in pair.b.output] == ["error"]
    pair.b.check("assert 'never' not in globals()")
    assert pair.cell("x = 1")["left_behind"] == {}


def test_a_cell_whose_end_is_interrupted_is_answered_with_its_own_count(pair: Pair) -> None:
    """What it did stays done, and it has the number that was shown."""
    pair.b.check(TRAP)
    pair.b.run("import threading; timer = threading.Timer(0.3, trap, ['end']); timer.start()")
    reply = pair.b.run("timer.join(); done = 1")
    assert (reply["status"], reply["ename"]) == ("error", "KeyboardInterrupt")
    assert reply["execution_count"] == pair.b.output[0]["content"]["execution_count"]
    pair.b.check("assert done == 1; del timer")


def test_a_cell_that_the_kernel_gives_up_is_answered(pair: Pair) -> None:
    """Something of the user's that breaks what ipykernel does beside the cell."""
    pair.b.check(
        "kernel = get_ipython().kernel; kept = kernel.finish_metadata\n"
        "def broken(*args):\n    kernel.finish_metadata = kept; raise ValueError('no')"
    )
    pair.b.run("kernel.finish_metadata = broken")
    reply = pair.b.reply
    assert (reply["status"], reply["ename"]) == ("error", "ValueError")
    assert reply["evalue"] == "the kernel gave the cell up: no"
    pair.b.check("del kernel, kept, broken")
