# ruff: noqa
# %%
class ShopError(Exception):
    """All that can go wrong in the shop."""


class OutOfStock(ShopError):
    def __init__(self, item, wanted, left):
        super().__init__(f"{item}: {wanted} wanted, {left} left")
        self.item, self.missing = item, wanted - left


# %%
import contextlib

stock = {"tea": 5, "cup": 1}
log = []


@contextlib.contextmanager
def transaction(name):
    before = dict(stock)
    try:
        yield stock
    except ShopError as error:
        stock.clear()
        stock.update(before)
        log.append((name, error))
        raise
    else:
        log.append((name, None))


def take(item, count):
    if stock[item] < count:
        raise OutOfStock(item, count, stock[item])
    stock[item] -= count


with transaction("one"):
    take("tea", 2)
stock
# %% fails after it had changed something; that is undone
with transaction("two"):
    take("tea", 1)
    take("cup", 3)
# %%
name, problem = log[-1]
stock, name, problem.missing, isinstance(problem, ShopError)
# %% an error from an error
try:
    try:
        take("cup", 9)
    except OutOfStock as error:
        raise KeyError("no cup") from error
except KeyError as error:
    chain = error
type(chain.__cause__).__name__, chain.__cause__.item, chain.args
# %%
take("saucer", 1)
# %% the last error is a value like any other
problems = [problem, chain, chain.__cause__]
[str(each) for each in problems], [each is problem for each in problems]
# %%
group = ExceptionGroup("many", [OutOfStock("tea", 9, 3), ValueError("v")])
matched, rest = group.split(ShopError)
matched.exceptions[0].missing, rest.exceptions


# %%
class Guard:
    depth = 0

    def __enter__(self):
        Guard.depth += 1
        return self

    def __exit__(self, kind, value, trace):
        Guard.depth -= 1
        self.kind = kind
        return kind is ZeroDivisionError


guard = Guard()
with guard, guard:
    1 / 0
guard.kind, Guard.depth
# %%
assert stock["tea"] == 3, "the shop lost count"
raise ShopError("closed") from problem
# %%
len(log), stock, Guard.depth
