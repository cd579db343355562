"""What a reply has besides, history, and what the user's kernels are started with."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from tests.conformance.conftest import a_pc, a_server
from tests.conformance.rig import Client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def history(book: Client, kind: str, **how: Any) -> list[list[Any]]:
    content = {"hist_access_type": kind, "raw": True, "output": False, **how}
    return (await book.talk("history_request", content)).reply["content"]["history"]


async def test_user_expressions(book: Client) -> None:
    expressions = {"good": "6 * 7", "bad": "1/0", "syntax": "1 +"}
    reply = (await book.run("x = 1", user_expressions=expressions)).reply["content"]
    found = reply["user_expressions"]
    assert found["good"]["data"] == {"text/plain": "42"}
    assert (found["bad"]["status"], found["bad"]["ename"]) == ("error", "ZeroDivisionError")
    assert (found["syntax"]["status"], found["syntax"]["ename"]) == ("error", "SyntaxError")


async def test_payloads(book: Client) -> None:
    (page,) = (await book.run("print?")).reply["content"]["payload"]
    assert page["source"] == "page"
    assert "Docstring" in page["data"]["text/plain"]
    code = "open('loaded.py', 'w').write('loaded = 1')"
    await book.run(code)
    (loaded,) = (await book.run("%load loaded.py")).reply["content"]["payload"]
    assert loaded["source"] == "set_next_input"
    assert loaded["text"].endswith("loaded = 1")
    await book.run("import os; os.remove('loaded.py')")


async def test_metadata_of_a_reply(book: Client) -> None:
    result = await book.run("1")
    metadata = result.reply["metadata"]
    assert metadata["status"] == "ok"
    assert metadata["dependencies_met"] is True
    assert "started" in metadata
    assert set(result.relay) == {"target", "epoch", "cell", "reason"}


async def test_history_is_that_of_the_user(book: Client) -> None:
    typed = ["a_1 = 1", "a_2 = a_1 + 1", "%relay", "# nothing\na_3 = 3"]
    for code in typed:
        await book.run(code)
    await book.run("hidden = 1", silent=True)
    await book.run("hidden = 2", store_history=False)
    tail = await history(book, "tail", n=4)
    assert [entry[2] for entry in tail] == typed
    lines = [entry[1] for entry in tail]
    assert lines == list(range(lines[0], lines[0] + 4))
    # A range that ends nowhere has the line that is to come, as ipykernel has it.
    ranged = await history(book, "range", session=0, start=lines[0], stop=lines[0] + 3)
    assert [entry[2] for entry in ranged] == typed[:3]
    (found,) = await history(book, "search", pattern="a_2 = a_1*", n=10, unique=True)
    assert found[2] == typed[1]
    everything = await history(book, "range", session=0, start=1, stop=None)
    assert not [entry for entry in everything if "_relay" in entry[2] or "inkernel" in entry[2]]


@pytest.mark.sshd
async def test_history_is_one_over_both_kernels(far: Client) -> None:
    # Other notebooks of this user are in the database as well.
    mark = f"h_{secrets.token_hex(4)}_"
    typed = []
    for number, target in enumerate(["local", "pc", "pc", "local", "local", "pc"]):
        code = f"%%relay {target}\n{mark}{number} = {number}"
        result = await far.run(code)
        assert result.target == target
        typed.append((result.count, code))
    for target in ("local", "pc"):
        await far.run(f"%%relay {target}\npass")
        tail = await history(far, "tail", n=20)
        assert [(e[1], e[2]) for e in tail if mark in e[2]] == typed
        assert len({entry[0] for entry in tail if mark in entry[2]}) == 1
        found = await history(far, "search", pattern=f"*{mark}? = *", n=20)
        assert [entry[2] for entry in found] == [code for _, code in typed]


ARGUMENTS = ["--HistoryManager.hist_file=:memory:", "--InteractiveShell.ast_node_interactivity=all"]

STARTED = """
import os
ip = get_ipython()
print(ip.history_manager.hist_file, ip.ast_node_interactivity)
print(os.environ.get("MADE_FOR_THIS_KERNEL"), os.environ["HOME"])
print(__session__, os.environ["JPY_SESSION_NAME"])
print(os.getcwd())
"""


class Started(Client):
    """Starts its kernel as a server does: with arguments, environment and folder of its own."""

    folder: Path

    async def __aenter__(self) -> Started:
        start = self.manager.start_kernel
        session = str(self.folder / "My notebook.ipynb")
        env = {**os.environ, "MADE_FOR_THIS_KERNEL": "yes, é", "JPY_SESSION_NAME": session}

        async def with_more(**_: Any) -> None:
            await start(extra_arguments=ARGUMENTS, env=env, cwd=str(self.folder))

        self.manager.start_kernel = with_more
        return await super().__aenter__()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def started() -> AsyncIterator[Started]:
    """A notebook with a PC, that was started with more than the usual."""
    with a_server() as folder, a_pc(folder) as desktop:
        client = Started(folder)
        client.desktop = desktop
        client.folder = folder / "its folder"
        client.folder.mkdir()
        async with client:
            yield client


@pytest.mark.sshd
@pytest.mark.parametrize("target", ["local", "pc"])
async def test_arguments_environment_and_folder_reach_the_kernel(
    started: Started, target: str
) -> None:
    await started.switch(target)
    result = await started.run(STARTED)
    # What is said of a machine stays with it.
    home = started.desktop.sshd.home if target == "pc" else os.environ["HOME"]
    notebook = f"{started.folder}/My notebook.ipynb"
    assert result.target == target
    assert result.text().splitlines() == [
        ":memory: all",
        f"yes, é {home}",
        f"{notebook} {notebook}",
        str(started.folder),
    ]


@pytest.mark.sshd
async def test_history_is_one_also_where_it_is_only_in_memory(started: Started) -> None:
    await started.switch("pc")
    there = await started.run("m_there = 1")
    await started.switch("local")
    here = await started.run("m_here = 2")
    tail = await history(started, "tail", n=50)
    assert [(e[1], e[2]) for e in tail if e[2].startswith("m_")] == [
        (there.count, "m_there = 1"),
        (here.count, "m_here = 2"),
    ]
