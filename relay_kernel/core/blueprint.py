"""What an environment consists of, and how the one at a target differs from the server's.

Rule 1: what the server has, the target gets, in the same version or with the same content.
Rule 2: what a person has installed at the target in addition (the *overlay*) stays there.
Rule 3: which build of torch or jax suits its graphics card is for the target to choose.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

#: Their local version label (``+cpu``, ``+cu128``) says for which graphics card they were built.
TORCH = frozenset({"torch", "torchvision", "torchaudio"})
JAX = frozenset({"jax", "jaxlib"})
#: What such builds bring along; no person asks for it by name.
_RUNTIMES = ("nvidia-", "cuda-", "triton", "pytorch-triton", "jax-cuda", "jax-rocm")
#: Begin like a runtime, and are none.
_NO_RUNTIMES = frozenset({"nvidia-ml-py"})


class Origin(Enum):
    """Where an installed package came from."""

    INDEX = "index"
    """A package index: name and version say all."""
    WHEEL = "wheel"
    """A local wheel or source archive: its content counts."""
    VCS = "vcs"
    """A repository: its content counts."""
    EDITABLE = "editable"
    """A folder of sources that is used as it is."""


@dataclass(frozen=True, order=True)
class Package:
    """One installed package."""

    name: str
    """Normalised: ``scikit-learn``."""
    version: str
    origin: Origin = field(default=Origin.INDEX, compare=False)
    content: str = field(default="", compare=False)
    """WHEEL, VCS, EDITABLE: the digest of what was installed."""
    sources: str = field(default="", compare=False)
    """EDITABLE: the digest of the folder of sources, as it is now."""

    @property
    def is_pinned(self) -> bool:
        """Whether the target has no say in which build of it is installed."""
        return self.name not in TORCH | JAX

    @property
    def public(self) -> str:
        """The version, without the label that says for which graphics card it was built."""
        return self.version if self.is_pinned else self.version.partition("+")[0]

    @property
    def requirement(self) -> str:
        """As pip and uv take it: ``six==1.17.0``."""
        return f"{self.name}=={self.public}"

    def is_runtime(self) -> bool:
        """Whether it is what a build for a graphics card brings along."""
        return self.name.startswith(_RUNTIMES) and self.name not in _NO_RUNTIMES


@dataclass(frozen=True)
class Blueprint:
    """What an environment consists of: its Python, and packages by name."""

    python: str
    """The minor version, ``3.11``, or ``3.13t`` for one without a lock."""
    packages: tuple[Package, ...] = ()

    @property
    def by_name(self) -> dict[str, Package]:
        """Name -> package."""
        return {package.name: package for package in self.packages}

    @property
    def chooses(self) -> bool:
        """Whether there is anything of which the target chooses the build."""
        return any(not package.is_pinned for package in self.packages)

    @property
    def digest(self) -> str:
        """Names what must be built anew when it changes: all but the sources of editables."""
        lines = [
            [package.name, package.public, package.origin.value, package.content]
            for package in self.packages
        ]
        text = json.dumps([self.python, sorted(lines)])
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def without(self, names: Collection[str]) -> Blueprint:
        """The same, without some packages."""
        kept = tuple(package for package in self.packages if package.name not in names)
        return replace(self, packages=kept)

    def for_target(self) -> Blueprint:
        """The same, without what the target's choice of builds brings along."""
        if not self.chooses:
            return self
        return self.without([package.name for package in self.packages if package.is_runtime()])


def by_hand(
    wanted: Blueprint, have: Mapping[str, str], chosen: Mapping[str, str]
) -> frozenset[str]:
    """The packages of which a person has installed another build at the target than was chosen.

    A family stays together: where one is of a person's choice, all are. Where the server has
    another version of one of them, they are chosen anew.

    Args:
        wanted: what the target should have.
        have: name -> version, with its label, of what it has.
        chosen: likewise of what was chosen there.
    """
    kept: set[str] = set()
    for family in (TORCH, JAX):
        members = [each for each in wanted.packages if each.name in family]
        there = {each.name: replace(each, version=have.get(each.name, "")) for each in members}
        fits = all(there[each.name].public == each.public for each in members)
        if fits and any(chosen.get(n, each.version) != each.version for n, each in there.items()):
            kept |= there.keys()
    return frozenset(kept)


