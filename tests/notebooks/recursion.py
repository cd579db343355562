# ruff: noqa
# %%
import functools


@functools.lru_cache(maxsize=None)
def ways(amount, coins=(50, 20, 10, 5, 2, 1)):
    if amount == 0:
        return 1
    if amount < 0 or not coins:
        return 0
    return ways(amount - coins[0], coins) + ways(amount, coins[1:])


ways(100)


# %% a counter that only its closure knows
def counting(function):
    calls = 0

    @functools.wraps(function)
    def wrapper(*args):
        nonlocal calls
        calls += 1
        return function(*args)

    wrapper.calls = lambda: calls
    return wrapper


@counting
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


fib(10), fib.calls()
# %%
fib(5), fib.calls(), fib.__name__


# %%
class Node:
    def __init__(self, key, left=None, right=None):
        self.key, self.left, self.right = key, left, right

    def insert(self, key):
        side = "left" if key < self.key else "right"
        child = getattr(self, side)
        if child is None:
            setattr(self, side, Node(key))
        else:
            child.insert(key)

    def __iter__(self):
        if self.left:
            yield from self.left
        yield self.key
        if self.right:
            yield from self.right


tree = Node(50)
for key in (30, 70, 20, 40, 60, 80):
    tree.insert(key)
list(tree)
# %% a subtree is a value of its own and part of the whole
left = tree.left
left.insert(35)
list(tree), left is tree.left


# %%
def hanoi(n, a="A", b="B", c="C"):
    if n:
        yield from hanoi(n - 1, a, c, b)
        yield a, c
        yield from hanoi(n - 1, b, a, c)


moves = list(hanoi(4))
len(moves), moves[-1]
# %% the counted function is defined again; the old one is still held
old = fib


@counting
def fib(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


old(3), old.calls(), fib(30), fib.calls()


# %%
def compose(*functions):
    return functools.reduce(lambda f, g: lambda x: f(g(x)), functions)


triple = compose(lambda x: x + 1, lambda x: x * 2, ways)
triple(10), triple.__closure__ is not None


# %%
def deep(n):
    return [deep(n - 1)] if n else []


nest = deep(60)
depth, at = 0, nest
while at:
    depth, at = depth + 1, at[0]
depth
# %%
ways.cache_info().maxsize, ways(20)
