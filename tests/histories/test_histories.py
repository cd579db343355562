"""A person sees no difference: some random histories in every run, a hundred by one command."""

from __future__ import annotations

import pytest

from tests.histories.history import run
from tests.net.notebook import apart

pytestmark = pytest.mark.sshd

SEEDS = [1, 2, 3]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_notebook_in_any_weather_equals_one_ipykernel(seed: int) -> None:
    assert apart(run, seed).differences == []
