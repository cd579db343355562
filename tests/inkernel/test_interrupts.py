"""What meets ipykernel's own code, right before or behind a cell's: it sends no reply then."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.inkernel.rig import Kernel, Pair

#: Seconds from a cell to the end of its capture, and some.
SPAN = 0.03

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


#: Sends the kernel a SIGINT right before the cell's handler, in the midst of its reply, or of that
#: with its state.
TRAPS = {
    "begin": """\
handlers, kept = kernel.shell_handlers, kernel.shell_handlers["execute_request"]
def once(*args):
    handlers["execute_request"] = kept
    os.kill(os.getpid(), signal.SIGINT)
    return kept(*args)
handlers["execute_request"] = once
""",
    "reply": """\
import zmq
send = zmq.Socket.send
def once(socket, data, *args, **how):
    done = send(socket, data, *args, **how)
    if b'"execute_reply"' in bytes(data):
        zmq.Socket.send = send
        os.kill(os.getpid(), signal.SIGINT)
    return done
zmq.Socket.send = once
""",
    "state": """\
send = kernel.session.send
def once(stream, kind, *args, **how):
    if kind == "relay_capture_reply":
        del kernel.session.send
        os.kill(os.getpid(), signal.SIGINT)
    return send(stream, kind, *args, **how)
kernel.session.send = once
""",
}


def answers(kernel: Kernel, code: str, delay: float | None = None) -> list[dict[str, Any]]:
    """Run a cell, with an interrupt after ``delay`` seconds; return all replies, state behind."""
    content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}}
    message = kernel.client.session.msg("execute_request", {**content, "allow_stdin": False})
    kernel.client.shell_channel.send(message)
    if delay is not None:
        time.sleep(delay)
        kernel.manager.interrupt_kernel()
    found = []
    while not found or found[-1]["msg_type"] != "relay_capture_reply":
        reply = kernel.client.get_shell_msg(timeout=kernel.patience)
        if reply["parent_header"].get("msg_id") == message["header"]["msg_id"]:
            found.append(reply)
    return found


@pytest.mark.parametrize("at", TRAPS)
def test_an_interrupt_about_a_cell_costs_nothing(pair: Pair, at: str) -> None:
    """The cell is answered once, its state is taken, and the kernel lives."""
    pid = pair.b.run("import os, signal; os.getpid()") and pair.b.shown()
    trap = f"import os, signal; kernel = get_ipython().kernel\n{TRAPS[at]}"
    pair.b.run(f"exec({trap!r}, {{'get_ipython': get_ipython}})")
    reply, state = answers(pair.b, "x = 1")
    assert (reply["msg_type"], reply["content"]["status"]) == ("execute_reply", "ok")
    assert state["content"]["status"] == "ok"
    pair.b.run("os.getpid()")
    assert pair.b.shown() == pid


def test_whenever_an_interrupt_comes_the_cell_is_answered_once(pair: Pair) -> None:
    """A plain kernel leaves one in fifteen without an answer; its capture could end the kernel."""
    pair.b.run("values = [list(range(1000)) for _ in range(30)]")
    shots = 150
    for number in range(shots):
        code = f"values.append([{number}])"
        kinds = [each["msg_type"] for each in answers(pair.b, code, number * SPAN / shots)]
        assert kinds == ["execute_reply", "relay_capture_reply"]
    assert pair.b.manager.is_alive()
