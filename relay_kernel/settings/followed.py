"""``config.toml`` as it is now, for those who live longer than what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay_kernel.settings.config import Config, ConfigError, load_config

if TYPE_CHECKING:
    from pathlib import Path


class FollowedConfig:
    """Reads it again whenever it has changed; a wrong one changes nothing until it is mended.

    Args:
        path: of it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: object = "never read"
        self.now = Config()
        """What it said when it was last right."""
        self.wrong: ConfigError | None = None
        """What is wrong with it, if anything is."""

    def look(self) -> bool:
        """Read it if it was written since the last look; whether it was, and is right.

        Raises:
            ConfigError: It is wrong; raised once for each change.
        """
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            self.now, self.wrong = load_config(self._path), None
        except ConfigError as error:
            self.wrong = error
            raise
        return True


def _stamp(path: Path) -> tuple[int, int] | None:
    """What of ``path`` is another whenever it was written; None: there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino
