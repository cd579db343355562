"""``relay files``: the folders that are kept equal."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relay_kernel.cli.completing import complete_target
from relay_kernel.core.errors import RelayError
from relay_kernel.settings.paths import find_places

if TYPE_CHECKING:
    from relay_kernel.cli.progress import Bars

#: Seconds between two looks at how far the files are.
LOOK = 0.25
#: Seconds that ``relay files wait`` waits at most, where nothing else is said.
PATIENCE = 3600.0

files = typer.Typer(
    help="The folders that are kept equal with the PCs.", invoke_without_command=True
)

_Folder = Annotated[str, typer.Option("--folder", help="Its path; default: all folders.")]
_Target = Annotated[
    str, typer.Option("--target", help="Default: all targets.", autocompletion=complete_target)
]
_Json = Annotated[bool, typer.Option("--json", help="For programs.")]
_At = Annotated[str, typer.Option("--at", help="Whose trash: server or target.")]


@files.callback()
def overview(
    context: typer.Context,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Go on until Ctrl-C.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done; the same as: plan.")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Show how the files stand: what is under way, conflicts, what is left out and why."""
    if context.invoked_subcommand is not None:
        return
    if dry_run:
        plan(as_json=as_json)
    elif watch:
        raise typer.Exit(_watch())
    else:
        status = _ask("status")
        _show(status, _report().describe(status), as_json=as_json)


@files.command()
def plan(folder: _Folder = "", target: _Target = "", *, as_json: _Json = False) -> None:
    """Show what would be done now; nothing is. Useful after: pause."""
    found = _ask("plan", folder=_path(folder), target=target)["plans"]
    _show(found, _report().plans(found), as_json=as_json)


@files.command()
def pause(folder: _Folder = "", target: _Target = "", *, as_json: _Json = False) -> None:
    """Bring over nothing more until: resume. Also after a restart."""
    pairs = _ask("pause", folder=_path(folder), target=target)["pairs"]
    _show({"paused": pairs}, ["paused"], as_json=as_json)


@files.command()
def resume(
    folder: _Folder = "",
    target: _Target = "",
    *,
    bring_back: Annotated[
        bool,
        typer.Option("--bring-back", help="Have what is gone at one end back from the other."),
    ] = False,
    as_json: _Json = False,
) -> None:
    """Go on, and do what was asked about."""
    wish = {"folder": _path(folder), "target": target, "bring_back": bring_back}
    _show({"resumed": _ask("resume", **wish)["pairs"]}, ["resumed"], as_json=as_json)


@files.command()
def conflicts(folder: _Folder = "", target: _Target = "", *, as_json: _Json = False) -> None:
    """List the files that both ends changed; both versions are there."""
    found = _ask("conflicts", folder=_path(folder), target=target)["conflicts"]
    _show(found, _report().conflicts(found) or ["no conflicts"], as_json=as_json)


@files.command()
def dismiss(
    copy: Annotated[str, typer.Argument(help="The copy, as: conflicts names it; or: all.")],
    *,
    as_json: _Json = False,
) -> None:
    """Take a conflict off the list; both versions stay where they are."""
    found = _ask("dismiss", **({} if copy == "all" else {"copy": copy}))["dismissed"]
    _show({"dismissed": found}, ["dismissed"], as_json=as_json)


@files.command()
def trash(
    folder: _Folder = "", target: _Target = "", at: _At = "server", *, as_json: _Json = False
) -> None:
    """List what was replaced or deleted, the newest first."""
    found = _ask("trash", folder=_path(folder), target=target, at=at)["trash"]
    size = _report().size
    lines = [f"{one['when']}  {size(one['size']):>8}  {one['path']}" for one in found]
    _show(found, lines or ["nothing is there"], as_json=as_json)


@files.command()
def restore(
    path: Annotated[str, typer.Argument(help="As: trash names it.")],
    when: Annotated[str, typer.Option("--when", help="As: trash says; default: the newest.")] = "",
    folder: _Folder = "",
    target: _Target = "",
    at: _At = "server",
    *,
    as_json: _Json = False,
) -> None:
    """Put a file back from the trash; what has its place now goes there in turn."""
    where = {"folder": _path(folder), "target": target, "at": at}
    if not when:
        found = [one for one in _ask("trash", **where)["trash"] if one["path"] == path]
        if not found:
            raise RelayError(f"the trash has no {path}: see relay files trash")
        when = max(one["when"] for one in found)
    restored = _ask("restore", path=path, when=when, **where)["restored"]
    line = f"{path} is back, as it was before {when}"
    _show({"restored": restored}, [line], as_json=as_json)


@files.command()
def wait(
    folder: _Folder = "",
    target: _Target = "",
    seconds: Annotated[float, typer.Option("--seconds", min=0.0, help="At most.")] = PATIENCE,
    *,
    as_json: _Json = False,
) -> int:
    """Return when both ends are equal."""
    answer = asyncio.run(_settle(folder=_path(folder), target=target, seconds=seconds))
    if as_json:
        found = {"equal": not answer["missing"], "missing": answer["missing"]}
        print(json.dumps(found | {"more": answer["more"]}, indent=2))
        return 1 if answer["missing"] else 0
    if answer["missing"]:
        text = _report().missing(answer["missing"], answer["more"])
        raise RelayError(f"not equal after {seconds:g} s: {text}")
    print("equal")
    return 0


def _watch() -> int:
    from rich.text import Text

    from relay_kernel.cli.watching import watch

    return watch(
        lambda: list(_report().describe(_ask("status"))),
        lambda lines: Text("\n".join(lines)),
        lambda before, now: [line for line in now if line not in (before or [])],
    )


async def _settle(**fields: Any) -> dict[str, Any]:
    """Wait until both ends are equal, and show how far they are."""
    from relay_kernel.cli.progress import Bars
    from relay_kernel.hub.files_client import ask_plane

    places = find_places().make()
    asked = asyncio.create_task(ask_plane(places, {"do": "wait", **fields}))
    with Bars() as bars:
        while not (await asyncio.wait({asked}, timeout=LOOK))[0]:
            # Where there is no plane yet, the other question is about to start it.
            with contextlib.suppress(RelayError):
                _show_transfers(bars, await ask_plane(places, {"do": "status"}, start=False))
    return await asked


def _show_transfers(bars: Bars, status: dict[str, Any]) -> None:
    under_way = [
        (f"{one['path']} to the {one['towards']}", one["done"], one["size"])
        for folder in status["folders"].values()
        for pair in folder["targets"].values()
        for one in pair["transfers"]
    ]
    bars.keep(*(what for what, *_ in under_way))
    for what, done, size in under_way:
        bars.show(what, done, size)


def _ask(verb: str, **fields: Any) -> dict[str, Any]:
    from relay_kernel.hub.files_client import ask_plane

    return asyncio.run(ask_plane(find_places().make(), {"do": verb, **fields}))


def _path(folder: str) -> str:
    """A folder as the plane takes it: its name, or a full path."""
    from pathlib import Path

    return str(Path(folder).expanduser().absolute()) if folder else ""


def _report() -> Any:
    from relay_kernel.files import report

    return report


def _show(found: Any, lines: list[str], *, as_json: bool) -> None:
    print(json.dumps(found, indent=2) if as_json else "\n".join(lines))
