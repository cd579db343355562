"""All wheels that the agent needs on a PC, from the server: the PC needs no internet.

What is installed here and runs there goes as it is. The rest, for a PC with another Python or
another processor, is fetched with pip for that machine.
"""

from __future__ import annotations

import ensurepip
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms
from packaging.utils import canonicalize_name, parse_wheel_filename

from relay_kernel.core.errors import RelayError
from relay_kernel.link.repack import repack, tags
from relay_kernel.link.wheel import Wheel, pack_wheel

#: Seconds for pip to fetch what is missing here.
FETCH_TIMEOUT = 300.0

_OURS = "relay-kernel"


class WheelsError(RelayError):
    """The server has not all wheels for the PC, and cannot fetch them."""


@dataclass(frozen=True)
class Machine:
    """What a wheel must fit: the PC's Python, and what it runs on."""

    markers: dict[str, str]
    """The environment markers of its Python, as in ``python_version``, ``sys_platform``."""
    platforms: tuple[str, ...]
    """The platform tags that it takes, best first: ``manylinux_2_36_x86_64``…"""

    @property
    def python(self) -> tuple[int, int]:
        """Its minor version."""
        major, minor = self.markers["python_version"].split(".")
        return int(major), int(minor)

    def takes(self) -> frozenset[Tag]:
        """The tags of all wheels that run there."""
        interpreter = "cp{}{}".format(*self.python)
        own = cpython_tags(self.python, platforms=self.platforms)
        return frozenset([*own, *compatible_tags(self.python, interpreter, self.platforms)])


def describe(facts: dict[str, Any]) -> Machine:
    """A machine from what its Python said of itself.

    Args:
        facts: ``markers``; ``libc`` as ``["glibc", "2.36"]``; ``mac`` as ``"14.5"``, or empty.
    """
    markers = {str(key): str(value) for key, value in facts["markers"].items()}
    arch = markers["platform_machine"]
    kind, version = (str(each) for each in facts["libc"])
    if markers["sys_platform"] == "darwin":
        major, minor, *_ = [*str(facts["mac"]).split("."), "0"]
        return Machine(markers, tuple(mac_platforms((int(major), int(minor)), arch)))
    if kind == "glibc":
        newest = int(version.split(".")[1])
        modern = [f"manylinux_2_{minor}_{arch}" for minor in range(newest, 4, -1)]
        old = {"manylinux2014": 17, "manylinux2010": 12, "manylinux1": 5}
        return Machine(
            markers, (*modern, *(f"{name}_{arch}" for name, at in old.items() if at <= newest))
        )
    return Machine(markers, tuple(f"musllinux_1_{minor}_{arch}" for minor in range(5, -1, -1)))


def collect(machine: Machine, folder: Path) -> list[Wheel]:
    """The wheels of relay-kernel and of all that it needs, pip included, for ``machine``.

    Args:
        machine: The PC.
        folder: Private and empty; wheels are put together here.

    Returns:
        relay-kernel's own first.

    Raises:
        WheelsError: Some are not here, and cannot be fetched.
        DialError: relay-kernel itself runs without being installed.
    """
    fitting = machine.takes()
    wheels = [pack_wheel(folder), *_pip_wheel(folder)]
    missing: list[str] = []
    pins: list[str] = []
    for requirement, package in _needed(machine):
        wheel = repack(package, folder) if package and tags(package) & fitting else None
        pin = f"{package.name}=={package.version}" if package else requirement
        pins += [pin] if package else []
        if wheel is None:
            missing.append(pin)
        else:
            wheels.append(wheel)
    if missing:
        have = {parse_wheel_filename(wheel.name)[0] for wheel in wheels}
        fetched = _fetch(missing, pins, machine, folder)
        wheels += [each for each in fetched if parse_wheel_filename(each.name)[0] not in have]
    return wheels


def _needed(machine: Machine) -> list[tuple[str, metadata.Distribution | None]]:
    """Each package that relay-kernel needs there: the requirement, and what is here of it."""
    found: dict[str, tuple[str, metadata.Distribution | None]] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(Requirement(text), "") for text in metadata.requires(_OURS) or ()]
    while waiting:
        requirement, extra = waiting.pop()
        marker = requirement.marker
        if marker is not None and not marker.evaluate({**machine.markers, "extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        package = _installed(name)
        found.setdefault(name, (f"{requirement.name}{requirement.specifier}", package))
        for wanted in {"", *requirement.extras}:
            if (name, wanted) not in seen:
                seen.add((name, wanted))
                texts = (package.requires if package else None) or ()
                waiting += [(Requirement(text), wanted) for text in texts]
    return [found[name] for name in sorted(found)]


def _pip_wheel(folder: Path) -> list[Wheel]:
    """A pip for the PC, whose Python may have come without one; none if there is none here."""
    package = _installed("pip")
    wheel = repack(package, folder) if package else None
    if wheel is not None:
        return [wheel]
    bundled = Path(ensurepip.__file__).parent / "_bundled"
    debian = Path(sysconfig.get_config_var("WHEEL_PKG_DIR") or bundled)
    found = sorted([*bundled.glob("pip-*.whl"), *debian.glob("pip-*.whl")])
    return [Wheel(found[-1].name, found[-1].read_bytes())] if found else []


def _installed(name: str) -> metadata.Distribution | None:
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None


def _fetch(missing: list[str], pins: list[str], machine: Machine, folder: Path) -> list[Wheel]:
    """Have pip fetch wheels for ``machine``, with what they need in turn, in our versions."""
    there = folder / "fetched"
    there.mkdir()
    constraints = folder / "constraints.txt"
    constraints.write_text("\n".join(pins), encoding="utf-8")
    command = [
        *(*_pip(missing), "download", "--quiet", "--no-input", "--disable-pip-version-check"),
        *("--only-binary", ":all:", "--dest", str(there), "--implementation", "cp"),
        *("--python-version", machine.markers["python_version"]),
        *(word for each in machine.platforms for word in ("--platform", each)),
        *("--find-links", str(folder), "--constraint", str(constraints), *missing),
    ]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=FETCH_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise WheelsError(
            f"fetching {', '.join(missing)} for the PC took more than {FETCH_TIMEOUT:g} s here"
        ) from error
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no reason"]
        said = next((line for line in lines if line.startswith("ERROR")), lines[-1])
        raise WheelsError(f"{', '.join(missing)} cannot be fetched here: {said[:300]}")
    return [Wheel(path.name, path.read_bytes()) for path in sorted(there.glob("*.whl"))]


def _pip(missing: list[str]) -> list[str]:
    """A pip that can be run here, whatever Python it belongs to."""
    if _installed("pip") is not None:
        return [sys.executable, "-m", "pip"]
    if found := shutil.which("uv"):
        return [found, "tool", "run", "--quiet", "pip"]
    if found := shutil.which("pip3") or shutil.which("pip"):
        return [found]
    raise WheelsError(
        f"{', '.join(missing)} must be fetched, and there is no pip here: "
        f"run {sys.executable} -m ensurepip"
    )
