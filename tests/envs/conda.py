"""A channel of conda packages made at test time, and environments that rattler installs from it.

conda itself is on no index that tests may count on, and its channels are far away. py-rattler is
the solver and the installer of pixi: it reads the same channels, writes the same ``conda-meta``,
and makes the same commands of the entry points of noarch packages. The packages are laid out as
conda-forge does it: a wheel's files, ``INSTALLER`` saying conda, and a ``direct_url.json`` that
names a folder of the machine where the package was built.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import zipfile
from dataclasses import dataclass, field
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zstandard
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from rattler import Channel, Gateway, MatchSpec, solve
from rattler import install as link
from rattler.index import index_fs
from rattler.platform import Subdir

from tests.envs.rig import Env
from tests.suites.pythons import interpreters

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Where a package was built, as packages have it in their text files; installers replace it.
BUILT_IN = "/home/conda/feedstock_root/build_artifacts/made_1700000000/_h_env" + "_placehold" * 8
#: Of the standard library, what no kernel imports.
_LEFT_OUT = {
    *("test", "tests", "site-packages", "dist-packages", "__pycache__", "idlelib", "turtledemo"),
    *("ensurepip", "lib2to3", "tkinter", "pydoc_data", "EXTERNALLY-MANAGED"),
}
#: Where a distribution has a Python of its own, with its library in the program.
_SYSTEM = Path("/usr")
_OF_THE_INSTALLATION = {"INSTALLER", "direct_url.json", "uv_cache.json", "REQUESTED"}

Files = dict[str, Path | bytes | str]


@dataclass
class CondaPackage:
    """One package of a channel."""

    name: str
    version: str
    files: Files
    """Path in the package -> content, or where a link leads."""
    depends: list[str] = field(default_factory=list)
    noarch: bool = False
    """Of Python, for every machine: its modules are at ``site-packages/``."""
    entry_points: list[str] = field(default_factory=list)
    """noarch: commands that the installer makes."""

    minor: str = ""
    """Of the Python that it is compiled for."""

    @property
    def build(self) -> str:
        """Says what it is for."""
        return (
            "pyh0_0" if self.noarch else f"{self.minor and 'py'}{self.minor.replace('.', '')}h0_0"
        )

    @property
    def stem(self) -> str:
        """The name of its file, without the suffix."""
        return f"{self.name}-{self.version}-{self.build}"

    def write(self, channel: Path) -> None:
        """Put it into a channel, in the format ``.conda``."""
        subdir = "noarch" if self.noarch else str(Subdir.current())
        about: dict[str, Any] = {
            **{"name": self.name, "version": self.version, "build": self.build},
            **{"build_number": 0, "depends": self.depends, "subdir": subdir},
            **{"timestamp": 1700000000000, "arch": None, "platform": None},
        }
        inside: Files = {}
        if self.noarch:
            about["noarch"] = "python"
            points = {"type": "python", "entry_points": self.entry_points}
            inside["info/link.json"] = _json({"noarch": points, "package_metadata_version": 1})
        inside["info/index.json"] = _json(about)
        inside["info/about.json"] = _json({})
        inside["info/paths.json"] = _json(
            {"paths": [_path(*each) for each in sorted(self.files.items())], "paths_version": 1}
        )
        folder = channel / subdir
        folder.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(folder / f"{self.stem}.conda", "w") as file:
            file.writestr("metadata.json", json.dumps({"conda_pkg_format_version": 2}))
            file.writestr(f"pkg-{self.stem}.tar.zst", _tar(self.files))
            file.writestr(f"info-{self.stem}.tar.zst", _tar(inside))


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _path(name: str, content: Path | bytes | str) -> dict[str, Any]:
    if isinstance(content, str):
        return {"_path": name, "path_type": "softlink"}
    data = content if isinstance(content, bytes) else content.read_bytes()
    about = {"_path": name, "path_type": "hardlink", "size_in_bytes": len(data)}
    about["sha256"] = hashlib.sha256(data).hexdigest()
    if BUILT_IN.encode() in data:
        about |= {"prefix_placeholder": BUILT_IN, "file_mode": "text"}
    return about


def _tar(files: Files) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, content in files.items():
            if isinstance(content, Path):
                tar.add(content, name, recursive=False)
                continue
            entry = tarfile.TarInfo(name)
            if isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
                tar.addfile(entry)
                continue
            entry.size, entry.mode = len(content), 0o755 if name.startswith("bin/") else 0o644
            entry.mtime = 1700000000
            tar.addfile(entry, io.BytesIO(content))
    return zstandard.ZstdCompressor(level=1).compress(made.getvalue())


# ---------------------------------------------------------------------- Python itself


def home_of(python: Path) -> Path:
    """The installation that an interpreter belongs to."""
    return Path(os.path.realpath(python)).parents[1]


def copyable() -> dict[str, Path]:
    """Minor version -> an interpreter whose installation can be packed."""
    found = {
        minor: home_of(path) / "bin" / f"python{minor}" for minor, path in interpreters().items()
    }
    return {minor: path for minor, path in found.items() if _has_plain_library(minor, path)}


def _has_plain_library(minor: str, python: Path) -> bool:
    """Whether the standard library is in one folder, and looks for packages where conda puts them.

    That of Debian looks elsewhere, in ``dist-packages``.
    """
    paths = _standard(minor, python) / "sysconfig.py"
    paths = paths if paths.exists() else _standard(minor, python) / "sysconfig" / "__init__.py"
    return paths.exists() and "posix_local" not in paths.read_text(encoding="utf-8")


def _standard(minor: str, python: Path) -> Path:
    """The folder of the standard library."""
    return python.parents[1] / "lib" / f"python{minor}"


def python_package(minor: str, python: Path) -> CondaPackage:
    """An interpreter and its standard library, as the package ``python``."""
    home = python.parents[1]
    files: Files = {"bin/python": f"python{minor}", "bin/python3": f"python{minor}"}
    files[f"bin/python{minor}"] = _finding_its_library(python, home)
    for path in (home / "lib").glob(f"libpython{minor}*.so*"):
        is_link = path.is_symlink()
        files[f"lib/{path.name}"] = os.readlink(path) if is_link else path
    for folder, inner, names in os.walk(_standard(minor, python)):
        inner[:] = [name for name in inner if name not in _LEFT_OUT]
        for name in set(names) - _LEFT_OUT:
            path = Path(folder) / name
            files[path.relative_to(home).as_posix()] = _built_elsewhere(path, home)
    if home == _SYSTEM:
        # Debian's looks for packages in folders of another name.
        files["lib/python3/dist-packages"] = f"../python{minor}/site-packages"
    # An empty folder is not packed.
    files[f"lib/python{minor}/site-packages/README.txt"] = b"packages go here\n"
    return CondaPackage("python", _asked(python, "'%d.%d.%d' % sys.version_info[:3]"), files)


def _finding_its_library(python: Path, home: Path) -> bytes:
    """An interpreter that has its library beside itself, as all programs of conda have theirs."""
    if home == _SYSTEM:
        return python.read_bytes()
    before = os.fsencode(home / "lib") + b"\0"
    return python.read_bytes().replace(before, b"$ORIGIN/../lib".ljust(len(before), b"\0"))


def _built_elsewhere(path: Path, home: Path) -> Path | bytes:
    """A file in which the place of the installation is one that the installer replaces."""
    if path.suffix not in {".py", ".json"} or "sysconfig" not in path.name or home == _SYSTEM:
        return path
    return path.read_bytes().replace(os.fsencode(home), BUILT_IN.encode())


def _asked(python: Path, what: str) -> str:
    import subprocess

    command = [str(python), "-I", "-c", f"import sys; print({what})"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


# ---------------------------------------------------------------------- packages of wheels


def packages_of(env: Env, minor: str) -> list[CondaPackage]:
    """What pip has installed in an environment, each as the package of conda that it would be."""
    found = list(distributions(path=[str(env.site)]))
    there = {canonicalize_name(each.name) for each in found}
    return [_of_wheel(each, env, minor, there) for each in found]


def _of_wheel(package: Distribution, env: Env, minor: str, there: Iterable[str]) -> CondaPackage:
    wheel = package.read_text("WHEEL") or ""
    noarch = not any(line.startswith("Tag:") and "-any" not in line for line in wheel.splitlines())
    points = [each for each in package.entry_points if each.group == "console_scripts"]
    made = {each.name for each in points} if noarch else set()
    site = "site-packages" if noarch else f"lib/python{minor}/site-packages"
    files: Files = {}
    info = ""
    for each in package.files or ():
        path = Path(os.path.normpath(env.site / each))
        if "__pycache__" in each.parts or not path.is_file():
            continue
        if each.name == "METADATA":
            info = f"{site}/{each.parts[0]}"
        if path.is_relative_to(env.site):
            if each.name not in _OF_THE_INSTALLATION:
                files[f"{site}/{each.as_posix()}"] = path
        elif path.name not in made:
            content = path.read_bytes().replace(os.fsencode(env.folder), BUILT_IN.encode())
            files[path.relative_to(env.folder).as_posix()] = content
    name = canonicalize_name(package.name)
    url = f"file:///home/conda/feedstock_root/build_artifacts/{name}_1700000000000/work"
    files[f"{info}/INSTALLER"] = b"conda\n"
    files[f"{info}/REQUESTED"] = b""
    files[f"{info}/direct_url.json"] = _json({"url": url, "dir_info": {}})
    python = "python >=3" if noarch else f"python {minor}.*"
    return CondaPackage(
        name,
        package.version,
        files,
        [python, *_depends(package, there)],
        noarch,
        [f"{each.name} = {each.value}" for each in points] if noarch else [],
        "" if noarch else minor,
    )


def _depends(package: Distribution, there: Iterable[str]) -> list[str]:
    """What it needs here; no feedstock has extras."""
    parsed = (Requirement(text) for text in package.requires or ())
    needed = (each for each in parsed if not each.marker or each.marker.evaluate({"extra": ""}))
    names = {canonicalize_name(each.name) for each in needed}
    return sorted(name for name in names if name in set(there))


# ---------------------------------------------------------------------- channel and environments


class CondaChannel:
    """A channel in a folder.

    Args:
        folder: for it and the caches.
    """

    def __init__(self, folder: Path) -> None:
        self.minors: list[str] = []
        """Of the Pythons that it has; the first is that of the tests."""
        self.versions: dict[str, dict[str, str]] = {}
        """Minor version -> package -> version, of what was made of wheels."""
        self.folder = folder / "channel"
        (self.folder / "noarch").mkdir(parents=True)
        self._cache = folder / "cache"
        self._gateways = 0

    async def publish(self, *packages: CondaPackage) -> None:
        """Add packages, and write down what there is."""
        for package in packages:
            package.write(self.folder)
        await index_fs(self.folder, write_zst=False, write_shards=False)

    async def install(self, prefix: Path, *specs: str, cache: Path | None = None) -> CondaEnv:
        """As ``conda install --prefix`` does: solve for all that was asked for ever, and link it.

        Args:
            prefix: of the environment; made if it is not there.
            specs: such as ``python 3.11.*``.
            cache: of packages. What is installed are links to the files in it.
        """
        self._gateways += 1
        env = CondaEnv(prefix)
        asked = list(dict.fromkeys([*env.asked(), *specs]))
        records = await solve(
            [Channel(self.folder.as_uri())],
            [MatchSpec(each) for each in asked],
            gateway=Gateway(cache_dir=self._cache / f"repodata-{self._gateways}"),
        )
        await link(
            records,
            target_prefix=prefix,
            cache_dir=cache or self._cache / "packages",
            show_progress=False,
            # What is meant is a list of MatchSpec, which py-rattler hands on as they are.
            requested_specs=[MatchSpec(each)._match_spec for each in asked],
        )
        return env


@dataclass(frozen=True)
class CondaEnv(Env):
    """An environment of conda on the server."""

    def records(self) -> dict[str, dict[str, Any]]:
        """Name -> what ``conda-meta`` says of each package."""
        found = [json.loads(each.read_text()) for each in self.folder.glob("conda-meta/*.json")]
        return {each["name"]: each for each in found}

    def asked(self) -> list[str]:
        """What was asked for by name so far."""
        return [spec for each in self.records().values() for spec in each["requested_specs"]]
