"""What ``%relay …`` answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from relay_kernel.core import events as ev
from relay_kernel.core.model import LOCAL, Phase
from relay_kernel.kernel.markup import paragraphs, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relay_kernel.core.router import Router
    from relay_kernel.kernel.barrier import Barrier
    from relay_kernel.kernel.files import NotebookFiles
    from relay_kernel.kernel.restore import Restore
    from relay_kernel.kernel.state import StateMover
    from relay_kernel.kernel.targets import TargetLink

HELP = """\
%relay                         where cells run, and what is safe
%relay TARGET                  run the cells from the next one on at TARGET
%relay auto                    run them where the order of preference says
%%relay TARGET                 run this cell at TARGET
%%relay once                   never run this cell twice, whatever is lost; also after TARGET
%relay vars                    the variables: what is where, what stayed behind and why
%relay wait                    begin the cell when all before it is safe on the server
%relay files                   the files of all folders that are kept equal
%relay files wait              begin the cell when all files are equal, however long that takes
%relay files plan|conflicts    what would be done; what has two versions
%relay files pause|resume      stop keeping this folder equal, and go on
%relay rebuild NAME            run the cells again that made a variable which stayed behind
%relay restore                 put back what an earlier kernel of this notebook left
%relay restore list            what is kept; `%relay restore 2` takes one of that list
%relay restore --replace       the same in place of the variables that are here
%relay on_loss rerun|stop|ask  what becomes of cells whose target is lost
%relay?                        this text"""


class Notebook(Protocol):
    """What of R an answer may look at."""

    router: Router
    links: dict[str, TargetLink]
    state: StateMover
    restore: Restore
    files: NotebookFiles
    barrier: Barrier


@dataclass(frozen=True)
class Answer:
    """What to show in the cell, and what to do."""

    text: str
    event: ev.Event | None = None
    ok: bool = True
    html: str = ""
    """The same for a front end that shows HTML; empty: the text is printed."""


def answer(words: tuple[str, ...], notebook: Notebook) -> Answer:
    """Answer one ``%relay`` line; ``words`` are what follows it."""
    names = list(notebook.router.names)
    match words:
        case ():
            return _status(notebook)
        case ("?",):
            return Answer(HELP)
        case ("vars",):
            return _variables(notebook)
        case ("wait",):
            return Answer(_safe(notebook))
        case ("files", *_):
            text, ok = notebook.barrier.said.get(words, ("", True))
            return Answer(text, ok=ok)
        case ("rebuild", _, *_):
            return Answer("")  # The kernel does it, as part of the cell.
        case ("restore", "list"):
            return Answer(notebook.restore.listing())
        case ("restore", *_):
            outcome = notebook.restore.outcome(notebook.router.primary)
            return Answer(outcome.text, ok=outcome.ok)
    return _chosen(words, names) or Answer(
        f"%relay {' '.join(words)}: not understood; targets are {', '.join(names)}; see `%relay?`",
        ok=False,
    )


def _chosen(words: tuple[str, ...], names: list[str]) -> Answer | None:
    """What a line answers that changes what is done from now on; None: it is no such line."""
    match words:
        case ("auto",):
            return Answer("from the next cell on: wherever is best", ev.TargetForced(None))
        case ("on_loss", "rerun" | "stop" | "ask" as policy):
            return Answer(f"on_loss is {policy} now", ev.OnLossChosen(policy))
        case (name,) if name in names:
            return Answer(f"from the next cell on: {name}", ev.TargetForced(name))
    return None


def _status(notebook: Notebook) -> Answer:
    router = notebook.router
    rows = [_target(notebook, name) for name in router.names]
    choice = f"forced to {router.forced}" if router.forced else "auto"
    notes = [
        f"{_safe(notebook)}; epoch {router.epoch}; "
        f"target: {choice}; on_loss: {router.policy.on_loss}",
        *notebook.files.environments(),
    ]
    if hint := notebook.restore.hint():
        notes.append(hint)
    lines = [f"{name:<10} {phase:<8} {extra}" for name, phase, extra in rows]
    html = table("Targets", ("Target", "Phase", ""), rows) + paragraphs(notes)
    return Answer("\n".join([*lines, *notes]), html=html)


def _target(notebook: Notebook, name: str) -> tuple[str, str, str]:
    target, link = notebook.router.targets[name], notebook.links[name]
    role = "runs the cells" if name == notebook.router.primary else _standby(notebook, name)
    far = name != LOCAL and target.phase in {Phase.READY, Phase.FILLING, Phase.LINKED}
    where = f"on {link.greeting.get('host')}, {link.rtt_ms} ms away" if far else ""
    why = target.reason if target.phase in {Phase.ABSENT, Phase.QUIET} else ""
    return name, target.phase.value, "; ".join(part for part in (role, where, why) if part)


def _safe(notebook: Notebook) -> str:
    return f"safe up to cell {notebook.state.safe_cell} of {notebook.router.head}"


def _standby(notebook: Notebook, name: str) -> str:
    target = notebook.router.targets[name]
    if target.filling is not None:
        return f"is being given the variables after cell {target.filling}"
    return f"holds the variables after cell {target.applied}" if target.kernel else ""


def _variables(notebook: Notebook) -> Answer:
    state = notebook.state
    names, behind = state.variables()
    names = [name for name in names if name not in behind]
    first = f"{_safe(notebook)}: {', '.join(names) if names else 'no variables'}"
    rows = [
        *(
            (f"{name} ({why['type']})", "stays where it is", why["reason"])
            for name, why in sorted(behind.items())
        ),
        *_elsewhere(state.problems, "did not arrive at"),
        *_elsewhere(state.parked, "is kept on disk at"),
    ]
    remarks = state.remarks()
    lines = [f"{name} {what}: {why}" for name, what, why in rows]
    html = (
        paragraphs([first])
        + table("Variables that stay behind", ("Variable", "", "Why"), rows)
        + paragraphs(remarks)
    )
    return Answer("\n".join([first, *lines, *remarks]), html=html)


def _elsewhere(found: dict[str, dict[str, str]], what: str) -> Iterator[tuple[str, str, str]]:
    for target, reasons in found.items():
        yield from ((name, f"{what} {target}", why) for name, why in reasons.items())
