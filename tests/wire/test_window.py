"""The windows find the size of the line: small messages hardly wait, and it is never idle."""

from __future__ import annotations

import math

import pytest

from relay_kernel.wire.window import (
    LARGEST,
    LONGEST,
    PIECE,
    QUEUE,
    RENEW,
    SMALLEST,
    START,
    RoundTrips,
    Window,
)


class Line:
    """A line of ``rate`` bytes a second and ``delay`` seconds there and back, always full.

    Windows are steered by the pings of one end, one a round trip, as the session does it.
    """

    def __init__(self, rate: float, delay: float, *, floods: int = 1) -> None:
        self.rate, self.delay = rate, delay
        self.trips = RoundTrips()
        self.full = [self.trips.bulk, self.trips.ordinary][:floods]
        self.now = 0.0
        # The first ping is sent before anything else.
        self.trips.measured(delay, self.now)
        self.flying: float = 0
        self.carried = 0.0
        self.waits: list[float] = []

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            ahead = sum(min(window.limit, self.trips.limit) for window in self.full)
            rtt = max(self.delay, ahead / self.rate)
            self.now += rtt
            self.carried += min(ahead, self.rate * rtt)
            self.waits.append(rtt)
            for window in self.full:
                window.held_back = True
            self.trips.measured(rtt, self.now)


@pytest.mark.parametrize("floods", [1, 2])
@pytest.mark.parametrize(
    ("rate", "delay"),
    [(2.5e6, 0.02), (2.5e6, 0.1), (12.5e6, 0.03), (125e6, 0.001), (1.25e6, 0.2)],
    ids=["20 Mbit/s", "far", "100 Mbit/s", "LAN", "other side of the world"],
)
def test_a_full_line_is_used_and_small_messages_hardly_wait(
    rate: float, delay: float, floods: int
) -> None:
    line = Line(rate, delay, floods=floods)
    line.run(3.0)
    line.carried, line.waits, began = 0.0, [], line.now
    line.run(600.0)
    used = line.carried / (line.now - began) / rate
    bound = LARGEST * floods / rate / delay
    assert used > min(0.95, bound * 0.9)
    floor = max(delay, SMALLEST * floods / rate)
    # It does not creep: the empty line is measured again and again behind the smallest window.
    assert max(line.waits) < floor + 1.5 * QUEUE


def test_on_a_slow_line_no_more_than_the_smallest_window_waits() -> None:
    """600 kB/s: an interrupt's probe has to pass it in time."""
    line = Line(600e3, 0.02, floods=2)
    line.run(600.0)
    assert max(line.waits[5:]) < 2 * SMALLEST / 600e3 + 2 * QUEUE


def test_a_window_that_is_not_used_up_does_not_grow() -> None:
    trips = RoundTrips()
    for second in range(100):
        trips.measured(0.02, float(second))
    assert trips.bulk.limit == trips.ordinary.limit == START


def test_a_line_that_got_slower_is_found_out() -> None:
    line = Line(12.5e6, 0.02)
    line.run(5.0)
    wide = line.trips.bulk.limit
    line.rate = 1e6
    line.run(3.0)
    assert line.trips.bulk.limit < wide / 4


def test_a_road_that_got_longer_is_found_out() -> None:
    line = Line(12.5e6, 0.02)
    line.run(5.0)
    line.delay = 0.12
    line.run(3 * RENEW)
    began, line.carried = line.now, 0.0
    line.run(30.0)
    assert line.carried / (line.now - began) / line.rate > 0.9


@pytest.mark.parametrize("seconds", [0.0, 1e-9, 1e6])
def test_bounds_hold_whatever_is_measured(seconds: float) -> None:
    trips = RoundTrips()
    for second in range(100):
        trips.bulk.held_back = True
        trips.measured(seconds, float(second))
        assert SMALLEST <= trips.bulk.limit <= LARGEST
        assert math.isfinite(trips.bulk.limit)


def test_one_frame_of_any_size_may_always_go() -> None:
    """Or it would wait for ever."""
    trips = RoundTrips()
    assert trips.bulk.admits(LARGEST * 2, LARGEST)
    trips.bulk.flying = 1
    assert not trips.bulk.admits(LARGEST, LARGEST)
    assert trips.held_back


@pytest.mark.parametrize(
    ("limit", "piece"),
    [(SMALLEST, PIECE), (START, PIECE), (1 << 20, 64 << 10), (LARGEST, LONGEST)],
)
def test_pieces_are_longer_where_the_window_is_wide(limit: int, piece: int) -> None:
    window = Window()
    window.limit = limit
    assert window.piece == piece
