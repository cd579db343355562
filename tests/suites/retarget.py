"""A Jupyter whose kernel ``python3`` is R, for suites of others that start it by that name."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from typing import TYPE_CHECKING

import pytest

from relay_kernel.settings.paths import find_places
from tests.conftest import end_hub
from tests.e2e.rig import Pc, without_planes
from tests.sshd import Sshd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: The kernelspec that R relays to. Its own is the one that every suite asks for.
BEHIND = "behind-r"


def write_spec(kernels: Path, name: str, *argv: str) -> None:
    """Write a kernelspec below ``kernels``."""
    spec = {
        "argv": [*argv, "-f", "{connection_file}"],
        "display_name": name,
        "language": "python",
        "metadata": {"debugger": True},
    }
    if "relay_kernel" in argv:
        spec["interrupt_mode"] = "message"
    folder = kernels / name
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps(spec))


@contextlib.contextmanager
def plain(folder: Path) -> Iterator[dict[str, str]]:
    """The environment in which ``python3`` is ipykernel itself."""
    launch = (sys.executable, "-m", "ipykernel_launcher")
    write_spec(folder / "jupyter" / "kernels", "python3", *launch)
    yield _environment(folder)


@contextlib.contextmanager
def relayed(folder: Path, *, on_pc: bool = False) -> Iterator[dict[str, str]]:
    """The environment in which ``python3`` is R, by itself or with a paired PC."""
    kernels = folder / "jupyter" / "kernels"
    write_spec(kernels, "python3", sys.executable, "-m", "relay_kernel", f"--spec={BEHIND}")
    write_spec(kernels, BEHIND, sys.executable, "-m", "ipykernel_launcher")
    with contextlib.ExitStack() as stack:
        # Short, for the sockets in it.
        temporary = tempfile.TemporaryDirectory(prefix="server-", ignore_cleanup_errors=True)
        home = stack.enter_context(temporary)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RELAY_HOME", home)
            places = find_places().make()
        stack.callback(end_hub, places)
        if on_pc:
            shared = {"JUPYTER_PATH": str(folder / "jupyter")}
            desktop = Pc(stack.enter_context(Sshd(folder / "pc", env=shared)), places)
            without_planes(places)
            stack.callback(desktop.close)
        yield {**_environment(folder), "RELAY_HOME": home}


def _environment(folder: Path) -> dict[str, str]:
    own = {"JUPYTER_PATH": str(folder / "jupyter"), "IPYTHONDIR": str(folder / "ipython")}
    return {**os.environ, **own}
