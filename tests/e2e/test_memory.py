"""A server with less memory than the PC's variables need keeps them on its disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.test_healing import everything_is_safe
from tests.inkernel.test_memory import FREE, LIMIT

if TYPE_CHECKING:
    from tests.e2e.rig import Notebook, Pc


async def test_it_is_said_and_loaded_when_a_cell_names_it(notebook: Notebook, desktop: Pc) -> None:
    await notebook.run("import numpy as np; small = [1]")
    tight = await notebook.run("%%relay local\n" + LIMIT.format(mib=30))
    assert (tight.target, tight.status) == ("local", "ok")
    await notebook.run_on("pc", "big = np.arange(6_000_000)")
    await everything_is_safe(notebook)
    said = (await notebook.run("%relay vars")).said
    assert "\nbig is kept on disk at local: it needs 45 MiB and " in said
    assert "did not arrive" not in said

    desktop.lose_power()
    result = await notebook.run("small.append(2); small")
    assert (result.target, result.value) == ("local", "[1, 2]")
    error = (await notebook.run("big.sum()")).error
    assert error.startswith("LeftBehindError: `big` is kept on disk: it needs 45 MiB")
    await notebook.run(FREE)
    assert (await notebook.run("int(big[-1])")).value == "5999999"

    # The PC comes back, and has it again from what the server could not load at first.
    desktop.boot()
    assert (await notebook.run_on("pc", "int(big[-1]), small")).value == "(5999999, [1, 2])"
