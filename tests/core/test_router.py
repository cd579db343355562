"""Where cells run, and what becomes of them when a target is lost."""

from __future__ import annotations

import pytest

from relay_kernel.core import effects as ef
from relay_kernel.core import events as ev
from relay_kernel.core.model import LOCAL, Phase, Policy, Run
from relay_kernel.core.router import Router
from tests.core.world import PC, World


@pytest.fixture
def world() -> World:
    """A notebook whose PC is there, and has run cell 1."""
    world = World()
    world.feed(ev.TargetOpened(PC))
    assert world.run(1) == PC
    return world


def test_without_a_pc_cells_run_here() -> None:
    world = World()
    effects = world.submit(1)
    assert effects == [ef.Dispatch(1, LOCAL, 1, Run.FIRST, "pc is absent: not connected yet")]


def test_a_pc_that_is_there_is_preferred_and_the_role_moves_with_an_epoch() -> None:
    world = World()
    assert world.run(1) == LOCAL
    epoch = world.router.epoch
    world.feed(ev.TargetOpened(PC))
    assert world.run(2) == PC
    assert world.router.epoch == epoch + 1


def test_nothing_is_dispatched_before_a_kernel_is_up() -> None:
    world = World()
    world.obeys = False
    world.feed(ev.KernelDied(LOCAL, "its kernel died"))
    assert not world.of(ef.Dispatch, world.submit(1))
    assert world.of(ef.Dispatch, world.feed(ev.KernelStarted(LOCAL)))


def test_cells_run_one_after_another() -> None:
    world = World()
    world.submit(1)
    assert world.submit(2) == []
    assert world.of(ef.Dispatch, world.finish())[0].cell == 2


def test_an_error_aborts_what_is_queued() -> None:
    world = World()
    for cell in (1, 2, 3):
        world.submit(cell)
    assert world.finish(ok=False) == [ef.Abort(2), ef.Abort(3)]
    assert world.of(ef.Dispatch, world.submit(4))


def test_an_error_in_a_cell_that_does_not_stop_aborts_nothing() -> None:
    world = World()
    world.feed(ev.CellSubmitted(1, stops=False))
    world.submit(2)
    assert world.of(ef.Dispatch, world.finish(ok=False))[0].cell == 2


def test_a_standby_is_filled_when_a_snapshot_is_safe(world: World) -> None:
    world.submit(2)
    world.finish()
    world.obeys = False
    assert world.secure() == [ef.Fill(LOCAL, 2)]
    assert world.router.targets[LOCAL].phase is Phase.FILLING


def test_a_role_never_moves_to_a_target_that_lacks_the_state(world: World) -> None:
    world.submit(2)
    world.finish()
    world.feed(ev.TargetForced(LOCAL))
    assert world.of(ef.Dispatch, world.submit(3)) == []
    moved = world.of(ef.Dispatch, world.secure())
    assert [(d.cell, d.target) for d in moved] == [(3, LOCAL)]


