"""The traps of a copied state, over a real R: the notebook changes machines after every cell."""

from __future__ import annotations

import itertools
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
    "macro and captured output",
}
#: Sessions for all of them.
PARTS = 2
FIT = [name for name in TRAPS if name not in LOSSY | LEAVES | NUMBERED]


async def travel(notebook: Notebook, name: str, folder: Path, first: str) -> None:
    """Run one trap, every cell somewhere else than the one before."""
    await notebook.run("%reset -f")
    cells, check = TRAPS[name]
    places = itertools.cycle(["local", "pc"] if first == "local" else ["pc", "local"])
    for number, (cell, target) in enumerate(zip([*cells, check], places, strict=False)):
        result = await notebook.run(f"%%relay {target}\n" + cell.replace("@DIR@", str(folder)))
        assert result.target == target, f"{name}: cell {number} ran at {result.target}"
        assert result.notices == "", f"{name}: cell {number}: {result.notices}"
    assert result.status == "ok", f"{name}: {result.error}"


async def journey(notebook: Notebook, names: list[str], folder: Path, first: str) -> None:
    """Run traps one after the other in one session; tell of all that fail."""
    wrong = []
    for number, name in enumerate(names):
        home = folder / f"trap-{number}"
        home.mkdir()
        try:
            await travel(notebook, name, home, first)
        except AssertionError as error:
            wrong.append(str(error).splitlines()[0])
    assert not wrong, "\n".join(wrong)


@pytest.mark.sshd
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("first", ["local", "pc"])
async def test_all_traps_over_r(notebook: Notebook, tmp_path: Path, first: str, part: int) -> None:
    """A user who goes to and fro between server and PC would find other values."""
    await journey(notebook, FIT[part::PARTS], tmp_path, first)
