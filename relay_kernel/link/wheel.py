"""Packs the relay-kernel that runs here into a wheel, to be installed on a PC.

Repacked from its own files, whether it was installed from a wheel or from a checkout: the PC gets
exactly what runs here, and no build tool and no network is needed for it.
"""

from __future__ import annotations

import base64
import hashlib
import io
import stat
import zipfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import relay_kernel
from relay_kernel.link.errors import DialError

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = "relay_kernel"
_KERNELSPEC = "share/jupyter/kernels/relay/kernel.json"

#: The oldest time that a zip file can hold: equal content gives equal bytes, and an equal digest.
_NO_TIME = (1980, 1, 1, 0, 0, 0)
#: Bytes of a file that are in memory at a time.
_PIECE = 1 << 20


@dataclass(frozen=True)
class Wheel:
    """A wheel in memory."""

    name: str
    """The file's name."""
    content: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the content, in hex."""
        return hashlib.sha256(self.content).hexdigest()


def pack_wheel(folder: Path) -> Wheel:
    """Pack the running relay-kernel.

    Args:
        folder: Where the wheel is put together; private, and empty.

    Raises:
        DialError: It runs from files that no installation describes.
    """
    version = relay_kernel.__version__
    info = f"{_NAME}-{version}.dist-info"
    files = _package() | _kernelspec(version) | _description(info)
    return assemble(folder, f"{_NAME}-{version}-py3-none-any.whl", info, files)


def assemble(folder: Path, name: str, info: str, files: Mapping[str, bytes | Path]) -> Wheel:
    """Put a wheel together in memory; see :func:`write_wheel`."""
    return Wheel(name, write_wheel(folder, name, info, files).read_bytes())


def write_wheel(
    folder: Path,
    name: str,
    info: str,
    files: Mapping[str, bytes | Path],
    *,
    compress: bool = True,
) -> Path:
    """Put a wheel together as a file; equal content gives equal bytes.

    Args:
        folder: Where to; private.
        name: The wheel's file name.
        info: Its ``.dist-info`` folder, where the record goes.
        files: Path inside -> content, or the file that has it.
        compress: Make it small; else quickly.
    """
    path = folder / name
    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    rows = []
    with zipfile.ZipFile(path, "w", method) as archive:
        for inside, content in sorted(files.items()):
            digest, size = _store(archive, inside, content)
            rows.append(f"{inside},sha256={digest},{size}\n")
        record = "".join([*rows, f"{info}/RECORD,,\n"]).encode()
        _store(archive, f"{info}/RECORD", record)
    return path


def _package() -> dict[str, bytes]:
    root = Path(relay_kernel.__file__).parent
    return {
        f"{_NAME}/{path.relative_to(root).as_posix()}": path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }


def _kernelspec(version: str) -> dict[str, bytes]:
    """The kernelspec, from where the installation or the checkout has it."""
    root = Path(relay_kernel.__file__).parent.parent
    places = [root / "kernelspecs" / "relay" / "kernel.json"]
    for file in _distribution().files or ():
        if file.as_posix().endswith(_KERNELSPEC):
            places.append(Path(str(file.locate())))
    found = next((path for path in places if path.is_file()), None)
    inside = f"{_NAME}-{version}.data/data/{_KERNELSPEC}"
    return {inside: found.read_bytes()} if found else {}


def _description(info: str) -> dict[str, bytes]:
    """The installation's own description, with the version of the files that are packed."""
    found = _distribution()
    lines = (found.read_text("METADATA") or "").splitlines(keepends=True)
    end = lines.index("\n") if "\n" in lines else len(lines)
    for index in range(end):
        if lines[index].startswith("Version:"):
            lines[index] = f"Version: {relay_kernel.__version__}\n"
    tag = "Wheel-Version: 1.0\nGenerator: relay-kernel\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    return {
        f"{info}/METADATA": "".join(lines).encode(),
        f"{info}/WHEEL": tag.encode(),
        f"{info}/entry_points.txt": (found.read_text("entry_points.txt") or "").encode(),
    }


def _distribution() -> metadata.Distribution:
    try:
        return metadata.distribution("relay-kernel")
    except metadata.PackageNotFoundError as error:
        raise DialError(
            "relay-kernel runs here without being installed, so it cannot be put on a PC: "
            "install it with pip install relay-kernel, or pip install -e . in its checkout",
            permanent=True,
        ) from error


def _store(archive: zipfile.ZipFile, inside: str, content: bytes | Path) -> tuple[str, int]:
    """Add a file; returns its digest, as a record has it, and its size."""
    entry = zipfile.ZipInfo(inside, _NO_TIME)
    entry.compress_type = archive.compression
    runs = isinstance(content, Path) and content.stat().st_mode & 0o111
    # pip makes executable what is, and only where it is told that it is a file.
    entry.external_attr = (stat.S_IFREG | (0o755 if runs else 0o644)) << 16
    digest, size = hashlib.sha256(), 0
    with (
        content.open("rb") if isinstance(content, Path) else io.BytesIO(content) as source,
        archive.open(entry, "w", force_zip64=True) as sink,
    ):
        while data := source.read(_PIECE):
            sink.write(data)
            digest.update(data)
            size += len(data)
    return base64.urlsafe_b64encode(digest.digest()).decode().rstrip("="), size
