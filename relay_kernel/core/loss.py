"""What becomes of the cells of a target that is lost: run again, given up, or as the user says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from relay_kernel.core.effects import Ask, Effect, Fail, Tell
from relay_kernel.core.model import LOCAL, Run
from relay_kernel.core.records import name_cells

if TYPE_CHECKING:
    from relay_kernel.core.records import Cell
    from relay_kernel.core.router import Router


@dataclass(frozen=True)
class Loss:
    """A primary that was lost, and what it had not brought to the server."""

    target: str
    reason: str
    kept: int
    """The cell whose state is the last one that is left."""
    unkept: list[Cell]
    """Had finished since then."""
    running: Cell | None
    asked: int | None = None
    """The cell whose user is being asked."""

    @property
    def is_harmless(self) -> bool:
        """Whether nothing is lost with it."""
        return not self.unkept and self.running is None

    @property
    def what(self) -> str:
        """What happened, in a sentence."""
        text = f"{self.target} was lost ({self.reason})."
        if self.unkept:
            text += f" {name_cells(self.unkept)} had finished but were not safe."
        return text

    @property
    def once(self) -> Cell | None:
        """A finished cell that must not run again, and without which nothing after it can."""
        return next((cell for cell in self.unkept if cell.once), None)


def settle(router: Router, loss: Loss) -> list[Effect]:
    """Do what ``on_loss`` says."""
    on_loss = router.policy.on_loss
    if loss.is_harmless and not any(cell.run is not Run.FIRST for cell in router.queue):
        return []
    if on_loss == "ask" and loss.target != LOCAL:
        router.asking = loss
        return ask(router)
    return rerun(router, loss) if on_loss == "rerun" else stop(router, loss)


def ask(router: Router) -> list[Effect]:
    """Ask the user of the lost cell; where none was running, the one who sends the next."""
    loss = router.asking
    if loss is None or loss.asked is not None:
        return []
    repeats = [cell for cell in router.queue if cell.run is not Run.FIRST]
    candidates = [loss.running, *repeats, *router.queue]
    cell = next((c for c in candidates if c and c.run is not Run.SILENT), None)
    if cell is None:
        return []
    router.asking = replace(loss, asked=cell.number)
    return [Ask(cell.number, f"{loss.what} Run again what was lost?")]


def rerun(router: Router, loss: Loss) -> list[Effect]:
    """Queue what was lost to be run again, before everything else.

    Not the cell that the server's own kernel died of, and none that may run but once.
    """
    running = loss.running
    if loss.once:
        return stop(router, loss, why=f"Cell {loss.once.number} must not run again.")
    if running and loss.target == LOCAL and running.run is Run.SILENT:
        # It had finished elsewhere, so nobody can be told in it that it does not run again.
        return stop(router, loss)
    again = [replace(cell, run=Run.SILENT) for cell in loss.unkept]
    if running and (running.once or loss.target == LOCAL):
        effects = _fail(router, running, "RelayTargetLost", f"{loss.what} {_not_again(running)}")
        router.queue.extendleft(reversed(again))
        return effects
    if running:
        # A cell that was itself being repeated silently stays silent.
        run = Run.SILENT if running.run is Run.SILENT else Run.AGAIN
        again.append(replace(running, run=run))
    router.queue.extendleft(reversed(again))
    text = f"{loss.what[:-1]}: run again." if loss.unkept else loss.what
    if running and running.run is not Run.SILENT:
        return [Tell(running.number, f"{text} Running this cell again from its start.")]
    if loss.target == LOCAL:
        return []
    waiting = next((c for c in router.queue if c.run is Run.AGAIN), None)
    if waiting:
        return [Tell(waiting.number, text)]
    if again:
        router.notices.append(text)
    return []


def stop(
    router: Router, loss: Loss, *, error: str = "RelayTargetLost", why: str = ""
) -> list[Effect]:
    """End what was running or being repeated, and say what is lost."""
    cells = [*([loss.running] if loss.running else []), *_drop_repeats(router)]
    if not loss.unkept and not cells:
        return []
    state = f"variables are as after cell {loss.kept}" if loss.kept else "no variables are kept"
    text = f"{loss.target} was lost ({loss.reason}); {state}."
    return _give_up(router, error, _with_lost(text, loss.unkept, cells, why), cells)


def stop_repeating(router: Router, error: str, text: str) -> list[Effect]:
    """Run nothing again of what is queued for it, and say what is lost with that."""
    cells = _drop_repeats(router)
    return _give_up(router, error, _with_lost(text, [], cells), cells)


def _with_lost(text: str, finished: list[Cell], cells: list[Cell], why: str = "") -> str:
    """Name all whose end was seen: also those that were to be repeated, and now are not."""
    lost = [*finished, *(cell for cell in cells if cell.run is Run.SILENT)]
    if lost:
        text += f" What {name_cells(lost)} did is lost."
    return f"{text} {why}".rstrip()


def _give_up(router: Router, error: str, text: str, cells: list[Cell]) -> list[Effect]:
    """End that one of the cells which is seen to run.

    Where none is, the next cell ends with it: it was written for variables that are not there.
    """
    ended = next((cell for cell in cells if cell.run is not Run.SILENT), None)
    if ended:
        return _fail(router, ended, error, f"{text} This cell did not finish.")
    router.broken = f"{text} This cell was not run."
    return []


def _drop_repeats(router: Router) -> list[Cell]:
    repeats = [cell for cell in router.queue if cell.run is not Run.FIRST]
    for cell in repeats:
        router.queue.remove(cell)
    return repeats


def refuse_next(router: Router) -> list[Effect]:
    """After a loss that was not repeated, the first cell that comes ends with what is lost."""
    if not router.broken or not router.queue or router.running:
        return []
    if router.queue[0].run is not Run.FIRST:
        # Its end was seen long ago; what is to be told waits for one that was sent since.
        return []
    text, router.broken = router.broken, ""
    return _fail(router, router.queue.popleft(), "RelayTargetLost", text)


def _fail(router: Router, cell: Cell, error: str, text: str) -> list[Effect]:
    effects: list[Effect] = [Fail(cell.number, error, text)]
    return effects + (router.abort_queue() if cell.stops else [])


def _not_again(cell: Cell) -> str:
    why = ", as %%relay once asks" if cell.once else ""
    return f"This cell did not finish, and is not run again{why}."
