"""Fixtures of the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sshd import make_key

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of who types the command."""
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    (tmp_path / "user").mkdir()
    return tmp_path / "user"


@pytest.fixture
def key(tmp_path: Path) -> str:
    """The line of a public key."""
    return make_key(tmp_path / "key").with_suffix(".pub").read_text().strip()