class TestLoss:
    def test_a_blip_costs_nothing(self, world: World) -> None:
        world.submit(2)
        world.feed(ev.LinkClosed(PC, "cut"))
        assert world.pass_time(59) == []
        world.feed(ev.TargetResumed(PC))
        assert world.pass_time(100) == []
        assert world.router.targets[PC].phase is Phase.READY
        world.finish()
        assert world.router.head == 2

    def test_a_running_cell_is_run_again_here(self, world: World) -> None:
        world.submit(2)
        world.feed(ev.LinkClosed(PC, "cut"))
        effects = world.pass_time(60)
        assert effects[0] == ef.Discard(PC)
        assert "Running this cell again" in world.of(ef.Tell, effects)[0].text
        (again,) = world.of(ef.Dispatch, effects)
        assert (again.cell, again.target, again.run) == (2, LOCAL, Run.AGAIN)
        assert again.epoch > 1

    def test_finished_cells_that_were_not_safe_run_again_first(self, world: World) -> None:
        world.submit(2)
        world.finish()
        world.submit(3)
        world.feed(ev.TargetLost(PC, "its machine was restarted"))
        assert world.router.running.run is Run.SILENT
        (next_one,) = world.of(ef.Dispatch, world.finish())
        assert (next_one.cell, next_one.run) == (3, Run.AGAIN)
        world.finish()
        assert world.router.head == 3

    def test_with_stop_the_cell_ends_and_names_what_is_lost(self) -> None:
        world = World(policy=Policy(on_loss="stop"))
        world.feed(ev.TargetOpened(PC))
        world.run(1)
        world.submit(2)
        world.finish()
        world.submit(3)
        world.submit(4)
        effects = world.feed(ev.TargetLost(PC, "it said goodbye"))
        (failed,) = world.of(ef.Fail, effects)
        assert failed.cell == 3
        assert "as after cell 1" in failed.text
        assert "cell 2" in failed.text
        assert world.of(ef.Abort, effects) == [ef.Abort(4)]
        assert world.of(ef.Dispatch, world.submit(5))[0].target == LOCAL

    def test_quiet_at_submit_waits_and_then_goes_on_here(self, world: World) -> None:
        world.feed(ev.LinkClosed(PC, "cut"))
        world.pass_time(100)
        assert world.submit(2) == []
        assert world.pass_time(4.9) == []
        (sent,) = world.of(ef.Dispatch, world.pass_time(0.2))
        assert sent.target == LOCAL

    def test_back_in_time_at_submit_stays(self, world: World) -> None:
        world.feed(ev.LinkClosed(PC, "cut"))
        world.submit(2)
        (sent,) = world.of(ef.Dispatch, world.feed(ev.TargetResumed(PC)))
        assert sent.target == PC

    def test_what_a_lost_target_still_says_changes_nothing(self, world: World) -> None:
        world.submit(2)
        stale = world.router.running.epoch
        world.feed(ev.TargetLost(PC, "gone"))
        running = world.router.running
        assert world.feed(ev.CellFinished(PC, stale, 2, True)) == []
        assert world.router.running is running
        assert world.feed(ev.SnapshotArrived(stale, 2)) == []
        assert world.router.kept == 1

    def test_what_changed_without_a_cell_goes_to_the_standbys(self, world: World) -> None:
        """A slider that was moved would be where it was before, once the PC is lost."""
        world.run(2)
        epoch = world.router.epoch
        assert world.of(ef.Fill, world.feed(ev.SnapshotArrived(epoch, 2))) == []
        again = ev.SnapshotArrived(epoch, 2, anew=True)
        assert world.of(ef.Fill, world.feed(again)) == [ef.Fill(LOCAL, 2)]
        assert world.router.targets[LOCAL].applied == 2

    def test_a_standby_that_is_being_filled_meanwhile_is_filled_once_more(
        self, world: World
    ) -> None:
        world.obeys = False
        world.run(2)
        epoch = world.router.epoch
        assert world.router.targets[LOCAL].filling == 2
        assert world.feed(ev.SnapshotArrived(epoch, 2, anew=True)) == []
        first = world.feed(ev.SnapshotApplied(LOCAL, 2))
        assert world.of(ef.Fill, first) == [ef.Fill(LOCAL, 2)]
        assert world.feed(ev.SnapshotApplied(LOCAL, 2)) == []

    def test_a_new_state_of_an_older_cell_changes_nothing(self, world: World) -> None:
        world.run(2)
        stale = world.router.epoch - 1
        assert world.feed(ev.SnapshotArrived(stale, 2, anew=True)) == []

    def test_the_pc_returns_is_filled_and_runs_the_next_cell(self, world: World) -> None:
        world.submit(2)
        world.feed(ev.TargetLost(PC, "gone"))
        world.finish()
        world.secure()
        assert world.of(ef.Fill, world.feed(ev.TargetOpened(PC))) == [ef.Fill(PC, 2)]
        assert world.run(3) == PC

    def test_a_repeat_that_fails_where_it_had_not_ends_the_cell(self, world: World) -> None:
        world.submit(2)
        world.finish()
        world.submit(3)
        world.feed(ev.TargetLost(PC, "gone"))
        (failed,) = world.of(ef.Fail, world.finish(ok=False))
        assert failed.cell == 3
        assert world.router.running is None

    def test_lost_while_idle_is_told_in_the_next_cell(self, world: World) -> None:
        world.submit(2)
        world.finish()
        world.feed(ev.TargetLost(PC, "gone"))
        world.finish()
        (told,) = world.of(ef.Tell, world.submit(3))
        assert "cell 2 had finished" in told.text

    def test_a_second_loss_repeats_once_more(self, world: World) -> None:
        world.submit(2)
        world.feed(ev.TargetLost(PC, "gone"))
        effects = world.feed(ev.KernelDied(LOCAL, "its kernel died (signal 9)"))
        (failed,) = world.of(ef.Fail, effects)
        assert failed.cell == 2
        assert world.of(ef.StartKernel, effects) == [ef.StartKernel(LOCAL)]
        assert world.of(ef.Fill, effects) == [ef.Fill(LOCAL, 1)]
        assert world.run(3) == LOCAL

    def test_what_had_finished_before_a_cell_that_kills_both_kernels_is_not_lost(
        self, world: World
    ) -> None:
        world.submit(2)
        world.finish()
        world.submit(3)
        world.feed(ev.TargetLost(PC, "its kernel died (signal 11)"))
        world.finish()
        assert world.router.running.number == 3
        effects = world.feed(ev.KernelDied(LOCAL, "its kernel died (signal 11)"))
        (failed,) = world.of(ef.Fail, effects)
        assert failed.cell == 3
        again = world.of(ef.Dispatch, world.log)[-1]
        assert (again.cell, again.target, again.run) == (2, LOCAL, Run.SILENT)
        world.finish()
        (sent,) = world.of(ef.Dispatch, world.submit(4))
        assert (sent.cell, sent.run) == (4, Run.FIRST)


