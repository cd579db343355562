"""Whose turn it is, among the workers of pytest-xdist: tests marked ``alone`` run beside no other.

Such a test measures a time, and another one on the next core would be measured with it. They come
first and one after the other, so that the other workers wait once, and have little open by then.
"""

from __future__ import annotations

import fcntl
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

MARK = "alone"


class Turns:
    """The turns of one worker. A worker that dies leaves its turn: the kernel drops its locks.

    Whoever wants a turn passes the gate. One who wants to be alone keeps the gate shut until the
    room is empty, so that it is not kept waiting by others who come and go.
    """

    def __init__(self, folder: Path) -> None:
        """Args: folder: the same for all workers of a run, and for nobody else."""
        self._gate = (folder / "gate").open("w")
        self._room = (folder / "room").open("w")
        self._alone = False

    def begin(self, *, alone: bool) -> None:
        """Wait for a turn. One that is alone already stays so, and waits for nobody."""
        if alone and self._alone:
            return
        fcntl.flock(self._gate, fcntl.LOCK_EX)
        fcntl.flock(self._room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(self._gate, fcntl.LOCK_UN)
        self._alone = alone

    def end(self) -> None:
        """Let the others in."""
        self._alone = False
        fcntl.flock(self._room, fcntl.LOCK_UN)

    def close(self) -> None:
        """End for good."""
        self._room.close()
        self._gate.close()


class OneAfterTheOther:
    """The plugin of a worker."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Put those first that run alone; the order is the same in every worker."""
        items.sort(key=lambda item: not wants_to_be_alone(item))

    # Outside of everything else: the timeout of a test counts from when it has its turn.
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        """Run a test when it is its turn, with what it sets up and tears down."""
        alone = wants_to_be_alone(item)
        self._turns.begin(alone=alone)
        try:
            return (yield)
        finally:
            if not (alone and nextitem is not None and wants_to_be_alone(nextitem)):
                self._turns.end()

    def pytest_unconfigure(self) -> None:
        """Leave nothing open."""
        self._turns.close()


def wants_to_be_alone(item: pytest.Item) -> bool:
    """Whether a test is marked so, or its class or file."""
    return item.get_closest_marker(MARK) is not None
