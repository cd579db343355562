"""Who is at the other end of a Unix socket: the folder's mode is one wall, this is the second."""

from __future__ import annotations

import os
import socket
import struct
import sys

#: From macOS's <sys/un.h>; Python has no names for them.
_SOL_LOCAL, _LOCAL_PEERCRED = 0, 1


def is_own(peer: socket.socket) -> bool:
    """Whether the process at the other end of ``peer`` runs as this user.

    Args:
        peer: A connected Unix socket. Asyncio's own wrapper of one will do.
    """
    return _uid(peer) == os.getuid()


def _uid(peer: socket.socket) -> int:
    if sys.platform == "darwin":
        raw = peer.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, 76)
        _, uid = struct.unpack_from("iI", raw)
    else:
        raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        _, uid, _ = struct.unpack("3i", raw)
    return int(uid)
