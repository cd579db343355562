"""``relay logs``: what the processes have to say, here and on a PC, in the order of time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from relay_kernel.cli.completing import complete_log, complete_target
from relay_kernel.core.errors import RelayError
from relay_kernel.settings.config import ConfigError, load_config
from relay_kernel.settings.logs import Logs, log_files
from relay_kernel.settings.paths import find_places

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from relay_kernel.settings.logs import Entry
    from relay_kernel.settings.paths import Places

#: Whose lines stand where on this server.
SERVER = "server"

#: Seconds between two looks at the logs here.
LOOK = 0.3


def logs(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="A PC whose logs are shown, too; the server's alone without.",
            autocompletion=complete_target,
        ),
    ] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    count: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many lines.")] = 50,
    only: Annotated[
        str,
        typer.Option(
            "--only",
            metavar="LOG",
            help="One log: hub, kernel, files, envs or agent.",
            autocompletion=complete_log,
        ),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="An object a line.")] = False,
) -> int:
    """Show what the hub, the notebooks, the planes and the agents have to say."""
    places = find_places().make()
    known = log_files(places)
    if only and only not in known:
        raise ConfigError(f"there is no log {only}; there are: {', '.join(known)}")
    _check(places, target)
    try:
        asyncio.run(_Reading(places, target, only, as_json=as_json).run(count, follow=follow))
    except KeyboardInterrupt:
        # The way to end --follow.
        return 0
    return 0


def _check(places: Places, target: str) -> None:
    names = [known.name for known in load_config(places.config).targets]
    if target and target not in names:
        known = ", ".join(names) or "none"
        raise ConfigError(f"{places.config} has no target {target}; it has: {known}")


class _Reading:
    """The logs here, and those of one PC."""

    def __init__(self, places: Places, target: str, only: str, *, as_json: bool) -> None:
        self._places = places
        self._target = target
        self._only = only
        self._as_json = as_json
        files = log_files(places)
        self._here = Logs({of: path for of, path in files.items() if only in {"", of}})

    async def run(self, count: int, *, follow: bool) -> None:
        """The last lines of all together; then, if asked for, those that come."""
        lines = [(SERVER, entry) for entry in self._here.last(count)]
        async with contextlib.AsyncExitStack() as stack:
            there = await self._open(stack, count, follow=follow) if self._target else None
            if there is not None:
                lines += [(self._target, entry) for entry in await anext(there, [])]
            lines.sort(key=lambda line: line[1].at)
            self._show(lines[-count:] if count else [])
            if follow:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._follow_here())
                    if there is not None:
                        group.create_task(self._follow_there(there))

    async def _open(
        self, stack: contextlib.AsyncExitStack, count: int, *, follow: bool
    ) -> AsyncIterator[list[Entry]]:
        """What the PC says, from its first word on."""
        from relay_kernel.hub.logs import read_logs

        batches = read_logs(self._places, self._target, count, follow=follow)
        return self._chosen(await stack.enter_async_context(contextlib.aclosing(batches)))

    async def _chosen(self, batches: AsyncIterator[list[Entry]]) -> AsyncIterator[list[Entry]]:
        """Those of the log that was asked for; a PC that is out of reach is told of, no more."""
        try:
            async for batch in batches:
                yield [entry for entry in batch if self._only in {"", entry.of}]
        except RelayError as error:
            _complain(error)

    async def _follow_here(self) -> None:
        while True:
            self._show((SERVER, entry) for entry in self._here.new())
            await asyncio.sleep(LOOK)

    async def _follow_there(self, batches: AsyncIterator[list[Entry]]) -> None:
        async for batch in batches:
            self._show((self._target, entry) for entry in batch)
        _complain(f"the logs of {self._target} are not followed any more")

    def _show(self, lines: Iterable[tuple[str, Entry]]) -> None:
        for where, entry in lines:
            at = datetime.fromtimestamp(entry.at, UTC)
            if self._as_json:
                fields = {"where": where, "of": entry.of, "text": entry.text}
                print(json.dumps({"at": at.isoformat(timespec="milliseconds"), **fields}))
            else:
                clock = at.astimezone().strftime("%m-%d %H:%M:%S")
                print(f"{clock} {where} {entry.of:<6} {entry.text}")
        sys.stdout.flush()


def _complain(why: object) -> None:
    print(f"relay: {why}", file=sys.stderr, flush=True)
