"""What a notebook does at its end, where its variables are."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.e2e.rig import SOON

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.rig import Notebook, Pc

pytestmark = pytest.mark.sshd


def said(path: Path, words: str) -> str:
    """A cell that has its kernel say something at its end."""
    return (
        "import atexit, time\ndef farewell(words):\n    time.sleep(0.5)\n"
        f"    with open({str(path)!r}, 'a') as file: file.write(words)\n"
        f"atexit.register(farewell, {words!r})"
    )


@pytest.mark.parametrize("target", ["local", "pc"])
async def test_it_ends_as_one_kernel_alone_does(
    notebook: Notebook, tmp_path: Path, target: str
) -> None:
    path = tmp_path / "farewell"
    await notebook.run(f"%%relay {target}\n" + said(path, "first "))
    await notebook.restart()
    assert path.read_text() == "first "
    await notebook.run(f"%%relay {target}\n" + said(path, "second"))
    await notebook.manager.shutdown_kernel()
    assert path.read_text() == "first second"


async def test_one_that_does_not_end_is_killed(notebook: Notebook, desktop: Pc) -> None:
    await notebook.run("%%relay pc\nimport atexit, time; atexit.register(time.sleep, 600)")
    await notebook.manager.shutdown_kernel()
    async with asyncio.timeout(SOON):
        while desktop.named("ipykernel_launcher"):
            await asyncio.sleep(0.05)


async def test_copies_say_nothing(notebook: Notebook, desktop: Pc, tmp_path: Path) -> None:
    """They end when the notebook goes on elsewhere."""
    path = tmp_path / "farewell"
    await notebook.run("%%relay pc\n" + said(path, "of the pc"))
    await notebook.run("%%relay local\nx = 1")
    await notebook.manager.shutdown_kernel()
    async with asyncio.timeout(SOON):
        while desktop.named("ipykernel_launcher"):
            await asyncio.sleep(0.05)
    assert not path.exists()
