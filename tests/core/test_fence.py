"""A lease ends before R gives anything away, by whatever clocks the two ends have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_kernel.core.fence import Fence, Terms, heartbeat, terms
from relay_kernel.core.model import Policy

POLICY = Policy(lost_after=60, wait_at_submit=4)


def leased(**about: object) -> Fence:
    fence = Fence(terms=terms(POLICY), **about)
    fence.renew(100.0)
    return fence


def test_an_older_epoch_is_refused_and_a_newer_one_raises_ours() -> None:
    fence = Fence(epoch=3)
    assert [fence.admit(epoch) for epoch in (2, 3, 5, 4)] == [False, True, True, False]
    assert fence.epoch == 5


def test_without_terms_it_never_closes() -> None:
    fence = Fence()
    fence.renew(0.0)
    assert fence.next_deadline() is None
    assert not fence.is_closed(1e9)


def test_before_the_first_answer_nothing_counts() -> None:
    assert not Fence(terms=terms(POLICY)).is_closed(1e9)


def test_with_a_cell_it_lasts_as_long_as_a_cell_is_waited_for() -> None:
    fence = leased(busy=True)
    assert not fence.is_closed(144.9)
    assert fence.is_closed(145.0)


def test_between_cells_it_is_shorter() -> None:
    assert leased().next_deadline() == 103.0


def test_an_answer_opens_it_again() -> None:
    fence = leased(busy=True)
    assert fence.is_closed(200)
    fence.renew(199)
    assert not fence.is_closed(200)


def test_an_answer_that_comes_late_counts_from_its_question() -> None:
    fence = leased(busy=True)
    fence.renew(90.0)
    assert fence.next_deadline() == 145.0


def test_who_never_waits_gives_no_lease_for_that() -> None:
    assert terms(Policy(lost_after=10, wait_at_submit=0)) == Terms(busy=7.5, idle=None)


@pytest.mark.parametrize(
    ("policy", "beat"),
    [
        (Policy(), 1.0),
        (Policy(wait_at_submit=0.4), 0.1),
        (Policy(lost_after=2, wait_at_submit=100), 0.5),
        (Policy(wait_at_submit=0), 1.0),
    ],
)
def test_pings_are_sent_often_enough_to_renew_it(policy: Policy, beat: float) -> None:
    assert heartbeat(policy, 1.0) == pytest.approx(beat)


@given(
    sent=st.floats(0, 1e6),
    delay=st.floats(0, 100),
    speed=st.floats(0.8, 1.25),
    busy=st.booleans(),
)
def test_it_ends_before_r_gives_the_role_away(
    sent: float, delay: float, speed: float, busy: bool
) -> None:
    """R hears a ping ``delay`` after it was sent, and waits its time from there.

    ``speed`` is how fast the agent's clock runs by R's.
    """
    fence = Fence(terms=terms(POLICY), busy=busy)
    fence.renew(sent * speed)
    given_away = sent + delay + (POLICY.lost_after if busy else POLICY.wait_at_submit)
    assert fence.is_closed(given_away * speed + 1e-6)
