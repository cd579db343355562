"""A kept state takes the place of the present one, between two cells and never within one."""

from __future__ import annotations

import pytest

from relay_kernel.core import effects as ef
from relay_kernel.core import events as ev
from relay_kernel.core.model import LOCAL, Phase
from tests.core.world import PC, World


@pytest.fixture
def world() -> World:
    """A notebook on its PC, after one cell."""
    world = World()
    world.feed(ev.TargetOpened(PC))
    assert world.run(1) == PC
    return world


def ask(world: World, cell: int = 3) -> list[ef.Effect]:
    """``%relay restore``: it takes the number before its own as well."""
    return world.feed(ev.CellSubmitted(cell, restores=True))


def test_the_state_is_had_first_and_given_to_the_primary_before_the_cell(world: World) -> None:
    assert ask(world) == [ef.Restore(3)]
    world.obeys = False
    got = world.feed(ev.StateRestored(3, ok=True))
    assert sorted(e.target for e in got if isinstance(e, ef.Fill)) == [LOCAL, PC]
    assert not any(isinstance(effect, ef.Dispatch) for effect in got)
    got = world.feed(ev.SnapshotApplied(PC, 2))
    (dispatched,) = [effect for effect in got if isinstance(effect, ef.Dispatch)]
    assert (dispatched.cell, dispatched.target) == (3, PC)
    assert (world.router.head, world.router.kept) == (2, 2)


def test_the_role_stays_with_a_primary_that_is_filled_a_little_later(world: World) -> None:
    world.obeys = False
    ask(world)
    world.feed(ev.StateRestored(3, ok=True))
    assert world.feed(ev.SnapshotApplied(LOCAL, 2)) == []
    assert world.feed(ev.SnapshotApplied(PC, 2))
    assert world.router.primary == PC


def test_a_kernel_that_starts_before_the_next_snapshot_is_filled_with_it(world: World) -> None:
    ask(world)
    world.feed(ev.StateRestored(3, ok=True))
    world.obeys = False
    world.feed(ev.KernelDied(LOCAL, "died"))
    got = world.feed(ev.KernelStarted(LOCAL))
    assert got == [ef.Fill(LOCAL, 2)]


def test_where_there_is_none_the_cell_only_runs(world: World) -> None:
    ask(world)
    (dispatched,) = world.feed(ev.StateRestored(3, ok=False))
    assert isinstance(dispatched, ef.Dispatch)
    assert world.router.head == 1


def test_it_waits_for_the_cell_that_runs_and_for_what_that_did(world: World) -> None:
    """What is here has to be known: it is not replaced unasked."""
    world.submit(2)
    assert ask(world, 4) == []
    assert world.finish() == []
    assert world.secure() == [ef.Fill(LOCAL, 2), ef.Restore(4)]


def test_it_does_not_wait_for_ever_for_that(world: World) -> None:
    world.submit(2)
    ask(world, 4)
    world.finish()
    assert world.pass_time(world.router.policy.wait_at_submit) == [ef.Restore(4)]


def test_cells_behind_it_wait(world: World) -> None:
    ask(world)
    assert world.submit(4) == []
    world.feed(ev.StateRestored(3, ok=True))
    assert world.router.running
    assert world.router.running.number == 3


def test_an_interrupt_ends_the_cell_and_what_comes_then_changes_nothing(world: World) -> None:
    ask(world)
    (failed,) = world.feed(ev.Interrupted())
    assert isinstance(failed, ef.Fail)
    assert world.feed(ev.StateRestored(3, ok=True)) == []
    assert world.router.head == 1
    world.submit(4)
    assert world.router.running


def test_without_any_kernel_yet_it_waits_for_one() -> None:
    world = World()
    world.obeys = False
    world.feed(ev.KernelDied(LOCAL, "died"))
    assert world.router.targets[LOCAL].phase is not Phase.READY
    assert ask(world, 2) == []
    assert world.feed(ev.KernelStarted(LOCAL)) == [ef.Restore(2)]


def test_what_was_not_safe_is_not_run_again_on_the_restored_state(world: World) -> None:
    world.submit(2)
    ask(world, 4)
    world.finish()
    world.pass_time(world.router.policy.wait_at_submit)
    world.feed(ev.StateRestored(4, ok=True))
    world.finish()
    got = world.feed(ev.TargetLost(PC, "gone"))
    assert not any(isinstance(e, ef.Dispatch) and e.cell == 2 for e in got)
