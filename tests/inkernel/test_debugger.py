"""What the debugger of a kernel is told: where the files of cells are, and what to pass over."""

from __future__ import annotations

import importlib.util
import stat
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING

import ipykernel.compiler
import ipykernel.debugger
import pytest

from tests.inkernel.rig import FOLDER

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module as a kernel loads it; what it replaces is put back."""
    for module in (ipykernel.compiler, ipykernel.debugger):
        monkeypatch.setattr(module, "get_tmp_directory", module.get_tmp_directory)
    spec = importlib.util.spec_from_file_location("_debugger", f"{FOLDER}/debugger.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def kernel() -> SimpleNamespace:
    return SimpleNamespace(debugger=SimpleNamespace(kernel_modules=["theirs.py"]))


def test_cells_are_said_to_be_in_the_folder_and_it_is_made_when_it_is_needed(
    ours: ModuleType, tmp_path: Path
) -> None:
    folder = tmp_path / "cells"
    ours.prepare(kernel(), str(folder))
    assert ipykernel.compiler.get_file_name("x = 1").startswith(f"{folder}/")
    assert not folder.exists()
    # Twice: a second kernel on the machine may have made it.
    for _ in range(2):
        assert ipykernel.debugger.get_tmp_directory() == str(folder)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_steps_pass_over_our_code(ours: ModuleType) -> None:
    told = kernel()
    ours.prepare(told, None)
    assert f"{FOLDER}/messages.py" in told.debugger.kernel_modules
    assert f"{FOLDER}/context/process.py" in told.debugger.kernel_modules
    assert told.debugger.kernel_modules[0] == "theirs.py"


def test_a_kernel_without_a_debugger_is_left_alone(ours: ModuleType) -> None:
    ours.prepare(SimpleNamespace(), None)
    assert ipykernel.compiler.get_tmp_directory().rpartition("/")[2].startswith("ipykernel_")
