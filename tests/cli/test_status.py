"""What ``relay status`` believes of the files that processes leave behind."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from relay_kernel.cli.status import collect

if TYPE_CHECKING:
    from pathlib import Path

    from relay_kernel.settings.paths import Places


def left_behind(path: Path, content: dict[str, object], *, age: float) -> None:
    """A file of a process with our own number, written so many seconds ago."""
    path.write_text(json.dumps({"pid": os.getpid(), **content}))
    written = path.stat().st_mtime - age
    os.utime(path, (written, written))


def test_the_number_of_a_dead_process_that_another_has_now(places: Places) -> None:
    """As after a power cut: what it wrote is still there."""
    left_behind(places.kernels / "book.json", {"kernel": {"id": "book"}, "targets": {}}, age=1e6)
    assert collect(places)["kernels"] == []


def test_a_process_that_lives(places: Places) -> None:
    left_behind(places.kernels / "book.json", {"kernel": {"id": "book"}, "targets": {}}, age=0)
    assert collect(places)["kernels"] == [{"id": "book"}]


def test_a_target_that_dials_in_is_what_the_hub_says(places: Places) -> None:
    places.config.write_text("[targets.pc]\ndials_in = true\n")
    assert collect(places)["targets"]["pc"]["phase"] == "absent"
    seen = {"phase": "linked", "since": "2026-11-22T18:11:06+00:00", "host": "desk"}
    left_behind(places.hub_status, {"targets": {"pc": seen}}, age=0)
    found = collect(places)["targets"]["pc"]
    # Else the fixture would take us for the hub, and end us.
    places.hub_status.unlink()
    assert {key: found[key] for key in seen} == seen
