"""A short piece of `python -m tests.files.chaos`, and that its onlookers see what is torn."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest

from tests.files.chaos.onlooker import Onlooker
from tests.files.chaos.play import History
from tests.files.chaos.values import record
from tests.files.real import served

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.sshd
@pytest.mark.timeout(240)
async def test_nothing_is_lost_torn_or_raised_from_the_dead(tmp_path: Path) -> None:
    seed = random.randrange(1 << 20)
    with served(tmp_path) as (real, cut):
        await real.linked()
        await real.equal()
        with History(real, cut, tmp_path, seed) as history:
            verdict = await history.play(seconds=15.0)
    print(f"seed {seed}: {verdict.figures}")
    assert verdict.wrong == []
    assert verdict.figures["values"] > 50
    assert verdict.figures["reads"] > 1000


@pytest.mark.parametrize(
    ("path", "content", "torn"),
    [
        ("f", record("pc-1", 30), False),
        ("f", record("pc-1", 30)[:-1], True),
        ("f", b"", True),
        ("f", record("pc-1", 30)[:20] + record("pc-2", 30)[20:], True),
        ("f.log", record("pc-1", 30) + record("pc-2", 30)[:-1], False),
        ("f.log", record("pc-1", 30)[:-1] + record("pc-2", 30), True),
        ("f (pc 2026-01-01).log", b"", False),
    ],
)
def test_an_onlooker_knows_what_is_whole(
    tmp_path: Path, path: str, content: bytes, torn: bool
) -> None:
    (tmp_path / path).write_bytes(content)
    onlooker = Onlooker(os.fsencode(tmp_path))
    onlooker.round()
    assert bool(onlooker.sightings) == torn
    assert onlooker.read == 1
