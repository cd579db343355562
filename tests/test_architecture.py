"""Who may import whom, and what modules may be called."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

#: Names under which everything ends up that has no place.
NO_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}

#: Module -> an import that would break a contract, and that contract's name.
WRONG = {
    "a decision that looks up": ("core/model.py", "relay_kernel.settings", "Imports point down"),
    "a decision that reads a clock": ("core/router.py", "time", "The core and the wire do no I/O"),
    "siblings that see each other": ("agent/host.py", "relay_kernel.hub", "Imports point down"),
    "a second user of asyncssh": ("hub/client.py", "asyncssh", "Only the link knows asyncssh"),
    "a kernel that needs us": ("inkernel/state.py", "relay_kernel.store", "stands alone"),
}


def lint_imports(folder: Path) -> tuple[int, str]:
    """Check the contracts of the checkout in ``folder``; return the status and what was said."""
    code = "from importlinter.cli import lint_imports as check; "
    code += "raise SystemExit(check(no_cache=True, no_logo=True))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "COLUMNS": "200", "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


def test_imports_point_down() -> None:
    status, said = lint_imports(ROOT)
    assert status == 0, said


@pytest.mark.parametrize("why", WRONG)
def test_a_wrong_import_is_refused(why: str, tmp_path: Path) -> None:
    module, imported, contract = WRONG[why]
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(
        ROOT / "relay_kernel",
        tmp_path / "relay_kernel",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    changed = tmp_path / "relay_kernel" / module
    changed.write_text(f"{changed.read_text(encoding='utf-8')}\nimport {imported}\n")
    status, said = lint_imports(tmp_path)
    broken = [line for line in said.splitlines() if line.endswith("BROKEN")]
    assert status != 0
    assert any(contract in line for line in broken), said


def test_every_module_is_named_after_something() -> None:
    modules = (ROOT / "relay_kernel").rglob("*.py")
    assert not [str(path) for path in modules if path.stem in NO_NAMES]
