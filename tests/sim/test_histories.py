"""Whatever befalls lines, machines and processes: no work is lost in silence, every cell ends."""

from __future__ import annotations

import pytest

from tests.sim.figures import CI, Figures, live
from tests.sim.history import History, narrow
from tests.sim.oracle import Broken
from tests.sim.planted import FAULTS, Fault

#: Histories in which a planted fault must be found.
ENOUGH = 200


@pytest.fixture(scope="module")
def figures() -> Figures:
    """Of all the histories of a CI run."""
    return live(range(CI))


@pytest.mark.timeout(240)
def test_no_rule_is_broken(figures: Figures) -> None:
    tell = "\n".join(
        f"{why}\n    python -m tests.sim --seed {seed} --trace" for seed, why in figures.failures
    )
    assert not figures.failures, tell


def test_what_is_rare_has_happened(figures: Figures) -> None:
    """A history in which nothing goes wrong proves nothing."""
    assert figures.missing == {}


def test_a_seed_tells_the_same_history_each_time() -> None:
    def told(seed: int) -> list[str]:
        lines: list[str] = []
        with narrow():
            History(seed, trace=lines.append).run()
        return lines

    assert told(3) == told(3)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_planted_fault_is_found(fault: Fault) -> None:
    """By one of the rules that it breaks: elsewhere it would be found by luck."""
    with narrow(), fault.plant():
        assert any(_breaks(fault, seed) for seed in range(ENOUGH)), "it went unnoticed"


def _breaks(fault: Fault, seed: int) -> bool:
    try:
        History(seed, fault.parts, remote=fault.remote).run()
    except Broken as broken:
        return broken.rule in fault.rules
    return False
