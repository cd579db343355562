"""What is installed in the environment of an interpreter; asked anew only when that changed."""

from __future__ import annotations

import json
import os
import subprocess
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from relay_kernel.envs.errors import EnvError
from relay_kernel.settings.atomic import replace_file

#: What the interpreter runs.
_INSIDE = Path(__file__).with_name("inside.py")
#: Seconds for it; a disk that has to wake up included.
PATIENCE = 30.0
#: Seconds for which a folder that has just changed is not trusted: its time has coarse steps.
SETTLED = 0.1


@dataclass(frozen=True)
class Description:
    """What an interpreter says of itself."""

    python: str
    """Its minor version: ``3.11``; ``3.13t`` without a lock."""
    version: str
    implementation: str
    prefix: str
    base: str
    """The prefix of the installation that a virtual environment was made from."""
    sites: tuple[str, ...]
    """The folders in which packages may be."""
    conda: bool
    """Whether conda has made it."""
    markers: dict[str, str]
    packages: dict[str, dict[str, Any]]
    """Normalised name -> ``name``, ``version``, ``requires``, ``info`` (a path); perhaps ``direct``
    (PEP 610), ``content`` (a digest), ``installer``, ``requested``, ``compiled``."""
    others: dict[str, str] = field(default_factory=dict)
    """Name -> version of what a person has asked conda for, and is no Python package."""


def describe(python: str) -> Description:
    """Have an interpreter describe its environment. Starts it; takes some 0.1 s.

    Raises:
        EnvError: it does not run, or says something else.
    """
    command = [python, "-I", "-B", str(_INSIDE)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, check=False, cwd="/"
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvError(f"the interpreter {python} does not run: {error}") from error
    try:
        if done.returncode:
            raise ValueError((done.stderr.strip().splitlines() or ["it said nothing"])[-1])
        said = json.loads(done.stdout)
        return Description(**{**said, "sites": tuple(said["sites"])})
    except (ValueError, TypeError, KeyError) as error:
        raise EnvError(f"the interpreter {python} cannot be asked: {error}") from error


class Descriptions:
    """Remembers descriptions, also over restarts, while nothing they depend on changes.

    Args:
        file: where they are kept.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[str, dict[str, Any]] = {}
        self._sites: dict[str, tuple[str, ...]] = {}
        with suppress(OSError, ValueError):
            self._known = json.loads(file.read_text(encoding="utf-8"))

    def get(self, python: str) -> Description:
        """The description of an interpreter's environment, as it is now.

        Raises:
            EnvError: the interpreter does not run.
        """
        found = self._get(python)
        self._sites[python] = found.sites
        return found

    def _get(self, python: str) -> Description:
        known = self._known.get(python)
        if known and known["key"] == key(python, known["description"]["sites"]):
            about = known["description"]
            return Description(**{**about, "sites": tuple(about["sites"])})
        began = time.time()
        found = describe(python)
        stamp = key(python, found.sites)
        newest = max((each[0] for each in stamp[1:] if each), default=0)
        if began - newest / 1e9 > SETTLED:
            self._known = {each: self._known[each] for each in self._known if os.path.exists(each)}
            self._known[python] = {"key": stamp, "description": asdict(found)}
            # What cannot be kept is asked for again.
            with suppress(OSError):
                replace_file(self._file, json.dumps(self._known), durable=False)
        else:
            self._known.pop(python, None)
        return found

    def sites(self, python: str) -> list[str]:
        """The folders whose change says that the last description is out of date."""
        return list(self._sites.get(python, ()))


def key(python: str, sites: Any) -> list[Any]:
    """What a description depends on: it is the same while this is."""
    prefix = os.path.dirname(os.path.dirname(python))
    said = (os.path.join(prefix, each) for each in ("pyvenv.cfg", "conda-meta"))
    return [list(sites), *(_stamp(path) for path in (python, *said, *sites))]


def _stamp(path: str) -> list[int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return [found.st_mtime_ns, found.st_ino, found.st_size]
