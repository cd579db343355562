"""Fixtures that many tests share."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

import psutil
import pytest

from relay_kernel.hub.status import read_status
from relay_kernel.settings.paths import Places, find_places
from tests.sshd import pc

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["pc", "places"]


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> Iterator[Places]:
    """This user's folders on the server, below ``RELAY_HOME``, made. Short, for its sockets."""
    with tempfile.TemporaryDirectory(prefix="server-", ignore_cleanup_errors=True) as home:
        monkeypatch.setenv("RELAY_HOME", home)
        found = find_places().make()
        yield found
        end_hub(found)


def end_hub(places: Places) -> None:
    """End the hub that serves ``places``, whoever started it, and wait for that."""
    status = read_status(places)
    if status is not None:
        hub = psutil.Process(status["pid"])
        hub.terminate()
        hub.wait(10)
