"""A large state travels at the speed of the line, and nobody has to wait for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.net.push import push

if TYPE_CHECKING:
    from pathlib import Path

    from relay_kernel.settings.paths import Places
    from tests.net.lab import Lab


@pytest.mark.parametrize("fill", [False, True], ids=["after a cell", "when the PC is back"])
async def test_a_small_message_stays_under_a_tenth_of_a_second_behind_a_push(
    lab: Lab, places: Places, tmp_path: Path, fill: bool
) -> None:
    """20 Mbit/s, 20 ms: an interrupt, a line that is printed, a completion."""
    lab.line.delay, lab.line.rate = 0.01, 20e6 / 8
    figures = await push(lab, tmp_path / "pc", 36, fill=fill)
    print(figures)
    assert figures.median < 0.1, figures
    assert figures.p99 < 0.1, figures
    # Of the rest, headers of TCP, IP and SSH take half.
    assert figures.speed > 0.9 * 20e6 / 8, figures


async def test_on_a_slow_line_an_interrupt_can_be_heard(
    lab: Lab, places: Places, tmp_path: Path
) -> None:
    """600 kB/s: the probe that follows an interrupt has some seconds of patience."""
    lab.line.delay, lab.line.rate = 0.01, 600e3
    figures = await push(lab, tmp_path / "pc", 8)
    print(figures)
    assert figures.p99 < 0.5, figures
    assert figures.speed > 0.9 * 600e3, figures
