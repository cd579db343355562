"""Command lines that start a kernel in an environment of conda: which Python that is in the end."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: How nb_conda_kernels starts a kernel: two prefixes follow, the second is the environment's.
_RUNNER = ["-m", "nb_conda_kernels.runner"]
_CONDAS = frozenset({"conda", "mamba", "micromamba"})
#: Options of ``conda run`` that have a value.
_WITH_VALUE = frozenset(
    {"-n", "--name", "-p", "--prefix", "--cwd", "--log-level", "-a", "--attach"}
)
#: Where environments with a name are, below a home.
_ENVS = (".conda/envs", "miniforge3/envs", "mambaforge/envs", "miniconda3/envs", "anaconda3/envs")


def without_starter(argv: Sequence[str]) -> list[str]:
    """The command line that is run in the environment, with its interpreter's path.

    Args:
        argv: of a kernelspec.

    Returns:
        ``argv`` as it is where nothing of conda's stands before the interpreter, or where the
        environment is not found.
    """
    words = [str(word) for word in argv]
    if words[1:3] == _RUNNER and len(words) > 5:
        return _inside(words[4], words[5:]) or words
    if is_started(words):
        prefix, command = _run(words)
        return (_inside(prefix, command) if prefix else None) or words
    return words


def is_started(argv: Sequence[str]) -> bool:
    """Whether it is a ``conda run``, or one of those who do the same."""
    return argv[1:2] == ["run"] and Path(argv[0]).name in _CONDAS


def _inside(prefix: str, command: list[str]) -> list[str] | None:
    """The command as it is found in an environment."""
    if not command:
        return None
    first = command[0] if os.path.isabs(command[0]) else os.path.join(prefix, "bin", command[0])
    return [first, *command[1:]]


def _run(words: list[str]) -> tuple[str, list[str]]:
    """The prefix and the command of a ``conda run``; no prefix where it is not found."""
    prefix, at = "", 2
    while at < len(words) and words[at].startswith("-"):
        option, _, value = words[at].partition("=")
        if option in _WITH_VALUE and not value:
            at += 1
            value = words[at] if at < len(words) else ""
        if option in {"-p", "--prefix"}:
            prefix = os.path.expanduser(value)
        elif option in {"-n", "--name"}:
            prefix = _named(words[0], value)
        at += 1
    return prefix, words[at:]


def _named(conda: str, name: str) -> str:
    """The environment of that name; empty if there is none."""
    for folder in _folders(conda):
        if os.path.isdir(os.path.join(folder, name, "conda-meta")):
            return os.path.join(folder, name)
    return ""


def _folders(conda: str) -> Iterator[str]:
    """Where this conda, and others of this user, have environments."""
    yield from filter(None, os.environ.get("CONDA_ENVS_PATH", "").split(os.pathsep))
    found = conda if os.path.isabs(conda) else shutil.which(conda)
    roots = [os.path.dirname(os.path.dirname(os.path.realpath(found)))] if found else []
    if root := os.environ.get("MAMBA_ROOT_PREFIX"):
        roots.append(root)
    yield from (os.path.join(root, "envs") for root in roots)
    yield from (os.fspath(Path.home() / each) for each in _ENVS)
