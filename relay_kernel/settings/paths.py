"""Where relay-kernel keeps its things on this machine."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import platformdirs

APP = "relay-kernel"


@dataclass(frozen=True)
class Places:
    """The folders of one user. All are private (0700) once :meth:`make` has run."""

    config: Path
    """``config.toml``."""
    state: Path
    """What must survive a reboot: pinned host keys, chunks, manifests."""
    run: Path
    """Sockets, locks, status files. Short, since a socket's path has at most 107 bytes."""
    log: Path

    @property
    def known_hosts(self) -> Path:
        """Host keys pinned by ``relay add``."""
        return self.state / "known_hosts"

    @property
    def hub_socket(self) -> Path:
        """Where the hub listens on the server."""
        return self.run / "hub.sock"

    @property
    def agent_socket(self) -> Path:
        """Where the agent listens on a PC."""
        return self.run / "agent.sock"

    @property
    def kernels(self) -> Path:
        """One status file for each running relay kernel."""
        return self.run / "kernels"

    @property
    def store(self) -> Path:
        """Chunks and manifests."""
        return self.state / "store"

    def make(self) -> Places:
        """Create the folders, private to this user; returns itself."""
        for folder in (self.config.parent, self.state, self.run, self.log, self.kernels):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.run.chmod(0o700)
        self.state.chmod(0o700)
        return self


def find_places() -> Places:
    """The folders in use: below ``RELAY_HOME`` if that is set, else the platform's own."""
    home = os.environ.get("RELAY_HOME")
    if home:
        root = Path(home).expanduser().absolute()
        return Places(root / "config.toml", root / "state", _short(root / "run"), root / "log")
    dirs = platformdirs.PlatformDirs(APP, appauthor=False)
    return Places(
        dirs.user_config_path / "config.toml",
        dirs.user_state_path,
        _short(dirs.user_runtime_path),
        dirs.user_log_path,
    )


def _short(run: Path) -> Path:
    """``run``, or a private folder with a short name where sockets in ``run`` would not bind."""
    longest = run / "kernels" / "k0123456789ab" / "stdin-5"
    if len(os.fsencode(longest)) <= 100:
        return run
    import hashlib

    digest = hashlib.blake2b(os.fsencode(run), digest_size=6).hexdigest()
    return Path(tempfile.gettempdir()) / f"relay-{os.getuid()}-{digest}"