class TestOnce:
    def test_a_running_cell_is_not_run_again(self, world: World) -> None:
        world.submit(2, once=True)
        world.submit(3)
        effects = world.feed(ev.TargetLost(PC, "gone"))
        (failed,) = world.of(ef.Fail, effects)
        assert failed.cell == 2
        assert "as %%relay once asks" in failed.text
        assert world.of(ef.Abort, effects) == [ef.Abort(3)]
        assert world.of(ef.Dispatch, effects) == []
        assert world.run(4) == LOCAL

    def test_what_had_finished_before_it_is_run_again(self, world: World) -> None:
        world.submit(2)
        world.finish()
        world.submit(3, once=True)
        effects = world.feed(ev.TargetLost(PC, "gone"))
        assert [failed.cell for failed in world.of(ef.Fail, effects)] == [3]
        (again,) = world.of(ef.Dispatch, effects)
        assert (again.cell, again.run) == (2, Run.SILENT)

    def test_without_its_effect_nothing_after_it_can_run(self, world: World) -> None:
        world.submit(2, once=True)
        world.finish()
        world.submit(3)
        world.finish()
        world.submit(4)
        effects = world.feed(ev.TargetLost(PC, "gone"))
        (failed,) = world.of(ef.Fail, effects)
        assert failed.cell == 4
        assert "cells 2, 3 did is lost. Cell 2 must not run again." in failed.text
        assert world.of(ef.Dispatch, effects) == []

    def test_lost_while_idle_the_next_cell_says_so_and_does_not_run(self, world: World) -> None:
        world.submit(2, once=True)
        world.finish()
        assert world.of(ef.Fail, world.feed(ev.TargetLost(PC, "gone"))) == []
        (failed,) = world.submit(3)
        assert failed.cell == 3
        assert "cell 2 did is lost" in failed.text
        assert world.run(4) == LOCAL


