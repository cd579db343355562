"""A Jupyter Server with the extension: what it lists, and how soon."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import relay_kernel
from tests.mirror.rig import LISTED, make_environment

if TYPE_CHECKING:
    from tests.mirror.rig import Jupyter

MANAGERS = Path(__file__).with_name("managers.py")


def use(jupyter: Jupyter, manager: str, file: str = "jupyter_server_config.py") -> None:
    """Configure a kernelspec manager."""
    shutil.copy(MANAGERS, jupyter.site / "some_managers.py")
    config = Path(jupyter.env["JUPYTER_CONFIG_DIR"])
    config.mkdir(parents=True, exist_ok=True)
    line = f"c.ServerApp.kernel_spec_manager_class = 'some_managers.{manager}'\n"
    (config / file).write_text(line)


@pytest.mark.alone
async def test_a_kernel_that_is_installed_meanwhile_has_its_mirror_at_once(
    jupyter: Jupyter,
) -> None:
    async with jupyter.server() as server:
        assert {"python3", "relay-python3"} <= set(await server.kernelspecs())
        await asyncio.to_thread(jupyter.install_kernel, "science", "--display-name", "Science")
        seconds = await server.lists(lambda found: "relay-science" in found)
        assert seconds < LISTED
        listed = (await server.kernelspecs())["relay-science"]
        assert listed["spec"]["display_name"] == "Science (relay)"
        assert await server.get(listed["resources"]["logo-64x64"])

        await server.says("wrote relay-science", within=LISTED)
        assert "relay-science" in jupyter.listed()
        listed = (await server.kernelspecs())["relay-science"]
        assert await server.get(listed["resources"]["logo-64x64"])

        jupyter.write_spec("science", display_name="Art")
        name = "Art (relay)"
        await server.lists(lambda found: found["relay-science"]["spec"]["display_name"] == name)

        shutil.rmtree(jupyter.user_kernels / "science")
        await server.lists(lambda found: "relay-science" not in found)
        assert "relay-science" not in jupyter.listed()


@pytest.mark.alone
async def test_a_kernel_whose_environment_is_removed_loses_its_mirror(
    jupyter: Jupyter, tmp_path: Path
) -> None:
    python = make_environment(tmp_path / "env")
    jupyter.install_kernel("science", python=python)
    async with jupyter.server() as server:
        await server.lists(lambda found: "relay-science" in found)
        await server.says("relay-science")
        shutil.rmtree(tmp_path / "env")
        await server.lists(lambda found: "relay-science" not in found)


async def test_it_is_listed_where_nothing_can_be_written(jupyter: Jupyter) -> None:
    jupyter.restrict()
    for folder in (jupyter.kernels, jupyter.user_kernels):
        folder.mkdir(parents=True)
        folder.chmod(0o555)
    async with jupyter.server() as server:
        assert "relay-python3" in await server.kernelspecs()
        await server.says("kernelspecs can be written neither to")
    assert server.log.count("kernelspecs can be written") == 1


@pytest.fixture
def conda(jupyter: Jupyter) -> Jupyter:
    """A Jupyter whose server lists environments, of which there is one."""
    environments = jupyter.home / "environments"
    make_environment(environments / "science")
    jupyter.env["ENVIRONMENTS"] = str(environments)
    kernels = environments / "science" / "share" / "jupyter" / "kernels"
    command = ["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    jupyter.write_spec("python3", kernels, argv=command, metadata={"debugger": True})
    return jupyter


async def test_kernels_that_another_manager_lists_have_mirrors(conda: Jupyter) -> None:
    use(conda, "CondaLike")
    async with conda.server() as server:
        listed = await server.kernelspecs()
        assert {"conda-env-science-py", "relay-conda-env-science-py"} <= set(listed)
        mirror = listed["relay-conda-env-science-py"]["spec"]
        assert mirror["display_name"] == "Python [conda env:science] (relay)"
        assert mirror["metadata"]["debugger"] is True
        assert mirror["metadata"]["conda_env_name"] == "science"
        await server.says("wrote relay-conda-env-science-py")
    # Who knows nothing of that manager keeps its mirrors.
    conda.mirror()
    assert "relay-conda-env-science-py" in conda.listed()

    made = {"cells": [_cell("import sys; sys.prefix")], "metadata": {}, "nbformat": 4}
    (conda.home / "where.ipynb").write_text(json.dumps({**made, "nbformat_minor": 5}))
    kernel = "--kernel_name=relay-conda-env-science-py"
    run = "import sys; from nbclient.cli import main; main()"
    (conda.site / "run_nbclient.py").write_text(run)
    await asyncio.to_thread(conda.run, "run_nbclient", "where.ipynb", kernel, "--inplace")
    out = json.loads((conda.home / "where.ipynb").read_text())["cells"][0]["outputs"][0]
    assert str(conda.home / "environments" / "science") in out["data"]["text/plain"][0]

    shutil.rmtree(conda.home / "environments" / "science")
    conda.mirror()
    assert "relay-conda-env-science-py" not in conda.listed()


@pytest.mark.parametrize(
    ("app", "file"),
    [("jupyter_server", "jupyter_config.py"), ("jupyterlab", "jupyter_lab_config.py")],
)
async def test_another_manager_may_be_configured_anywhere(
    conda: Jupyter, app: str, file: str
) -> None:
    """JupyterLab brings its settings after the extension was linked."""
    use(conda, "CondaLike", file)
    async with conda.server(app=app) as server:
        listed = await server.kernelspecs()
        assert {"conda-env-science-py", "relay-conda-env-science-py"} <= set(listed)


def _cell(source: str) -> dict:
    cell = {"cell_type": "code", "source": source, "outputs": [], "execution_count": None}
    return {**cell, "metadata": {}, "id": "one"}


@pytest.mark.alone
async def test_a_manager_that_is_slow_does_not_hold_up_the_server(jupyter: Jupyter) -> None:
    use(jupyter, "Slow")
    async with jupyter.server() as server, asyncio.timeout(LISTED):
        while not (jupyter.home / "asked").exists():
            await asyncio.sleep(0.01)
        await server.get("/api/status")
        (jupyter.home / "go on").touch()
        await server.says("wrote relay-python3")


async def test_kernels_that_another_manager_cannot_read_cost_no_others(jupyter: Jupyter) -> None:
    use(jupyter, "Broken")
    jupyter.write_spec("science")
    async with jupyter.server() as server:
        listed = await server.kernelspecs()
        assert {"python3", "relay-python3"} <= set(listed)
        assert "relay-science" not in listed
        await server.get("/api/status")


async def test_a_manager_that_cannot_be_extended_lists_what_is_on_the_disk(
    jupyter: Jupyter,
) -> None:
    use(jupyter, "Sealed")
    async with jupyter.server() as server:
        await server.says("wrote relay-python3")
        assert "relay-python3" in await server.kernelspecs()
    assert "relay kernels are listed once written: sealed" in server.log
    assert "Traceback" not in server.log


async def test_a_manager_of_coroutines_lists_what_is_on_the_disk(jupyter: Jupyter) -> None:
    use(jupyter, "Asynchronous")
    async with jupyter.server() as server:
        await server.says("wrote relay-python3")
        assert "relay-python3" in await server.kernelspecs()


async def test_a_server_that_has_its_kernels_from_another_is_left_alone(jupyter: Jupyter) -> None:
    async with jupyter.server("--GatewayClient.url=http://127.0.0.1:9") as server:
        await server.get("/api")
        assert "wrote relay-python3" not in server.log
    assert "relay-python3" not in jupyter.listed()


async def test_it_can_be_turned_off(jupyter: Jupyter) -> None:
    jupyter.run(
        "jupyter_server.extension.serverextension", "disable", "--sys-prefix", "relay_kernel"
    )
    async with jupyter.server() as server:
        assert set(await server.kernelspecs()) == {"python3"}


@pytest.mark.parametrize("app", ["jupyter_server", "jupyterlab"])
async def test_it_can_be_turned_off_for_one_server(jupyter: Jupyter, app: str) -> None:
    off = "--ServerApp.jpserver_extensions={'relay_kernel': False}"
    async with jupyter.server(off, app=app) as server:
        assert set(await server.kernelspecs()) == {"python3"}
        assert ("LabApp" in server.log) == (app == "jupyterlab")


@pytest.mark.alone
async def test_two_servers_do_not_fight(jupyter: Jupyter) -> None:
    async with jupyter.server() as one, jupyter.server() as other:
        # Of one file: ipykernel's own install copies its logos in behind it, which may be seen.
        jupyter.write_spec("science")
        await one.lists(lambda found: "relay-science" in found)
        await other.lists(lambda found: "relay-science" in found)
        shutil.rmtree(jupyter.user_kernels / "science")
        await one.lists(lambda found: "relay-science" not in found)
        await other.lists(lambda found: "relay-science" not in found)
    assert (one.log + other.log).count("wrote relay-science") == 1
    assert (one.log + other.log).count("removed relay-science") == 1


def test_jupyterlabs_extension_is_of_this_version_and_whole() -> None:
    folder = Path(relay_kernel.__file__).parent / "labextension"
    about = json.loads((folder / "package.json").read_text())
    assert about["version"] == relay_kernel.__version__
    entry = folder / about["jupyterlab"]["_build"]["load"]
    modules = {path.name for path in entry.parent.iterdir()}
    named = {entry.name}
    for script in entry.parent.glob("*.js"):
        named |= set(re.findall(r'"(?:\./)?([\w.]+\.(?:js|css))"', script.read_text()))
    assert named == modules


async def test_the_extension_is_known_by_its_name(jupyter: Jupyter) -> None:
    said = jupyter.run("jupyter_server.extension.serverextension", "list")
    assert "relay_kernel" in said
    assert "problem" not in said.lower()
