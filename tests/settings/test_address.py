"""Every way to write an SSH address that people use."""

from __future__ import annotations

import pytest

from relay_kernel.settings.address import Address, parse_address

WRITTEN = {
    "desk": Address("desk"),
    "me@desk": Address("desk", "me"),
    "me@desk.example.org:2222": Address("desk.example.org", "me", 2222),
    "192.0.2.7:22": Address("192.0.2.7", None, 22),
    "me@[2001:db8::7]:2222": Address("2001:db8::7", "me", 2222),
    "2001:db8::7": Address("2001:db8::7"),
    " desk ": Address("desk"),
}


@pytest.mark.parametrize(("text", "address"), WRITTEN.items())
def test_it_is_read(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    "text", ["", "@", "me@", "a b", "desk:", "desk:0", "desk:65536", "-o=x", "a@b@c"]
)
def test_it_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not an SSH address|allowed is 1 to 65535"):
        parse_address(text)
