"""A capture is of one moment, also beside subshells, awaiting cells and threads; or it says so."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.inkernel.rig import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.inkernel.rig import Kernel, Pair


class Subshell:
    """A subshell of a real kernel: its cells run at any time, in a thread of their own."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        reply = self._control("create_subshell_request", {})
        self.id = reply["subshell_id"]

    def start(self, code: str) -> str:
        """Send a cell; return the id of the request."""
        session = self.kernel.client.session
        content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False}
        message = session.msg("execute_request", {**content, "user_expressions": {}})
        message["header"]["subshell_id"] = self.id
        self.kernel.client.shell_channel.send(message)
        return str(message["header"]["msg_id"])

    def close(self) -> None:
        """End it, and the cell on it."""
        self._control("delete_subshell_request", {"subshell_id": self.id})

    def _control(self, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        client = self.kernel.client
        client.control_channel.send(client.session.msg(kind, content))
        while True:
            reply = client.get_control_msg(timeout=PATIENCE)
            if reply["msg_type"] == kind.replace("request", "reply"):
                return dict(reply["content"])


@pytest.fixture
def subshell(pair: Pair) -> Iterator[Subshell]:
    """A subshell of ``b``."""
    pair.b.check("import threading, time; started, end = threading.Event(), threading.Event()")
    made = Subshell(pair.b)
    yield made
    pair.b.run("end.set()")
    made.close()


#: Each time that ``grows`` is packed, what works on it has gone on meanwhile. Where nothing does,
#: there is no such thing as ``over``, and packing it fails at once.
GROWS = """
import time
count = [0]
class Grows:
    def __getstate__(self):
        over = get_ipython().over
        before, end = self.count[0], time.monotonic() + 30
        while before == self.count[0] and not over.is_set() and time.monotonic() < end:
            time.sleep(0.001)
        return {"count": self.count}
grows = Grows(); grows.count = count; still = ["s"] * 99
"""


def capture_after(kernel: Kernel, code: str) -> dict[str, Any]:
    """Run a cell; return the manifest of the capture that follows it."""
    reply = kernel.followed(code)
    assert reply["status"] == "ok", reply
    return dict(json.loads(bytes(reply["buffers"][0])))


def test_a_capture_waits_for_a_short_cell_of_a_subshell(pair: Pair, subshell: Subshell) -> None:
    """The server would have half of what a cell does."""
    subshell.start("one = 1; started.set(); time.sleep(0.05); two = 2")
    manifest = capture_after(pair.b, "assert started.wait(30); x = 1")
    assert {"one", "two", "x"} <= set(manifest["names"])
    assert manifest["live"] == []


def test_a_long_cell_of_a_subshell_is_not_waited_for(pair: Pair, subshell: Subshell) -> None:
    """A server of a dashboard on a subshell would stop the notebook; or its data would be torn."""
    pair.b.run("over = get_ipython().over = threading.Event(); over.set()\n" + GROWS)
    subshell.start("started.set()\nwhile not end.is_set(): count[0] += 1; time.sleep(0.001)")
    began = time.monotonic()
    manifest = capture_after(pair.b, "assert started.wait(30); over.clear(); still.append(1)")
    assert time.monotonic() - began < 20
    assert {"count", "grows"} & set(manifest["live"])
    assert "still" not in manifest["live"]
    assert pair.a.apply(manifest) == {}
    pair.a.check("assert still[-1] == 1 and count[0] > 0")
    pair.b.run("over.set()")
    reply = pair.b.followed("x = 2")
    assert reply["seconds"] < 0.2, "it is waited for once, and not after each cell"
    pair.b.run("over.set()")


def test_no_cell_of_a_subshell_begins_while_a_capture_is_at_work(
    pair: Pair, subshell: Subshell
) -> None:
    """What the capture has passed already would change behind it."""
    pair.b.run(
        "seen = []\nclass Slow:\n    def __getstate__(self):\n"
        "        seen.append('in'); time.sleep(0.2); seen.append('out'); return {}\ns = Slow()"
    )
    pair.b.run("seen.clear(); s.n = 1; started.set()")
    subshell.start("seen.append('cell')")
    for _ in range(3):
        capture_after(pair.b, "s.n += 1")
    pair.b.run("print(seen)")
    pairs = [each for each in eval(pair.b.shown()) if each != "cell"]
    assert pairs == ["in", "out"] * (len(pairs) // 2)
    text = pair.b.shown()
    assert "cell" in text
    assert "'in', 'cell', 'out'" not in text


def test_a_capture_does_not_come_into_an_awaiting_cell(pair: Pair) -> None:
    """The server would have half of what a cell does."""
    client = pair.b.client
    pair.b.run("import asyncio")
    content = {"silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
    code = "one = 1\nfor _ in range(20): await asyncio.sleep(0.01)\ntwo = 2"
    cell = client.session.msg("execute_request", {**content, "code": code})
    ask = client.session.msg("relay_capture_request", {})
    client.shell_channel.send(cell)
    client.shell_channel.send(ask)
    found = []
    while len(found) < 2:
        reply = client.get_shell_msg(timeout=PATIENCE)
        ours = reply["parent_header"]["msg_id"] in (cell["msg_id"], ask["msg_id"])
        if ours and reply["msg_type"] == "relay_capture_reply":
            found.append(json.loads(bytes(reply["buffers"][0]))["names"])
    assert all({"one", "two"} <= set(names) for names in found)


def test_threads_are_counted_and_what_they_change_is_named(pair: Pair) -> None:
    """A user would take a torn value for a whole one."""
    pair.b.run(
        "import threading\nend = over = get_ipython().over = threading.Event()\n"
        + GROWS
        + "def work():\n"
        "    while not end.is_set(): count[0] += 1; time.sleep(0.001)\n"
        "t = threading.Thread(target=work, daemon=True); t.start()"
    )
    manifest = pair.b.capture()
    pair.b.run("end.set(); t.join()")
    assert {"count", "grows"} & set(manifest["live"])
    assert "still" not in manifest["live"]
    assert manifest["threads"] == 1
    after = pair.b.capture()
    assert (after["live"], after["threads"]) == ([], 0)


def test_a_thread_that_the_kernel_itself_begins_is_none_of_the_users(pair: Pair) -> None:
    """Its messaging library begins one for the first large message."""
    pair.b.check("data = {f'name{at}': [at] for at in range(20_000)}\nprint('x' * 1_000_000)")
    pair.b.capture()
    pair.b.check(
        "import threading\nassert any('zmq' in type(t).__module__ for t in threading.enumerate())"
    )
    assert pair.b.capture()["threads"] == 0
