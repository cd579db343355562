"""The piece of code that a page has people run to see the messages of a cell."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.e2e.rig import REPO, SOON

if TYPE_CHECKING:
    from pathlib import Path

    from relay_kernel.settings.paths import Places

PAGE = REPO / "docs" / "what-a-kernel-can-do.md"


def messages(kernel: str, folder: Path) -> list[str]:
    """What the page's code prints of a kernel."""
    text = PAGE.read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert 'kernel_name="python3"' in code
    done = subprocess.run(
        [sys.executable, "-c", code.replace("python3", kernel)],
        capture_output=True,
        text=True,
        timeout=4 * SOON,
        check=False,
        cwd=folder,
        env={**os.environ, "JUPYTER_PATH": str(folder)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_relay_says_what_a_plain_kernel_says(server: Places, tmp_path: Path) -> None:
    (tmp_path / "kernels").symlink_to(REPO / "kernelspecs")
    plain = messages("python3", tmp_path)
    assert [line.split()[0] for line in plain] == [
        *("status", "execute_input", "stream", "execute_result", "status", "ok"),
    ]
    assert messages("relay", tmp_path) == plain
