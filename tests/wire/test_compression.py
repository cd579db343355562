"""What goes over the line is what was put in, and smaller only where that pays."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_kernel.wire.compression import SMALL, WORTH, difference, expand, squeeze
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


class TestDifference:
    @given(st.binary(max_size=90), st.integers(0, len(NOISE)), st.integers(0, 100_000))
    def test_content_that_differs_a_little_is_next_to_nothing(
        self, new: bytes, at: int, gone: int
    ) -> None:
        data = NOISE[:at] + new + NOISE[at + gone :]
        small = difference(data, NOISE)
        if len(data) < SMALL:
            assert small is None
        else:
            assert small is not None
            assert len(small) < 400
            assert expand(small, len(data), NOISE) == data

    @given(st.binary(max_size=3000), st.binary(max_size=3000))
    def test_whatever_the_base_is_it_comes_out_as_it_went_in(
        self, data: bytes, base: bytes
    ) -> None:
        small = difference(data, base)
        if small is not None:
            assert len(small) <= WORTH * len(data)
            assert expand(small, len(data), base) == data

    @pytest.mark.parametrize("base", [b"", b"x", random.Random(8).randbytes(1 << 20)])
    def test_what_has_nothing_of_its_base_is_no_difference(self, base: bytes) -> None:
        assert difference(NOISE, base) is None

    def test_a_change_in_the_middle_hides_nothing(self) -> None:
        middle = len(NOISE) // 2
        data = NOISE[: middle - (99 << 10)] + bytes(198 << 10) + NOISE[middle + (99 << 10) :]
        small = difference(data, NOISE)
        assert small
        assert len(small) < 400

    def test_without_its_base_it_is_not_read_as_something(self) -> None:
        small = difference(NOISE[:5000] + b"new" + NOISE[5000:], NOISE)
        assert small
        for base in (b"", b"another"):
            with pytest.raises(ProtocolError):
                expand(small, len(NOISE) + 3, base)
