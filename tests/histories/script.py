"""A random notebook whose every line and value is determined: it prints, mutates and sleeps."""

from __future__ import annotations

import random

FIRST = """
import sys, time, random
import numpy as np
from collections import deque
random.seed(11); np.random.seed(11)
data = {"log": [], "by": {}}
alias = data["log"]
ring = deque(maxlen=5)
table = np.zeros((4, 3))
row = table[1]
total = 0
def say(*words, pause=0.0):
    print(*words, flush=True)
    time.sleep(pause)
"""

#: Everything a person could look at, in an order and a form of its own.
LAST = """
print(sorted(name for name in globals() if not name.startswith("_")
             and name not in ("In", "Out", "exit", "quit", "get_ipython", "open")))
print(data, alias is data["log"], total, list(ring))
print(table.tolist(), row.base is table)
print(random.random(), np.random.random())
print([f"{name}={globals()[name]!r}" for name in sorted(globals()) if name.startswith("v_")])
print([(name, vars(globals()[name])) for name in sorted(globals()) if name.startswith("o_")])
print([(name, globals()[name](3)) for name in sorted(globals()) if name.startswith("f_")])
print(len(In), sorted(Out))
"""


def _lines(rng: random.Random, n: int) -> str:
    count, pause = rng.choice([(3, 0.05), (8, 0.05), (20, 0.02), (40, 0.01), (4, 0.3)])
    return f"for k in range({count}): say('cell {n} line', k, total, pause={pause})"


def _append(rng: random.Random, n: int) -> str:
    return f"alias.append({n}); data['by'][{n}] = alias; say('cell {n}', len(data['log']))"


def _slow(rng: random.Random, n: int) -> str:
    pause = rng.choice([0.2, 0.5, 0.9])
    return f"say('cell {n} begins', pause={pause}); total += {n}; say('cell {n} ends', total)"


def _random(rng: random.Random, n: int) -> str:
    return f"v_{n} = (random.randrange(1000), float(np.random.random())); say('cell {n}', v_{n})"


def _function(rng: random.Random, n: int) -> str:
    return f"def f_{n}(x): return x * {n} + len(alias)\nsay('cell {n}', f_{n}(2), pause=0.1)"


def _class(rng: random.Random, n: int) -> str:
    return (
        f"class C_{n}:\n    made = 0\n    def __init__(self, x): self.x = x; C_{n}.made += 1\n"
        f"o_{n} = C_{n}([total]); o_{n}.x.append({n}); say('cell {n}', C_{n}.made, o_{n}.x)"
    )


def _array(rng: random.Random, n: int) -> str:
    return f"row += {n}; table[2] = row; ring.append({n}); say('cell {n}', table.sum(), pause=0.1)"


def _error(rng: random.Random, n: int) -> str:
    return f"alias.append('before'); say('cell {n} fails', pause=0.1)\nraise ValueError({n})"


def _value(rng: random.Random, n: int) -> str:
    return f"time.sleep(0.1); (len(alias), total, {n})"


def _both(rng: random.Random, n: int) -> str:
    return (
        f"for k in range(6):\n    print('cell {n} warns', k, file=sys.stderr, flush=True)\n"
        f"    say('cell {n}', k, pause=0.05)"
    )


def _display(rng: random.Random, n: int) -> str:
    return (
        f"from IPython.display import display\nhandle = display({n}, display_id=True)\n"
        f"time.sleep(0.2)\nhandle.update({n} + total)\ndisplay(len(alias))\ndel handle"
    )


def _delete(rng: random.Random, n: int) -> str:
    return f"v_gone = {n}; ring.append(v_gone); del v_gone; say('cell {n}', list(ring))"


KINDS = [
    _lines,
    _append,
    _slow,
    _random,
    _function,
    _class,
    _array,
    _error,
    _value,
    _both,
    _display,
    _delete,
]


def write(seed: int, length: int = 30) -> list[list[str]]:
    """The cells in the bursts in which they are sent; an error is the last of its burst."""
    rng = random.Random(seed)
    bursts: list[list[str]] = [[FIRST]]
    burst: list[str] = []
    for number in range(2, length):
        kind = rng.choice(KINDS)
        burst.append(kind(rng, number))
        if kind is _error or rng.random() < 0.6:
            bursts.append(burst)
            burst = []
    return [*bursts, *([burst] if burst else []), [LAST]]
