"""What targets should have of each kernel of the server, as it is now."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from relay_kernel.core.blueprint import Blueprint, Origin
from relay_kernel.envs.describe import Description, Descriptions
from relay_kernel.envs.errors import GoneError, ImpossibleError
from relay_kernel.envs.sources import SourceFile, Trees, digest_of, folders, read_editable
from relay_kernel.envs.specs import Spec, python_specs
from relay_kernel.envs.wanted import blueprint, editable_folder, left_out
from relay_kernel.mirror.lookup import Originals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relay_kernel.settings.config import EnvsConfig

#: Without it there is no kernel.
_KERNEL = "ipykernel"


@dataclass(frozen=True)
class Wanted:
    """What a target should have of one kernel."""

    spec: Spec
    description: Description
    blueprint: Blueprint
    trees: dict[str, dict[str, SourceFile]] = field(default_factory=dict)
    """Editable package -> its sources."""

    def at(self, there: Mapping[str, str], without: frozenset[str]) -> Blueprint:
        """The blueprint for a target.

        Args:
            there: its markers, without those of its Python.
            without: packages that it shall do without.
        """
        markers = {**self.description.markers, **there}
        return self.blueprint.without(without | left_out(self.description, markers))

    def of_conda(self, without: frozenset[str]) -> list[str]:
        """Programs and libraries of conda, with their versions, that no target gets.

        Args:
            without: what it does without anyway.
        """
        others = sorted(self.description.others.items())
        return [f"{name} {each}" for name, each in others if canonicalize_name(name) not in without]

    def left_out(self, there: Mapping[str, str]) -> list[str]:
        """The packages that are needed on the server's platform alone."""
        return sorted(left_out(self.description, {**self.description.markers, **there}))


class Environments:
    """The kernels of the server. Its methods are slow where something changed: use a thread.

    Args:
        file: where descriptions are remembered.
    """

    def __init__(self, file: Path) -> None:
        self._known = Descriptions(file)
        self._trees = Trees()
        self._folders: dict[str, set[str]] = {}
        self.specs: dict[str, Spec] = {}

    def read(self, config: EnvsConfig) -> set[str]:
        """Read the kernelspecs again; returns the names of those that are new or differ."""
        found = {
            name: spec
            for name, spec in python_specs(Originals()).items()
            if not any(fnmatchcase(name, pattern) for pattern in config.skip)
        }
        new = {name for name, spec in found.items() if spec != self.specs.get(name)}
        self.specs = found
        self._folders = {name: self._folders.get(name, set()) for name in found}
        return new

    def wanted(self, name: str) -> Wanted:
        """What targets should have of a kernel, as it is now.

        Raises:
            GoneError: there is no such kernel.
            ImpossibleError: it cannot be mirrored.
            EnvError: its interpreter does not run.
        """
        spec = self.specs.get(name)
        if spec is None:
            raise GoneError(f"there is no kernelspec {name} that is mirrored")
        python = spec.python
        description = self._known.get(python)
        self._folders[name] = {*self._sites(description)}
        if description.implementation != "cpython":
            raise ImpossibleError(f"it runs {description.implementation}, and only CPython can be")
        if _KERNEL not in description.packages:
            raise ImpossibleError(
                f"there is no ipykernel in {description.prefix}: install it there"
            )
        trees = self._read_trees(name, description)
        digests = {package: digest_of(tree) for package, tree in trees.items()}
        return Wanted(spec, description, blueprint(description, digests), trees)

    def _sites(self, description: Description) -> list[str]:
        # A folder of sources among them is watched as what it is.
        sites = [site for site in description.sites if "-packages" in os.path.basename(site)]
        return [*sites, *([f"{description.prefix}/conda-meta"] if description.conda else [])]

    def _read_trees(self, name: str, description: Description) -> dict[str, dict[str, SourceFile]]:
        trees = {}
        for package in blueprint(description).packages:
            about = description.packages[package.name]
            base = editable_folder(about, description)
            if package.origin is Origin.EDITABLE and base is not None:
                editable = read_editable(package.name, base, Path(about["info"]))
                trees[package.name] = self._trees.read(package.name, editable)
                self._folders[name].update(map(os.fspath, folders(editable)))
        return trees

    def watched(self) -> dict[str, set[str]]:
        """Folder -> the kernels whose environment changes when it does."""
        found: dict[str, set[str]] = {}
        for name, inside in self._folders.items():
            for folder in inside:
                found.setdefault(folder, set()).add(name)
        return found