class TestAsk:
    @pytest.fixture
    def world(self) -> World:
        world = World(policy=Policy(on_loss="ask"))
        world.feed(ev.TargetOpened(PC))
        world.run(1)
        return world

    def lose(self, world: World) -> list[ef.Effect]:
        world.submit(2)
        world.finish()
        world.submit(3)
        world.submit(4)
        return world.feed(ev.TargetLost(PC, "gone"))

    def test_nothing_runs_until_there_is_an_answer(self, world: World) -> None:
        effects = self.lose(world)
        (asked,) = world.of(ef.Ask, effects)
        assert asked.cell == 3
        assert "cell 2 had finished" in asked.text
        assert world.of(ef.Dispatch, effects + world.pass_time(1000)) == []

    def test_yes_runs_it_again(self, world: World) -> None:
        self.lose(world)
        (again,) = world.of(ef.Dispatch, world.feed(ev.Answered(3, again=True)))
        assert (again.cell, again.run) == (2, Run.SILENT)
        (again,) = world.of(ef.Dispatch, world.finish())
        assert (again.cell, again.run) == (3, Run.AGAIN)

    def test_no_stops(self, world: World) -> None:
        self.lose(world)
        effects = world.feed(ev.Answered(3, again=False))
        assert [failed.cell for failed in world.of(ef.Fail, effects)] == [3]
        assert world.of(ef.Abort, effects) == [ef.Abort(4)]

    def test_an_interrupt_is_no(self, world: World) -> None:
        self.lose(world)
        (failed,) = world.of(ef.Fail, world.feed(ev.Interrupted()))
        assert (failed.cell, failed.name) == (3, "KeyboardInterrupt")
        assert world.feed(ev.Answered(3, again=True)) == []

    def test_lost_while_idle_the_next_cell_is_asked(self, world: World) -> None:
        world.submit(2)
        world.finish()
        assert world.of(ef.Ask, world.feed(ev.TargetLost(PC, "gone"))) == []
        (asked,) = world.of(ef.Ask, world.submit(3))
        assert asked.cell == 3
        assert world.of(ef.Ask, world.submit(4)) == []
        effects = world.feed(ev.Answered(3, again=True))
        assert [d.cell for d in world.of(ef.Dispatch, effects + world.finish())] == [2, 3]

    def test_where_nothing_is_lost_nobody_is_asked(self, world: World) -> None:
        world.feed(ev.TargetLost(PC, "gone"))
        assert world.of(ef.Ask, world.submit(2)) == []
        assert world.router.running

    def test_an_answer_about_something_else_is_none(self, world: World) -> None:
        self.lose(world)
        assert world.feed(ev.Answered(2, again=True)) == []
        assert world.router.asking


