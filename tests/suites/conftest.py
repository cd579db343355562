"""Fixtures of the end-to-end tests that serve here, too, and two kernels of any interpreter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import server
from tests.inkernel.rig import Pair

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["server"]


@pytest.fixture
def pair(python: Path, tmp_path: Path) -> Iterator[Pair]:
    """Two kernels of the module's ``python``, in which nothing is imported yet."""
    pair = Pair(tmp_path, python)
    pair.a.patience = pair.b.patience = 120
    yield pair
    pair.stop()
