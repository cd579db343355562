"""What a page may ask for over the ``relay`` comm, and what is no wish."""

from __future__ import annotations

import json
from typing import Any

import pytest

from relay_kernel.core.overview import (
    VERSION,
    FilesView,
    Look,
    Overview,
    TargetView,
    Use,
    Watch,
    WishError,
    wish_of,
)

TARGETS = ("pc", "local")


@pytest.mark.parametrize(
    ("data", "wish"),
    [
        ({}, Look()),
        (None, Look()),
        ({"do": "look", "more": 1}, Look()),
        ({"do": "watch"}, Watch()),
        ({"do": "use", "target": "pc"}, Use("pc")),
        ({"do": "use", "target": "auto"}, Use(None)),
    ],
)
def test_wishes(data: Any, wish: object) -> None:
    assert wish_of(data, TARGETS) == wish


@pytest.mark.parametrize(
    "data",
    [
        {"do": "use"},
        {"do": "use", "target": None},
        {"do": "use", "target": "mars"},
        {"do": "use", "target": ["pc"]},
        {"do": "restart"},
        {"do": None},
        {"do": {"do": "use"}},
    ],
)
def test_what_is_no_wish_is_one_line(data: Any) -> None:
    with pytest.raises(WishError) as caught:
        wish_of(data, TARGETS)
    assert "\n" not in str(caught.value)


def test_an_overview_is_json_with_its_version() -> None:
    target = TargetView("local", "ready", 1.0, "", "box", None, True, 0, None, None)
    files = FilesView(False, "there is no target", {}, (), 0)
    overview = Overview(
        *("local", 1, "auto", "rerun", 0, 0, 0, 0, None, 0, (target,), (), 0, files, (), None)
    )
    said = json.loads(json.dumps(overview.to_json()))
    assert said["version"] == VERSION
    assert said["targets"][0]["is_primary"] is True
