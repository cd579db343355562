"""Gathers what R knows of its notebook into what the ``relay`` comm says."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from relay_kernel.core.model import LOCAL, Phase
from relay_kernel.core.overview import (
    AUTO,
    NAMED,
    LeftBehind,
    Move,
    Overview,
    Running,
    TargetView,
)
from relay_kernel.link.clock import now

if TYPE_CHECKING:
    from relay_kernel.core.overview import EnvironmentView, FilesView, Usage
    from relay_kernel.core.router import Router
    from relay_kernel.kernel.cells import Cells
    from relay_kernel.kernel.state import StateMover
    from relay_kernel.kernel.targets import TargetLink

_HAS_REASON = frozenset({Phase.ABSENT, Phase.QUIET})


class Observer:
    """Looks at one notebook. Sees by itself when the role has moved since it looked last."""

    def __init__(
        self,
        router: Router,
        links: dict[str, TargetLink],
        state: StateMover,
        cells: Cells,
    ) -> None:
        self._router = router
        self._links = links
        self._state = state
        self._cells = cells
        self._seen = (router.primary, router.epoch)
        self._moved: Move | None = None
        self.usage: dict[str, Usage] = {}
        """By target: how busy its machine is, while somebody watches."""

    def look(self, files: FilesView, environments: tuple[EnvironmentView, ...]) -> Overview:
        """How the notebook is now."""
        router = self._router
        self.note_move()
        behind = self._left_behind()
        return Overview(
            primary=router.primary,
            epoch=router.epoch,
            mode=router.forced or AUTO,
            on_loss=router.policy.on_loss,
            cell=router.head,
            safe_cell=self._state.safe_cell,
            count=self._cells.count_after(router.head),
            safe_count=self._cells.count_after(self._state.safe_cell),
            running=self._running(),
            waiting=len(router.queue),
            targets=tuple(self._target(name) for name in router.names),
            left_behind=behind[:NAMED],
            left_behind_total=len(behind),
            files=files,
            environments=environments,
            moved=self._moved,
        )

    def _running(self) -> Running | None:
        running = self._router.running
        if running is None:
            return None
        message = self._cells[running.number].request.id
        return Running(running.number, message, self._router.primary)

    def _target(self, name: str) -> TargetView:
        target, link = self._router.targets[name], self._links[name]
        return TargetView(
            name=name,
            phase=target.phase.value,
            since=round(time.time() - (now() - target.since), 1) if target.since else None,
            reason=target.reason if target.phase in _HAS_REASON else "",
            host=str(link.greeting.get("host", "")),
            rtt_ms=None if name == LOCAL else link.rtt_ms,
            is_primary=name == self._router.primary,
            applied_cell=target.applied if target.kernel and target.applied >= 0 else None,
            filling_cell=target.filling,
            usage=self.usage.get(name),
        )

    def _left_behind(self) -> tuple[LeftBehind, ...]:
        if len(self._links) == 1:
            # Nothing ever travels.
            return ()
        _, behind = self._state.variables()
        where = self._state.source
        return tuple(
            LeftBehind(name, why["type"], where, why["reason"])
            for name, why in sorted(behind.items())
        )

    # ------------------------------------------------------------------ moves

    def note_move(self) -> None:
        """See whether the role has moved since this was called last."""
        router = self._router
        source, epoch = self._seen
        if router.epoch == epoch:
            return
        self._seen = (router.primary, router.epoch)
        is_loss = router.primary == LOCAL and not router.targets[source].kernel
        if source != router.primary:
            is_back = not is_loss and self._is_back() and not self._is_asked()
            text = self._say_lost(source) if is_loss else self._say_moved(source, is_back=is_back)
            self._moved = Move(
                epoch=router.epoch,
                source=source,
                target=router.primary,
                at=time.time(),
                is_loss=is_loss,
                is_news=is_loss or is_back,
                text=text,
                reason=router.targets[source].reason if is_loss else "",
            )

    def _is_back(self) -> bool:
        """Whether the role is where it was before the last loss."""
        before = self._moved
        return before is not None and before.is_loss and before.source == self._router.primary

    def _is_asked(self) -> bool:
        running = self._router.running
        directed = running and self._cells[running.number].directives.target
        return bool(directed or self._router.forced)

    def _say_lost(self, source: str) -> str:
        router = self._router
        if router.asking is not None:
            return f"{source} was lost. A cell asks whether to run again what was cut off: answer."
        if router.forced == source:
            return f"{source} was lost, and you chose it: choose auto, or cells wait for it."
        if router.policy.on_loss == "stop":
            return f"{source} was lost. A cell that was cut off ends with an error: run it again."
        return (
            f"{source} was lost: the notebook goes on at {router.primary}. Nothing to do, "
            f"it moves back by itself."
        )

    def _say_moved(self, source: str, *, is_back: bool) -> str:
        target = self._router.primary
        if is_back:
            return f"{target} is back and holds the variables: cells run there. Nothing to do."
        chosen = ", as was chosen" if self._is_asked() else ""
        return f"Cells run at {target} now, no longer at {source}{chosen}."
