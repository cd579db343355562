"""Progress of long work, on stderr and only at a terminal: a pipe wants the result alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID


class Bars:
    """A line for each piece of work; also a context manager, at whose end they are gone."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._progress = _columns(self._console)
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def show(self, what: str, done: int = 0, total: int = 0) -> None:
        """How far a piece of work is.

        Args:
            what: In a few words; the same words are the same line.
            done: Bytes.
            total: Bytes; 0 where that is not known.
        """
        if self._progress is None:
            return
        task = self._tasks.get(what)
        if task is None:
            task = self._tasks[what] = self._progress.add_task(what, total=total or None)
        self._progress.update(task, completed=done, total=total or None)

    def keep(self, *what: str) -> None:
        """Drop every line but these: the others' work is done."""
        for gone in self._tasks.keys() - set(what):
            task = self._tasks.pop(gone)
            if self._progress is not None:
                self._progress.remove_task(task)


def _columns(console: Console) -> Progress:
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
