"""Has the user accept a host key, once, and pins it. The same for a PC and for a server."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import typer

from relay_kernel.core.errors import RelayError

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay_kernel.link.pins import HostKey
    from relay_kernel.settings.config import TargetConfig
    from relay_kernel.settings.paths import Places


async def accept_host_key(
    target: TargetConfig,
    places: Places,
    show: Callable[[str], None],
    *,
    accept: bool,
    may_ask: bool = True,
) -> dict[str, Any]:
    """Pin the host key that ``target`` shows, unless it is pinned already.

    Args:
        target: What is dialled.
        places: Where the pin goes.
        show: Called with each line to be shown.
        accept: Take the key as it is shown, without asking.
        may_ask: Ask where somebody is there to answer; else it must be accepted or pinned.

    Returns:
        ``{"kind", "fingerprint", "fresh"}``; fresh where it was not pinned before.

    Raises:
        DialError: It cannot be reached.
        RelayError: The user does not accept the key, or cannot be asked.
    """
    from relay_kernel.link.pins import fetch_host_key, pin, read_pins

    key = await fetch_host_key(target)
    pinned = read_pins(places, target.name)
    facts = {"kind": key.kind, "fingerprint": key.fingerprint, "fresh": key not in pinned}
    show(f"  {target.ssh} shows the host key {key}")
    if key in pinned:
        show("  that is the one pinned for it")
        return facts
    for old in pinned:
        show(f"Another key was pinned for {target.name}: {old}")
    if not accept and not _ask(key, show, may_ask=may_ask):
        raise RelayError(f"the host key was not accepted; {target.name} is not added")
    pin(places, target.name, key)
    return facts


def _ask(key: HostKey, show: Callable[[str], None], *, may_ask: bool) -> bool:
    if not may_ask or not sys.stdin.isatty():
        raise RelayError(
            f"nobody is here to accept the host key {key}: compare it with ssh-keygen -lf "
            "/etc/ssh/ssh_host_ed25519_key.pub on that machine, then run this with --yes"
        )
    show("Compare it on that machine: ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub")
    return typer.confirm("Is it the same?", default=False)
