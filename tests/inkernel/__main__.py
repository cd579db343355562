"""The slow proofs of the state: python -m tests.inkernel [--programs N] [--routes] [--seed S].

``--programs``: random programs, each on one kernel and on two between which it moves.
``--routes``: every trap, on every way in which its cells can be spread over two kernels.
``--only``: this trap alone; again for another.
``--python``: the interpreter of the kernels, with ipykernel and NumPy; twice for one at each end.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from pathlib import Path

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.inkernel.programs import Programs
from tests.inkernel.rig import CellError, Kernel, Pair
from tests.inkernel.test_traps import LEAVES, LOSSY
from tests.inkernel.traps import TRAPS

#: Bytes: nearly all values here have several chunks, as only large ones of users have.
CHUNK = 64


def run_programs(pair: Pair, folder: Path, count: int, start: int) -> None:
    """Run random programs; stop at the first that differs."""
    folder.mkdir()
    truth = Kernel(folder / "store", "nowhere", folder)
    Programs.pair, Programs.truth, Programs.truth_empty = pair, truth, truth.capture()
    chosen = settings(
        max_examples=count,
        stateful_step_count=25,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    try:
        seed(start)(Programs)
        run_state_machine_as_test(Programs, settings=chosen)
    finally:
        truth.stop()


def run_routes(pair: Pair, folder: Path, names: list[str]) -> list[str]:
    """Run these traps on every route; return what went wrong."""
    wrong, done = [], 0
    for name in names:
        routes = ["".join(places) for places in itertools.product("ab", repeat=_length(name))]
        # First the one on which nothing moves: it is the truth for this Python and its packages.
        stays = "b" * _length(name)
        if trouble := run_route(pair, folder, name, stays):
            print(f"left out, since one kernel alone does it otherwise: {trouble}", flush=True)
            continue
        for route in routes:
            done += 1
            if trouble := run_route(pair, folder, name, route):
                wrong.append(trouble)
                print(trouble, flush=True)
    print(f"{done} routes of {len(names)} traps, {len(wrong)} wrong")
    return wrong


def _length(name: str) -> int:
    cells, _ = TRAPS[name]
    return len(cells) + 1


def run_route(pair: Pair, folder: Path, name: str, route: str) -> str:
    """Run a trap on one route; return what went wrong, if anything did."""
    cells, check = TRAPS[name]
    home = Path(tempfile.mkdtemp(dir=folder))
    whole = [cell.replace("@DIR@", str(home)) for cell in [*cells, check]]
    pair.reset()
    try:
        problems = pair.journey(whole, route)
        (pair.a if route[-1] == "a" else pair.b).assert_ok()
        assert not any(problems), problems
    except (CellError, AssertionError) as error:
        return f"{name} by {route}: {str(error).splitlines()[-1]}"
    return ""


def main() -> None:
    spread = [name for name in TRAPS if name not in LOSSY | LEAVES]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--routes", action="store_true")
    parser.add_argument("--only", action="append", choices=spread, metavar="TRAP")
    parser.add_argument("--python", type=Path, action="append", default=[])
    chosen = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="proof-") as name:
        folder = Path(name)
        pair = Pair(folder, *chosen.python[:2], chunk=CHUNK)
        try:
            wrong = run_routes(pair, folder, chosen.only or spread) if chosen.routes else []
            if chosen.programs:
                run_programs(pair, folder / "truth", chosen.programs, chosen.seed)
                print(f"{chosen.programs} programs, none differs")
        finally:
            pair.stop()
    print(f"{time.monotonic() - began:.0f} s")
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
