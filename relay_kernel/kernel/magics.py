"""What ``%relay …`` answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from relay_kernel.core import events as ev
from relay_kernel.core.model import LOCAL, Phase

if TYPE_CHECKING:
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
    """What to print in the cell, and what to do."""

    text: str
    event: ev.Event | None = None
    ok: bool = True


def answer(words: tuple[str, ...], notebook: Notebook) -> Answer:
    """Answer one ``%relay`` line; ``words`` are what follows it."""
    names = list(notebook.router.names)
    match words:
        case ():
            return Answer(_status(notebook))
        case ("?",):
            return Answer(HELP)
        case ("vars",):
            return Answer(_variables(notebook))
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


def _status(notebook: Notebook) -> str:
    router = notebook.router
    rows = []
    for name in router.names:
        target = router.targets[name]
        role = "runs the cells" if name == router.primary else _standby(notebook, name)
        link = notebook.links[name]
        far = name != LOCAL and target.phase in {Phase.READY, Phase.FILLING, Phase.LINKED}
        where = f"on {link.greeting.get('host')}, {link.rtt_ms} ms away" if far else ""
        why = target.reason if target.phase in {Phase.ABSENT, Phase.QUIET} else ""
        extra = "; ".join(part for part in (role, where, why) if part)
        rows.append(f"{name:<10} {target.phase.value:<8} {extra}")
    choice = f"forced to {router.forced}" if router.forced else "auto"
    rows.append(
        f"{_safe(notebook)}; epoch {router.epoch}; "
        f"target: {choice}; on_loss: {router.policy.on_loss}"
    )
    rows += notebook.files.environments()
    if hint := notebook.restore.hint():
        rows.append(hint)
    return "\n".join(rows)


def _safe(notebook: Notebook) -> str:
    return f"safe up to cell {notebook.state.safe_cell} of {notebook.router.head}"


def _standby(notebook: Notebook, name: str) -> str:
    target = notebook.router.targets[name]
    if target.filling is not None:
        return f"is being given the variables after cell {target.filling}"
    return f"holds the variables after cell {target.applied}" if target.kernel else ""


def _variables(notebook: Notebook) -> str:
    names, behind = notebook.state.variables()
    names = [name for name in names if name not in behind]
    rows = [f"{_safe(notebook)}: {', '.join(names) if names else 'no variables'}"]
    for name, why in sorted(behind.items()):
        rows.append(f"{name} ({why['type']}) stays where it is: {why['reason']}")
    for target, problems in notebook.state.problems.items():
        rows += [f"{name} did not arrive at {target}: {why}" for name, why in problems.items()]
    for target, parked in notebook.state.parked.items():
        rows += [f"{name} is kept on disk at {target}: {why}" for name, why in parked.items()]
    rows += notebook.state.remarks()
    return "\n".join(rows)
