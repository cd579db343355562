"""input(), getpass and pdb: the one who runs the cell is asked, and nobody else."""

from __future__ import annotations

import asyncio
import queue
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jupyter_client.asynchronous.client import AsyncKernelClient

    from tests.conformance.rig import Client

pytestmark = pytest.mark.asyncio(loop_scope="module")


@asynccontextmanager
async def a_second(book: Client) -> AsyncIterator[AsyncKernelClient]:
    """A second front end of the same notebook, that listens."""
    client = book.another()
    client.start_channels()
    await client.wait_for_ready(timeout=30)
    try:
        yield client
    finally:
        client.stop_channels()


async def reply_to(client: AsyncKernelClient, asked: str) -> dict[str, Any]:
    """Wait for the reply to a request; what else comes is passed over."""
    async with asyncio.timeout(30):
        while True:
            message = await client.get_shell_msg(timeout=30)
            if message["parent_header"]["msg_id"] == asked:
                return message


async def test_only_the_client_that_asked_to_run_it_is_asked(book: Client) -> None:
    asked_first: list[dict[str, Any]] = []
    book.answer = asked_first.append
    async with a_second(book) as second:
        cell = second.execute("name = input('name? ')")
        question = await second.get_stdin_msg(timeout=30)
        assert question["parent_header"]["msg_id"] == cell
        assert question["content"] == {"prompt": "name? ", "password": False}
        second.input("Grace")
        assert (await reply_to(second, cell))["content"]["status"] == "ok"
    assert (await book.run("name")).value == "'Grace'"
    assert asked_first == []


async def test_getpass_says_that_it_is_a_secret(book: Client) -> None:
    asked: list[dict[str, Any]] = []

    def answer(message: dict[str, Any]) -> None:
        asked.append(message["content"])
        book.client.input("s3cret")

    book.answer = answer
    result = await book.run("import getpass; getpass.getpass('key? ')")
    assert result.value == "'s3cret'"
    assert asked == [{"prompt": "key? ", "password": True}]


async def test_who_cannot_be_asked_is_told_so(book: Client) -> None:
    result = await book.run("input()", allow_stdin=False)
    assert result.reply["content"]["ename"] == "StdinNotImplementedError"


async def test_an_answer_to_nothing_answers_nothing(book: Client) -> None:
    book.client.input("stale")
    # A request that R takes after it, so that it has been passed on.
    await book.run("pass")
    book.answer = lambda message: book.client.input("right")
    assert (await book.run("input('now? ')")).value == "'right'"


async def test_interrupt_ends_a_question(book: Client) -> None:
    asked = asyncio.Event()
    book.answer = lambda message: asked.set()
    cell = book.send("input('forever? ')")
    await asyncio.wait_for(asked.wait(), 30)
    await book.manager.interrupt_kernel()
    assert (await cell.end(10)).reply["content"]["ename"] == "KeyboardInterrupt"


@pytest.mark.parametrize("begin", ["import pdb; pdb.set_trace()", "%debug"])
async def test_pdb(book: Client, begin: str) -> None:
    code = "def f(n):\n    inside = n * 2\n    BEGIN\n    return inside\nf(21)\n"
    if begin == "%debug":
        failed = await book.run(code.replace("BEGIN", "raise ValueError(inside)"))
        assert failed.status == "error"
        code = "%debug"
    said = iter(["p inside", "u", "p 'caller'", "q" if begin == "%debug" else "c"])
    prompts: list[str] = []

    def answer(message: dict[str, Any]) -> None:
        prompts.append(message["content"]["prompt"])
        book.client.input(next(said))

    book.answer = answer
    result = await book.run(code.replace("BEGIN", begin))
    assert result.status == "ok"
    assert len(prompts) == 4
    assert {prompt.strip("() ") for prompt in prompts} <= {"ipdb>", "Pdb", "ipdb"}
    assert "42\n" in result.text()
    assert "'caller'\n" in result.text()
    assert next(said, None) is None


async def test_nobody_is_asked_after_it_is_over(book: Client) -> None:
    """The checks above have left no question behind."""
    book.answer = lambda message: book.client.input("x")
    assert (await book.run("1 + 1")).value == "2"
    with pytest.raises(queue.Empty):
        await book.client.stdin_channel.get_msg(timeout=0)
