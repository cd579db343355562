"""What it costs to keep the state of a notebook after each cell, and whether it is right.

    python -m tests.bench.state [--python PYTHON] [--only WORD] [--fast]

PYTHON is an interpreter with the packages of ``NEEDS``, for every kernel; without it, one is made
in a temporary folder with ``venv`` and pip. On the same cells, in one run: time added to a cell, until
it is answered and until the next can begin; bytes kept (of ours: chunks as they are, and what is said of them
on the line); and whether the state is the same after it was restored. ``sent`` is what goes over a line: of chunks
what differs from those before, compressed. A rival's times and bytes are also said as multiples of ours, as sent. Times are the best of several, since
a busy machine only adds to them. ``--fast``: no rival but cloudpickle.
"""

# ruff: noqa: E501 - a row is one look, not one column
from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.rivals import RIVALS, CellFailedError, Cloudpickle, Nothing, Relay, Rival
from tests.bench.user_code import behind_captures, slowed

if TYPE_CHECKING:
    from collections.abc import Iterable

NEEDS = (
    *("kishu==0.3.4", "dill", "cloudpickle", "xxhash", "numpy", "pandas", "scikit-learn"),
    *("polars", "matplotlib", "ipykernel"),
)
MIB = 1 << 20
#: Bytes that the state after a cell may take that changes a small name.
LITTLE = 4096


@dataclass(frozen=True)
class Row:
    """A notebook, and the cell of it that is measured.

    Args:
        name: what it shows.
        setup: a cell that makes the state.
        touch: the cell that is measured, again and again.
        check: raises unless the state is as after the setup and at least one touch.
        spoil: changes the state, for what restores in place.
        times: how often the cell is measured; the best counts.
        seconds: bar: what a capture may take.
        bytes: bar: what may be sent for one such cell.
        of_pickle: an expression; bar: 1.5 times what the C pickler takes for it.
    """

    name: str
    setup: str
    touch: str
    check: str
    spoil: str
    times: int = 5
    seconds: float | None = None
    bytes: int | None = None
    of_pickle: str | None = None


