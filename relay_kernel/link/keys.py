"""Keys of our own: a PC that dials in has one for that and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncssh

from relay_kernel.link.pins import HostKey, as_host_key

if TYPE_CHECKING:
    from pathlib import Path


def make_key(path: Path) -> HostKey:
    """Write a new private key to ``path`` (0600) and the public one beside it as ``.pub``.

    Returns:
        The public half.
    """
    key = asyncssh.generate_private_key("ssh-ed25519")
    path.touch(mode=0o600)
    key.write_private_key(path)
    key.write_public_key(path.with_name(f"{path.name}.pub"))
    return as_host_key(key)


def read_public_half(path: Path) -> HostKey:
    """The public half of the private key in ``path``; from its ``.pub`` where it is encrypted.

    Raises:
        OSError: A file cannot be read.
        ValueError: It is no key.
    """
    public = path.with_name(f"{path.name}.pub")
    try:
        if public.is_file():
            return as_host_key(asyncssh.read_public_key(public))
        return as_host_key(asyncssh.read_private_key(path))
    except asyncssh.KeyImportError as error:
        raise ValueError(str(error)) from error
