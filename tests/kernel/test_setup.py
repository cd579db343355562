"""What a kernel starts with, here and elsewhere."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import psutil

from relay_kernel.kernel.setup import Setup

if TYPE_CHECKING:
    import pytest

ASK = """
import json, os
from relay_kernel.kernel.setup import Setup
setup = Setup("book", "python3", arguments=("--pdb",))
print(json.dumps([setup.start(far=True), setup.start(far=False)]))
"""


def started(**env: str) -> list[dict[str, Any]]:
    """What a kernel gets at a far target and here, if R was started with ``env`` besides.

    Its parent is this process, whose environment is what it began with: other tests import
    libraries that set variables later.
    """
    ran = subprocess.run(
        [sys.executable, "-c", ASK],
        env={**psutil.Process().environ(), **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(ran.stdout)


def test_only_what_was_set_for_this_kernel_goes_far() -> None:
    far, near = started(
        MINE="é", PATH="/else/bin", JPY_PARENT_PID="1", LD_PRELOAD="", JUPYTER_PATH="/x"
    )
    assert far["env"].pop("PYTHONHASHSEED") == near["env"].pop("PYTHONHASHSEED")
    assert far["env"] == {"MINE": "é"}
    # R's own environment is inherited here.
    assert near["env"] == {}
    assert far["arguments"] == near["arguments"] == ["--pdb"]
    assert far["cells"] == near["cells"]


def test_the_folder_of_cells_is_another_for_each_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/me/book.ipynb")
    one, two = Setup("one", "python3"), Setup("two", "python3")
    assert one.cells != two.cells
    assert one.start(far=True)["env"]["JPY_SESSION_NAME"] == "/home/me/book.ipynb"
