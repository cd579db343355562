"""How long the state of a cell takes from the PC to the server, by what it is made of.

    python -m tests.net.state [--mbit 20] [--floats 10]

As root. ``--mbit 0`` is a line without a limit.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from relay_kernel.cli.status import collect
from relay_kernel.settings.paths import find_places
from tests.net.lab import Lab
from tests.net.notebook import apart, over

#: What a cell makes, by name.
STATES = {
    "DataFrame of 16 MB": """\
import numpy as np, pandas as pd
rng = np.random.default_rng(1); n = 400_000
df = pd.DataFrame({"id": np.arange(n), "price": np.round(rng.gamma(2, 20, n), 2),
    "quantity": rng.integers(1, 20, n), "value": rng.normal(size=n),
    "city": rng.choice(["Wien", "Graz", "Linz", "Salzburg"], n)})""",
    "100,000 dicts": """\
import random
rows = [{"id": i, "name": f"user{i % 977}", "score": random.random(), "tags": ["a", "b"]}
        for i in range(100_000)]""",
    "random floats, {floats} MB": """\
import numpy as np
noise = np.random.default_rng(2).random({floats} * 125_000)""",
}


async def measure(mbit: float, floats: int) -> dict[str, float]:
    """Seconds from sending the cell to its state being safe, by state."""
    found = {}
    with tempfile.TemporaryDirectory(prefix="state-") as folder, Lab() as lab:
        lab.line.delay = 0.01
        async with over(lab, Path(folder)) as (notebook, _):
            await notebook.run("import numpy, pandas")
            if mbit:
                lab.line.rate = mbit * 125_000
            for name, code in STATES.items():
                began = time.monotonic()
                cell = await notebook.run(code.replace("{floats}", str(floats)), within=120)
                number = cell.relay["cell"]
                ran = time.monotonic() - began
                while collect(find_places())["kernels"][0]["safe_cell"] < number:
                    await asyncio.sleep(0.05)
                found[name.format(floats=floats)] = time.monotonic() - began - ran
    return found


def run(mbit: float, floats: int) -> dict[str, float]:
    """Measure in a process that may move into another network."""
    return asyncio.run(measure(mbit, floats))


def main() -> None:
    """Measure, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mbit", type=float, default=20.0)
    parser.add_argument("--floats", type=int, default=10, help="MB of random floats")
    given = parser.parse_args()
    for name, seconds in apart(run, given.mbit, given.floats).items():
        print(f"{name:<28} {seconds:7.2f} s")


if __name__ == "__main__":
    main()
