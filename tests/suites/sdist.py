"""The tests that ipykernel was released with. They are not ours, so they are fetched to be run."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

import pytest

#: Seconds for a download of a few hundred kilobytes.
PATIENCE = 120


def fetch(cache: Path) -> Path:
    """The unpacked source of the ipykernel release that is installed here.

    Args:
        cache: a folder that lasts; a second run needs no network.
    """
    release = f"ipykernel-{version('ipykernel')}"
    kept = cache / release
    if not kept.exists():
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            _unpack(_download(release, Path(folder)), Path(folder))
            (Path(folder) / release).rename(kept)
    return kept


def _download(release: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--no-binary", "ipykernel", "--dest", str(folder), release.replace("-", "==")]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=PATIENCE
        )
        said = done.stderr
    except subprocess.TimeoutExpired:
        said = f"no answer within {PATIENCE} s"
    archive = folder / f"{release}.tar.gz"
    if archive.exists():
        return archive
    why = f"the source of {release}, which has its tests, cannot be had: {said.strip()[-500:]}"
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


def _unpack(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
