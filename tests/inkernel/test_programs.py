"""A program that moves between two kernels does what it does on one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.inkernel.programs import Programs
from tests.inkernel.rig import Kernel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.inkernel.rig import Pair

#: Bytes: most values here have several chunks, as only large ones of users have.
CHUNK = 64
#: Always the same programs; ``python -m tests.inkernel`` runs others.
SETTINGS = settings(
    max_examples=60,
    stateful_step_count=12,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def truth(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel that nothing ever leaves."""
    folder = tmp_path_factory.mktemp("truth")
    kernel = Kernel(folder / "store", "nowhere", folder)
    yield kernel
    kernel.stop()


def test_random_programs_do_not_notice_that_they_move(kernels: Pair, truth: Kernel) -> None:
    """A user would find other values than without a switch, and no word about it."""
    Programs.pair, Programs.truth, Programs.truth_empty = kernels, truth, truth.capture()
    run_state_machine_as_test(Programs, settings=SETTINGS)
