"""States of notebooks whose kernel ended, however it ended: what ``%relay restore`` puts back.

One folder for each, with the chunks, the manifest and ``about.json``. It is made by renaming the
store that a living notebook had, so there is no moment at which it is half there.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from relay_kernel.core.errors import RelayError
from relay_kernel.store.chunks import ABANDONED, ABOUT, MANIFEST, Store

if TYPE_CHECKING:
    from pathlib import Path

#: Of what would be free without kept states, they take no more than this part.
SHARE = 0.1
#: A file in a store, locked by the process that uses it.
LOCK = "lock"


class KeptStateError(RelayError):
    """A kept state cannot be used; the text says why."""


@dataclass(frozen=True)
class KeptState:
    """One state, as its ``about.json`` has it."""

    folder: Path
    kernel: str
    notebook: str | None
    """The path that Jupyter gave for the notebook, if it did."""
    saved: float
    """Seconds since the epoch."""
    cell: int
    names: int
    bytes: int
    """Of its chunks."""
    python: str

    @property
    def of(self) -> str:
        """What tells two notebooks apart."""
        return self.notebook or self.kernel


class Held:
    """A store in use: while this process lives, no other takes it for one that was left behind."""

    def __init__(self, root: Path) -> None:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(root / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.release = weakref.finalize(self, os.close, file)
        """Call it when others may take the store."""
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class KeptStates:
    """All kept states of this user.

    Args:
        folder: where they are.
        each: how many are kept of one notebook; 0 keeps none at all.
        most: bytes of all of them together.
    """

    def __init__(self, folder: Path, each: int, most: float) -> None:
        self._folder = folder
        self._each = each
        self._most = most

    def all(self) -> list[KeptState]:
        """What there is, newest first."""
        found = [state for path in self._folder.glob("*/") if (state := _read(path))]
        return sorted(found, key=lambda state: state.saved, reverse=True)

    def take(self, root: Path) -> None:
        """Keep the last safe state in a store that nobody uses any more; remove the rest of it."""
        state = _read(root) if self._each else None
        if state is None or not state.names:
            shutil.rmtree(root, ignore_errors=True)
            return
        try:
            _prune(root)
            self._folder.mkdir(mode=0o700, exist_ok=True)
            root.rename(self._folder / f"{state.saved:.0f}-{secrets.token_hex(4)}")
        except (OSError, ValueError):
            shutil.rmtree(root, ignore_errors=True)

    def adopt(self, stores: Path) -> None:
        """Keep the states that processes left in ``stores`` which were killed."""
        for root in stores.glob("*/"):
            if (root / ABOUT).exists() and _is_left(root):
                self.take(root)

    def trim(self, now: float) -> None:
        """Remove what is too old or too much. The newest of all stays in any case."""
        free = shutil.disk_usage(self._folder.parent).free
        states = self.all()
        most = min(self._most, SHARE * (free + sum(state.bytes for state in states)))
        count: dict[str, int] = {}
        total = 0
        for state in states:
            count[state.of] = count.get(state.of, 0) + 1
            total += state.bytes
            old = now - state.saved > ABANDONED
            too_much = count[state.of] > self._each or (total > most and state is not states[0])
            if old or too_much:
                total -= state.bytes
                shutil.rmtree(state.folder, ignore_errors=True)

    def lend(self, state: KeptState, store: Store) -> tuple[bytes, list[str]]:
        """Put the chunks of a state into ``store``; the state itself stays.

        Slow if links cannot be made: call it in a thread.

        Returns:
            The manifest, and the keys of its chunks.

        Raises:
            KeptStateError: it is gone, or cannot be read.
        """
        try:
            manifest = (state.folder / MANIFEST).read_bytes()
            keys = list(json.loads(manifest)["chunks"])
            store.keep("lent", keys)
            for key in store.missing(keys):
                # What is missing costs the variables in it, and no more.
                with contextlib.suppress(FileNotFoundError):
                    store.take_in(key, state.folder)
        except (OSError, ValueError, KeyError) as error:
            raise KeptStateError(
                f"what was kept in {state.folder} cannot be used: {error}"
            ) from None
        return manifest, keys


def _read(folder: Path) -> KeptState | None:
    try:
        about: dict[str, Any] = json.loads((folder / ABOUT).read_bytes())
        manifest = folder / MANIFEST
        if not manifest.exists():
            return None
        return KeptState(
            folder,
            str(about["kernel"]),
            about["notebook"],
            float(about["saved"]),
            int(about["cell"]),
            int(about["names"]),
            int(about["bytes"]),
            str(about["python"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_left(root: Path) -> bool:
    try:
        with (root / LOCK).open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _prune(root: Path) -> None:
    """Remove all that the manifest does not need."""
    needed = set(json.loads((root / MANIFEST).read_bytes())["chunks"])
    for path in (root / "chunks").glob("*/*"):
        if path.name not in needed:
            os.unlink(path)
