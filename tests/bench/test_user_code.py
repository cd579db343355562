"""The bench of user code, with one kernel and two cells."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from tests.bench import user_code
from tests.bench.rivals import Relay
from tests.bench.user_code import behind_captures, slowed

pytestmark = [pytest.mark.sshd, pytest.mark.timeout(300)]


def test_user_code_is_compared_with_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(user_code, "KERNELS", 1)
    monkeypatch.setattr(user_code, "CELLS", 2)
    slowed((Relay,), Path(sys.executable))
    loops = capsys.readouterr().out.strip().split("\n\n")
    assert len(loops) == len(user_code.LOOPS)
    assert all("relay-kernel" in found and "nothing" in found for found in loops)


def test_a_step_is_found_whatever_the_minute_does() -> None:
    chance = random.Random(1)
    behind = [chance.random() < 0.5 for _ in range(3000)]
    logs = [0.02 * was + number / 1000 + chance.gauss(0, 0.02) for number, was in enumerate(behind)]
    more, error = user_code._step(behind, logs)
    assert abs(more - 0.02) < 3 * error < 0.003


def test_a_cell_behind_a_capture_is_compared_with_its_neighbours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(user_code, "TOSSED", 20)
    behind_captures(Path(sys.executable))
    assert capsys.readouterr().out.count("behind a capture: ") == len(user_code.LOOPS)
