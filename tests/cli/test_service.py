"""systemd units: what is written is what systemd understands."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from relay_kernel.cli.service import Unit, install, make_unit
from relay_kernel.core.errors import RelayError

if TYPE_CHECKING:
    from pathlib import Path

    from relay_kernel.settings.paths import Places


def unit(places: Places, folder: Path, *, of_system: bool, extra: str = "x") -> Unit:
    arguments = ["join", "me@server:2222", "--name", "pc", "--identity", extra]
    made = make_unit("relay-join", "relay-kernel", arguments, places, of_system=of_system)
    return replace(made, folder=folder)


def verified(unit: Unit) -> None:
    """Have systemd itself read it."""
    if shutil.which("systemd-analyze") is None:
        if os.environ.get("CI"):
            pytest.fail("systemd-analyze is missing: install systemd")
        pytest.skip("needs systemd-analyze (systemd)")
    unit.folder.mkdir(exist_ok=True)
    unit.path.write_text(unit.text)
    done = subprocess.run(
        ["systemd-analyze", "--man=no", "verify", str(unit.path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    about = [line for line in done.stderr.splitlines() if "relay-join" in line]
    assert about == []
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("of_system", [True, False], ids=["system", "user"])
def test_systemd_understands_it(places: Places, tmp_path: Path, of_system: bool) -> None:
    verified(unit(places, tmp_path, of_system=of_system))


def test_it_never_gives_up_and_leaves_the_agent(places: Places, tmp_path: Path) -> None:
    text = unit(places, tmp_path, of_system=True).text
    for line in (
        *("StartLimitIntervalSec=0", "Restart=always", "KillMode=process"),
        *("After=network-online.target nss-lookup.target", "WantedBy=multi-user.target"),
        f"Environment=RELAY_HOME={places.config.parent}",
    ):
        assert line in text.splitlines()


def test_a_unit_of_ones_own_starts_with_its_user(places: Places, tmp_path: Path) -> None:
    text = unit(places, tmp_path, of_system=False).text
    assert "WantedBy=default.target" in text
    assert "network-online" not in text


def test_odd_paths_are_quoted(places: Places, tmp_path: Path) -> None:
    odd = unit(places, tmp_path, of_system=True, extra='/a b/100% "x"/$HOME')
    verified(odd)
    assert '"/a b/100%% \\"x\\"/$$HOME"' in odd.text


def test_without_systemd_it_is_written_and_said(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    shown: list[str] = []
    made = unit(places, tmp_path / "units", of_system=False)
    install(made, shown.append)
    assert made.path.read_text() == made.text == f"{shown[0]}\n"
    assert "not started (there is no systemctl here)" in shown[2]
    assert "systemctl --user enable --now relay-join.service" in shown[2]


def test_a_folder_that_cannot_be_written(places: Places, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RelayError, match="cannot be written"):
        install(unit(places, tmp_path / "file" / "units", of_system=False), print)
