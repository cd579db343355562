"""Many histories: ``python -m tests.histories [--count 100] [--first 1] [--jobs 2]``.

Prints each seed whose notebook looked different from that of one ipykernel, with the cells, and how
often which weather came. Ends with 1 if there was any difference. Needs root: it makes networks.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from collections import Counter
from functools import partial
from pathlib import Path

from tests.histories.history import attempt


def main() -> int:
    """Run them and print the figures."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--count", type=int, default=100)
    options.add_argument("--first", type=int, default=1)
    options.add_argument("--jobs", type=int, default=2)
    options.add_argument("--logs", type=Path, help="where to keep the logs of those that differ")
    chosen = options.parse_args()
    seeds = range(chosen.first, chosen.first + chosen.count)
    tally: Counter[str] = Counter()
    seconds, differing = 0.0, 0
    context = multiprocessing.get_context("spawn")
    with context.Pool(chosen.jobs, maxtasksperchild=1) as pool:
        for outcome in pool.imap_unordered(partial(attempt, logs=chosen.logs), seeds):
            tally += outcome.tally
            seconds += outcome.seconds
            differing += bool(outcome.differences)
            for difference in outcome.differences:
                print(difference, flush=True)
    print(f"{len(seeds)} histories of 30 cells, {seconds:.0f} s: {differing} differ")
    print(", ".join(f"{name} {count}" for name, count in sorted(tally.items())))
    return int(differing > 0)


if __name__ == "__main__":
    sys.exit(main())
