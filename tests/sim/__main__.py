"""Many histories, or one of them told in full.

``python -m tests.sim --seeds 10000`` runs them on all cores and prints what they came to;
``python -m tests.sim --seed 7 --trace`` tells that of seed 7.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from tests.sim.figures import Figures, live
from tests.sim.history import History, narrow
from tests.sim.oracle import Broken

#: Histories that one process takes on at a time.
_BATCH = 50


def main() -> int:
    """Returns the exit code: 1 if a rule was broken, or too little went wrong to say so."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=300, help="how many histories")
    parser.add_argument("--first", type=int, default=0, help="the seed of the first")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--trace", action="store_true", help="say all that happens; with --seed")
    options = parser.parse_args()
    if options.seed is not None:
        return _one(options.seed, trace=options.trace)
    return _many(range(options.first, options.first + options.seeds))


def _one(seed: int, *, trace: bool) -> int:
    history = History(seed, trace=print if trace else None)
    try:
        with narrow():
            history.run()
    except Broken as broken:
        print(f"{history.clock.now:9.3f}  {broken}")
        return 1
    print(f"seed {seed}: nothing broken in {history.clock.now:.0f} s")
    return 0


def _many(seeds: range) -> int:
    began = time.monotonic()
    sums = Figures()
    batches = [seeds[at : at + _BATCH] for at in range(0, len(seeds), _BATCH)]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for done in pool.map(live, batches):
            sums += done
            print(f"\r{sums.histories} histories", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    seconds = time.monotonic() - began
    print(f"histories       {sums.histories:>12,}  in {seconds:.0f} s")
    print(f"virtual hours   {sums.seconds / 3600:>12,.0f}")
    print(f"cells           {sums.cells:>12,}")
    print(f"messages        {sums.messages:>12,}")
    print(f"failures        {len(sums.failures):>12,}")
    for what, count in sorted(sums.tally.items()):
        print(f"    {count:>10,}  {what}")
    for what, count in sums.missing.items():
        print(f"too seldom: {what} ({count})")
    for seed, why in sums.failures:
        print(f"seed {seed}: {why}")
    return 1 if sums.failures or sums.missing else 0


if __name__ == "__main__":
    sys.exit(main())