class TestForced:
    def test_a_target_that_is_away_is_refused_with_what_to_do(self) -> None:
        world = World()
        assert world.submit(1, PC) == []
        (failed,) = world.of(ef.Fail, world.pass_time(5))
        assert "pc is absent" in failed.text
        assert "%relay auto" in failed.text

    def test_a_kernel_that_starts_is_waited_for(self) -> None:
        world = World()
        world.obeys = False
        world.feed(ev.KernelStarted(LOCAL), ev.TargetOpened(PC))
        world.submit(1, PC)
        assert world.pass_time(50) == []
        world.obeys = True
        (sent,) = world.of(ef.Dispatch, world.feed(ev.KernelStarted(PC)))
        assert sent.target == PC

    def test_a_kernel_that_does_not_start_is_waited_for_no_longer(self) -> None:
        world = World()
        world.obeys = False
        world.feed(ev.KernelStarted(LOCAL), ev.TargetOpened(PC))
        world.submit(1, PC)
        world.pass_time(50)
        (failed,) = world.of(ef.Fail, world.feed(ev.KernelFailed(PC, "no such kernelspec")))
        assert "no such kernelspec" in failed.text

    def test_a_kernel_whose_machine_falls_silent_is_waited_for_no_longer(self) -> None:
        world = World()
        world.obeys = False
        world.feed(ev.KernelStarted(LOCAL), ev.TargetOpened(PC))
        world.submit(1, PC)
        world.pass_time(50)
        (failed,) = world.of(ef.Fail, world.feed(ev.LinkClosed(PC, "cut")))
        assert "pc is quiet" in failed.text

    def test_an_unknown_target_is_refused_at_once(self) -> None:
        (failed,) = World().submit(1, "mars")
        assert "mars" in failed.text

    def test_one_cell_only(self, world: World) -> None:
        assert world.of(ef.Dispatch, world.submit(2, LOCAL))[0].target == LOCAL
        world.finish()
        world.secure()
        assert world.run(3) == PC

    def test_stays_until_auto(self, world: World) -> None:
        world.feed(ev.TargetForced(LOCAL))
        assert [world.run(2), world.run(3)] == [LOCAL, LOCAL]
        world.feed(ev.TargetForced(None))
        assert world.run(4) == PC


class TestInterrupt:
    def test_goes_to_the_running_kernel(self, world: World) -> None:
        world.submit(2)
        assert world.feed(ev.Interrupted()) == [ef.Interrupt(PC)]

    def test_ends_a_cell_that_is_out_of_reach(self, world: World) -> None:
        world.submit(2)
        world.feed(ev.LinkClosed(PC, "cut"))
        (failed,) = world.of(ef.Fail, world.feed(ev.Interrupted()))
        assert (failed.cell, failed.name) == (2, "KeyboardInterrupt")

    def test_ends_a_cell_that_waits(self, world: World) -> None:
        world.feed(ev.LinkClosed(PC, "cut"))
        world.submit(2)
        world.submit(3)
        failed, aborted = world.feed(ev.Interrupted())
        assert failed.name == "KeyboardInterrupt"
        assert aborted == ef.Abort(3)

    def test_ends_a_cell_whose_link_turns_out_to_be_dead(self, world: World) -> None:
        world.submit(2)
        assert world.feed(ev.Interrupted()) == [ef.Interrupt(PC)]
        world.pass_time(1.5)
        effects = world.feed(ev.LinkClosed(PC, "it went silent"))
        (failed,) = world.of(ef.Fail, effects)
        assert (failed.cell, failed.name) == (2, "KeyboardInterrupt")

    def test_does_not_make_a_later_blip_a_loss(self, world: World) -> None:
        world.submit(2)
        world.feed(ev.Interrupted())
        world.pass_time(10)
        assert world.feed(ev.LinkClosed(PC, "cut")) == []
        assert world.router.running

    def test_of_cells_that_run_again_stops_all_of_them(self, world: World) -> None:
        world.obeys = False
        world.submit(2)
        world.finish()
        world.submit(3)
        world.feed(ev.KernelDied(LOCAL, "killed"), ev.TargetLost(PC, "gone"))
        assert world.router.running is None
        effects = world.feed(ev.Interrupted())
        assert [(f.cell, f.name) for f in world.of(ef.Fail, effects)] == [(3, "KeyboardInterrupt")]
        assert not world.router.queue

    def test_of_nothing_is_nothing(self, world: World) -> None:
        assert world.feed(ev.Interrupted()) == []


