"""The traps of a copied state, over a real R: the notebook changes machines after every cell."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.inkernel.test_traps import LEAVES, LOSSY
from tests.inkernel.traps import TRAPS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.rig import Notebook

#: Traps that speak of cells by their numbers, which go on in one session.
NUMBERED = {
    "results are values like others",
    "In, Out and the count go on",
    "a name of IPython's that the user took and gave back",
}
FIT = [name for name in TRAPS if name not in LOSSY | LEAVES | NUMBERED]
#: Enough of them to see that each part of the way works; the rest is slow.
SOME = FIT[::7]


async def travel(notebook: Notebook, name: str, folder: Path) -> None:
    """Run one trap, every cell somewhere else than the one before."""
    await notebook.run("%reset -f")
    cells, check = TRAPS[name]
    for number, cell in enumerate([*cells, check]):
        target = ("local", "pc")[number % 2]
        result = await notebook.run(f"%%relay {target}\n" + cell.replace("@DIR@", str(folder)))
        assert result.target == target, f"{name}: cell {number} ran at {result.target}"
        assert result.notices == "", f"{name}: cell {number}: {result.notices}"
    assert result.status == "ok", f"{name}: {result.error}"


async def journey(notebook: Notebook, names: list[str], folder: Path) -> None:
    """Run traps one after the other in one session; tell of all that fail."""
    wrong = []
    for number, name in enumerate(names):
        home = folder / f"trap-{number}"
        home.mkdir()
        try:
            await travel(notebook, name, home)
        except AssertionError as error:
            wrong.append(str(error).splitlines()[0])
    assert not wrong, "\n".join(wrong)


@pytest.mark.sshd
async def test_some_traps_over_r(notebook: Notebook, tmp_path: Path) -> None:
    """A user who goes to and fro between server and PC would find other values."""
    await journey(notebook, SOME, tmp_path)


@pytest.mark.sshd
@pytest.mark.timeout(1200)
@pytest.mark.skipif("RELAY_SLOW" not in os.environ, reason="takes minutes: set RELAY_SLOW=1")
async def test_all_traps_over_r(notebook: Notebook, tmp_path: Path) -> None:
    """As above, with every trap that can share a session with others."""
    await journey(notebook, FIT, tmp_path)
