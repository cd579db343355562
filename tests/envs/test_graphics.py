"""Which build of PyTorch and JAX a PC gets: uv itself chooses, from indexes laid out as theirs are.

There is no graphics card here. What stands for it is what uv takes a driver's version from before
it looks for one, ``UV_CUDA_DRIVER_VERSION``; all that follows from it is real.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from relay_kernel.core.blueprint import Blueprint, Package, by_hand
from relay_kernel.envs import graphics
from relay_kernel.hub.env_adopt import adopt
from tests.envs.internet import Internet
from tests.envs.rig import Env, World, a_world, uv

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from relay_kernel.settings.paths import Places

pytestmark = pytest.mark.timeout(180)

#: What runs CUDA 12.8, and 13.
DRIVER = "570.26"
#: What is of this machine's own NVIDIA, if it has one.
CARDS = ("UV_CUDA_DRIVER_VERSION", "UV_AMD_GPU_ARCHITECTURE", "UV_TORCH_BACKEND")


@pytest.fixture
def internet(tmp_path: Path) -> Iterator[Internet]:
    """With two versions of PyTorch in three builds each, and JAX."""
    with Internet(tmp_path / "internet") as net:
        for version in ("2.8.0", "2.9.0"):
            net.publish("cpu", "torch", f"{version}+cpu", "sympy")
            for build in ("cu126", "cu128"):
                needs = ("sympy", "nvidia-cublas-cu12==12.8.4", "triton==3.5.0")
                net.publish(build, "torch", f"{version}+{build}", *needs)
            net.publish("simple", "torch", version, "sympy", "nvidia-cublas-cu12==12.8.4")
        for index in ("cu126", "cu128", "simple"):
            net.publish(index, "nvidia-cublas-cu12", "12.8.4")
            net.publish(index, "triton", "3.5.0")
        for version in ("1.13.0", "1.14.0"):
            net.publish("simple", "sympy", version)
        plugin = "jax-cuda12-plugin==0.8.0"
        net.publish("simple", "jax", "0.8.0", "jaxlib==0.8.0", plugin, extra="cuda12")
        net.publish("simple", "jaxlib", "0.8.0")
        net.publish("simple", "jax-cuda12-plugin", "0.8.0", "nvidia-cublas-cu12")
        yield net


@contextmanager
def with_driver(places: Places, folder: Path, net: Internet, driver: str) -> Iterator[World]:
    """A server and a PC with that driver; empty: with no graphics card."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_DATA_DIR", str(folder / "jupyter"))
        card = {"UV_CUDA_DRIVER_VERSION": driver} if driver else {}
        with a_world(places, folder, folder / "jupyter", {**net.env, **card}) as world:
            yield world


def no_card_here() -> None:
    """Skip where this machine would be taken for a PC with a card."""
    if graphics.has_nvidia() or any(each in os.environ for each in CARDS):
        pytest.skip("this machine has a graphics card of its own")


def server(env: Env, torch: str, *runtimes: tuple[str, str]) -> Env:
    """An environment of the server with a build of PyTorch."""
    for name, version in (("torch", torch), ("sympy", "1.13.0"), *runtimes):
        env.add_fake(name, version)
    return env


def put(env: Env, name: str, version: str) -> None:
    """Another version instead of the one that is there; at no time there is none."""
    old = list(env.site.glob(f"{name}-*.dist-info"))
    env.add_fake(name, version)
    for info in old:
        shutil.rmtree(info)


RUNTIMES = (("nvidia_cublas_cu12", "12.8.4"), ("triton", "3.5.0"))
OF_A_CARD = {"nvidia_cublas_cu12", "triton"}


@pytest.fixture
def with_card(places: Places, tmp_path: Path, internet: Internet, env: Env) -> Iterator[World]:
    """A PC with a card, and a server that has none, with PyTorch."""
    with with_driver(places, tmp_path, internet, DRIVER) as world:
        world.install_kernel("mine", server(env, "2.9.0+cpu"))
        yield world


async def test_a_pc_with_a_card_gets_the_build_for_it_and_nothing_fights_over_that(
    with_card: World, internet: Internet, env: Env
) -> None:
    """The server has none. What the PC's driver cannot run is not looked for."""
    world = with_card
    async with world:
        await world.phase("mine", "ready")
        assert world.state("mine")["drift"] == []
        versions = world.versions("mine")
        assert versions["torch"] == "2.9.0+cu128"
        assert versions["sympy"] == "1.13.0"
        assert versions.keys() >= OF_A_CARD
        asked = internet.indexes_asked("torch")
        assert {"cu128", "cu126"} <= asked
        assert not {"cu130", "cu132"} & asked

        first = world.mirror("mine").current
        assert await world.plane.sync("mine") == {"pc": ""}
        # A build of another kind on the server is no other version.
        for name, version in (("torch", "2.9.0+cu126"), *RUNTIMES):
            put(env, name, version)
        assert await world.plane.sync("mine") == {"pc": ""}
        assert world.mirror("mine").current == first

        put(env, "torch", "2.8.0+cpu")
        await world.until(lambda: world.versions("mine").get("torch") == "2.8.0+cu128")
        await world.until(lambda: world.state("mine")["phase"] == "ready")
        assert world.state("mine")["drift"] == []


