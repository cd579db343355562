"""Two folders that are about to be kept equal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.files.duo import Duo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def duo(tmp_path: Path) -> AsyncIterator[Duo]:
    """A server and a target; no link yet, both folders empty."""
    async with Duo(tmp_path) as duo:
        yield duo


@pytest.fixture
async def linked(duo: Duo) -> Duo:
    """The same, linked and at rest."""
    await duo.link()
    await duo.equal()
    return duo
