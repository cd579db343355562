"""The folders are private, also where another user could have made them first."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from relay_kernel.core.errors import RelayError
from relay_kernel.settings.paths import Places, find_places


def test_relay_home_holds_everything(places: Places) -> None:
    home = Path(os.environ["RELAY_HOME"])
    assert places.config == home / "config.toml"
    assert places.known_hosts == home / "state" / "known_hosts"
    assert places.log == home / "log"
    for folder in (places.run, places.state, places.kernels):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_a_socket_fits_below_a_long_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_HOME", str(tmp_path / ("deep" * 30)))
    places = find_places()
    assert len(os.fsencode(places.kernels / "k0123456789ab" / "stdin-5")) <= 107
    assert places == find_places()


def test_an_open_run_folder_is_closed(places: Places) -> None:
    places.run.chmod(0o777)
    places.make()
    assert places.run.stat().st_mode & 0o777 == 0o700


def test_a_run_folder_that_is_a_link_is_refused(places: Places, tmp_path: Path) -> None:
    places.kernels.rmdir()
    places.run.rmdir()
    places.run.symlink_to(tmp_path)
    with pytest.raises(RelayError, match="is not a real folder"):
        places.make()


def test_a_run_folder_that_is_a_file_is_refused(places: Places) -> None:
    places.kernels.rmdir()
    places.run.rmdir()
    places.run.write_text("")
    with pytest.raises(RelayError, match="cannot be made"):
        places.make()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_run_folder_of_another_user_is_refused(places: Places) -> None:
    os.chown(places.run, 12345, 12345)
    with pytest.raises(RelayError, match="belongs to user 12345"):
        places.make()


def test_a_login_session_changes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Else a service, a cron job and an SSH session would have a hub each."""
    monkeypatch.delenv("RELAY_HOME", raising=False)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    without = find_places()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "session"))
    assert find_places() == without
    assert without.run.is_relative_to(tmp_path / ".local" / "state") or "relay-" in without.run.name


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o702])
def test_a_parent_that_others_may_change_is_closed(places: Places, mode: int) -> None:
    places.run.parent.chmod(mode)
    places.make()
    assert places.run.parent.stat().st_mode & 0o777 == mode & 0o755


def test_a_parent_for_everybody_stays_so(places: Places) -> None:
    places.run.parent.chmod(0o1777)
    places.make()
    assert places.run.parent.stat().st_mode & 0o7777 == 0o1777


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_parent_of_another_user_is_refused(places: Places) -> None:
    os.chown(places.run.parent, 12345, 12345)
    with pytest.raises(RelayError, match="belongs to user 12345, who could exchange"):
        places.make()
    os.chown(places.run.parent, 0, 0)
