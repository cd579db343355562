# ruff: noqa
# %%
import collections
import typing

Cell = collections.namedtuple("Cell", "row column")
Rule = typing.Callable[[int, bool], bool]


def conway(neighbours: int, alive: bool) -> bool:
    return neighbours == 3 or (alive and neighbours == 2)


# %%
class World:
    """Living cells on a grid without borders."""

    rules: dict = {"conway": conway}

    def __init__(self, picture, rule="conway"):
        self.rule = World.rules[rule]
        self.alive = {
            Cell(r, c)
            for r, line in enumerate(picture)
            for c, sign in enumerate(line)
            if sign == "#"
        }
        self.age = 0
        self.watchers = []

    def step(self):
        near = collections.Counter(
            Cell(cell.row + r, cell.column + c)
            for cell in self.alive
            for r in (-1, 0, 1)
            for c in (-1, 0, 1)
            if r or c
        )
        self.alive = {cell for cell, n in near.items() if self.rule(n, cell in self.alive)}
        self.age += 1
        for watcher in self.watchers:
            watcher(self)


glider = World([".#.", "..#", "###"])
len(glider.alive)
# %%
seen = []
glider.watchers.append(lambda world: seen.append(len(world.alive)))
for _ in range(4):
    glider.step()
seen, glider.age


# %%
def show(world, size=6):
    return "\n".join(
        "".join("#" if Cell(r, c) in world.alive else "." for c in range(size)) for r in range(size)
    )


print(show(glider))
# %% another rule joins those of the class
World.rules["seeds"] = lambda neighbours, alive: not alive and neighbours == 2
seeds = World(["##"], "seeds")
seeds.watchers = glider.watchers
seeds.step()
sorted(seeds.alive), seen[-1]
# %%
history = collections.deque(maxlen=3)
for _ in range(5):
    glider.step()
    history.append(frozenset(glider.alive))
len(history), history[-1] == glider.alive, seen
# %%
twins = [glider, glider]
twins[0].step()
twins[1].age, twins[0].alive is glider.alive, World.rules["conway"] is conway
# %%
typing.get_type_hints(conway)["alive"], Rule.__args__, isinstance(max(glider.alive), Cell)