class TestReturn:
    def test_a_cell_waits_a_moment_for_a_target_that_is_nearly_filled(self, world: World) -> None:
        world.feed(ev.TargetForced(LOCAL))
        world.run(2)
        world.feed(ev.TargetForced(None))
        world.obeys = False
        world.feed(ev.CellSubmitted(3, LOCAL))
        world.finish()
        world.secure()
        assert world.of(ef.Dispatch, world.submit(4)) == []
        (sent,) = world.of(ef.Dispatch, world.feed(ev.SnapshotApplied(PC, 3)))
        assert sent.target == PC

    def test_and_not_for_long(self, world: World) -> None:
        world.feed(ev.TargetForced(LOCAL))
        world.run(2)
        world.feed(ev.TargetForced(None))
        world.obeys = False
        world.feed(ev.CellSubmitted(3, LOCAL))
        world.finish()
        world.secure()
        world.submit(4)
        (sent,) = world.of(ef.Dispatch, world.pass_time(2))
        assert sent.target == LOCAL
        world.finish()
        (sent,) = world.of(ef.Dispatch, world.submit(5))
        assert sent.target == LOCAL

    def test_a_kernel_that_cannot_take_the_state_is_replaced(self, world: World) -> None:
        world.obeys = False
        world.submit(2)
        world.finish()
        world.secure()
        effects = world.feed(ev.ApplyFailed(LOCAL, 2, "no memory"))
        assert ef.StartKernel(LOCAL) in effects

    def test_a_standby_that_keeps_dying_is_left_alone(self, world: World) -> None:
        world.feed(ev.TargetForced(LOCAL))
        world.run(2)
        starts = 0
        for _ in range(6):
            effects = world.feed(ev.KernelDied(PC, "died"))
            starts += len(world.of(ef.StartKernel, effects))
        assert starts == 3
        assert world.run(3) == LOCAL


class TestConfigured:
    """What the configuration names while the notebook is open."""

    def test_a_target_that_is_added_gets_the_state_and_the_next_cell(self) -> None:
        world = World()
        world.feed(ev.TargetForced(LOCAL))
        world.run(1)
        world.feed(ev.TargetForced(None), ev.TargetsConfigured(("desk", PC)))
        assert world.router.names == ["desk", PC, LOCAL]
        world.feed(ev.TargetOpened("desk"))
        assert world.router.targets["desk"].applied == 1
        assert world.run(2) == "desk"

    def test_another_order_holds_from_the_next_cell_on(self) -> None:
        world = World("desk", PC)
        world.feed(ev.TargetOpened("desk"), ev.TargetOpened(PC))
        assert world.run(1) == "desk"
        world.feed(ev.TargetsConfigured((PC, "desk")))
        assert world.run(2) == PC

    def test_one_that_is_named_no_more_hands_over_to_local(self, world: World) -> None:
        world.submit(2)
        world.feed(ev.TargetForced(PC), ev.TargetsConfigured(()))
        assert (world.router.primary, world.router.names) == (PC, [LOCAL, PC])
        world.finish()
        world.secure()
        assert world.of(ef.Discard, world.submit(3)) == []
        assert world.router.primary == LOCAL
        assert world.of(ef.Discard, world.finish()) == [ef.Discard(PC)]
        assert "taken out of the configuration" in world.router.targets[PC].describe()

    def test_it_keeps_the_variables_for_as_long_as_nobody_else_has_them(self, world: World) -> None:
        world.submit(2)
        world.finish()
        world.feed(ev.SnapshotFailed(world.router.epoch, 2, "the disk is full"))
        world.feed(ev.TargetsConfigured(()))
        world.submit(3)
        world.pass_time(60)
        assert world.router.running
        assert world.router.primary == PC

    def test_nothing_is_told_of_one_that_is_named_no_more(self, world: World) -> None:
        world.feed(ev.TargetsConfigured(()), ev.TargetRefused(PC, "config.toml has no target pc"))
        assert world.of(ef.Tell, world.submit(2)) == []

    @pytest.mark.parametrize("is_linked", [True, False])
    def test_one_that_is_named_again_is_preferred_again(
        self, world: World, is_linked: bool
    ) -> None:
        world.feed(ev.TargetsConfigured(()))
        assert world.run(2) == LOCAL
        if is_linked:
            assert world.of(ef.StartKernel, world.feed(ev.TargetOpened(PC))) == []
        world.feed(ev.TargetsConfigured((PC,)))
        if not is_linked:
            world.feed(ev.TargetOpened(PC))
        assert world.run(3) == PC

    def test_what_stays_behind_is_told_once_there_is_another_place(self) -> None:
        world = World()
        world.router = Router([LOCAL])
        world.feed(ev.TargetOpened(LOCAL))
        reasons = {"conn": "an open connection belongs to one machine"}
        world.run(1)
        world.feed(ev.ValuesLeftBehind(LOCAL, reasons))
        assert world.of(ef.Tell, world.submit(2)) == []
        world.finish()
        world.feed(ev.TargetsConfigured((PC,)), ev.ValuesLeftBehind(LOCAL, reasons))
        (told,) = world.of(ef.Tell, world.submit(3))
        assert "`conn`" in told.text


