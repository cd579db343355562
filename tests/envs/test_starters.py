"""Command lines that start a kernel in an environment of conda."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from relay_kernel.envs.errors import ImpossibleError
from relay_kernel.envs.specs import Spec, python_specs
from relay_kernel.envs.starters import without_starter
from relay_kernel.mirror.generated import mirror_of
from relay_kernel.mirror.lookup import Originals
from relay_kernel.mirror.originals import Original, reason_against

if TYPE_CHECKING:
    from pathlib import Path

KERNEL = ["-m", "ipykernel_launcher", "-f", "{connection_file}"]
RUNNER = ["python", "-m", "nb_conda_kernels.runner", "/opt/conda", "/opt/conda/envs/x"]


@pytest.fixture
def conda(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation of conda with an environment ``x``; it is on the ``PATH``."""
    root = tmp_path / "miniforge3"
    (root / "envs" / "x" / "conda-meta").mkdir(parents=True)
    (root / "bin").mkdir()
    for name in ("conda", "mamba"):
        (root / "bin" / name).touch(mode=0o755)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", f"{root}/bin:/usr/bin")
    for name in ("CONDA_ENVS_PATH", "MAMBA_ROOT_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    return root


@pytest.mark.parametrize(
    ("argv", "inner"),
    [
        ([*RUNNER, "/opt/conda/envs/x/bin/python"], "/opt/conda/envs/x/bin/python"),
        ([*RUNNER, "python"], "/opt/conda/envs/x/bin/python"),
        (["conda", "run", "-p", "/e", "python"], "/e/bin/python"),
        (["/c/bin/mamba", "run", "--prefix=/e", "python3.11"], "/e/bin/python3.11"),
        (["micromamba", "run", "-p", "/e", "--cwd", "/w", "/p/bin/python"], "/p/bin/python"),
        (
            ["conda", "run", "--no-capture-output", "--live-stream", "-p", "/e", "python"],
            "/e/bin/python",
        ),
        (["/usr/bin/python3"], "/usr/bin/python3"),
    ],
)
def test_which_python_it_is_in_the_end(argv: list[str], inner: str) -> None:
    assert without_starter([*argv, *KERNEL]) == [inner, *KERNEL]


@pytest.mark.parametrize("how", ["conda", "mamba", "own", "CONDA_ENVS_PATH", "MAMBA_ROOT_PREFIX"])
def test_an_environment_is_found_by_its_name(
    how: str, conda: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command, envs = how, conda / "envs"
    if how == "own":
        command, envs = "/nowhere/micromamba", tmp_path / "home" / ".conda" / "envs"
    elif how.isupper():
        command, root = "/nowhere/conda", tmp_path / "elsewhere"
        envs = root / "envs"
        monkeypatch.setenv(how, str(envs if how == "CONDA_ENVS_PATH" else root))
    (envs / "x" / "conda-meta").mkdir(parents=True, exist_ok=True)
    argv = without_starter([command, "run", "-n", "x", "python", *KERNEL])
    assert argv == [f"{envs}/x/bin/python", *KERNEL]


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["conda"],
        ["conda", "run"],
        ["conda", "run", "-n"],
        ["conda", "run", "-n", "other", "python", *KERNEL],
        ["conda", "run", "python", *KERNEL],
        ["python", "-m", "nb_conda_kernels.runner", "/opt/conda"],
    ],
)
def test_what_cannot_be_told_stays_as_it_is(argv: list[str], conda: Path) -> None:
    assert without_starter(argv) == argv


def test_an_environment_that_is_not_found_is_said(conda: Path) -> None:
    spec = Spec("x", {"argv": ["conda", "run", "-n", "other", "python", *KERNEL]})
    with pytest.raises(ImpossibleError, match="conda run, and the environment meant by that is"):
        _ = spec.python


def test_a_kernel_that_only_the_server_of_jupyter_lists_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """nb_conda_kernels writes nothing to the disk; our mirror does."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    spec = {
        "argv": [*RUNNER, "python", *KERNEL],
        **{"display_name": "Python [conda env:x]", "language": "python", "env": {}},
        **{"metadata": {}, "interrupt_mode": "signal"},
    }
    original = Original("conda-env-x-py", tmp_path, spec, on_disk=False)
    mirror = mirror_of(original, "relay-conda-env-x-py", "/usr/bin/python3")
    folder = tmp_path / "kernels" / mirror.name
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps(mirror.spec))
    assert "conda-env-x-py" not in python_specs()
    found = python_specs(Originals())["conda-env-x-py"]
    assert found.content["argv"] == ["/opt/conda/envs/x/bin/python", *KERNEL]


def test_what_a_shell_starts_has_no_mirror_and_says_why() -> None:
    """As kernda writes them."""
    line = "source '/c/bin/activate' '/c/envs/x' && exec python -m ipykernel -f '{connection_file}'"
    why = reason_against({"argv": ["bash", "-c", line], "language": "python"})
    assert why.startswith("a shell starts it")
