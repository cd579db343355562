"""The clock of sessions and leases."""

from __future__ import annotations

import time

import pytest

from relay_kernel.link import clock


@pytest.mark.alone
def test_it_counts_seconds() -> None:
    began, here = clock.now(), time.monotonic()
    time.sleep(0.01)
    assert clock.now() - began == pytest.approx(time.monotonic() - here, abs=0.005)


def test_it_counts_what_the_machine_slept_where_it_can() -> None:
    if not hasattr(time, "CLOCK_BOOTTIME"):
        pytest.skip("this system has no clock that goes on in a suspend")
    assert clock.now() == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), abs=1.0)


def test_without_such_a_clock_the_monotonic_one_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "_BOOTTIME", None)
    assert clock.now() == pytest.approx(time.monotonic(), abs=1.0)