class Kind(Enum):
    """How an environment differs from the one that it mirrors."""

    PYTHON = "python"
    MISSING = "missing"
    VERSION = "version"
    CONTENT = "content"
    SOURCES = "sources"
    STALE = "stale"
    """It was mirrored once, and the server has it no more."""
    OVERLAY = "overlay"
    """The target's own; no fault."""


@dataclass(frozen=True)
class Drift:
    """One difference, also in words."""

    kind: Kind
    name: str
    text: str

    @property
    def is_fault(self) -> bool:
        """Whether it is to be mended."""
        return self.kind is not Kind.OVERLAY


class Step(Enum):
    """What mends a drift."""

    NOTHING = "nothing"
    REFRESH = "refresh"
    """Sources of editable packages are copied again."""
    ADD = "add"
    """New packages are put into the environment, which may be in use."""
    BUILD = "build"
    """A new environment is built beside it."""


def drift(wanted: Blueprint, found: Blueprint | None, mirrored: Collection[str]) -> list[Drift]:
    """How the environment at a target differs from what it should be.

    Args:
        wanted: what the target should have.
        found: what it has; None: nothing yet.
        mirrored: the names of what was put there to mirror the server; the rest is its overlay.

    Returns:
        The differences by name; with no environment, just that.
    """
    if found is None:
        return [Drift(Kind.MISSING, "", "there is no environment yet")]
    if found.python != wanted.python:
        text = f"it has Python {found.python}, and the server {wanted.python}"
        return [Drift(Kind.PYTHON, "", text)]
    have = found.by_name
    differences = [_compare(package, have.get(package.name)) for package in wanted.packages]
    found_drift = [each for each in differences if each is not None]
    names = wanted.by_name.keys()
    found_drift += [_surplus(package, mirrored) for package in _extra(wanted, found, names)]
    return sorted(found_drift, key=lambda each: (not each.is_fault, each.name))


def _extra(wanted: Blueprint, found: Blueprint, names: Collection[str]) -> Iterable[Package]:
    """What is there in addition, without what the target's choice of builds has brought along."""
    for package in found.packages:
        if package.name not in names and not (wanted.chooses and package.is_runtime()):
            yield package


def _surplus(package: Package, mirrored: Collection[str]) -> Drift:
    if package.name in mirrored:
        return Drift(Kind.STALE, package.name, f"{package.name} was removed on the server")
    text = f"{package.name} {package.version} is only there, and stays"
    return Drift(Kind.OVERLAY, package.name, text)


def _compare(want: Package, have: Package | None) -> Drift | None:
    name = want.name
    if have is None:
        return Drift(Kind.MISSING, name, f"{name} {want.public} is missing")
    if have.public != want.public:
        text = f"{name} is {have.version}, and {want.version} on the server"
        return Drift(Kind.VERSION, name, text)
    if want.origin is not Origin.INDEX and have.content != want.content:
        return Drift(Kind.CONTENT, name, f"{name} {want.version} was installed anew on the server")
    if want.origin is Origin.EDITABLE and have.sources != want.sources:
        return Drift(Kind.SOURCES, name, f"the sources of {name} have changed")
    return None


def step(differences: Iterable[Drift]) -> Step:
    """The least that mends all these differences.

    Only what is new is ever put into an environment that may be in use: whatever a kernel has
    imported stays as it is under it.
    """
    kinds = {each.kind for each in differences if each.is_fault}
    if not kinds:
        return Step.NOTHING
    if kinds <= {Kind.SOURCES}:
        return Step.REFRESH
    no_environment = any(each.kind is Kind.MISSING and not each.name for each in differences)
    if kinds <= {Kind.SOURCES, Kind.MISSING} and not no_environment:
        return Step.ADD
    return Step.BUILD


def to_json(blueprint: Blueprint) -> dict[str, object]:
    """As it goes over a line, or into a file."""
    packages = [
        [each.name, each.version, each.origin.value, each.content, each.sources]
        for each in blueprint.packages
    ]
    return {"python": blueprint.python, "packages": packages}


def from_json(value: object) -> Blueprint:
    """The reverse of :func:`to_json`.

    Raises:
        ValueError: it is something else.
    """
    match value:
        case {"python": str(python), "packages": [*packages]}:
            return Blueprint(python, tuple(_package(each) for each in packages))
    raise ValueError("this is no blueprint")


def _package(value: object) -> Package:
    match value:
        case [str(name), str(version), str(origin), str(content), str(sources)]:
            return Package(name, version, Origin(origin), content, sources)
    raise ValueError(f"{value!r} is no package")
