"""The questions of ``relay add`` and ``relay join``, for a person at a terminal.

Each has an option of the command line, and nothing is asked that was said there.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from relay_kernel.settings.address import parse_address
from relay_kernel.settings.config import check_name

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Wish:
    """What ``relay add`` was asked for, as far as that was said."""

    name: str | None = None
    ssh: str | None = None
    identity: Path | None = None
    python: str | None = None
    dials_in: bool = False
    key: str | None = None

    @property
    def is_complete(self) -> bool:
        """Whether nothing need be asked."""
        return self.name is not None and (self.ssh is not None or self.dials_in)


def is_interactive() -> bool:
    """Whether somebody is there to answer, and to read."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def ask(wish: Wish) -> Wish:
    """Ask for what is missing.

    Raises:
        typer.Abort: The user has had enough.
    """
    if wish.name is None:
        wish = replace(wish, name=_ask("What is the PC called here?", check_name, "pc"))
    if wish.ssh is None and not wish.dials_in:
        print("The server dials the PC where it can reach its sshd; else the PC dials in.")
        if typer.confirm("Can this server reach the PC by SSH?", default=True):
            wish = replace(wish, ssh=_ask("Where is it? (me@host, me@host:port, alias)", _address))
        else:
            wish = replace(wish, dials_in=True)
    if wish.ssh is not None and wish.identity is None:
        given = _ask("Which private key? (Enter: what ssh would use)", _identity, "")
        wish = replace(wish, identity=Path(given).expanduser() if given else None)
    return wish


def ask_server() -> str:
    """Where the server is, for ``relay join``."""
    return _ask("Where is the server? (me@host, me@host:port, alias)", _address)


def ask_key() -> str:
    """The public key of a PC that dials in; empty: the user will do that later."""
    return _key_in(_ask("Paste here the line that it shows (Enter: later)", _key, ""))


def _ask(question: str, wrong: Callable[[str], str | None], default: str | None = None) -> str:
    """Ask until the answer is none that is ``wrong``."""
    while True:
        shown = bool(default)
        answer: str = typer.prompt(question, default=default, show_default=shown).strip()
        complaint = wrong(answer)
        if not complaint:
            return answer
        print(f"  {answer!r} {complaint}")


def _address(text: str) -> str | None:
    try:
        parse_address(text)
    except ValueError as error:
        return f"is wrong: {error}"
    return None


def _identity(text: str) -> str | None:
    found = not text or Path(text).expanduser().is_file()
    return None if found else "is no file"


def _key_in(text: str) -> str:
    """The key in what ``relay join`` shows: a whole command, or the key alone."""
    found = re.search(r"--key[ =](['\"]?)(?P<key>.+)\1", text)
    return (found["key"] if found else text).strip().strip("'\"")


def _key(text: str) -> str | None:
    from relay_kernel.settings.authorized_keys import parse_public_key

    try:
        if text:
            parse_public_key(_key_in(text))
    except ValueError as error:
        return f"is wrong: {error}"
    return None
