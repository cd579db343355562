"""The network of the docs, and the server in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.typed.machines import NAMES, PC, SERVER, Machine, Network, need_root

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    need_root()
    with Network(PC, SERVER) as network:
        yield network


@pytest.fixture(scope="module")
def server(network: Network) -> Iterator[Machine]:
    """The server of somebody who has Jupyter's own environment, and installs into it."""
    with Machine("srv", network, (SERVER,), NAMES) as machine:
        machine.copy_source()
        machine.run("python3 -m venv ~/jupyter")
        machine.path = f"{machine.home}/jupyter/bin"
        machine.run("pip install .", online=True)
        yield machine
