"""The host keys that the user has accepted, one file for all targets.

A key is pinned under an alias made of the target's name, never under an address: the same PC may
be reached by another road tomorrow, and another PC may sit behind the same road. The file is a
``known_hosts`` that OpenSSH reads too (``ssh -o HostKeyAlias=relay-pc -o UserKnownHostsFile=…``).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncssh

from relay_kernel.link.dialling import DIAL_TIMEOUT, dialled
from relay_kernel.link.errors import DialError
from relay_kernel.link.reasons import explain
from relay_kernel.settings.atomic import replace_file

if TYPE_CHECKING:
    from relay_kernel.settings.config import TargetConfig
    from relay_kernel.settings.paths import Places


@dataclass(frozen=True)
class HostKey:
    """The public half of a host key."""

    kind: str
    """``ssh-ed25519``, ``rsa-sha2-512``…: as in ``known_hosts``."""
    blob: str
    """Base64, as in ``known_hosts``."""

    @property
    def fingerprint(self) -> str:
        """``SHA256:…``, as ``ssh-keygen -l`` prints it."""
        digest = hashlib.sha256(base64.b64decode(self.blob)).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    def __str__(self) -> str:
        return f"{self.kind.removeprefix('ssh-').upper()} {self.fingerprint}"


def alias(name: str) -> str:
    """The name under which a target's key stands in the file."""
    return f"relay-{name}"


async def fetch_host_key(target: TargetConfig) -> HostKey:
    """Ask ``target`` for its host key. Proves nothing: the user compares and decides.

    Raises:
        DialError: It cannot be reached, or presents none.
    """
    address = dialled(target)
    try:
        async with asyncio.timeout(DIAL_TIMEOUT):
            key = await asyncssh.get_server_host_key(address.host, address.port or ())
    except (OSError, ValueError, asyncssh.Error) as error:
        raise explain(error, target) from error
    if key is None:
        raise DialError(f"{target.name} ({address}) presents no host key", permanent=True)
    return as_host_key(key)


def as_host_key(key: asyncssh.SSHKey) -> HostKey:
    """``key`` as it would stand in the file."""
    kind, blob, *_ = key.export_public_key().decode().split()
    return HostKey(kind, blob)


def read_pins(places: Places, name: str) -> tuple[HostKey, ...]:
    """The keys pinned for target ``name``; usually one, none before ``relay add``."""
    found = []
    for line in _lines(places):
        hosts, kind, blob = [*line.split(), "", "", ""][:3]
        if hosts == alias(name) and _is_base64(blob):
            found.append(HostKey(kind, blob))
    return tuple(found)


def pin(places: Places, name: str, key: HostKey) -> None:
    """Accept ``key``, and no other, for target ``name``."""
    kept = [line for line in _lines(places) if not _belongs(line, name)]
    _write(places, [*kept, f"{alias(name)} {key.kind} {key.blob}"])


def unpin(places: Places, name: str) -> None:
    """Forget what was accepted for target ``name``."""
    lines = _lines(places)
    kept = [line for line in lines if not _belongs(line, name)]
    if kept != lines:
        _write(places, kept)


def _lines(places: Places) -> list[str]:
    try:
        return places.known_hosts.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []


def _write(places: Places, lines: list[str]) -> None:
    replace_file(places.known_hosts, "".join(f"{line}\n" for line in lines))


def _belongs(line: str, name: str) -> bool:
    return line.split()[:1] == [alias(name)]


def _is_base64(blob: str) -> bool:
    try:
        return bool(base64.b64decode(blob, validate=True))
    except binascii.Error:
        return False
