"""Where relay-kernel keeps its things on this machine."""

from __future__ import annotations

import hashlib
import os
import platform
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from relay_kernel.core.errors import RelayError

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
    def hub_lock(self) -> Path:
        """Held by the one hub that runs."""
        return self.run / "hub.lock"

    @property
    def hub_status(self) -> Path:
        """What the hub believes of each target, as JSON."""
        return self.run / "hub.json"

    @property
    def hub_log(self) -> Path:
        """What the hub has to say."""
        return self.log / "hub.log"

    @property
    def files_socket(self) -> Path:
        """Where the file plane listens on the server."""
        return self.run / "files.sock"

    @property
    def files_status(self) -> Path:
        """How the files stand, as JSON."""
        return self.run / "files.json"

    @property
    def files_lock(self) -> Path:
        """Held by the one file plane that runs on the server."""
        return self.run / "files.lock"

    @property
    def files_log(self) -> Path:
        """What the file plane has to say."""
        return self.log / "files.log"

    @property
    def files_end_lock(self) -> Path:
        """Held by the one end of the file plane that runs on a PC."""
        return self.run / "files-end.lock"

    @property
    def files(self) -> Path:
        """One folder for each folder that is kept equal: its index, and what both ends had."""
        return self.state / "files"

    @property
    def envs(self) -> Path:
        """On the server, what is known of its environments; on a PC, those that mirror them."""
        return self.state / "envs"

    @property
    def envs_status(self) -> Path:
        """What the server believes of each environment at each target, as JSON."""
        return self.run / "envs.json"

    @property
    def envs_end_lock(self) -> Path:
        """Held by the one builder of environments that runs on a PC."""
        return self.run / "envs-end.lock"

    @property
    def envs_log(self) -> Path:
        """What is built, and how that goes."""
        return self.log / "envs.log"

    @property
    def agent_socket(self) -> Path:
        """Where the agent listens on a PC."""
        return self.run / "agent.sock"

    @property
    def agent_log(self) -> Path:
        """What the agent on a PC has to say."""
        return self.log / "agent.log"

    @property
    def kernel_log(self) -> Path:
        """What all notebooks on the server have to say."""
        return self.log / "kernel.log"

    @property
    def kernels(self) -> Path:
        """One status file for each running relay kernel."""
        return self.run / "kernels"

    @property
    def store(self) -> Path:
        """Chunks and manifests."""
        return self.state / "store"

    @property
    def kept(self) -> Path:
        """States of notebooks that ended, for ``%relay restore``."""
        return self.state / "kept"

    def make(self) -> Places:
        """Create the folders, private to this user; returns itself.

        Raises:
            RelayError: One cannot be made, or is not this user's own. The run folder may lie in
                a folder that all users write to, where another could have made it first.
        """
        _make(self.config.parent)
        for folder in (self.state, self.run, self.kernels, self.log):
            _make(folder)
            _own(folder)
        _close(self.run.parent)
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
        _short(dirs.user_state_path / f"run-{machine()}"),
        dirs.user_log_path,
    )


def machine() -> str:
    """A short name of this machine, for a home folder that several share.

    Sockets and locks do not lie below ``XDG_RUNTIME_DIR``: a service, a cron job and an SSH
    session disagree on whether there is one, so they would not find each other; and it is emptied
    when the user logs out, under an agent that is meant to stay.
    """
    try:
        name = Path("/etc/machine-id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        name = ""
    return hashlib.blake2b((name or platform.node()).encode(), digest_size=4).hexdigest()


def _short(run: Path) -> Path:
    """``run``, or a private folder with a short name where sockets in ``run`` would not bind."""
    longest = run / "kernels" / "k0123456789ab" / "stdin-5"
    if len(os.fsencode(longest)) <= 100:
        return run
    digest = hashlib.blake2b(os.fsencode(run), digest_size=6).hexdigest()
    return Path(tempfile.gettempdir()) / f"relay-{os.getuid()}-{digest}"


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise RelayError(f"the folder {folder} cannot be made: {error.strerror}") from error


def _own(folder: Path) -> None:
    """Make ``folder`` private, or refuse it. The last step of its path is not followed."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise RelayError(f"{folder} is not a real folder: remove it, and it will be made anew")
    if found.st_uid != os.getuid():
        raise RelayError(
            f"{folder} belongs to user {found.st_uid}, not to you: "
            "remove it, or set RELAY_HOME to a folder of your own"
        )
    if found.st_mode & 0o077:
        folder.chmod(0o700)


def _close(parent: Path) -> None:
    """Let no other user put a folder of theirs in the place of one in ``parent``; or refuse it."""
    found = parent.stat()
    if found.st_uid not in {os.getuid(), 0}:
        raise RelayError(
            f"{parent} belongs to user {found.st_uid}, who could exchange what is in it: "
            "set RELAY_HOME to a folder of your own"
        )
    if not found.st_mode & 0o022 or found.st_mode & stat.S_ISVTX:
        return
    if found.st_uid != os.getuid():
        raise RelayError(
            f"others may exchange what is in {parent}: set RELAY_HOME to a folder of your own"
        )
    parent.chmod(found.st_mode & 0o755)
