"""``me@host:port``, as people type it for SSH."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ADDRESS = re.compile(
    r"""
    (?: (?P<user> [^@\s:]+ ) @ )?
    (?: \[ (?P<literal> [0-9A-Fa-f:.%\w]+ ) \]
      | (?P<host> [^@\s:\[\]]+ )
      | (?P<bare> [0-9A-Fa-f:]+ ) )
    (?: : (?P<port> \d{1,5} ) )?
    """,
    re.VERBOSE,
)


@dataclass(frozen=True)
class Address:
    """Where to dial. What is ``None`` is left to the user's ssh_config."""

    host: str
    """A name, a number, or a ``Host`` alias of ssh_config."""
    user: str | None = None
    port: int | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        user = f"{self.user}@" if self.user else ""
        return f"{user}{host}" + (f":{self.port}" if self.port else "")


def parse_address(text: str) -> Address:
    """Read ``[user@]host[:port]``; an IPv6 number with a port goes in brackets.

    Raises:
        ValueError: ``text`` is nothing of the kind; says what was expected.
    """
    found = _ADDRESS.fullmatch(text.strip())
    if found is None or text.strip().startswith("-"):
        raise ValueError(f"{text!r} is not an SSH address: write me@host, me@host:port or an alias")
    port = int(found["port"]) if found["port"] else None
    if port is not None and not 1 <= port <= 65535:
        raise ValueError(f"{text!r} has port {port}: allowed is 1 to 65535")
    host = found["literal"] or found["host"] or found["bare"]
    return Address(host, found["user"], port)
