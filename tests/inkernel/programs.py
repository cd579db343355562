"""Random programs, cell by cell, on two kernels between which they move and on one that stays.

The one that stays is the truth. A difference is a fault, unless the notebook was told of it by
name: what was left behind.
"""

# ruff: noqa: E501 - cells are single lines
from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, multiple, rule

from tests.inkernel import describe

if TYPE_CHECKING:
    from tests.inkernel.rig import Kernel, Pair

NAME = re.compile(r"\bv\d+\b")
small = st.integers(0, 5)
word = st.sampled_from(["'a'", "'bc'", "7", "-1.5", "None", "(1, 'x')", "b'y'", "True"])


class Programs(RuleBasedStateMachine):
    """One program. Every rule is a cell, but for ``switch``."""

    pair: ClassVar[Pair]
    truth: ClassVar[Kernel]
    truth_empty: ClassVar[dict[str, Any]]

    lists = Bundle("lists")
    dicts = Bundle("dicts")
    arrays = Bundle("arrays")
    classes = Bundle("classes")
    objects = Bundle("objects")
    functions = Bundle("functions")
    closures = Bundle("closures")
    generators = Bundle("generators")
    iterators = Bundle("iterators")
    sets = Bundle("sets")
    errors = Bundle("errors")
    shared = lists | dicts | objects | arrays | sets | functions

    @initialize(place=st.sampled_from("ab"))
    def begin(self, place: str) -> None:
        self.count = 0
        self.story: list[str] = []
        self.left: set[str] = set()
        #: names whose values differ since something that was left behind was used
        self.apart: set[str] = set()
        self.pair.reset()
        self.truth.apply(self.truth_empty)
        self.place = place
        self.cell("import numpy as np, functools, itertools, copy")

    @property
    def here(self) -> Kernel:
        return self.pair.a if self.place == "a" else self.pair.b

    def name(self) -> str:
        self.count += 1
        return f"v{self.count}"

    def cell(self, code: str) -> None:
        """Run a cell on both sides and compare what it shows."""
        if self.apart & set(NAME.findall(code)):
            self.apart.update(NAME.findall(code))
        self.story.append(f"# {self.place}\n{code}")
        wanted, found = self.truth.run(code), self.here.run(code)
        if found.get("ename") == "LeftBehindError":
            used = set(NAME.findall(code))
            assert used & (self.left | self.apart), self.explain("used, but not announced")
            self.apart |= used
            return
        if not self.apart & set(NAME.findall(code)):
            ended = [(reply["status"], reply.get("evalue")) for reply in (wanted, found)]
            assert ended[0] == ended[1], self.explain(f"{ended}")
            shown = [self.truth.shown(), self.here.shown()]
            assert shown[0] == shown[1], self.explain(f"{shown}")

    def explain(self, what: str) -> str:
        return f"{what}\n" + "\n".join(self.story)

    # ------------------------------------------------------------- moving

    @rule()
    def switch(self) -> None:
        before = self.here
        self.place = "ab"[self.place == "a"]
        manifest = before.capture()
        self.left = {NAME.findall(name)[0] for name in manifest["left_behind"] if NAME.search(name)}
        problems = self.here.apply(manifest)
        self.story.append("# switch")
        assert problems == {}, self.explain(f"{problems}")

    def teardown(self) -> None:
        if not hasattr(self, "left"):
            return
        self.switch()
        texts = []
        for kernel in (self.truth, self.here):
            kernel.run(describe.cell(self.apart | self.left), silent=True)
            texts.append(kernel.shown())
        wanted, found = (text.splitlines() for text in texts)
        different = [(w, f) for w, f in zip(wanted, found, strict=False) if w != f]
        assert wanted == found, self.explain(f"{different[:3]}")

    # ------------------------------------------------------------- values

    @rule(target=lists, items=st.lists(word, max_size=4))
    def new_list(self, items: list[str]) -> str:
        name = self.name()
        self.cell(f"{name} = [{', '.join(items)}]")
        return name

    @rule(target=lists, a=lists)
    def same_list(self, a: str) -> str:
        name = self.name()
        self.cell(f"{name} = {a}")
        return name

    @rule(target=lists, a=lists)
    def equal_list(self, a: str) -> str:
        name = self.name()
        self.cell(f"{name} = copy.copy({a})")
        return name

    @rule(a=lists, b=lists)
    def rebind(self, a: str, b: str) -> None:
        self.cell(f"{a} = {b}")

    @rule(a=lists, b=shared)
    def append(self, a: str, b: str) -> None:
        self.cell(f"{a}.append({b})")

    @rule(a=lists, b=word, at=small)
    def insert(self, a: str, b: str, at: int) -> None:
        self.cell(f"{a}.insert({at}, {b})\nprint(len({a}))")

    @rule(a=lists, at=small)
    def pop(self, a: str, at: int) -> None:
        self.cell(f"{a}.pop({at}) and None")

    @rule(target=lists, a=lists, at=small)
    def inner(self, a: str, at: int) -> str:
        name = self.name()
        self.cell(f"{name} = ([x for x in {a} if type(x) is list] + [[]])[0]\n{name}.append({at})")
        return name

    @rule(target=dicts, a=shared, b=shared)
    def new_dict(self, a: str, b: str) -> str:
        name = self.name()
        self.cell(f"{name} = {{'one': {a}, 'two': {b}, 3: [1]}}")
        return name

    @rule(a=dicts, b=shared, key=st.sampled_from(["'one'", "'k'", "3"]))
    def put(self, a: str, b: str, key: str) -> None:
        self.cell(f"{a}[{key}] = {b}")

    @rule(a=dicts, b=dicts)
    def update(self, a: str, b: str) -> None:
        self.cell(f"{a}.update({b}); {a}.pop('two', None)\nprint(sorted(map(str, {a})))")

    @rule(target=lists, a=dicts)
    def views(self, a: str) -> str:
        name = self.name()
        self.cell(f"{name} = [{a}.keys(), {a}.values()]\nprint(list({name}[0]))")
        return name

    @rule(target=sets, items=st.lists(word, max_size=4))
    def new_set(self, items: list[str]) -> str:
        name = self.name()
        self.cell(f"{name} = {{{', '.join(['0', *items])}}}")
        return name

    @rule(a=sets, b=word)
    def add(self, a: str, b: str) -> None:
        self.cell(f"{a}.add({b}); len({a})")

    # ------------------------------------------------------------- arrays

    @rule(target=arrays, size=st.sampled_from([0, 3, 20, 700]), kind=st.sampled_from("dib"))
    def new_array(self, size: int, kind: str) -> str:
        name = self.name()
        self.cell(f"{name} = np.arange({size}).astype('{kind}')")
        return name

    @rule(target=arrays, a=arrays, cut=st.sampled_from(["1:", "::-1", "::2", "2:5", ":"]))
    def view(self, a: str, cut: str) -> str:
        name = self.name()
        self.cell(f"{name} = {a}[{cut}]")
        return name

    @rule(target=arrays, a=arrays)
    def copied(self, a: str) -> str:
        name = self.name()
        self.cell(f"{name} = {a} * 2")
        return name

    @rule(a=arrays, at=small, value=small)
    def assign(self, a: str, at: int, value: int) -> None:
        self.cell(f"{a}[{at}] = {value}")

    @rule(a=arrays)
    def total(self, a: str) -> None:
        self.cell(f"float({a}.sum())")

    @rule(a=arrays)
    def freeze(self, a: str) -> None:
        self.cell(f"{a}.flags.writeable = False")

    # ------------------------------------------------------------- classes

    @rule(target=classes, slots=st.booleans(), value=word)
    def new_class(self, slots: bool, value: str) -> str:
        name = self.name()
        body = "__slots__ = ('x', 'y')" if slots else f"value = {value}; kept = []"
        self.cell(
            f"class {name}:\n    {body}\n    def __init__(self, x): self.x = x\n"
            f"    def get(self): return {name}, self.x\n"
            "    def swap(self, other): self.x, other.x = other.x, self.x\n"
        )
        return name

    @rule(target=classes, base=classes)
    def subclass(self, base: str) -> str:
        name = self.name()
        self.cell(f"class {name}({base}):\n    def get(self): return super().get()[1]\n")
        return name

    @rule(cls=classes, value=word)
    def set_class(self, cls: str, value: str) -> None:
        self.cell(f"{cls}.extra = {value}; {cls}.more = lambda self: {cls}.extra")

    @rule(cls=classes)
    def drop_from_class(self, cls: str) -> None:
        self.cell(f"del {cls}.extra")

    @rule(cls=classes, a=shared)
    def hold_in_class(self, cls: str, a: str) -> None:
        self.cell(f"{cls}.held = {a}")

    @rule(target=objects, cls=classes, a=shared | lists)
    def new_object(self, cls: str, a: str) -> str:
        name = self.name()
        self.cell(f"{name} = {cls}({a})")
        return name

    @rule(target=objects, a=objects)
    def same_object(self, a: str) -> str:
        name = self.name()
        self.cell(f"{name} = {a}")
        return name

    @rule(a=objects, b=objects)
    def tie(self, a: str, b: str) -> None:
        self.cell(f"{a}.y = {b}; {a}.swap({b})\nprint({a}.get()[:0] == ())")

    @rule(a=objects)
    def more(self, a: str) -> None:
        self.cell(f"print({a}.more())")

    @rule(a=objects, cls=classes)
    def is_of(self, a: str, cls: str) -> None:
        self.cell(f"isinstance({a}, {cls}), type({a}).__name__")

    @rule(target=functions, a=objects)
    def method(self, a: str) -> str:
        name = self.name()
        self.cell(f"{name} = {a}.get")
        return name

    # ------------------------------------------------------------- functions

    @rule(target=functions, a=shared, write=st.booleans())
    def new_function(self, a: str, write: bool) -> str:
        name = self.name()
        body = f"    global {a}\n    {a} = [{a}]\n" if write else ""
        self.cell(
            f"def {name}(n=1, seen=[]):\n{body}    seen.append(n)\n    return len(seen), type({a}).__name__"
        )
        return name

    @rule(f=functions)
    def call(self, f: str) -> None:
        self.cell(f"print({f}())")

    @rule(target=closures, a=lists)
    def new_closure(self, a: str) -> Any:
        one, two = self.name(), self.name()
        self.cell(
            f"def make(held):\n    n = 0\n    def inc():\n        nonlocal n\n        n += 1; held.append(n)\n"
            f"        return n, inc is {one}\n    return inc, lambda: (n, len(held))\n{one}, {two} = make({a})\ndel make"
        )
        return multiple(one, two)

    @rule(f=closures)
    def call_closure(self, f: str) -> None:
        self.cell(f"{f}()")

    @rule(target=functions, f=functions | closures)
    def wrapped(self, f: str) -> str:
        name = self.name()
        self.cell(f"{name} = functools.partial({f})\n{name}.note = [{f}]")
        return name

    # ------------------------------------------------------------- what stays, what raises

    @rule(target=generators, items=small)
    def new_generator(self, items: int) -> str:
        name = self.name()
        self.cell(f"{name} = (i for i in range({items}))")
        return name

    @rule(target=generators, items=small)
    def boxed_generator(self, items: int) -> str:
        name, box = self.name(), self.name()
        self.cell(f"{name} = (i for i in range({items})); {box} = [{name}, 'beside']")
        return name

    @rule(g=generators)
    def advance(self, g: str) -> None:
        self.cell(f"print(next({g}))")

    @rule(target=iterators, a=lists, b=lists)
    def new_iterator(self, a: str, b: str) -> str:
        name = self.name()
        self.cell(
            f"{name} = [iter({a}), zip({a}, {b}), itertools.count(3)]\nprint(next({name}[2]))"
        )
        return name

    @rule(a=iterators, at=st.integers(0, 2))
    def step(self, a: str, at: int) -> None:
        self.cell(f"print(type(next({a}[{at}])).__name__)")

    @rule(target=errors, a=shared)
    def new_error(self, a: str) -> str:
        name = self.name()
        self.cell(
            f"try:\n    raise ValueError({a}) from KeyError(1)\nexcept ValueError as e: {name} = e"
        )
        return name

    @rule(a=lists, e=errors)
    def keep_error(self, a: str, e: str) -> None:
        self.cell(f"{a}.append({e}); {e}.note = {a}")

    @rule(a=lists)
    def half_then_raise(self, a: str) -> None:
        self.cell(f"{a}.append('half')\n1 / 0\n{a}.append('never')")

    @rule(name=st.one_of(*map(consumes, (lists, dicts, objects, arrays, generators, sets))))
    def delete(self, name: str) -> None:
        self.cell(f"del {name}")

    @rule(a=lists | dicts | sets)
    def result(self, a: str) -> None:
        self.cell(f"{a}")

    @rule(target=lists)
    def from_result(self) -> str:
        name = self.name()
        self.cell(f"{name} = _ if type(_) is list else [_]")
        return name

    @rule()
    def in_result(self) -> None:
        self.cell("[x.append(0) for x in Out.values() if type(x) is list] and None")
