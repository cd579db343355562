"""R's heart: carries messages between front ends and targets, and does what the router decides."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from relay_kernel.agent.host import FAREWELL
from relay_kernel.agent.machine import python_of
from relay_kernel.core import effects as ef
from relay_kernel.core import events as ev
from relay_kernel.core.directives import parse
from relay_kernel.core.fence import terms
from relay_kernel.core.model import LOCAL, Phase, Run
from relay_kernel.kernel.barrier import Barrier
from relay_kernel.kernel.cells import Cell, Cells
from relay_kernel.kernel.info import InfoDesk
from relay_kernel.kernel.magics import answer
from relay_kernel.kernel.onlookers import Onlookers
from relay_kernel.kernel.outputs import Outputs
from relay_kernel.kernel.owed import Owed
from relay_kernel.kernel.question import Question
from relay_kernel.kernel.stirred import Stirred
from relay_kernel.kernel.stopping import Stopping
from relay_kernel.kernel.switchboard import Switchboard
from relay_kernel.kernel.voice import Voice
from relay_kernel.link.clock import now
from relay_kernel.wire.errors import ProtocolError
from relay_kernel.wire.kernel_frames import KernelFrames, pack, unpack
from relay_kernel.wire.message import Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay_kernel.core.router import Router
    from relay_kernel.kernel.files import NotebookFiles
    from relay_kernel.kernel.frontend import FrontEnd
    from relay_kernel.kernel.restore import Restore
    from relay_kernel.kernel.setup import Setup
    from relay_kernel.kernel.state import StateMover
    from relay_kernel.kernel.status import StatusFile
    from relay_kernel.kernel.targets import TargetLink

log = logging.getLogger(__name__)

#: Seconds for the goodbyes at the end, as a rule a few milliseconds.
_CLOSE_TIMEOUT = 1.2


class Relay:
    """One notebook.

    Everything runs on one loop, and each message is handled to its end before the next, so the
    order in which front ends see things is the order in which they were handled.
    """

    def __init__(
        self,
        setup: Setup,
        router: Router,
        front: FrontEnd,
        links: dict[str, TargetLink],
        state: StateMover,
        restore: Restore,
        files: NotebookFiles,
        status: StatusFile,
        on_end: Callable[[], None],
    ) -> None:
        self.setup = setup
        self.router = router
        self.front = front
        self.links = links
        self.state = state
        self.restore = restore
        self.files = files
        self.cells = Cells()
        self.infos = restore.infos
        """By target: the kernel_info of its kernel."""
        self._status = status
        self._on_end = on_end
        self.switchboard = Switchboard(router, links, self.infos, front)
        self._question = Question(front)
        self._timer: asyncio.TimerHandle | None = None
        self._start_later: set[str] = set()
        self._voice = Voice(front, router, self.cells)
        self.barrier = Barrier(files, self._voice, lambda: state.until_safe(router.head))
        self._outputs = Outputs(
            front,
            self.switchboard,
            self.cells,
            self._voice,
            Stirred(router, state.capture_again, self.emit),
            self._answer_directives,
        )
        self._desk = InfoDesk(front, lambda: self.infos.get(router.primary), self._voice.still_busy)
        self.onlookers = Onlookers(front, self, self._voice)
        self._stopping = Stopping(router, links, self.cells)
        self._owed = Owed(router, self.cells, self._end_answered)
        self._warm = False
        self._finished = asyncio.Event()
        self._effects: dict[type, Callable[[Any], None]] = {
            ef.Dispatch: self._dispatch,
            ef.Fail: self._fail,
            ef.Abort: self._abort,
            ef.Tell: lambda effect: self._voice.tell(self.cells[effect.cell], effect.text),
            ef.Ask: self._ask,
            ef.StartKernel: lambda effect: self._start_kernel(effect.target),
            ef.Fill: lambda effect: self.state.fill(effect.target),
            ef.Interrupt: self._interrupt,
            ef.Discard: self._discard,
            ef.Restore: lambda effect: self._restore(effect.cell),
        }
        self._requests: dict[str, Callable[[KernelFrames], None]] = {
            "execute_request": self._on_execute,
            "input_reply": self._on_input,
            "interrupt_request": self._on_interrupt,
            "kernel_info_request": self._on_kernel_info,
            "connect_request": self._on_connect,
            "shutdown_request": self._on_shutdown,
        }
        self._reports: dict[str, Callable[[str, Message], None]] = {
            "frames": self._on_frames,
            "started": self._on_started,
            "failed": self._on_failed,
            "died": self._on_died,
            "captured": self._on_captured,
            "uncaptured": lambda t, m: self.state.uncaptured(t, m.head),
            "applied": lambda t, m: self.state.applied(t, m.head),
            "unapplied": lambda t, m: self.state.unapplied(t, m.head),
            "want": lambda t, m: self.state.wanted(t, m.head["keys"], m.head.get("of", ())),
            "chunk": self.state.chunk,
            "usage": lambda t, m: self.onlookers.measured(t, m.head),
            "finished": lambda t, m: self._finished.set(),
        }

    def connect(self, target: str, link: TargetLink) -> None:
        """Take the link to a target that is known from now on."""
        self.links[target] = link
        self.state.connect(target)

    # ------------------------------------------------------------------ the router

    def emit(self, event: ev.Event) -> None:
        """Feed the router, and do what it says."""
        log.debug("event %s", event)
        self._perform(self.router.handle(event, now()))

    def _perform(self, effects: list[ef.Effect]) -> None:
        for effect in effects:
            log.debug("effect %s", effect)
            self._effects[type(effect)](effect)
        if self.router.asking is None:
            self._question.withdraw()
        self.cells.forget(self.router.kept)
        self.switchboard.debugging.moved(self.router.primary)
        self.switchboard.watch()
        self._owed.watch()
        self._arm()
        self.changed()

    def changed(self) -> None:
        """Something may have changed that others are told of, beside the cells."""
        self._status.changed()
        self.onlookers.changed()

    def _arm(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        deadline = self.router.next_deadline()
        if deadline is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(0.0, deadline - now()), self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._perform(self.router.handle_deadline(now()))

    def report(self, target: str, message: Message) -> None:
        """Take a report from the agent of a target. A bad one is logged, never fatal."""
        handle = self._reports.get(message.kind)
        if handle is None:
            log.warning("unknown report %r of %s ignored", message.kind, target)
            return
        try:
            handle(target, message)
        except (ProtocolError, KeyError, TypeError) as error:
            log.warning("report %s of %s is not in order: %r", message.kind, target, error)
        except Exception:
            # The session must go on: what is wrong with one report is not wrong with the next.
            log.exception("report %s of %s cost only itself", message.kind, target)

    # ------------------------------------------------------------------ requests

    def request(self, message: KernelFrames) -> None:
        """Take a message from a front end. A bad one is logged, never fatal."""
        handle = self._requests.get(message.type)
        try:
            if handle and not message.header.get("subshell_id"):
                handle(message)
            elif not self.onlookers.take(message):
                self.switchboard.take(message)
                self.switchboard.watch()
        except ProtocolError as error:
            log.warning("%s on %s ignored: %s", message.type, message.channel, error)
        except Exception:
            log.exception("%s on %s cost only itself", message.type, message.channel)

    def _on_execute(self, message: KernelFrames) -> None:
        if message.channel != "shell":
            self.switchboard.take(message)
            return
        content = message.content
        silent = bool(content.get("silent"))
        directives = parse(str(content.get("code", "")))
        cell = self.cells.add(message, silent=silent, directives=directives)
        stops = bool(content.get("stop_on_error", True)) and not silent
        target, once = directives.target, directives.once
        restores = directives.restore is not None
        self.emit(ev.CellSubmitted(cell.number, target, stops, once, silent, restores))

    def _on_input(self, message: KernelFrames) -> None:
        cell = self._question.cell
        again = self._question.answered(message)
        if cell is None or again is None:
            self.switchboard.take(message)
        else:
            self.emit(ev.Answered(cell, again))

    def _on_kernel_info(self, message: KernelFrames) -> None:
        session = message.header.get("session")
        before = [cell for cell in self.cells.unfinished() if cell.client == session]
        if before and message.channel == "shell":
            self._desk.take_behind(before[-1].number, message)
        else:
            self._desk.take(message)

    def _on_connect(self, message: KernelFrames) -> None:
        self.front.answer(message, {"status": "ok", **self.front.ports})
        self._voice.still_busy()

    def _on_interrupt(self, message: KernelFrames) -> None:
        self.front.answer(message, {"status": "ok"})
        self.interrupt()

    def interrupt(self) -> None:
        """The user pressed stop."""
        if not self.router.running:
            for target in self.switchboard.at_work():
                self.links[target].interrupt()
        self.emit(ev.Interrupted())

    def _on_shutdown(self, message: KernelFrames) -> None:
        restart = bool(message.content.get("restart"))
        asyncio.ensure_future(self._shut_down(message, restart=restart))  # noqa: RUF006

    async def _shut_down(self, message: KernelFrames, *, restart: bool) -> None:
        self.front.status("busy", message.header)
        await self.close("restart" if restart else "shutdown")
        content = {"status": "ok", "restart": restart}
        self.front.reply(message, content)
        self.front.publish("shutdown_reply", content, message.header)
        self.front.status("idle", message.header)
        self._on_end()

    async def close(self, reason: str) -> None:
        """End the kernels at all targets, and what is kept for them."""
        self.onlookers.close()
        await self.state.finish(lambda: bool(self.router.unkept))
        await self._finish_primary()
        ends = [asyncio.ensure_future(link.close(reason)) for link in self.links.values()]
        await asyncio.wait(ends, timeout=_CLOSE_TIMEOUT)
        self.restore.keep()
        self._status.remove()

    async def _finish_primary(self) -> None:
        """Have the kernel with the variables end as one does that stands alone: see ``atexit``.

        The others are copies of it. What runs or cannot be reached is not waited for.
        """
        primary = self.router.targets[self.router.primary]
        if primary.phase is Phase.READY and not self.router.running:
            self.links[primary.name].send(Message("finish"))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._finished.wait(), FAREWELL + 0.2)

    # ------------------------------------------------------------------ effects

    def _dispatch(self, effect: ef.Dispatch) -> None:
        cell = self.cells[effect.cell]
        cell.target, cell.epoch, cell.run = effect.target, effect.epoch, effect.run
        cell.reason = effect.reason
        cell.ended = cell.began = cell.stopped = False
        if effect.run is Run.AGAIN:
            cell.shown.again()
            cell.last = None
        order = pack(cell.request, cell=cell.number, epoch=cell.epoch)
        link = self.links[cell.target]
        self.barrier.before(cell, lambda: link.send(order))
        if cell.target != LOCAL:
            self._warm_up()
        if effect.run is Run.FIRST:
            self.switchboard.release(cell.number)

    def _interrupt(self, effect: ef.Interrupt) -> None:
        self.barrier.hurry()
        self._stopping.interrupt(effect.target)

    def _fail(self, effect: ef.Fail) -> None:
        self._voice.fail(self.cells[effect.cell], effect.name, effect.text)
        self._release(effect.cell)

    def _ask(self, effect: ef.Ask) -> None:
        cell = self.cells[effect.cell]
        self._voice.begin(cell)
        if not self._question.ask(effect.cell, cell.request, effect.text):
            loop = asyncio.get_running_loop()
            loop.call_soon(self.emit, ev.Answered(effect.cell, again=False))

    def _abort(self, effect: ef.Abort) -> None:
        self._voice.abort(self.cells[effect.cell])
        self._release(effect.cell)

    def _start_kernel(self, target: str) -> None:
        # Where one is still there, the new one takes its place.
        self._forget_kernel(target, "a new kernel takes its place", for_good=False)
        if target != LOCAL and LOCAL not in self.infos:
            # What Python the variables come from is known once the first kernel is up.
            self._start_later.add(target)
            return
        head = {
            **self.setup.start(far=target != LOCAL),
            "place": target,
            "epoch": self.router.epoch,
            "lease": None if target == LOCAL else asdict(terms(self.router.policy)),
            "python": None if target == LOCAL else python_of(self.infos[LOCAL]),
        }
        self.links[target].send(Message("start", head))
        if target != LOCAL:
            self._warm_up()

    def _warm_up(self) -> None:
        """Have the server's kernel load what it answers questions with, while others work.

        Best while a PC's kernel starts: should that be lost at once, this is over by then.
        """
        if not self._warm:
            self._warm = True
            self.links[LOCAL].send(Message("warm"))

    def _restore(self, number: int) -> None:
        words = self.cells[number].directives.restore or ()
        self.restore.begin(
            words,
            number - 1,
            is_wanted=lambda: self.router.restoring == number,
            done=lambda ok: self.emit(ev.StateRestored(number, ok)),
        )

    def _discard(self, effect: ef.Discard) -> None:
        target = effect.target
        self._start_later.discard(target)
        self.barrier.forget(target)
        self.links[target].discard()
        self._forget_kernel(target, self.router.targets[target].reason, for_good=True)

    def _forget_kernel(self, target: str, reason: str, *, for_good: bool) -> None:
        self.infos.pop(target, None)
        self.state.forget(target)
        for cell in list(self.cells.unfinished()):
            # Its reply came; its idle never will.
            if cell.target == target and cell.replied:
                self._end_answered(cell)
        self.switchboard.lost(target, reason, for_good=for_good)

    def _end_answered(self, cell: Cell) -> None:
        self._voice.end(cell, {"status": "ok"})
        self._release(cell.number)

    def _release(self, number: int) -> None:
        """The cell has its reply: what was sent right behind it has its turn."""
        self._desk.release(number)
        self.switchboard.release(number)

    # ------------------------------------------------------------------ reports

    def _on_started(self, target: str, message: Message) -> None:
        self.infos[target] = message.head["info"]
        if target == LOCAL:
            self._warm = False
            for name in self._start_later:
                self._start_kernel(name)
            self._start_later.clear()
            self._desk.learn(self.infos[LOCAL])
            self.files.begin()
        self.emit(ev.KernelStarted(target))
        self.switchboard.kernel_started(target)

    def _on_failed(self, target: str, message: Message) -> None:
        reason, killed = message.head["reason"], message.head.get("killed", False)
        self._forget_kernel(target, reason, for_good=not killed)
        self.emit(ev.KernelFailed(target, reason, killed))
        if target == LOCAL and not self.router.targets[LOCAL].starting:
            self._desk.do_without(reason)

    def _on_died(self, target: str, message: Message) -> None:
        self._forget_kernel(target, message.head["reason"], for_good=False)
        self.emit(ev.KernelDied(target, message.head["reason"]))

    def _on_captured(self, target: str, message: Message) -> None:
        if message.head["epoch"] == self.router.epoch and target == self.router.primary:
            self.state.captured(target, message)
            if left := message.head.get("left"):
                self.emit(ev.ValuesLeftBehind(target, left))

    def _on_frames(self, target: str, message: Message) -> None:
        frames = unpack(message)
        cell = self.cells.of(frames.parent_id)
        if cell and (cell.target != target or cell.ended):
            return
        if frames.channel == "iopub":
            if cell and frames.type == "execute_input":
                self._stopping.begun(cell)
            self._outputs.take(target, frames, cell)
        elif cell and "cell" in message.head:
            self._on_reply(target, message, frames, cell)
        elif seen := self.switchboard.look(target, frames):
            if seen.type == "execute_reply":
                seen = seen.with_metadata({**seen.metadata, "relay": self._voice.beside(target)})
            self.front.send(seen)
            if idle := self.switchboard.idle_after(frames):
                self.front.send(idle)
                self._voice.still_busy()

    def _on_reply(self, target: str, message: Message, frames: KernelFrames, cell: Cell) -> None:
        if message.head["epoch"] != cell.epoch:
            return
        if not cell.replied:
            cell.replied = True
            content = frames.content
            count = content.get("execution_count", self._voice.execution_count)
            self._voice.execution_count = cell.count = count
            metadata = {**frames.metadata, "relay": self._voice.about(cell)}
            self.front.send(frames.with_metadata(metadata))
            self._desk.release(cell.number)
        if cell.last and not cell.idle:
            cell.idle = True
            self.front.send(cell.last)
        ok = message.head["status"] == "ok"
        self.emit(ev.CellFinished(target, cell.epoch, cell.number, ok))

    def _answer_directives(self, cell: Cell) -> None:
        for words in cell.directives.lines:
            said = answer(words, self)
            if said.event:
                self.emit(said.event)
            if not said.text:
                continue
            self._voice.show(cell, said.text, said.html, ok=said.ok)
