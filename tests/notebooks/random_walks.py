# ruff: noqa
# %%
import random
import statistics

import numpy as np

random.seed(2024)
np.random.seed(2024)
own = random.Random(1)
modern = np.random.default_rng(1)
random.random(), np.random.rand(), own.random(), modern.random()


# %%
def walk(n):
    return np.cumsum(np.random.choice([-1, 1], n))


paths = [walk(500) for _ in range(4)]
[int(path[-1]) for path in paths]
# %%
deck = list(range(10))
random.shuffle(deck)
hand = own.sample(deck, 4)
deck, hand
# %%
spread = statistics.pstdev(float(path.max()) for path in paths)
round(spread, 6), random.gauss(0, 1)
# %%
children = modern.spawn(2)
[child.integers(0, 100, 3).tolist() for child in children], np.random.randint(0, 10**6)
# %%
saved = random.getstate()
one = [random.random() for _ in range(3)]
random.setstate(saved)
one == [random.random() for _ in range(3)]
# %%
legacy = np.random.RandomState(9)
legacy.normal(), children[0].random(), own.getrandbits(16)
# %%
legacy.normal(), children[0].random(), own.getrandbits(16), random.choice(deck)
