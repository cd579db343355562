"""Another user of this machine, made for the test and removed after it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from typing import Any

import pytest

#: One of these is where everybody may run it; ours may lie in a home folder.
PYTHONS = ("/usr/bin/python3", "/usr/local/bin/python3", os.path.realpath(sys.executable))


class Stranger:
    """A user with no rights of ours. What it does, it does in a process of its own."""

    def __init__(self) -> None:
        self.name = f"relay-{secrets.token_hex(3)}"
        subprocess.run(["useradd", "--no-create-home", "--user-group", self.name], check=True)
        self.python = next(python for python in PYTHONS if self._may_run(python))

    def _may_run(self, python: str) -> bool:
        try:
            return subprocess.run([python, "-c", ""], **self.identity, check=False).returncode == 0
        except OSError:
            return False

    @property
    def identity(self) -> dict[str, Any]:
        """For ``subprocess``: to be this user."""
        return {"user": self.name, "group": self.name, "extra_groups": [], "cwd": "/"}

    def remove(self) -> None:
        subprocess.run(["userdel", self.name], check=True, capture_output=True)

    def run(self, code: str, *arguments: object) -> Any:
        """Run Python code, which sees ``arguments`` as ``args`` and leaves ``result``, as JSON."""
        done = subprocess.run(
            [self.python, "-I", "-c", _RUN, code, json.dumps([str(each) for each in arguments])],
            **self.identity,
            env={"PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


_RUN = """
import json, os, socket, sys
space = {"args": json.loads(sys.argv[2]), "os": os, "socket": socket}
exec(sys.argv[1], space)
print(json.dumps(space["result"]))
"""


@pytest.fixture
def stranger() -> Any:
    """Needs root, to make a user and to be it."""
    if os.getuid() != 0 or shutil.which("useradd") is None:
        if os.environ.get("CI"):
            pytest.fail("needs root and useradd (passwd)")
        pytest.skip("only root can make another user and act as it")
    stranger = Stranger()
    yield stranger
    stranger.remove()