def test_a_refusal_is_told_once() -> None:
    world = World()
    world.feed(ev.TargetRefused(PC, "its host key changed"))
    world.feed(ev.TargetRefused(PC, "its host key changed"))
    tells = world.of(ef.Tell, world.submit(1))
    assert [tell.text for tell in tells] == ["pc: its host key changed"]
    world.finish()
    assert world.of(ef.Tell, world.submit(2)) == []


def test_a_local_kernel_that_cannot_start_ends_cells_with_the_reason() -> None:
    world = World()
    world.obeys = False
    world.feed(ev.KernelDied(LOCAL, "died"))
    world.feed(ev.KernelFailed(LOCAL, "kernelspec python3: its interpreter /x is gone"))
    (failed,) = world.of(ef.Fail, world.submit(1))
    assert "/x is gone" in failed.text


def test_a_value_that_stays_behind_is_told_once_in_the_next_cell_that_is_seen(world: World) -> None:
    reasons = {"conn": "an open connection belongs to one machine"}
    world.submit(2)
    world.finish()
    world.feed(ev.ValuesLeftBehind(PC, reasons))
    assert world.of(ef.Tell, world.feed(ev.CellSubmitted(3, silent=True))) == []
    world.finish()
    (told,) = world.of(ef.Tell, world.submit(4))
    assert told.text == (
        "stays at pc: `conn`, because an open connection belongs to one machine (see %relay vars)"
    )
    world.finish()
    world.feed(ev.ValuesLeftBehind(PC, reasons))
    assert world.of(ef.Tell, world.submit(5)) == []


def test_many_values_that_stay_behind_are_one_line(world: World) -> None:
    reasons = {f"v{number}": "of this" for number in range(4)} | {"w": "of that", "x": "", "y": ""}
    world.feed(ev.ValuesLeftBehind(PC, reasons))
    (told,) = world.of(ef.Tell, world.submit(2))
    assert told.text == (
        "stays at pc: `v0`, `v1`, `v2`, `v3`, because of this; `w`, because of that; and 2 more "
        "(see %relay vars)"
    )


def test_where_there_is_one_target_nothing_stays_behind() -> None:
    world = World()
    world.router.targets.pop(PC)
    world.feed(ev.ValuesLeftBehind(LOCAL, {"conn": "an open connection belongs to one machine"}))
    assert world.router.notices == []


def test_a_kernel_that_was_killed_while_it_started_is_started_again_but_not_for_ever() -> None:
    world = World()
    world.obeys = False
    world.feed(ev.KernelDied(LOCAL, "its kernel died (signal 9)"))
    world.submit(1)
    killed = ev.KernelFailed(LOCAL, "the kernel ended with signal 9", killed=True)
    for _ in range(3):
        assert world.feed(killed) == [ef.StartKernel(LOCAL)]
    (failed,) = world.of(ef.Fail, world.feed(killed))
    assert "signal 9" in failed.text