ROWS = (
    Row(
        "nothing changes beside 1 GB of floats",
        "import numpy as np\na = [np.full(12_500_000, float(i)) for i in range(10)]\nx = 0",
        "x += 1",
        "assert x >= 1 and len(a) == 10 and all((v == i).all() for i, v in enumerate(a))",
        "a = x = None",
        seconds=0.060,
        bytes=LITTLE,
    ),
    Row(
        "1 GB of floats is looked at and stays as it is",
        "import numpy as np\na = [np.full(12_500_000, float(i)) for i in range(10)]\nx = 0",
        "x = a[3][7]",
        "assert x == 3 and len(a) == 10 and all((v == i).all() for i, v in enumerate(a))",
        "a = x = None",
        seconds=0.060,
        bytes=LITTLE,
    ),
    Row(
        "one element of a 1 GB array changes",
        "import numpy as np\na = np.zeros(125_000_000)\nx = 0",
        "x += 1; a[60_000_000] = x",
        "assert x >= 1 and a[60_000_000] == x and a.sum() == x and a.flags.writeable",
        "a = None; x = 5",
        seconds=0.080,
        bytes=MIB,
    ),
    Row(
        "1,000 small names",
        "for _i in range(1000): globals()[f'v{_i}'] = [_i]\nx = 0",
        "x += 1",
        "assert x >= 1 and v7 == [7] and v999 == [999]",
        "v7 = x = None",
        times=40,
        seconds=0.003,
        bytes=LITTLE,
    ),
    Row(
        "10^6 small dicts",
        "d = [{'id': i, 'x': i * 0.5, 'name': 'n'} for i in range(1_000_000)]\nx = 0",
        "x += 1",
        "assert x >= 1 and len(d) == 1_000_000 and d[-1] == {'id': 999_999, 'x': 499999.5, 'name': 'n'}",
        "d = x = None",
        times=3,
        of_pickle="d",
    ),
    Row(
        "10^6 small dicts are looked at and stay as they are",
        "d = [{'id': i, 'x': i * 0.5, 'name': 'n'} for i in range(1_000_000)]\nx = 0",
        "x = d[7]['id']",
        "assert x == 7 and len(d) == 1_000_000 and d[-1] == {'id': 999_999, 'x': 499999.5, 'name': 'n'}",
        "d = x = None",
        times=3,
        of_pickle="d",
    ),
    Row(
        "10^6 ints",
        "n = list(range(1_000_000))\nx = 0",
        "x += 1; n[5] = x",
        "assert x >= 1 and n[5] == x and n[-1] == 999_999",
        "n = x = None",
        times=3,
    ),
    Row(
        "a DataFrame of 10^6 x 5",
        "import numpy as np, pandas as pd\n"
        "df = pd.DataFrame(np.arange(5_000_000.0).reshape(-1, 5), columns=list('abcde'))\nx = 0",
        "x += 1; df.loc[7, 'b'] = x",
        "assert x >= 1 and df.loc[7, 'b'] == x and df.loc[999_999, 'e'] == 4_999_999.0",
        "df = x = None",
    ),
    Row(
        "a polars frame of 10^6 x 5",
        "import numpy as np, polars as pl\n"
        "df = pl.DataFrame({name: np.arange(1e6) for name in 'abcde'})\nx = 0",
        "x += 1; df[7, 'b'] = x",
        "assert x >= 1 and df[7, 'b'] == x and df[999_999, 'e'] == 999_999.0",
        "df = x = None",
    ),
    Row(
        "2 x 10^5 strings",
        "s = [f'string number {i}' for i in range(200_000)]\nx = 0",
        "x += 1; s[5] = str(x)",
        "assert x >= 1 and s[5] == str(x) and s[-1] == 'string number 199999'",
        "s = x = None",
    ),
    Row(
        "2 x 10^5 instances of a class of the notebook",
        "class P:\n    def __init__(self, i): self.i = i; self.tag = 't'\n"
        "    def twice(self): return 2 * self.i\nps = [P(i) for i in range(200_000)]\nx = 0",
        "x += 1; ps[5].i = x",
        "assert x >= 1 and ps[5].i == x and ps[-1].twice() == 399_998 and type(ps[0]) is P",
        "ps = x = None",
        times=3,
    ),
    Row(
        "a RandomForest",
        "import numpy as np\nfrom sklearn.ensemble import RandomForestClassifier\n"
        "X = np.random.default_rng(0).normal(size=(500, 8)); y = (X[:, 0] > 0).astype(int)\n"
        "rf = RandomForestClassifier(60, random_state=0).fit(X, y); want = rf.predict(X); x = 0",
        "x += 1",
        "assert x >= 1 and (rf.predict(X) == want).all()",
        "rf = x = None",
    ),
    Row(
        "a figure of matplotlib",
        "import matplotlib; matplotlib.use('agg')\nimport matplotlib.pyplot as plt\n"
        "fig, ax = plt.subplots(); line, = ax.plot([1, 2, 3]); x = 0",
        "x += 1; ax.set_title(f'run {x}')",
        "assert x >= 1 and ax.get_title() == f'run {x}' and ax.figure is fig and ax.lines[0] is line",
        "ax.set_title('no'); x = 0",
    ),
    Row(
        "two functions share a closure, and one finds a global",
        "x = 0; k = 5\ndef make():\n    n = 0\n    def inc():\n        nonlocal n; n += 1; return n\n"
        "    return inc, lambda: n + k\ninc, get = make()",
        "x += 1; inc()",
        "n = get() - 5; assert inc() == n + 1 == x + 1; k = 7; assert get() == n + 8",
        "inc(); inc(); k = 1",
    ),
    Row(
        "an array, a view of it, and a list with two names",
        "import numpy as np\na = np.zeros(1000); v = a[1:5]; p = []; q = {'p': p}; x = 0",
        "x += 1; v[0] = x; p.append(x)",
        "assert a[1] == v[0] == x and q['p'] is p; a[2] = 9; assert v[1] == 9 and len(p) == x",
        "v[0] = 99; p.clear(); q = 0",
    ),
)
#: Seconds below which two times are the same: what ours is at least, in a ratio.
LEAST = 1e-4


@dataclass
class Measured:
    """What one rival did with one row."""

    added: float | None = None
    #: seconds that the user waits longer for the reply
    waited: float = 0.0
    #: seconds of the work inside of the kernel, where a rival tells
    capture: float | None = None
    bytes: float | None = None
    sent: float | None = None
    right: str = ""
    notes: list[str] = field(default_factory=list)


