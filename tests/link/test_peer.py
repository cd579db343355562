"""Nobody else's process is served, even where a folder's mode would let it in."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from relay_kernel.link.peer import is_own


def test_our_own_process_is_known() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert is_own(ours)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can act as another user")
def test_another_user_is_told_apart() -> None:
    code = (
        "import os, socket, sys; os.setuid(65534); s = socket.socket(socket.AF_UNIX); "
        "s.connect(sys.argv[1]); s.recv(1)"
    )
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        path = Path(folder) / "open.sock"
        listener.bind(str(path))
        for opened in (path.parent, path):
            opened.chmod(0o777)
        listener.listen()
        listener.settimeout(10)
        stranger = subprocess.Popen([sys.executable, "-c", code, str(path)])
        peer, _ = listener.accept()
        with peer:
            assert not is_own(peer)
        stranger.wait(10)
