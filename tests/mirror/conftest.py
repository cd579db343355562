"""A Jupyter for each test."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.rig import end_hub
from tests.mirror.rig import Jupyter

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def jupyter() -> Iterator[Jupyter]:
    """Somebody's Jupyter. Its path is short, for the sockets of its kernels."""
    with tempfile.TemporaryDirectory(prefix="jupyter-", ignore_cleanup_errors=True) as home:
        yield Jupyter(Path(home))
        end_hub_of(Path(home) / "relay")


def end_hub_of(relay_home: Path) -> None:
    """End the hub that a kernel may have started."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RELAY_HOME", str(relay_home))
        from relay_kernel.settings.paths import find_places

        end_hub(find_places())