def environment(folder: Path) -> Path:
    """Make an interpreter with all that is needed; return its path."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    subprocess.run([str(python), "-m", "pip", "install", "-q", *NEEDS], check=True)
    return python


def measure(kind: type[Rival], row: Row, python: Path, alone: float) -> Measured:
    """Let one rival keep a row; ``alone`` is what the cell takes by itself, in seconds."""
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        rival = kind(Path(folder), python)
        found = Measured()
        try:
            rival.cell(row.setup)
            rival.cell(row.touch)
            before, sent = rival.shipped(), rival.sent()
            taken, replied = [], []
            for _ in range(row.times):
                taken.append(rival.cell(row.touch))
                replied.append(rival.replied)
                if sum(taken) > 60:
                    break
            found.added = max(0.0, min(taken) - alone)
            found.waited = max(0.0, min(replied) - alone)
            found.bytes = (rival.shipped() - before) / len(taken)
            if isinstance(rival, Relay) and sent is not None:
                found.sent = (rival.sent() - sent) / len(taken)
                found.capture = min(rival.captures[-len(taken) :])
                found.notes.append(f"capture {found.capture * 1e3:.1f} ms")
                found.notes.append(f"sent {found.sent / 1024:.1f} KiB")
            rival.restore(row.spoil, row.check)
            found.right = "yes"
        except CellFailedError as error:
            found.right = f"no: {str(error)[:60]}"
        except AssertionError as error:
            found.right = f"no: {str(error).splitlines()[-1][:60]}"
        finally:
            rival.stop()
        return found


def by_itself(row: Row, python: Path) -> tuple[float, float | None]:
    """Return what the cell takes by itself, and what the C pickler takes, in seconds."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        plain = Nothing(Path(folder), python)
        try:
            plain.cell(row.setup)
            alone = min(plain.cell(row.touch) for _ in range(max(5, row.times)))
            pickled = None
            if row.of_pickle is not None:
                code = (
                    "import gc as _gc, pickle as _p, time as _t\n_gc.disable()\n"
                    "for _ in range(4):\n    _b = _t.perf_counter(); "
                    f"_p.dumps({row.of_pickle}, 5); print(_t.perf_counter() - _b)\n_gc.enable()"
                )
                pickled = min(map(float, plain.run(code).split()))
            return alone, pickled
        finally:
            plain.stop()


def verdict(row: Row, found: Measured, pickled: float | None) -> str:
    """Return what bars there are and whether they are met."""
    said = []
    if found.capture is None or found.sent is None:
        return ""
    if row.seconds is not None:
        said.append((f"≤ {row.seconds * 1e3:.0f} ms", found.capture <= row.seconds))
    if row.bytes is not None:
        said.append((f"≤ {row.bytes / 1024:.0f} KiB", found.sent <= row.bytes))
    if pickled is not None:
        ratio = found.capture / pickled
        said.append((f"{ratio:.2f} ≤ 1.50 x {pickled * 1e3:.0f} ms", ratio <= 1.5))
    return ", ".join(f"{bar} {'met' if met else 'NOT MET'}" for bar, met in said)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--fast", action="store_true")
    chosen = parser.parse_args()
    rivals = (Relay, Cloudpickle) if chosen.fast else RIVALS
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        python = chosen.python or environment(Path(folder) / "env")
        for row in ROWS:
            if chosen.only in row.name:
                compare(row, rivals, python)
        if chosen.only in "user code":
            slowed((Relay, *(kind for kind in rivals if kind.name == "kishu")), python)
            behind_captures(python)


def compare(row: Row, rivals: Iterable[type[Rival]], python: Path) -> None:
    """Print one row: every rival on the same cells."""
    alone, pickled = by_itself(row, python)
    print(f"\n{row.name}  (the cell by itself: {alone * 1e3:.1f} ms)", flush=True)
    ours: Measured | None = None
    for kind in rivals:
        found = measure(kind, row, python, alone)
        ours = ours or found
        times, size, ratio = "-", "-", ""
        if found.added is not None and found.bytes is not None:
            times, size = f"{found.added * 1e3:.1f} ms", f"{found.bytes / 1024:.1f} KiB"
            times = f"{found.waited * 1e3:8.1f} {times:>12}"
            if ours is not found and ours.added is not None and ours.sent:
                until = (found.waited, ours.waited), (found.added, ours.added)
                reply, following = (theirs / max(own, LEAST) for theirs, own in until)
                ratio = f"{reply:.1f} x, {following:.1f} x, {found.bytes / ours.sent:.1f} x ours"
        bars = verdict(row, found, pickled) if kind is Relay else ""
        notes = ", ".join(found.notes)
        print(
            f"  {kind.name:<14}+{times:>22}{size:>15}  right: {found.right:<8} {ratio:<32}{bars} {notes}",
            flush=True,
        )


if __name__ == "__main__":
    main()
