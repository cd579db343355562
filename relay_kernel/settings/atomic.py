"""Replace a small file in one step, so that a reader or a power cut never meets half of it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path


def replace_file(path: Path, text: str, *, durable: bool = True, errors: str = "strict") -> None:
    """Write ``text`` to ``path``, whole or not at all; mode 0600, or what the file had.

    A symbolic link stays one: the file that it points to is replaced.

    Args:
        path: The file. Its folder must exist.
        text: The new content, written as UTF-8.
        durable: Reach the disk before returning. Status files do without.
        errors: What to do with a text that UTF-8 has no bytes for; as for ``open``.

    Raises:
        OSError: The folder is missing, full or not writable; ``path`` is as it was.
    """
    real = path.resolve()
    mode = 0o600
    with contextlib.suppress(FileNotFoundError):
        mode = real.stat().st_mode & 0o777
    descriptor, draft = tempfile.mkstemp(prefix=f".{real.name}.", dir=real.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors=errors) as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        Path(draft).replace(real)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    if durable:
        _sync_folder(real.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
