"""``relay add`` and ``relay remove`` leave alone what the user wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay_kernel.settings.config import ConfigError, load_config
from relay_kernel.settings.edit import add_target, remove_target


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "config.toml"


def test_a_first_target_makes_the_file(file: Path) -> None:
    add_target(file, "pc", ssh="me@pc:22", identity=Path("~/.ssh/k"))
    assert file.read_text() == (
        '[targets.pc]\nssh = "me@pc:22"\nidentity = "~/.ssh/k"\norder = 1\n'
    )
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_further_target_comes_last(file: Path) -> None:
    add_target(file, "b", ssh="b")
    add_target(file, "a", dials_in=True)
    assert [target.name for target in load_config(file).targets] == ["b", "a"]


def test_comments_and_other_keys_stay(file: Path) -> None:
    file.parent.mkdir()
    file.write_text(
        '# my file\n[kernel]  # policy\non_loss = "stop"\n\n'
        '[targets.pc]\n# the big one\nssh = "old"   # at home\norder = 7\n'
    )
    add_target(file, "pc", ssh="new")
    text = file.read_text()
    for kept in ("# my file", "[kernel]  # policy", "# the big one", "# at home", "order = 7"):
        assert kept in text
    assert load_config(file).targets[0].ssh == "new"
    remove_target(file, "pc")
    assert file.read_text().startswith('# my file\n[kernel]  # policy\non_loss = "stop"\n')
    assert load_config(file).targets == ()


def test_a_link_to_the_file_stays_a_link(file: Path, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.toml"
    real.write_text("")
    real.chmod(0o640)
    file.parent.mkdir()
    file.symlink_to(real)
    add_target(file, "pc", ssh="x")
    assert file.is_symlink()
    assert "targets.pc" in real.read_text()
    assert real.stat().st_mode & 0o777 == 0o640


def test_a_wrong_file_is_not_touched(file: Path) -> None:
    file.parent.mkdir()
    file.write_text("[kernel]\nzzz = 1\n")
    with pytest.raises(ConfigError):
        add_target(file, "pc", ssh="x")
    assert file.read_text() == "[kernel]\nzzz = 1\n"


def test_a_wrong_wish_is_not_written(file: Path) -> None:
    with pytest.raises(ConfigError):
        add_target(file, "local", ssh="x")
    assert not file.exists()


def test_removing_a_stranger_names_the_known(file: Path) -> None:
    add_target(file, "pc", ssh="x")
    with pytest.raises(ConfigError, match="has no target desk; it has: pc"):
        remove_target(file, "desk")
