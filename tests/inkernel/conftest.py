"""One pair of kernels for each test file: starting them is most of the time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.inkernel.rig import Pair

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def kernels(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    """A pair of kernels that live through the file, with chunks as long as its ``CHUNK`` says."""
    chunk = getattr(request.module, "CHUNK", 0)
    pair = Pair(tmp_path_factory.mktemp("pair"), chunk=chunk)
    yield pair
    pair.stop()


@pytest.fixture
def pair(kernels: Pair) -> Pair:
    """The pair, as new."""
    kernels.reset()
    return kernels
