"""Random work at two real homes, with cuts and kills: python -m tests.files.chaos [--rounds N].

Two people work in one folder, on a server and at a PC, over a real sshd. Meanwhile the plane's
processes are killed, frozen and cut off, and onlookers read every name as fast as they can. After
each round both ends must be equal, with every version that nobody gave up; see
:mod:`tests.files.chaos.person`.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.files.chaos.play import History, Verdict
from tests.files.real import served


async def _round(folder: Path, seed: int, seconds: float, calm: bool) -> Verdict:
    with served(folder) as (real, cut):
        await real.linked()
        await real.equal()
        with History(real, cut, folder, seed, calm=calm) as history:
            return await history.play(seconds)


def main() -> None:
    """Play rounds; stop at the first that is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--calm", action="store_true", help="no cuts, no kills")
    parser.add_argument("--go-on", action="store_true", help="go on after a round that is wrong")
    options = parser.parse_args()
    first = random.randrange(1 << 20) if options.seed is None else options.seed
    bad = 0
    for seed in range(first, first + options.rounds):
        began = time.monotonic()
        place = Path(tempfile.mkdtemp(prefix="chaos-"))
        verdict = asyncio.run(_round(place, seed, options.seconds, options.calm))
        print(f"seed {seed}, {time.monotonic() - began:.0f} s: {verdict.figures}", flush=True)
        for line in verdict.wrong[:40]:
            print(f"  WRONG {line}", flush=True)
        bad += bool(verdict.wrong)
        if not verdict.wrong:
            shutil.rmtree(place)
            continue
        print(f"  what was done, the homes and the logs are in {place}")
        if not options.go_on:
            sys.exit(1)
    print(f"{options.rounds} rounds, {bad} wrong")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