async def test_a_pc_without_a_card_gets_the_small_build(
    places: Places, tmp_path: Path, internet: Internet, env: Env
) -> None:
    """The server has one, with all that its build brings along."""
    no_card_here()
    with with_driver(places, tmp_path, internet, "") as world:
        world.install_kernel("mine", server(env, "2.9.0+cu128", *RUNTIMES))
        async with world:
            await world.phase("mine", "ready")
            assert world.state("mine")["drift"] == []
            versions = world.versions("mine")
            assert versions["torch"] == "2.9.0+cpu"
            assert not OF_A_CARD & versions.keys()
            assert internet.indexes_asked("torch") == {"cpu"}
            assert await world.plane.sync("mine") == {"pc": ""}


async def test_a_build_that_a_person_has_chosen_at_the_pc_stays(
    with_card: World, internet: Internet, env: Env
) -> None:
    """Into the next environments too, until the server has another version."""
    world = with_card
    async with world:
        await world.phase("mine", "ready")
        environment = world.mirror("mine").current
        assert environment is not None
        with pytest.MonkeyPatch.context() as patch:
            for name, value in internet.env.items():
                patch.setenv(name, value)
            build = ("--torch-backend", "cu126", "--reinstall", "torch==2.9.0+cu126")
            uv("pip", "install", "--python", world.mirror("mine").python(environment), *build)
        Env(environment).add_fake("theirs")
        await world.until(
            lambda: world.state("mine")["drift"] == ["theirs 1.0 is only there, and stays"]
        )
        for version in ("1.14.0", "1.13.0"):
            put(env, "sympy", version)
            await world.until(lambda v=version: world.versions("mine").get("sympy") == v)
            await world.until(lambda: world.state("mine")["phase"] == "ready")
            versions = world.versions("mine")
            assert versions["torch"] == "2.9.0+cu126"
            assert versions.keys() >= {*OF_A_CARD, "theirs"}
        assert world.run("mine", "import torch_fake; print(torch_fake.version)") == ("2.9.0+cu126")
        put(env, "torch", "2.8.0+cpu")
        await world.until(lambda: world.versions("mine").get("torch") == "2.8.0+cu128")


@pytest.mark.parametrize("driver", [DRIVER, ""])
async def test_jax_is_installed_for_the_card_there_is(
    driver: str, places: Places, tmp_path: Path, internet: Internet, env: Env
) -> None:
    if not driver:
        no_card_here()
    for name in ("jax", "jaxlib"):
        env.add_fake(name, "0.8.0")
    with with_driver(places, tmp_path, internet, driver) as world:
        world.install_kernel("mine", env)
        async with world:
            await world.phase("mine", "ready")
            assert world.state("mine")["drift"] == []
            assert ("jax_cuda12_plugin" in world.versions("mine")) == bool(driver)
            assert await world.plane.sync("mine") == {"pc": ""}


async def test_what_a_cell_installs_at_a_pc_with_a_card_comes_in_the_build_for_the_server(
    internet: Internet, env: Env, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_card_here()
    for name, value in internet.env.items():
        monkeypatch.setenv(name, value)
    there = [
        *(Package("nvidia-cublas-cu12", "12.8.4"), Package("triton", "3.5.0")),
        *(Package("sympy", "1.13.0"), Package("torch", "2.9.0+cu128")),
    ]
    assert set(await adopt(env.python, there)) == {"sympy", "torch"}
    have = {info.name for info in env.site.glob("*.dist-info")}
    assert {"torch-2.9.0+cpu.dist-info", "sympy-1.13.0.dist-info"} <= have
    assert not any(name.startswith(("nvidia", "triton")) for name in have)


def test_whose_choice_a_build_is() -> None:
    wanted = Blueprint("3.11", (Package("torch", "2.9.0+cpu"), Package("torchvision", "0.24")))
    have = {"torch": "2.9.0+cu126", "torchvision": "0.24+cu126"}
    chosen = {"torch": "2.9.0+cu128", "torchvision": "0.24+cu128"}
    both = frozenset(chosen)
    assert by_hand(wanted, have, chosen) == both
    assert by_hand(wanted, {**have, "torchvision": "0.24+cu128"}, chosen) == both
    assert by_hand(wanted, chosen, chosen) == frozenset()
    # Nothing is known of who chose it.
    assert by_hand(wanted, have, {}) == frozenset()
    # It is gone, or of another version than the server's.
    assert by_hand(wanted, {"torch": "2.9.0+cu126"}, chosen) == frozenset()
    assert by_hand(wanted, {**have, "torch": "2.8.0+cu126"}, chosen) == frozenset()


@pytest.mark.parametrize(
    ("said", "card"), [("echo 570.26", True), ("echo", False), ("exit 9", False)]
)
def test_a_driver_that_only_a_program_knows_of(
    said: str, card: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in Linux inside Windows."""
    no_card_here()
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{said}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert graphics.has_nvidia() == card
