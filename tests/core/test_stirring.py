"""What a widget or a subshell changed, no cell did: it moves along, or the user is told."""

from __future__ import annotations

import pytest

from relay_kernel.core import effects as ef
from relay_kernel.core import events as ev
from relay_kernel.core.model import LOCAL, Policy
from tests.core.world import PC, World

LOST = "pc was lost: what a widget or a subshell changed there at last is not here"
MOVED = "the notebook moved from pc to local: what a widget or a subshell changed there at last"


@pytest.fixture
def world() -> World:
    """A notebook whose PC is there, and has run cell 1."""
    world = World(policy=Policy(handover=2.0))
    world.feed(ev.TargetOpened(PC))
    assert world.run(1) == PC
    return world


def stir(world: World, number: int = 1) -> None:
    world.feed(ev.StateStirred(PC, number))


def ordered(world: World, number: int, *, anew: bool = True) -> list[ef.Effect]:
    """A snapshot that was ordered for a stir arrives."""
    return world.feed(ev.SnapshotArrived(world.router.epoch, world.router.head, anew, number))


def told(world: World) -> str:
    """What the next cell on the server is told, once the PC is lost."""
    world.feed(ev.TargetLost(PC, "it is off"))
    return " ".join(effect.text for effect in world.of(ef.Tell, world.submit(9)))


def test_a_loss_right_after_a_change_is_told(world: World) -> None:
    stir(world)
    assert LOST in told(world)


def test_a_loss_behind_its_snapshot_is_not(world: World) -> None:
    stir(world)
    ordered(world, 1)
    assert told(world) == ""


def test_a_snapshot_that_is_older_than_the_change_does_not_hold_it(world: World) -> None:
    stir(world, 1)
    stir(world, 2)
    ordered(world, 1)
    assert LOST in told(world)


def test_a_snapshot_of_the_cell_before_does_not_hold_it(world: World) -> None:
    world.submit(2)
    world.finish()
    stir(world)
    world.secure()
    assert LOST in told(world)


@pytest.mark.parametrize("running", [True, False])
def test_the_cell_that_runs_or_comes_next_brings_it_along(world: World, running: bool) -> None:
    if running:
        world.submit(2)
    stir(world)
    if not running:
        world.submit(2)
    world.finish()
    world.secure()
    assert told(world) == ""


def test_nothing_is_told_twice(world: World) -> None:
    stir(world)
    world.feed(ev.SnapshotFailed(world.router.epoch, world.router.head, "the disk is full"))
    assert LOST not in told(world)


def test_of_a_standby_it_is_no_loss(world: World) -> None:
    world.feed(ev.StateStirred(LOCAL, 1))
    assert told(world) == ""


def test_a_stale_snapshot_settles_nothing(world: World) -> None:
    stir(world)
    world.feed(ev.SnapshotArrived(world.router.epoch - 1, 9, stirred=1))
    assert LOST in told(world)


class TestASwitch:
    def test_waits_for_the_change_and_for_the_standby_to_hold_it(self, world: World) -> None:
        stir(world)
        assert world.submit(2, LOCAL) == []
        effects = ordered(world, 1)
        assert world.of(ef.Fill, effects)[0].target == LOCAL
        assert [d.target for d in world.of(ef.Dispatch, effects)] == [LOCAL]
        assert not world.of(ef.Tell, effects)

    def test_does_not_wait_where_nothing_was_changed_after_all(self, world: World) -> None:
        stir(world)
        world.submit(2, LOCAL)
        effects = ordered(world, 1, anew=False)
        assert [d.target for d in world.of(ef.Dispatch, effects)] == [LOCAL]

    def test_does_not_wait_for_ever(self, world: World) -> None:
        stir(world)
        world.submit(2, LOCAL)
        effects = world.pass_time(2.0)
        assert [d.target for d in world.of(ef.Dispatch, effects)] == [LOCAL]
        assert MOVED in world.of(ef.Tell, effects)[0].text

    def test_a_cell_that_stays_does_not_wait(self, world: World) -> None:
        stir(world)
        assert world.of(ef.Dispatch, world.submit(2))[0].target == PC

    def test_a_restored_state_has_taken_its_place(self, world: World) -> None:
        stir(world)
        world.feed(ev.CellSubmitted(3, restores=True))
        world.feed(ev.StateRestored(3, ok=True))
        assert world.router.stirred == 0
