"""What the demo says: plain words, on a terminal and in a log alike."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from relay_kernel.cli.demonstration.player import Played

#: Colour of a target's name.
_COLOURS = {"pc": "green", "local": "yellow"}


class Screen:
    """Writes lines, and the table of the end."""

    def __init__(self, console: Console | None = None) -> None:
        """Write to ``console``; the terminal if there is none."""
        self._console = console or Console(highlight=False)
        self._began = time.monotonic()
        self._open_line = False

    def say(self, text: str, style: str = "") -> None:
        """One thing that happens, with the time since the start."""
        self._end_line()
        seconds = time.monotonic() - self._began
        line = Text.assemble((f"{seconds:5.1f} s  ", "dim"), (text, style))
        self._console.print(line, soft_wrap=True)

    def note(self, text: str, style: str = "dim") -> None:
        """A remark to what was said last."""
        self._end_line()
        self._console.print(Text(f"         {text}", style), soft_wrap=True)

    def blank(self) -> None:
        """An empty line."""
        self._end_line()
        self._console.print()

    def output(self, text: str) -> None:
        """A piece of a cell's output, as it comes; it may end in the middle of a line."""
        for piece in text.splitlines(keepends=True):
            if not self._open_line:
                self._console.print(Text("         | ", "dim"), end="")
            style = "yellow" if piece.startswith("[relay] ") else ""
            self._console.print(Text(piece.rstrip("\n"), style), end="", soft_wrap=True)
            self._open_line = not piece.endswith("\n")
            if not self._open_line:
                self._console.print()

    @contextlib.contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """Say ``text``, and show on a terminal that it goes on."""
        self.say(text)
        if not self._console.is_terminal:
            yield
            return
        with self._console.status("", spinner="dots"):
            yield

    def cell(self, number: int, played: Played) -> None:
        """One cell that has run."""
        line = Text.assemble(
            f"cell {number:2d} ran on ",
            (f"{played.target:6s}", _COLOURS.get(played.target, "")),
            f"{played.title}",
        )
        self._end_line()
        self._console.print(Text("         ").append_text(line), soft_wrap=True)

    def table(self, cells: Sequence[Played]) -> None:
        """What ran where, what was kept, what was run again, and how long each took."""
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        table.add_column("cell", justify="right")
        table.add_column("what it does")
        table.add_column("ran on")
        table.add_column("state")
        table.add_column("seconds", justify="right")
        for number, played in enumerate(cells, 1):
            state = Text("re-run", "bold yellow") if played.again else Text("kept")
            where = Text(played.target, _COLOURS.get(played.target, ""))
            table.add_row(str(number), played.title, where, state, f"{played.seconds:.2f}")
        self.blank()
        self._console.print(table)
        self.blank()

    def _end_line(self) -> None:
        if self._open_line:
            self._console.print()
            self._open_line = False
