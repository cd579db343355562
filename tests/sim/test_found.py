"""What the histories have found, told short."""

from __future__ import annotations

from relay_kernel.core import effects as ef
from relay_kernel.core import events as ev
from relay_kernel.core.model import LOCAL, Policy
from tests.core.world import PC, World


def on_pc(**policy: object) -> World:
    world = World(policy=Policy(**policy))  # type: ignore[arg-type]
    world.feed(ev.TargetOpened(PC))
    assert world.run(1) == PC
    return world


def test_the_cell_that_notices_a_loss_does_not_run_on_what_is_left() -> None:
    """It waited for the PC, and was written for what cell 2 had done there."""
    world = on_pc(on_loss="stop")
    world.submit(2)
    world.finish()
    world.feed(ev.LinkClosed(PC, "cut"))
    world.pass_time(100)
    assert world.submit(3) == []
    effects = world.pass_time(5)
    (failed,) = world.of(ef.Fail, effects)
    assert failed.cell == 3
    assert "What cell 2 did is lost" in failed.text
    assert not world.of(ef.Dispatch, effects)


def test_cells_that_were_not_repeated_after_all_are_named() -> None:
    world = on_pc()
    for cell in (2, 3):
        world.submit(cell)
        world.finish()
    world.feed(ev.TargetLost(PC, "gone"))
    # Cell 2 fails where it had not: cell 3, which was to run again next, is lost with it.
    world.finish(ok=False)
    (failed,) = world.of(ef.Fail, world.submit(4))
    assert "What cell 3 did is lost" in failed.text


def test_what_has_to_be_told_does_not_end_a_cell_that_ended_long_ago() -> None:
    world = on_pc()
    world.submit(2)
    world.finish()
    world.feed(ev.TargetLost(PC, "gone"))
    world.finish(ok=False)
    # Nobody has sent a cell since; cell 2 has to run again once more.
    effects = world.feed(ev.KernelDied(LOCAL, "its kernel died"))
    assert not world.of(ef.Fail, effects)
    assert [d.cell for d in world.of(ef.Dispatch, effects)] == [2]
