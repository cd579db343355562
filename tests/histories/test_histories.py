"""A person sees no difference: some random histories in every run, a hundred by one command."""

from __future__ import annotations

import multiprocessing

import pytest

from tests.histories.history import Outcome, run

pytestmark = pytest.mark.sshd

SEEDS = [1, 2, 3]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_notebook_in_any_weather_equals_one_ipykernel(seed: int) -> None:
    assert apart(seed).differences == []


def apart(seed: int) -> Outcome:
    """Run a history in a process of its own: it moves into another network."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(run, (seed,))
