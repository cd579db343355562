"""Whole notebooks that move to the other kernel after every cell do what they do on one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.inkernel import describe
from tests.inkernel.rig import Kernel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.inkernel.rig import Pair

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.py"))
#: Notebook -> a package that it needs and that the tests do not insist on.
NEEDS = {"torch_mlp": "torch", "sklearn_model": "sklearn", "matplotlib_panels": "matplotlib"}
#: Memory addresses in what cells show.
ADDRESS = re.compile(r"0x[0-9a-f]+")


def cells_of(notebook: Path) -> list[str]:
    """The cells of a notebook, which are marked by ``# %%``."""
    _, *cells = re.split(r"^# %%.*\n", notebook.read_text(), flags=re.MULTILINE)
    return [cell.strip() for cell in cells]


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel that nothing ever leaves."""
    folder = tmp_path_factory.mktemp("truth")
    kernel = Kernel(folder / "store", "nowhere", folder)
    kernel.empty = kernel.capture()
    yield kernel
    kernel.stop()


def ended(kernel: Kernel) -> tuple[str, str, str]:
    """What a user saw of the last cell."""
    reply = kernel.reply
    return reply["status"], reply.get("evalue", ""), ADDRESS.sub("0x", kernel.shown())


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_does_not_notice_that_it_moves(
    pair: Pair, truth: Kernel, notebook: Path
) -> None:
    """A user would get other results because the PC came and went."""
    if notebook.stem in NEEDS:
        pytest.importorskip(NEEDS[notebook.stem])
    assert truth.apply(truth.empty) == {}
    here, there = pair.b, pair.a
    for number, cell in enumerate(cells_of(notebook), 1):
        truth.run(cell)
        here.run(cell)
        assert ended(here) == ended(truth), f"cell {number}"
        manifest = here.capture()
        assert manifest["left_behind"] == {}, f"cell {number}"
        assert there.apply(manifest) == {}, f"cell {number}"
        here, there = there, here
    for kernel in (truth, here):
        kernel.run(describe.cell(set()), silent=True)
    wanted, found = truth.shown().splitlines(), here.shown().splitlines()
    assert found == wanted
