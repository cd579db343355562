"""``%relay restore``: what an earlier kernel of a notebook left, put back into this one."""

from __future__ import annotations

import asyncio
import datetime
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from relay_kernel.agent.machine import python_of
from relay_kernel.core.errors import RelayError
from relay_kernel.core.model import LOCAL

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from relay_kernel.kernel.state import StateMover
    from relay_kernel.store.kept import Held, KeptState, KeptStates

REPLACE = "--replace"
#: Names that one line says.
_SHOWN = 5


class _RefusedError(RelayError):
    """It is not restored; the text says why."""


@dataclass(frozen=True)
class Outcome:
    """What a cell is told that asked for a kept state."""

    text: str
    ok: bool
    state: KeptState | None = None


class Restore:
    """The kept states, as one notebook sees them.

    Args:
        kept: of all notebooks.
        state: has the variables of this one.
        notebook: what tells it from others: its path, or else the name of its kernel.
        infos: by target, the kernel_info of its kernel.
        held: the store of this notebook.
    """

    def __init__(
        self,
        kept: KeptStates,
        state: StateMover,
        notebook: str,
        infos: dict[str, dict[str, Any]],
        held: Held,
    ) -> None:
        self._kept = kept
        self._state = state
        self._notebook = notebook
        self.infos = infos
        self._held = held
        self._last: Outcome | None = None
        self._task: asyncio.Task[None] | None = None

    # ------------------------------------------------------------------ putting it back

    def begin(
        self,
        words: tuple[str, ...],
        cell: int,
        is_wanted: Callable[[], bool],
        done: Callable[[bool], None],
    ) -> None:
        """Make the state that a cell asks for the newest snapshot.

        Args:
            words: what follows ``%relay restore``.
            cell: the number that the state gets.
            is_wanted: whether the cell still asks; it may have been interrupted.
            done: called with whether there is such a state.
        """
        self._task = asyncio.ensure_future(self._get(words, cell, is_wanted, done))

    async def _get(
        self,
        words: tuple[str, ...],
        cell: int,
        is_wanted: Callable[[], bool],
        done: Callable[[bool], None],
    ) -> None:
        try:
            state = self._choose(words)
            lent = await asyncio.to_thread(self._kept.lend, state, self._state.store)
        except RelayError as error:
            self._last = Outcome(f"%relay restore: {error}", ok=False)
            done(False)
            return
        if is_wanted():
            self._last = Outcome("", ok=True, state=state)
            self._state.adopt(*lent, cell)
            done(True)

    def _choose(self, words: tuple[str, ...]) -> KeptState:
        asked = [word for word in words if word != REPLACE]
        if len(asked) > 1 or (asked and not asked[0].isdigit()):
            raise _RefusedError(f"{' '.join(asked)!r} is no number of `%relay restore list`")
        states = self._kept.all()
        if asked:
            number = int(asked[0])
            if not 0 < number <= len(states):
                raise _RefusedError(f"there is no {number} in `%relay restore list`")
            state = states[number - 1]
        else:
            own = self._own(states)
            if not own:
                other = "; `%relay restore list` shows those of others" if states else ""
                raise _RefusedError(f"nothing is kept of this notebook{other}")
            state = own[0]
        self._check(state, replace=REPLACE in words)
        return state

    def _check(self, state: KeptState, *, replace: bool) -> None:
        names, _ = self._state.variables()
        if names and not replace:
            shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
            raise _RefusedError(
                f"there are variables here already ({shown}): "
                "`%relay restore --replace` puts the kept ones in their place"
            )
        here = python_of(self.infos.get(LOCAL, {}))
        if here and here != state.python:
            raise _RefusedError(
                f"it is of Python {state.python} and this kernel runs {here}: "
                "code cannot move between them"
            )

    def keep(self) -> None:
        """The notebook ends: keep its last safe state."""
        self._held.release()
        self._kept.take(self._state.store.root)
        self._kept.trim(time.time())

    # ------------------------------------------------------------------ what is said

    def outcome(self, primary: str) -> Outcome:
        """What became of it, for the cell that asked; it runs behind it."""
        last = self._last or Outcome("%relay restore: nothing was restored", ok=False)
        if last.state is None:
            return last
        names, behind = self._state.restored
        problems = {name: facts["reason"] for name, facts in behind.items()}
        problems |= self._state.problems.get(primary, {})
        whole = [name for name in names if name not in problems]
        text = f"restored: {len(whole)} variables as after {_describe(last.state)}"
        for name, reason in sorted(problems.items()):
            text += f"\n{name} could not be restored: {reason}"
        return Outcome(text, ok=True, state=last.state)

    def listing(self) -> str:
        """``%relay restore list``."""
        states = self._kept.all()
        rows = [
            f"{number:>3}  {_describe(state)}; "
            + ("this notebook" if state.of == self._notebook else _called(state))
            for number, state in enumerate(states, 1)
        ]
        return "\n".join(rows) or "nothing is kept"

    def hint(self) -> str:
        """What ``%relay`` says while nothing has been restored and nothing is here."""
        if self._state.variables()[0] or (self._last and self._last.ok):
            return ""
        own = self._own(self._kept.all())
        return f"kept: {_describe(own[0])}; `%relay restore` puts it back" if own else ""

    def _own(self, states: list[KeptState]) -> list[KeptState]:
        return [state for state in states if state.of == self._notebook]


def about(notebook: str | None, kernel: str, manifest: bytes, cell: int, saved: float) -> bytes:
    """``about.json`` of a snapshot.

    Args:
        notebook: the path that Jupyter gave, if it did.
        kernel: the name of the kernel.
        manifest: the snapshot's.
        cell: after which it is.
        saved: seconds since the epoch.
    """
    content = json.loads(manifest)
    return json.dumps(
        {
            "notebook": notebook,
            "kernel": kernel,
            "saved": saved,
            "cell": cell,
            "execution_count": content["execution_count"],
            "names": len(content["names"]),
            "bytes": sum(content["chunks"].values()) + len(manifest),
            "python": content["python"],
        }
    ).encode()


def _describe(state: KeptState) -> str:
    when = datetime.datetime.fromtimestamp(state.saved).astimezone()
    size = state.bytes / (1 << 20)
    plural = "" if state.names == 1 else "s"
    return (
        f"cell {state.cell} of {when:%Y-%m-%d %H:%M:%S}, "
        f"{state.names} variable{plural}, {size:.1f} MiB"
    )


def _called(state: KeptState) -> str:
    if state.notebook is None:
        return f"kernel {state.kernel}"
    path, home = Path(state.notebook), Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
