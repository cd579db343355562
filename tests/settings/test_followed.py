"""``config.toml`` while it is edited."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from relay_kernel.settings.config import Config, ConfigError
from relay_kernel.settings.followed import FollowedConfig

if TYPE_CHECKING:
    from pathlib import Path

ONE = '[targets.pc]\nssh = "me@192.0.2.7"\n'
TWO = f'{ONE}[targets.lab]\nssh = "me@192.0.2.8"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def names(config: FollowedConfig) -> list[str]:
    return [target.name for target in config.now.targets]


def put(file: Path, text: str) -> None:
    """As an editor does it, and as we do."""
    new = file.with_suffix(".new")
    new.write_text(text)
    new.replace(file)


def test_none_is_one_that_says_nothing_until_it_is_there(file: Path) -> None:
    config = FollowedConfig(file)
    assert config.look()
    assert config.now == Config()
    assert not config.look()
    put(file, ONE)
    assert config.look()
    assert names(config) == ["pc"]
    file.unlink()
    assert config.look()
    assert names(config) == []


def test_it_is_read_once_for_each_change(file: Path) -> None:
    put(file, ONE)
    config = FollowedConfig(file)
    assert [config.look(), config.look()] == [True, False]
    put(file, TWO)
    assert [config.look(), config.look()] == [True, False]
    assert names(config) == ["lab", "pc"]


def test_a_wrong_one_is_told_once_and_changes_nothing(file: Path) -> None:
    put(file, ONE)
    config = FollowedConfig(file)
    config.look()
    put(file, "[targets.pc]\nssh = 7\n")
    with pytest.raises(ConfigError, match="ssh"):
        config.look()
    assert not config.look()
    assert names(config) == ["pc"]
    assert "ssh" in str(config.wrong)
    put(file, ONE)
    assert config.look()
    assert config.wrong is None
