"""Reads one table of ``config.toml`` key by key, and says precisely what is wrong with it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from relay_kernel.core.errors import RelayError
from relay_kernel.settings.location import line_of

if TYPE_CHECKING:
    from pathlib import Path


class ConfigError(RelayError):
    """``config.toml`` is wrong: its text names the file, the line, the key and what is allowed."""


class Section:
    """One table of a parsed file. Every reader checks, and raises :class:`ConfigError`."""

    def __init__(self, file: Path, text: str, table: Mapping[str, Any], path: tuple[str, ...] = ()):
        self._file = file
        self._text = text
        self._table = table
        self._path = path

    @property
    def name(self) -> str:
        """The last part of the table's own name."""
        return self._path[-1]

    def fail(self, what: str, key: str | None = None) -> NoReturn:
        """Refuse the table, or one key of it."""
        path = self._path if key is None else (*self._path, key)
        where = f"{self._file}, line {line_of(self._text, path)}"
        raise ConfigError(f"{where}: {'.'.join(path)} {what}")

    def allow(self, keys: Iterable[str]) -> None:
        """Refuse every key but these, naming the closest."""
        known = sorted(keys)
        for key in self._table:
            if key not in known:
                close = difflib.get_close_matches(key, known, 1)
                hint = f"did you mean {close[0]}?" if close else f"allowed are {', '.join(known)}"
                self.fail(f"is not known; {hint}", key)

    def tables(self, key: str) -> list[Section]:
        """The tables in table ``key``: one ``[targets.NAME]`` each."""
        inner = self.table(key)
        return [inner.table(name) for name in inner._table]

    def table(self, key: str) -> Section:
        """The table ``key``, empty if it is not there."""
        value = self._table.get(key, {})
        if not isinstance(value, Mapping):
            self.fail(
                f"is {_shown(value)}, but must be a table: [{'.'.join((*self._path, key))}]", key
            )
        return Section(self._file, self._text, value, (*self._path, key))

    def text(self, key: str) -> str | None:
        """A text that is not empty."""
        value = self._table.get(key)
        if value is not None and (not isinstance(value, str) or not value.strip()):
            self.fail(f'is {_shown(value)}, but must be a text in quotes: "..."', key)
        return value

    def choice(self, key: str, default: str, allowed: tuple[str, ...]) -> str:
        """One of a few words."""
        value = self._table.get(key, default)
        if value not in allowed:
            self.fail(f"is {_shown(value)}, but must be one of {', '.join(allowed)}", key)
        return str(value)

    def has(self, key: str) -> bool:
        """Whether the user wrote it."""
        return key in self._table

    def flag(self, key: str) -> bool:
        """``true`` or ``false``; false if it is not there."""
        value = self._table.get(key, False)
        if not isinstance(value, bool):
            self.fail(f"is {_shown(value)}, but must be true or false", key)
        return value

    def number(self, key: str, default: float, low: float, high: float) -> float:
        """A number of seconds from ``low`` to ``high``."""
        value = self._table.get(key, default)
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not low <= value <= high
        ):
            self.fail(f"is {_shown(value)}, but must be a number from {low:g} to {high:g}", key)
        return float(value)

    def whole(self, key: str, default: int, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``."""
        value = self._table.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.fail(f"is {_shown(value)}, but must be a whole number from {low} to {high}", key)
        return value

    def texts(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        """A list of texts."""
        value = self._table.get(key, default)
        if not isinstance(value, list | tuple) or not all(isinstance(v, str) and v for v in value):
            self.fail(f'is {_shown(value)}, but must be a list of texts: ["...", "..."]', key)
        return tuple(value)


def _shown(value: object) -> str:
    """``value`` about as the user wrote it, short."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "a table"
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
