"""The lines of ``~/.ssh/authorized_keys`` that let a PC dial in, and do nothing else.

A line of ours is ``restrict,command="… gateway NAME" KIND BLOB relay-kernel:NAME``. All others are
left as they are, to the byte.
"""

from __future__ import annotations

import base64
import binascii
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relay_kernel.core.errors import RelayError
from relay_kernel.settings.atomic import replace_file

if TYPE_CHECKING:
    from pathlib import Path

_KINDS = re.compile(r"(?:sk-)?(?:ssh|ecdsa)-[a-z0-9@.-]+")
_OURS = re.compile(r'restrict,command="(?P<command>[^"]* gateway [a-z0-9_-]+)" .*')


@dataclass(frozen=True)
class PublicKey:
    """The public half of a key, as ``ssh-keygen`` writes it, without its comment."""

    kind: str
    blob: str
    """Base64."""

    def __str__(self) -> str:
        return f"{self.kind} {self.blob}"


def parse_public_key(text: str) -> PublicKey:
    """Read ``ssh-ed25519 AAAA… comment``.

    Raises:
        ValueError: It is something else: a private key, options, several lines.
    """
    words = text.split()
    if len(text.strip().splitlines()) != 1 or len(words) < 2 or not _KINDS.fullmatch(words[0]):
        raise ValueError("a public key is one line that begins with its kind, as ssh-ed25519 AAAA…")
    kind, blob = words[:2]
    try:
        content = base64.b64decode(blob, validate=True)
    except binascii.Error as error:
        raise ValueError(f"the public key is damaged: {error}") from error
    if content[4 : 4 + int.from_bytes(content[:4], "big")] != kind.encode():
        raise ValueError(f"the public key is damaged, or is no {kind}")
    return PublicKey(kind, blob)


def gateway_line(name: str, command: list[str], key: PublicKey) -> str:
    """The line that lets ``key`` run ``command`` and nothing else: no shell, no forwarding, no pty.

    Args:
        name: The target's; it is the last word of ``command`` too.
        command: The gateway's, with full paths: an SSH session has little of a ``PATH``.
        key: The PC's.

    Raises:
        RelayError: A path in ``command`` has a sign that the file has no way to quote.
    """
    quoted = shlex.join(command)
    if '"' in quoted or "\\" in quoted or "\n" in quoted:
        raise RelayError(f"authorized_keys cannot hold the command {quoted}: use simpler paths")
    return f'restrict,command="{quoted}" {key} relay-kernel:{name}'


def authorize(path: Path, line: str, key: PublicKey) -> bool:
    """Put ``line`` into the file ``path``, in place of ours for its command or its ``key``.

    Returns:
        False where it stands there already.

    Raises:
        RelayError: The key may do more already by another line, which sshd would go by.
        OSError: The file cannot be read or written.
    """
    lines = _read(path)
    if line in lines:
        return False
    for number, other in enumerate(lines, 1):
        if key.blob in other.split() and not _OURS.match(other) and not other.startswith("#"):
            raise RelayError(
                f"{path}, line {number} lets the same key in without restriction: "
                "use a key of its own on the PC, or remove that line"
            )
    command = _command(line)
    kept = [
        other
        for other in lines
        if not _OURS.match(other) or (_command(other) != command and key.blob not in other.split())
    ]
    path.parent.mkdir(mode=0o700, exist_ok=True)
    _write(path, [*kept, line])
    return True


def revoke(path: Path, command: list[str]) -> bool:
    """Take the lines that run ``command`` out of the file ``path``; false if there is none."""
    lines = _read(path)
    wanted = shlex.join(command)
    kept = [line for line in lines if _command(line) != wanted]
    if kept == lines:
        return False
    _write(path, kept)
    return True


def _command(line: str) -> str | None:
    found = _OURS.match(line)
    return found["command"] if found else None


def _read(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return []
    return text.removesuffix("\n").split("\n") if text else []


def _write(path: Path, lines: list[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    replace_file(path, text, errors="surrogateescape")
