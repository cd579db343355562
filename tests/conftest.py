"""Fixtures that many tests share."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from relay_kernel.hub.lock import AlreadyRunningError, take_lock
from relay_kernel.hub.status import read_status
from relay_kernel.settings.paths import Places, find_places
from tests.processes import wait_ended
from tests.sshd import pc
from tests.turns import OneAfterTheOther, Turns

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["pc", "places"]

#: With ``-n auto``.
MOST_WORKERS = 2


def pytest_configure(config: pytest.Config) -> None:
    """Have Ctrl-C reach what the tests start, and the workers of a run take turns.

    A shell that runs the tests in its background takes Ctrl-C from them.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(config, "workerinput"):
        # Each worker has a folder in that of the run.
        run = Path(config.getoption("basetemp")).parent
        config.pluginmanager.register(OneAfterTheOther(Turns(run)), "turns")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One for each core with ``-n auto``, but no more than what these tests were tried with."""
    return min(MOST_WORKERS, os.cpu_count() or 1)


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> Iterator[Places]:
    """This user's folders on the server, below ``RELAY_HOME``, made. Short, for its sockets."""
    with tempfile.TemporaryDirectory(prefix="server-", ignore_cleanup_errors=True) as home:
        monkeypatch.setenv("RELAY_HOME", home)
        found = find_places().make()
        yield found
        end_hub(found)


def end_hub(places: Places) -> None:
    """End the hub that serves ``places``, whoever started it, and wait for that.

    One that is only just starting has said nothing yet, and holds the lock already.
    """
    deadline = time.monotonic() + 30
    while True:
        status = read_status(places)
        if status is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                hub = psutil.Process(status["pid"])
                hub.terminate()
                wait_ended(hub)
        try:
            take_lock(places).close()
        except AlreadyRunningError:
            assert time.monotonic() < deadline, "the hub does not end"
            time.sleep(0.02)
        except OSError:
            return
        else:
            return
