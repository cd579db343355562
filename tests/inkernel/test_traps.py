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
