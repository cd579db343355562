"""Each known way to get a copy of a notebook wrong, tried on real kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.inkernel.traps import TRAPS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.inkernel.rig import Pair

#: Traps in which a copy differs by the user's own wish; the original is kept where it is.
LOSSY = {"the user's own way of packing"}
#: A trap in which something must stay behind, and so is no problem-free copy.
LEAVES = {"a generator stays where it is and is not run again"}

#: Bytes: most values here have several chunks, as only large ones of users have.
CHUNK = 256

#: A switch after every cell, from either side.
ROUTES = ("ba" * 10, "ab" * 10)


@pytest.mark.parametrize("name", [name for name in TRAPS if name not in LOSSY | LEAVES])
def test_a_switch_after_every_cell_is_not_noticed(pair: Pair, name: str, tmp_path: Path) -> None:
    """A user whose PC comes and goes would find other values, or none."""
    cells, check = TRAPS[name]
    for number, route in enumerate(ROUTES):
        folder = tmp_path / str(number)
        folder.mkdir()
        whole = [cell.replace("@DIR@", str(folder)) for cell in [*cells, check]]
        pair.reset()
        last = pair.a if route[len(cells)] == "a" else pair.b
        assert not any(pair.journey(whole, route[: len(whole)]))
        last.assert_ok()


@pytest.mark.parametrize("name", TRAPS)
def test_standby_goes_on_as_the_primary_would(pair: Pair, name: str, tmp_path: Path) -> None:
    """A user would find other values, or none, after the PC went away."""
    cells, check = TRAPS[name]
    for cell in cells:
        manifest = pair.cell(cell.replace("@DIR@", str(tmp_path)))
        assert pair.problems == {}
        assert name in LEAVES or manifest["left_behind"] == {}
    pair.a.check(check.replace("@DIR@", str(tmp_path)))


@pytest.mark.parametrize("name", TRAPS)
def test_what_went_there_and_back_is_the_same(pair: Pair, name: str, tmp_path: Path) -> None:
    """A user would find other values, or none, after the PC came back."""
    cells, check = TRAPS[name]
    for cell in cells:
        pair.cell(cell.replace("@DIR@", str(tmp_path)))
    before = pair.chunks()
    manifest = pair.back()
    assert pair.problems == {}
    assert pair.chunks() == before, "nothing changed, so nothing may move"
    assert set(manifest["chunks"]) <= before
    if name not in LEAVES | LOSSY:
        pair.b.check(check.replace("@DIR@", str(tmp_path)))
