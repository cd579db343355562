"""What goes over the line is what was put in, and smaller only where that pays."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_kernel.wire.compression import SMALL, WORTH, expand, squeeze
from relay_kernel.wire.errors import ProtocolError

NOISE = random.Random(7).randbytes(1 << 20)


@given(st.binary(max_size=200), st.integers(0, 5000))
def test_it_comes_out_as_it_went_in(pattern: bytes, times: int) -> None:
    data = pattern * times
    small = squeeze(data)
    if small is not None:
        assert len(small) <= WORTH * len(data)
        assert expand(small, len(data)) == data


@pytest.mark.parametrize("data", [b"", bytes(SMALL - 1), NOISE, NOISE[:5000]])
def test_what_does_not_shrink_goes_as_it_is(data: bytes) -> None:
    assert squeeze(data) is None


def test_what_is_not_compressed_content_is_refused() -> None:
    small = squeeze(bytes(100_000))
    assert small
    for data, size in ((small, 99_999), (small[:-1], 100_000), (b"none", 4), (b"", 0)):
        with pytest.raises(ProtocolError) as caught:
            expand(data, size)
        assert "\n" not in str(caught.value)
