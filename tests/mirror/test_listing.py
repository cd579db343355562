"""The kernelspec manager of a server, alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

from relay_kernel.mirror.listing import MirroringSpecs, compose

if TYPE_CHECKING:
    from tests.mirror.rig import Jupyter


@pytest.fixture
def manager(jupyter: Jupyter) -> MirroringSpecs:
    """Of a Jupyter where nothing was written yet."""
    made: MirroringSpecs = compose(KernelSpecManager)(kernel_dirs=[str(jupyter.user_kernels)])
    return made


def test_a_mirror_is_listed_before_it_is_written(jupyter: Jupyter, manager: MirroringSpecs) -> None:
    folder = jupyter.write_spec("science", metadata={"debugger": True})
    assert manager.get_kernel_spec("relay-science").argv[1:3] == ["-m", "relay_kernel"]
    listed = manager.get_all_specs()
    assert set(listed) == {"python3", "relay-python3", "science", "relay-science"}
    assert listed["relay-science"]["resource_dir"] == str(folder)
    assert listed["relay-science"]["spec"]["metadata"]["debugger"] is True
    assert listed["science"]["spec"]["argv"][2] == "ipykernel_launcher"


def test_it_follows_at_once(jupyter: Jupyter, manager: MirroringSpecs) -> None:
    folder = jupyter.write_spec("science")
    assert manager.get_kernel_spec("relay-science").display_name == "Science (relay)"
    jupyter.write_spec("science", display_name="Another")
    assert manager.get_all_specs()["relay-science"]["spec"]["display_name"] == "Another (relay)"
    (folder / "kernel.json").unlink()
    assert "relay-science" not in manager.find_kernel_specs()
    with pytest.raises(NoSuchKernel):
        manager.get_kernel_spec("relay-science")


def test_what_is_on_the_disk_counts(jupyter: Jupyter, manager: MirroringSpecs) -> None:
    jupyter.write_spec("science")
    mine = jupyter.write_spec("relay-science", display_name="Mine", language="R")
    assert manager.find_kernel_specs()["relay-science"] == str(mine)
    assert manager.get_kernel_spec("relay-science").display_name == "Mine"


def test_a_list_of_allowed_kernels_is_about_mirrors_too(
    jupyter: Jupyter, manager: MirroringSpecs
) -> None:
    jupyter.write_spec("science")
    manager.allowed_kernelspecs = {"science", "python3", "relay-python3"}
    assert set(manager.find_kernel_specs()) == {"science", "python3", "relay-python3"}


def test_removing_a_mirror_that_is_not_written_leaves_the_original(
    jupyter: Jupyter, manager: MirroringSpecs
) -> None:
    folder = jupyter.write_spec("science")
    assert "relay-science" in manager.find_kernel_specs()
    with pytest.raises(NoSuchKernel):
        manager.remove_kernel_spec("relay-science")
    assert (folder / "kernel.json").exists()
    assert manager.remove_kernel_spec("science") == str(folder)
    assert not Path(folder).exists()


def test_new_ones_are_told_once(jupyter: Jupyter, manager: MirroringSpecs) -> None:
    told = []
    manager.seen_new = lambda: told.append(1)
    manager.find_kernel_specs()
    jupyter.write_spec("science")
    manager.find_kernel_specs()
    manager.find_kernel_specs()
    assert len(told) == 2


def test_composing_twice_changes_nothing() -> None:
    once = compose(KernelSpecManager)
    assert compose(once) is once
    assert issubclass(once, KernelSpecManager)
