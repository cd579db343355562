"""``--watch``: shows how something stands until Ctrl-C, to a person or to a pipe."""

from __future__ import annotations

import select
import sys
import time
from typing import TYPE_CHECKING, NoReturn, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rich.console import Console, RenderableType

#: Seconds between two looks.
LOOK = 0.5

_Seen = TypeVar("_Seen")


def watch(
    look: Callable[[], _Seen],
    picture: Callable[[_Seen], RenderableType],
    changes: Callable[[_Seen | None, _Seen], Iterable[str]],
) -> int:
    """A picture that is kept up to date at a terminal; elsewhere a line for each change.

    Args:
        look: How it stands now.
        picture: Shows that to a person.
        changes: The lines that tell what is new since the look before; ``None`` at the first.

    Returns:
        The exit status, once the user pressed Ctrl-C.
    """
    from rich.console import Console

    console = Console(highlight=False)
    try:
        if console.is_terminal:
            _show(look, picture, console)
        else:
            _tell(look, changes)
    except KeyboardInterrupt:
        return 0


def _show(
    look: Callable[[], _Seen], picture: Callable[[_Seen], RenderableType], console: Console
) -> NoReturn:
    from rich.live import Live

    with Live(picture(look()), console=console, auto_refresh=False) as live:
        while True:
            time.sleep(LOOK)
            live.update(picture(look()), refresh=True)


def _tell(
    look: Callable[[], _Seen], changes: Callable[[_Seen | None, _Seen], Iterable[str]]
) -> NoReturn:
    before = None
    while True:
        now = look()
        for line in changes(before, now):
            print(line, flush=True)
        before = now
        _pause()


def _pause() -> None:
    """Wait for the next look; whoever reads our output may end that, and this with it.

    Raises:
        BrokenPipeError: Nobody reads any more. Without a change nothing else would tell.
    """
    poll = select.poll()
    # Not asked for, an error is reported all the same.
    poll.register(sys.stdout.fileno(), 0)
    if any(event & select.POLLERR for _, event in poll.poll(LOOK * 1000)):
        raise BrokenPipeError
