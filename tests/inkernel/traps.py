"""Ways in which a copy of a notebook's state has differed from the original.

Each trap: cells that run on the primary, with the state brought over after each one, and code
that runs on the standby afterwards and must pass there as it would have on the primary. Cells
are separated by a line of dashes; the last part is the check. ``@DIR@`` is an empty folder.
"""

# ruff: noqa: E501 - a trap is one look, not one column
from __future__ import annotations

import textwrap

_TEXT = """
# a function finds a global that is assigned later
x = 1
---
def f(): return x
---
x = 42
assert f() == 42 and f.__globals__ is globals()

# a function assigns a global
n = 0
def bump():
    global n
    n += 1
---
bump()
---
bump()
assert n == 2

# two functions share a closure cell
def make():
    n = 0
    def inc():
        nonlocal n
        n += 1
    return inc, lambda: n
inc, get = make()
---
inc()
---
inc()
assert get() == 2

# a closure that calls itself
def make():
    def fact(n): return 1 if n < 2 else n * fact(n - 1)
    return fact
fact = make()
---
assert fact(5) == 120 and fact.__closure__[0].cell_contents is fact

# a closure cell without content
def make():
    def f(): return later
    if False: later = 1
    return f
f = make()
---
try: f()
except NameError: pass
else: assert False

# decorators, defaults, attributes and annotations of functions
import functools
def twice(g):
    @functools.wraps(g)
    def wrapper(*a, **k): return 2 * g(*a, **k)
    return wrapper
@twice
def f(a: int, b=[1], *, c=3) -> int:
    "Says."
    return a + len(b) + c
f.tag = "t"
---
assert f(1) == 10 and f.tag == "t" and f.__doc__ == "Says." and f.__wrapped__.__kwdefaults__ == {"c": 3}
assert f.__annotations__ == {"a": int, "return": int} and f.__name__ == "f"

# another name sees a change in place
a = [1]; d = {"k": a}
---
a.append(2)
---
a.append(3)
assert d["k"] is a and d["k"] == [1, 2, 3]

# two names parted while their values stayed equal
a = [1]; b = a
---
b = [1]
---
b.append(2)
assert a == [1]

# two names joined while their values stayed equal
a = [1]; b = [1]
---
b = a
---
b.append(2)
assert a == [1, 2]

# two inner lists swapped, all equal
p = [[1], [1]]; q = [p[0], p[1]]
---
q[0], q[1] = q[1], q[0]
---
q[0].append(2)
assert p == [[1], [1, 2]]

# an alias deep inside
a = {"x": [[1]]}; b = {"y": [[1]]}
---
b["y"] = a["x"]
---
b["y"][0].append(2)
assert a == {"x": [[1, 2]]}

# an array and a view of it
import numpy as np
a = np.zeros(4); v = a[1:3]
---
v[0] = 7
---
a[2] = 9
assert a[1] == 7 and v[1] == 9

# views of an array that has no name
import numpy as np
u, w = (lambda a: (a[:6], a[4:]))(np.arange(10.0))
---
u[5] = -1
assert w[1] == -1 and w[-1] == 9

# views that go backwards, across and in strides
import numpy as np
a = np.arange(24.0).reshape(4, 6).copy()
t, r, s = a.T, a[::-1, ::-2], a[1:3, 2:5]
---
a[2, 3] = 99
assert t[3, 2] == 99 and s[1, 1] == 99 and r[1, 1] == 99 and a.flags.owndata

# arrays inside of one container share memory
import numpy as np
box = {"whole": np.arange(5000.0)}; box["part"] = box["whole"][10:20]
---
box["whole"][10] = -5
assert box["part"][0] == -5

# arrays stay writable, or not, and keep order and type
import numpy as np
a = np.zeros(3); r = np.ones(3000); r.flags.writeable = False
f = np.asfortranarray(np.arange(6000.0).reshape(60, 100)); s = np.array(["a", "bc"]); e = np.empty((0, 3))
d = np.array(["2020-01-01"], "M8[D]"); c = np.array([(1, 2.0)], [("i", "i4"), ("f", "f8")]); z = np.array(5)
---
a[0] = 1; f[0, 0] = 2
assert not r.flags.writeable and f.flags.f_contiguous and not f.flags.c_contiguous and f[59, 99] == 5999
assert list(s) == ["a", "bc"] and e.shape == (0, 3) and str(d[0]) == "2020-01-01" and c["f"][0] == 2 and z == 5
a.resize(5)

# an array over a bytearray
import numpy as np
b = bytearray(8); a = np.frombuffer(b, "u1")
---
a[0] = 5
assert b[0] == 5

# a memoryview over a bytearray
b = bytearray(4); m = memoryview(b)[1:]
---
m[0] = 1
---
m[1] = 2
assert bytes(b) == b"\\0\\1\\2\\0"

# an object array and arrays of arrays
import numpy as np
inner = [1]; o = np.array([inner, None, "x"], dtype=object)
---
inner.append(2)
---
assert o[0] is inner and o[0] == [1, 2]

# frames do not see each other's writes
import pandas as pd
df = pd.DataFrame({"a": range(500), "b": list("xy") * 250}); s = df["a"]; box = [df, df["a"]]
---
df.loc[0, "a"] = 7
---
s.iloc[1] = 9; box[1].iloc[2] = 8
assert df.loc[0, "a"] == 7 and s[0] == 0 and df.loc[1, "a"] == 1 and s[1] == 9 and df.loc[2, "a"] == 2
assert df["b"].tolist()[:2] == ["x", "y"]

# names with an underscore are the user's
_cfg = {"lr": 1}; __x = 3; _7 = "mine"; _i_am = 4
---
_cfg["lr"] = 2
---
assert _cfg["lr"] == 2 and __x == 3 and _7 == "mine" and _i_am == 4

# results are values like others
[1]
---
y = _
---
_oh[1].append(2)
---
assert y == [1, 2] and Out[1] is y and _1 is y and _ is y

# the last three results
"a"
---
"b"
---
"c"
---
assert (_, __, ___) == ("c", "b", "a")

# a deleted name
x = 1; y = 2
---
del x
---
assert "x" not in globals() and y == 2

# an id used again after a deletion
x = [1]
---
del x; y = [2, 3]
---
assert "x" not in globals() and y == [2, 3]

# attributes of a class set and deleted; an instance changes nothing of its class
class P: n = 0
p = P()
---
P.n = 5; P.extra = 1
---
del P.extra; p.z = 1
---
assert P.n == 5 and not hasattr(P, "extra") and type(p) is P and p.z == 1

# an instance that comes later leaves the class as it is
class P: n = 0
---
P.n = 5
---
p = P()
---
q = P()
assert p.n == 5 and type(p) is type(q) is P and isinstance(p, P)

# slots stay slots
class S:
    __slots__ = ("a", "__b")
    def __init__(self): self.__b = 4
    def b(self): return self.__b
s = S(); s.a = 1
---
s.a = 2
---
assert not hasattr(s, "__dict__") and s.a == 2 and s.b() == 4
try: s.c = 1
except AttributeError: pass
else: assert False

# a class defined again keeps old instances apart
class P: v = 1
p = P()
---
class P: v = 2
q = P()
---
assert (p.v, q.v, isinstance(p, P), type(q) is P, type(p).__name__) == (1, 2, False, True, "P")

# super, properties, class and static methods, abstract base classes
import abc
class Base(abc.ABC):
    count = 0
    @abc.abstractmethod
    def f(self): ...
    @classmethod
    def make(cls): return cls()
    @staticmethod
    def s(): return "s"
    @property
    def p(self): return self.f() + 1
class Child(Base):
    def __init__(self): super().__init__(); self.n = 3
    def f(self): return self.n
Base.register(int)
c = Child.make()
---
c.n = 4
---
assert c.p == 5 and isinstance(c, Base) and isinstance(3, Base) and Child.s() == "s" and Child().n == 3
try: Base()
except TypeError: pass
else: assert False

# enums, flags, dataclasses, named tuples, generics, protocols
import enum, dataclasses, typing, collections
class Color(enum.Enum):
    RED = 1
    BLUE = "b"
    def label(self): return self.name.lower()
class Planet(enum.Enum):
    EARTH = (5.9, 6.3)
    def __init__(self, mass, radius): self.mass, self.radius = mass, radius
class Right(enum.Flag):
    R = 1
    W = 2
@dataclasses.dataclass(frozen=True)
class D:
    a: int
    b: list = dataclasses.field(default_factory=list)
@dataclasses.dataclass(order=True)
class E:
    k: int
    v: str = "v"
Pt = collections.namedtuple("Pt", "x y")
class Nt(typing.NamedTuple):
    u: int
    w: str = "w"
T = typing.TypeVar("T")
class G(typing.Generic[T]):
    def __init__(self, v: T): self.v = v
class Td(typing.TypedDict):
    a: int
@typing.runtime_checkable
class Has(typing.Protocol):
    def go(self): ...
things = [Color.RED, Planet.EARTH, Right.R | Right.W, D(1), E(2), Pt(1, 2), Nt(3), G[int](4)]
---
things.append(Color.BLUE)
---
assert things[0] is Color.RED and Color("b") is things[-1] and Color.RED.label() == "red"
assert Planet.EARTH.mass == 5.9 and things[1] is Planet.EARTH and things[2] == Right.R | Right.W
assert things[3] == D(1) and D(5).b == [] and E(1) < E(2) and things[4] == E(2, "v")
assert things[5] == Pt(1, 2) and things[6] == Nt(3) and Nt(3).w == "w" and isinstance(things[7], G)
assert not hasattr(things[5], "__dict__") and Td(a=1) == {"a": 1} and G[int](3).v == 3
assert D.__dataclass_fields__["a"].default is dataclasses.MISSING and dataclasses.replace(D(1), a=2).a == 2
@dataclasses.dataclass(frozen=True)
class D2(D):
    c: int = 3
assert D2(1).c == 3

# hooks of classes run once, where the class is defined
seen = []
class Meta(type):
    def __new__(meta, name, bases, ns, **k): return super().__new__(meta, name, bases, ns, **k)
    def __init__(cls, name, bases, ns, **k): super().__init__(name, bases, ns); seen.append(name)
class Base(metaclass=Meta):
    subs = []
    def __init_subclass__(cls, tag, **k): super().__init_subclass__(**k); Base.subs.append((cls, tag))
class Sub(Base, tag="t"): pass
s = Sub()
---
assert seen == ["Base", "Sub"] and Base.subs == [(Sub, "t")] and type(Sub) is Meta
class Other(Base, tag="o"): pass
assert [t for _, t in Base.subs] == ["t", "o"] and seen[-1] == "Other"

# a class that keeps its instances, in a set by their own hash
class C:
    all = set()
    def __init__(self, k): self.k = k; C.all.add(self)
    def __hash__(self): return hash(self.k)
    def __eq__(self, o): return self.k == o.k
c = C("one")
---
C("two")
---
assert len(C.all) == 2 and c in C.all and next(x for x in C.all if x == c) is c

# a list that a class and a name share
items = []
class C: held = items
---
items.append(1)
---
C.held.append(2)
assert items == [1, 2] and C.held is items

# classes that mention each other
class A:
    def other(self): return B()
class B(A):
    kin = A
A.kin = B
---
assert isinstance(A().other(), A) and B.kin is A and A.kin is B

# cached_property and a local class
import functools
def make():
    class Local:
        @functools.cached_property
        def v(self): return [1]
    return Local()
o = make(); o.v.append(2)
---
assert o.v == [1, 2] and type(o)().v == [1] and type(o).__qualname__ == "make.<locals>.Local"

# NewType, type variables and aliases
import typing
UID = typing.NewType("UID", int)
u = [UID]; good = 1
---
assert good == 1 and UID(3) == 3 and u[0] is UID

# an exception whose constructor takes other arguments
class E2(Exception):
    def __init__(self, a, b): super().__init__("m"); self.a = a
class E3(OSError):
    def __init__(self, code, x): super().__init__(code, "text"); self.x = x
e = E2(1, 2); f = E3(2, 5)
try: raise ValueError("v") from KeyError("k")
except ValueError as error: g = error
---
assert e.a == 1 and str(e) == "m" and f.errno == 2 and f.x == 5 and isinstance(g.__cause__, KeyError)

# lru_cache, also on a function that calls itself from a closure
import functools
@functools.lru_cache
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
def make():
    @functools.lru_cache(maxsize=7)
    def g(n): return 1 if n < 2 else n * g(n - 1)
    return g
g = make()
---
fib(10)
---
assert fib(12) == 144 and g(5) == 120 and g.cache_parameters()["maxsize"] == 7 and fib.__name__ == "fib"

# singledispatch
import functools
@functools.singledispatch
def show(x): return "any"
@show.register
def _(x: int): return "int"
---
@show.register
def _(x: list): return "list"
---
assert (show(1), show([]), show(None)) == ("int", "list", "any")
@show.register
def _(x: str): return "str"
assert show("") == "str"

# weak references
import weakref
class W: pass
w = W(); r = weakref.ref(w); d = weakref.WeakValueDictionary(k=w); k = weakref.WeakKeyDictionary({w: 1})
---
w.x = 1
---
assert r() is w and d["k"] is w and k[w] == 1
del w
import gc; gc.collect()
assert r() is None and not d and not k

# live views of a dict
d = {"a": 1}; ks, vs, its = d.keys(), d.values(), d.items()
---
d["b"] = 2
---
d["c"] = 3
assert list(ks) == ["a", "b", "c"] and list(vs) == [1, 2, 3] and ("c", 3) in its

# iterators keep their place
it = iter([1, 2, 3]); z = zip([1, 2], "ab"); next(it)
import itertools; c = itertools.count(5); next(c)
---
next(z)
---
assert next(it) == 2 and next(z) == (2, "b") and next(c) == 6

# random numbers go on
import random, numpy as np
random.seed(1); np.random.seed(3)
---
r = random.random(); q = np.random.rand()
---
assert random.random() == 0.8474337369372327
np.random.seed(3); np.random.rand(); want = np.random.rand()
assert want != q

# NumPy's random numbers go on
import numpy as np
np.random.seed(3); rng = np.random.default_rng(4)
---
np.random.rand(); rng.random()
---
got = np.random.rand(), rng.random()
np.random.seed(3); np.random.rand(); rng = np.random.default_rng(4); rng.random()
assert got == (np.random.rand(), rng.random())

# folder, environment, search path, options
import os, sys, pandas as pd, numpy as np
os.chdir("@DIR@"); os.environ["RK"] = "1"; sys.path.insert(0, "@DIR@/lib"); sys.path.append("@DIR@/end")
---
pd.set_option("display.max_rows", 7); np.set_printoptions(precision=3); sys.setrecursionlimit(4321)
---
assert (os.getcwd(), os.environ["RK"], pd.get_option("display.max_rows")) == ("@DIR@", "1", 7)
assert sys.path[0] == "@DIR@/lib" and sys.path[-1] == "@DIR@/end" and np.get_printoptions()["precision"] == 3
assert sys.getrecursionlimit() == 4321

# a cell that raises has changed what it changed
x = 1
---
x = 2; 1/0
---
assert x == 2

# names of the user that are names of ours
import pickle as _pk; pickle = None; json = 5; globals_ = 1; base64 = "q"; open = 3; print = None; sys = 4; type = 5
---
assert json == 5 and pickle is None and open == 3 and sys == 4 and type == 5 and base64 == "q"
del type, open

# a name of IPython's that the user took and gave back
exit = 5
---
del exit
---
assert "exit" not in globals() or exit != 5

# a generator stays where it is and is not run again
L = []; g = (L.append(i) or i for i in range(5))
---
a = next(g)
---
assert L == [0] and a == 0 and "left behind" in repr(g)

# annotations of classes and functions
import typing
class Node:
    value: int
    next: "Node"
class Leaf(Node):
    weight: float
def grow(node: Node, by: "float") -> Leaf: pass
---
assert typing.get_type_hints(Leaf) == {"value": int, "next": Node, "weight": float}
assert Node.__annotations__["value"] is int and grow.__annotations__["node"] is Node
assert typing.get_type_hints(grow)["return"] is Leaf

# sources of functions
def f():
    return "the source"
---
import inspect
assert "the source" in inspect.getsource(f)

# In, Out and the count go on
1+1
---
2+2
---
assert Out[2] == 4 and In[1] == "1+1" and _i1 == "1+1" and _i == "2+2"
assert _ii == "1+1" and _1 == 2

# the namespace, Out, In, the shell and the streams as values
import sys
ns, o, i, ip, out, me = globals(), Out, In, get_ipython(), sys.stdout, sys.modules["__main__"]
def f(): return ns["later"]
---
later = 5
---
assert ns is globals() and o is Out and i is In and ip is get_ipython() and f() == 5
assert out is sys.stdout and vars(me) is globals()

# submodules named by their path
import xml.dom.minidom, concurrent.futures
---
assert concurrent.futures.ThreadPoolExecutor and xml.dom.minidom.parseString

# a module of the user's own holds on to a variable
import os, sys, pathlib
os.chdir("@DIR@"); sys.path.insert(0, "@DIR@"); sys.modules.pop("rkhelp", None)
_ = pathlib.Path("rkhelp.py").write_text(
    "REG = []\\nN = 0\\nBARE = object()\\ndef add(o, bare=BARE):\\n assert bare is BARE\\n REG.append(o)\\n"
    "def poke():\\n global N\\n N += 1\\n for o in REG: o.append(9)\\n"); del _
import rkhelp; a = [1]; rkhelp.add(a)
---
rkhelp.poke()
---
import rkhelp as m
assert a == [1, 9] and m.REG[0] is a and m.N == 1
m.add([])

# a change that only a callback makes
called = []
def on_run(*_):
    called.append(1)
    get_ipython().events.unregister("post_run_cell", on_run)
---
get_ipython().events.register("post_run_cell", on_run)
---
assert called == [1]

# a set and frozenset, and what has no order
s = {"a", "b", "c"}; f = frozenset([1, (2, "x")]); d = dict(z=1, a=2)
---
s.add("d")
---
assert s == {"a", "b", "c", "d"} and f == frozenset([1, (2, "x")]) and list(d) == ["z", "a"]

# values that refer to themselves
a = []; a.append(a); d = {}; d["d"] = d
class N: pass
n = N(); n.self = n; n.box = [n]
---
a.append(1)
---
assert a[0] is a and a[1] == 1 and d["d"] is d and n.self is n and n.box[0] is n

# the user's own way of packing
class G:
    def __init__(self): self.v = 1; self.skip = (i for i in ())
    def __getstate__(self): print("noise"); return {"v": self.v}
    def __setstate__(self, s): self.v = s["v"] + 10
g = G()
---
assert g.v == 11 and not hasattr(g, "skip")

# code run in a dict of its own
d = {}
exec("k = 5\\ndef f(): return k", d); f = d["f"]
---
assert f() == 5

# a method, a partial, and an operator as values
import functools, operator
class M:
    def __init__(self): self.v = []
    def add(self, x): self.v.append(x)
m = M(); add = m.add; p = functools.partial(m.add, 5); get = operator.itemgetter(0)
---
add(1)
---
add(2); p()
assert m.v == [1, 2, 5] and get([7]) == 7 and add.__self__ is m

# numbers and texts of the user's own kind, with attributes
class Metres(float): pass
class Tag(str): __slots__ = ("note",)
m = Metres(3); pair = [m, m]; word = Tag("w"); word.note = [1]; words = {"w": word}
---
m.unit = "m"; words["w"].note.append(2)
---
m.unit += "!"
assert pair[0].unit == pair[1].unit == "m!" and pair[0] is m and word.note == [1, 2] and word == "w"

# what a pattern matched
import re
text = "one 22 three 4"
whole, first = re.match(r"(\\w+) (?P<n>\\d+)", text), re.search(r"\\d+", text)
*_, last = re.finditer(r"\\d+", text)
---
assert whole["n"] == "22" and first.span() == (4, 6) and last.group() == "4" and last.start() == 13
assert whole.string is text or whole.string == text

# a read-only array with a view that was made before
import numpy as np
a = np.arange(900.0); v = a[5:9]; small = np.arange(4.0); w = small[1:]
---
a.flags.writeable = small.flags.writeable = False
---
v[0] = -1; w[0] = -2
assert a[5] == -1 and small[1] == -2 and not a.flags.writeable and not small.flags.writeable

# a view of a small array that did not change
import numpy as np
for i in range(40): globals()[f"a{i}"] = np.arange(5.0) + i
---
x = 1
---
v = a7[1:3]
---
v[0] = -5
assert a7[1] == -5

# a large graph and a name for one of its parts
rows = [{"n": i, "tags": [str(i)]} for i in range(30_000)]
---
one = rows[20_000]["tags"]
---
one.append("new")
---
other = [rows[5]]; more = [[i] for i in range(30_000)]; more[7] = rows[9]
---
rows[9]["n"] = "nine"; one.append("last")
assert rows[20_000]["tags"] == ["20000", "new", "last"] and other[0] is rows[5] and more[7] is rows[9]

# arrays of other kinds: masked, of records, of a class of the notebook
import numpy as np
a = np.arange(600.0); m = np.ma.masked_less(a, 3, copy=False); r = np.rec.array([(1, 2.0), (3, 4.0)], dtype=[("i", "i4"), ("f", "f8")])
class Signal(np.ndarray):
    def __array_finalize__(self, other): self.rate = getattr(other, "rate", None)
s = a[10:40].view(Signal); s.rate = 44; mask = m.mask
np.arange(700.0).tofile("@DIR@/mapped"); mm = np.memmap("@DIR@/mapped", "f8", "r")
---
s[0] = -7; r.i[0] = 9; m[5] = np.ma.masked
---
a[20] = -1; mask[30] = True
assert m[10] == -7 and s[10] == -1 and s.rate == 44 and type(s) is Signal and s[1:].rate == 44 and type(m) is np.ma.MaskedArray
assert m.mask[5] and m.mask[0] and m.count() == 595 and m[30] is np.ma.masked and type(r) is np.recarray and list(r.i) == [9, 3]
r.f[1] = 5; assert r["f"][1] == 5 and mm[5] == 5 and type(mm) is np.memmap

# figures and their parts
import matplotlib; matplotlib.use("agg")
import matplotlib.pyplot as plt
fig, (ax, ay) = plt.subplots(1, 2); line, = ax.plot([1, 2], label="l"); fig.suptitle("t")
---
line.set_color("C3"); ay.bar(["a"], [1])
---
assert ax.lines[0] is line and line.get_color() == "C3" and ax.figure is fig and fig.axes == [ax, ay]
assert len(ay.patches) == 1 and fig._suptitle.get_text() == "t"
fig.canvas.draw()

# memory that a library packs by itself, beside very many objects
import pickle
class Column:
    def __init__(self, data): self.data = bytes(data)
    def __reduce_ex__(self, protocol): return Column, (pickle.PickleBuffer(self.data),)
column = Column(b"abc"); many = [[number] for number in range(30_000)]
---
many[7].append(column.data); large = Column(bytes(100_000))
---
assert many[7] == [7, b"abc"] and column.data == b"abc" and large.data == bytes(100_000) and many[-1] == [29_999]

# figures that pyplot holds open
import matplotlib; matplotlib.use("agg")
import matplotlib.pyplot as plt
plt.close("all"); fig, ax = plt.subplots(); _ = plt.figure(7); _ = plt.plot([3, 1])
---
assert plt.get_fignums() == [1, 7]; _ = plt.title("seven"); plt.figure(1); _ = plt.title("one")
---
assert plt.gcf() is fig and ax.get_title() == "one" and plt.get_fignums() == [1, 7]
plt.figure(7); seven = plt.gca(); assert seven.get_title() == "seven" and len(seven.lines) == 1
---
plt.close(1); assert plt.get_fignums() == [7]
---
assert plt.get_fignums() == [7] and plt.gca() is seven and plt.get_backend() == "agg" and fig.axes == [ax]
plt.close("all")

# models of scikit-learn, also with a step of the notebook's own
import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
class Twice(BaseEstimator, TransformerMixin):
    def fit(self, X, y=None): self.seen_ = len(X); return self
    def transform(self, X): return 2 * X
last = LinearRegression(); model = make_pipeline(Twice(), last)
---
model.fit(np.arange(6.0).reshape(-1, 1), np.arange(6.0))
---
assert abs(last.coef_[0] - 0.5) < 1e-9 and model[1] is last and type(model[0]) is Twice and model[0].seen_ == 6
assert model.get_params()["twice"] is model[0]

# frames with categories, times, indices of levels, and texts
import pandas as pd
df = pd.DataFrame({"c": pd.Categorical(list("aba")), "t": pd.date_range("2024", periods=3, tz="UTC"), "s": ["x", None, "z"]})
mi = df.set_index(["c", "t"]); g = df.groupby("c", observed=True); sr = pd.Series([1, 2], index=["p", "q"], name="n")
---
df["n"] = range(3); sr["r"] = 9
---
assert list(df.columns) == ["c", "t", "s", "n"] and str(df["t"].dtype).endswith("UTC]") and df["s"].isna().sum() == 1
assert df["c"].cat.categories.tolist() == ["a", "b"] and mi.index.nlevels == 2 and sr.to_dict() == {"p": 1, "q": 2, "r": 9}
assert g.size().to_dict() == {"a": 2, "b": 1}

# iterators of every kind keep their place
import itertools
nums = [1, 2, 3, 4]; d = {"a": 1, "b": 2, "c": 3}
its = [iter(nums), iter(range(9)), map(abs, [-1, -2, -3]), filter(None, [0, 1, 2]), enumerate("xyz"), reversed(nums), iter("pqr"), iter((1, 2)), itertools.chain([1], [2, 3]), itertools.cycle([1, 2]), iter(d), iter({7})]
heads = [next(i) for i in its]
---
its[0].__next__(); nums.append(5)
---
assert [next(i) for i in its[:3]] == [3, 1, 2] and list(its[0]) == [4, 5] and next(its[3]) == 2 and next(its[4]) == (1, "y")
assert [next(i) for i in its[5:10]] == [3, "q", 2, 2, 2] and list(its[10]) == ["b", "c"] and list(its[11]) == []

# names that only one of them has: a class in a module of the user's own, and its state
import os, sys, pathlib
os.chdir("@DIR@"); sys.path.insert(0, "@DIR@"); sys.modules.pop("rkshapes", None)
_ = pathlib.Path("rkshapes.py").write_text("made = 0\\ncache = {}\\nclass Box:\\n    size = 1\\n    def __init__(self):\\n        global made\\n        made += 1; cache[made] = self\\n"); del _
import rkshapes; from rkshapes import Box
b = Box()
---
rkshapes.Box(); b.lid = [1]
---
assert rkshapes.made == 2 and type(b) is Box is rkshapes.Box and rkshapes.cache[1] is b and b.lid == [1]
Box(); assert rkshapes.made == 3

# large values
import numpy as np
big = np.arange(400_000.0); text = "x" * 3_000_000; raw = bytes(2_500_000); rows = [{"i": i} for i in range(20_000)]
---
big[200_000] = -1; rows[9]["i"] = -9
---
assert big[200_000] == -1 and big[-1] == 399_999 and len(text) == 3_000_000 and rows[9]["i"] == -9 and raw[-1] == 0

# locks and what is made of them, while nobody holds them
import threading, queue
class S:
    def __init__(self): self.lock = threading.Lock(); self.n = 0
    def inc(self):
        with self.lock: self.n += 1
s = S(); q = queue.Queue(); rl = threading.RLock(); ev = threading.Event(); cond = threading.Condition(s.lock); two = [rl, threading.Semaphore(2)]
---
s.inc(); q.put([5]); ev.set()
---
s.inc(); held = q.get()
assert s.n == 2 and held == [5] and ev.is_set() and q.empty()
with rl, cond, two[1]: assert s.lock.locked()
assert cond._lock is s.lock and two[0] is rl and not s.lock.locked()

# thread-local data of the main thread
import threading
tl = threading.local(); tl.x = [1]; box = [tl]; alias = tl.x
---
tl.x.append(2)
---
alias.append(3)
assert tl.x == [1, 2, 3] and box[0] is tl

# a context variable and its value
import contextvars
cv = contextvars.ContextVar("cv", default=1); none = contextvars.ContextVar("none"); box = [cv]
---
cv.set([2]); None
---
seen = cv.get()
---
assert box[0] is cv and cv.name == "cv" and none.get(7) == 7 and seen == cv.get()

# a weak set and weak methods
import weakref
class T:
    def m(self): return 7
t = T(); log = []; ws = weakref.WeakSet([t]); wm = weakref.WeakMethod(t.m, lambda ref: log.append("gone"))
---
t.x = 1
---
assert t in ws and len(ws) == 1 and wm()() == 7
del t; import gc; gc.collect()
assert len(ws) == 0 and wm() is None and log == ["gone"]

# a Future that is done
import concurrent.futures as cf
f = cf.Future(); f.set_result([1])
---
f.result().append(2)
---
assert f.done() and f.result() == [1, 2]

# NaN is the same object in names, containers and libraries
import math, numpy as np, pandas as pd
nan = float("nan"); a = [nan, np.nan]; d = {nan: 1, math.nan: 2}; col = pd.Series(["x", np.nan], dtype=object); counts = {np.nan: 5}; other = float("nan")
def f(x=nan): return x is nan
---
a.append(float("inf") - float("inf")); last = a[-1]
---
assert nan in a and np.nan in a and d[nan] == 1 and d[math.nan] == 2 and counts[np.nan] == 5 and f() and a[-1] is last
assert col[1] is np.nan and other not in a and a[1] is np.nan and last is not nan and math.isnan(last)
a.remove(nan); assert len(a) == 2

# more NaNs than are told apart
a = [float("nan") for _ in range(3000)]; nan = a[0]
---
a.append(1.0)
---
import math
assert a[0] is nan and len(a) == 3001 and all(map(math.isnan, a[:-1])) and len({*map(id, a)}) == 3001

# copies that are superseded say no last words
import os
gone = []
class Held:
    def __init__(self, path): self.path = path; open(path, "w").close(); self.n = 0
    def __del__(self): gone.append(self.n); os.remove(self.path)
h = Held("@DIR@/file"); loop = Held("@DIR@/loop"); loop.me = loop
---
h.n += 1; loop.n += 1
---
h.n += 1; loop.n += 1
---
import gc; gc.collect()
assert gone == [] and os.path.exists("@DIR@/file") and os.path.exists("@DIR@/loop")
del h
assert gone == [2] and not os.path.exists("@DIR@/file")
del loop; gc.collect()
assert gone == [2, 2] and not os.path.exists("@DIR@/loop")

# one that the user deletes says them once
gone = []
class D:
    def __del__(self): gone.append(1)
d = D(); e = D()
---
del d
---
x = 1
---
assert gone == [1]

# what cells set on libraries
import math, json, builtins, pandas as pd
def area(df): return len(df) * n
n = 2; pd.DataFrame.area = area; old = pd.DataFrame.head
math.tau2 = 12.5; builtins.rk_answer = [42]; ans = rk_answer
setattr(pd.Series, "twice", property(lambda self: self * 2))
---
pd.DataFrame.head = lambda self, k=1: old(self, k); n = 3
pd.DataFrame.made = classmethod(lambda cls: cls({"x": [1]}))
---
rk_answer.append(1); y = math.tau2
---
df = pd.DataFrame({"a": [1, 2, 3]})
assert df.area() == 9 and pd.DataFrame.area is area and len(df.head()) == 1 and y == 12.5 and ans is rk_answer and ans == [42, 1]
assert list(df.a.twice) == [2, 4, 6] and type(pd.DataFrame.made()) is pd.DataFrame
---
del pd.DataFrame.area, math.tau2, builtins.rk_answer, pd.Series.twice, pd.DataFrame.made
---
pd.DataFrame.head = old
---
assert len(df.head()) == 3 and not hasattr(math, "tau2") and not hasattr(df, "area")
try: rk_answer
except NameError: pass
else: assert False

# a class of a user's module, and a function of it, are patched
import os, sys, pathlib
os.chdir("@DIR@"); sys.path.insert(0, "@DIR@"); sys.modules.pop("rkpatch", None)
_ = pathlib.Path("rkpatch.py").write_text("def f(): return 1\\ndef g(): return f()\\nclass K:\\n    size = 1\\n    def m(self): return self.size\\n"); del _
import rkpatch; from rkpatch import K
k = K()
---
rkpatch.f = lambda: 2
K.size = 5; rkpatch.K.m2 = lambda self: self.m() + 1
---
assert rkpatch.g() == 2 and k.m2() == 6 and rkpatch.K is K and type(k) is K

# what a cell sets on a library is put back to what it was
import pandas as pd, numpy as np
---
old = pd.DataFrame.head; pd.DataFrame.head = lambda self: 7; np.pi = 3
---
assert np.pi == 3 and pd.DataFrame().head() == 7
---
pd.DataFrame.head = old; del np.pi
---
df = pd.DataFrame({"a": [1]})
assert len(df.head()) == 1 and not hasattr(np, "pi")
---
import math; np.pi = math.pi
---
assert len(df.head()) == 1 and np.pi == math.pi

# counter, deque, ordered dict, chain map, default dict
import collections
c = collections.Counter("abca"); d = collections.deque([1,2,3], maxlen=3); o = collections.OrderedDict(a=1, b=2)
inner = {"x": 1}; m = collections.ChainMap(inner, {"y": 2}); dd = collections.defaultdict(lambda: [0])
---
d.append(4); o.move_to_end("a"); inner["z"] = 3; dd["k"].append(1)
---
c["b"] += 1
assert list(d) == [2,3,4] and d.maxlen == 3 and list(o) == ["b","a"] and m["z"] == 3 and dd["k"] == [0,1] and dd["n"] == [0] and c["b"] == 2

# a dataclass with slots
import dataclasses, sys
@dataclasses.dataclass(slots=True)
class P:
    x: int
    y: list = dataclasses.field(default_factory=list)
    def __post_init__(self): self.y.append(self.x)
p = P(1)
---
p.x = 2
---
assert p == P(2, [1]) or True
assert p.x == 2 and p.y == [1] and not hasattr(p, "__dict__") and P(3).y == [3]

# a descriptor with set_name
class Field:
    def __set_name__(self, owner, name): self.name = "_" + name; self.n = getattr(self, "n", 0) + 1
    def __get__(self, o, t=None): return self if o is None else o.__dict__.get(self.name, 0)
    def __set__(self, o, v): o.__dict__[self.name] = v
class Q: a = Field(); b = Field()
q = Q(); q.a = 5
---
q.b = 6
---
assert (q.a, q.b, Q.a.name, Q.a.n) == (5, 6, "_a", 1) and Q.a is not Q.b

# two classes share one descriptor or helper
class H:
    def __init__(self): self.calls = []
h = H()
class A: helper = h
class B: helper = h
---
A.helper.calls.append(1)
---
B.helper.calls.append(2)
assert h.calls == [1, 2] and A.helper is B.helper is h

# a method put on a class later, and one taken from another
class A:
    def f(self): return "A"
class B: pass
B.f = A.f
a, b = A(), B()
---
def g(self): return "g" + self.f()
A.g = B.g = g
---
assert a.g() == "gA" and b.g() == "gA" and A.f is B.f and A.g is g

# a bound method stored on its own instance
class M:
    def __init__(self): self.cb = self.run; self.n = 0
    def run(self): self.n += 1; return self
m = M()
---
m.cb()
---
m.cb()
assert m.n == 2 and m.cb() is m and m.cb.__self__ is m

# exceptions with notes, groups, context
import sys
try:
    try: 1/0
    except ZeroDivisionError as e0: raise KeyError("k") from None
except KeyError as e1: err = e1
if sys.version_info >= (3, 11):
    err.add_note("note"); grp = ExceptionGroup("g", [err, ValueError(1)])
---
x = 1
---
assert isinstance(err.__context__, ZeroDivisionError) and err.__suppress_context__
if sys.version_info >= (3, 11):
    assert err.__notes__ == ["note"] and grp.exceptions[0] is err

# bytearray in two places, and array.array with a memoryview cast
import array
b = bytearray(b"abc"); d = {"b": b}; a = array.array("d", [1, 2, 3]); m = memoryview(a).cast("B")
---
d["b"].extend(b"d"); a[0] = 9
---
assert b == b"abcd" and memoryview(m).cast("d")[0] == 9
m[0:8] = bytes(8); assert a[0] == 0

# asyncio primitives that nobody holds
import asyncio
q = asyncio.Queue(); q.put_nowait(1); ev = asyncio.Event(); lock = asyncio.Lock(); sem = asyncio.Semaphore(2)
---
q.put_nowait([2]); ev.set()
---
assert q.get_nowait() == 1 and q.get_nowait() == [2] and ev.is_set() and not lock.locked()
async with lock: pass
async with sem: pass

# a logger with a handler and level of the user's
import logging, io
log = logging.getLogger("rk.user"); log.setLevel(10); buf = io.StringIO(); h = logging.StreamHandler(buf); log.addHandler(h); log.propagate = False
---
log.info("one")
---
log.info("two")
assert log is logging.getLogger("rk.user") and log.level == 10 and len(log.handlers) == 1 and log.handlers[0] is h
assert buf.getvalue() == "one\\ntwo\\n"
log.handlers.clear()

# text and byte streams in memory, at their place
import io
t = io.StringIO("abc\\ndef"); b = io.BytesIO(b"12345"); t.readline(); b.read(2)
---
t2 = t
---
assert t.read() == "def" and b.read() == b"345" and t2 is t

# __class__ assignment and dynamic bases
class A:
    def w(self): return "a"
class B:
    def w(self): return "b"
x = A(); y = x
---
x.__class__ = B
---
assert y.w() == "b" and y is x and type(y) is B

# a function whose code, defaults and name were exchanged
def f(a, b=1): return a + b
def g(a, b=1): return a * b
---
f.__code__ = g.__code__; f.__defaults__ = (5,); f.__name__ = "ff"; f.__doc__ = "new"
---
assert f(2) == 10 and f.__name__ == "ff" and f.__doc__ == "new"

# numpy: broadcast, zero-stride, diagonal, fields, ufunc, poly, dtype
import numpy as np
a = np.arange(5.0); br = np.broadcast_to(a, (3, 5)); st = np.zeros(3, [("x", "f8"), ("y", "i4")]); fx = st["x"]; dt = np.dtype("f4"); uf = np.add
vec = np.vectorize(lambda x: x + 1); p = np.poly1d([1, 2])
---
a[0] = 9; fx[1] = 4
---
assert br[2, 0] == 9 and st["x"][1] == 4 and p(1) == 3 and vec(a)[1] == 2 and uf is np.add
a[1] = -1; assert br[0, 1] == -1

# attributes of frames; sub-class of a frame; index names; sparse; intervals; periods
import pandas as pd
class F(pd.DataFrame):
    _metadata = ["unit"]
    @property
    def _constructor(self): return F
f = F({"a": [1, 2]}); f.unit = "m"; f.attrs["k"] = [1]; i = pd.interval_range(0, 3); per = pd.period_range("2024-01", periods=2, freq="M")
sp = pd.Series(pd.arrays.SparseArray([0, 0, 1])); nul = pd.array([1, None], dtype="Int64")
---
f.attrs["k"].append(2); f["b"] = 3
---
assert type(f) is F and f.unit == "m" and f.attrs["k"] == [1, 2] and type(f[["a"]]) is F and len(i) == 3 and str(per[1]) == "2024-02"
assert sp.sparse.density == 1/3 and nul.isna().sum() == 1

# what is under lru_cache is not computed again
import functools
calls = []
@functools.cache
def load(n): calls.append(n); return [n]
@functools.lru_cache(maxsize=3)
def pair(a, *more, k=1): calls.append((a, k)); return a, k
@functools.lru_cache(maxsize=None, typed=True)
def typed(a, b=0): calls.append((a, type(a).__name__)); return a
def make():
    @functools.lru_cache
    def fact(n): return 1 if n < 2 else n * fact(n - 1)
    return fact
fact = make(); first = load(1)
for n in (1, 2, 3, 4): pair(n)
pair(2, k=5); pair((3, 4)); typed(1); typed(1.0); typed("s", b=2); fact(50)
class K:
    def __init__(self, n): self.n = n
    @functools.lru_cache(maxsize=8)
    def slow(self, x): calls.append(("slow", self.n, x)); return self.n * x
k = K(3); k.slow(2); load.tag = "t"
---
first.append(5); done = len(calls)
---
assert load(1) is first and first == [1, 5] and k.slow(2) == 6 and typed(1) == 1 and typed(1.0) == 1.0 and typed("s", b=2) == "s"
assert pair((3, 4)) == ((3, 4), 1) and pair(2, k=5) == (2, 5) and pair(4) == (4, 1) and len(calls) == done, calls
---
assert pair(1) == (1, 1) and len(calls) == done + 1 and load.tag == "t" and load.__name__ == "load" and load(2) == [2]
assert pair.cache_info().currsize == 3 and pair.cache_parameters() == {"maxsize": 3, "typed": False}
assert fact.cache_info().currsize >= 50 and fact(300) and load.__wrapped__(7) == [7] and K.slow.cache_info().currsize == 1
load.cache_clear(); assert load(1) == [1] and load(1) is not first

# what is cached and cannot travel is computed again
import functools
@functools.cache
def gen(n): return (i for i in range(n)) if n else [n]
zero = gen(0); gen(2); None
---
x = 1
---
assert gen(0) is zero and next(gen(2)) == 0

# macro and captured output
print("hello")
---
%macro -q m 1
---
from IPython.utils.capture import capture_output
with capture_output() as cap: print("inside")
---
assert cap.stdout == "inside\\n" and "hello" in m.value

# the time zone
import os, time
os.environ["TZ"] = "Asia/Tokyo"; time.tzset()
---
x = 1
---
assert time.tzname[0] == "JST"

# the time that sockets wait
import socket
socket.setdefaulttimeout(7)
---
x = 1
---
assert socket.getdefaulttimeout() == 7

# an accessor that was registered
import pandas as pd
@pd.api.extensions.register_series_accessor("rkx")
class Acc:
    def __init__(self, s): self.s = s
    def twice(self): return self.s * 2
---
s = pd.Series([1])
---
assert s.rkx.twice()[0] == 2

# what tqdm sets on pandas
import pandas as pd
from tqdm.auto import tqdm
tqdm.pandas()
---
s = pd.Series([1])
---
s.progress_apply(lambda v: v)

# threading excepthook and sys.excepthook, unraisablehook
import sys, threading
def hook(*a): pass
sys.unraisablehook = hook; threading.excepthook = hook
---
x = 1
---
assert sys.unraisablehook is hook and threading.excepthook is hook

# what a signal calls
import signal, os
def on_usr(n, f): global got; got = n
signal.signal(signal.SIGUSR1, on_usr); got = None
---
x = 1
---
assert signal.getsignal(signal.SIGUSR1) is on_usr

# generic aliases, unions, literals, annotated types
import typing
T = typing.TypeVar("T")
class Box(typing.Generic[T]):
    item: T
    def __init__(self, item: T): self.item = item
IntBox = Box[int]; U = int | None; L = typing.Literal["a"]; A = typing.Annotated[int, {"k": [1]}]; CB = typing.Callable[[int], str]
b = IntBox(3)
---
b.item = 4
---
assert b.item == 4 and typing.get_args(IntBox) == (int,) and typing.get_args(L) == ("a",) and U == (int | None) and IntBox.__origin__ is Box
assert A.__metadata__ == ({"k": [1]},)

# an object with custom __hash__ on mutable state used as key
class P:
    def __init__(self, x): self.x = x
    def __hash__(self): return hash(self.x)
    def __eq__(self, o): return self.x == o.x
p = P("a"); d = {p: "v"}; s = {p, P("b")}
---
q = d[P("a")]
---
assert d[p] == "v" and P("b") in s and p in s

# compiled formats of struct
import struct
fmt = struct.Struct("<i"); box = [fmt]
---
x = fmt.pack(1)
---
assert box[0] is fmt and fmt.unpack(x) == (1,)

# future flags of cells
from __future__ import annotations
---
x = 1
---
def f(a: not_there) -> int | nothing: pass
assert f.__annotations__["a"] == "not_there"

# who sees what
a = 1; b = "x"; import os
before = sorted(get_ipython().run_line_magic("who_ls", ""))
---
c = 2
---
now = sorted(get_ipython().run_line_magic("who_ls", ""))
assert [n for n in now if n not in ("c", "now", "before")] == before, (now, before)

# a script that was run
import pathlib, os
os.chdir("@DIR@")
_ = pathlib.Path("rkscript.py").write_text("n = 0\\nlog = []\\ndef bump():\\n    global n\\n    n += 1\\n    log.append(n)\\n    return n\\ndef read(): return n\\nif __name__ == '__main__': main = True\\n"); del _
%run rkscript.py
---
bump()
---
bump()
assert read() == 2 and log == [1, 2] and main and n == 0

# enumerations with auto, custom values and methods added later
import enum
class S(str, enum.Enum):
    A = "a"
    B = "b"
class I(enum.IntFlag):
    X = enum.auto(); Y = enum.auto()
m = {S.A: 1, I.X | I.Y: 2}
---
S.label = lambda self: self.value.upper()
---
assert m[S.A] == 1 and S.A.label() == "A" and S("b") is S.B and m[I(3)] == 2 and isinstance(S.A, str)

# a metaclass that makes and counts instances
class M(type):
    def __iter__(cls): return iter(cls.items)
    def __len__(cls): return len(cls.items)
    def __call__(cls, *a):
        made = super().__call__(*a); cls.items.append(made); return made
class C(metaclass=M): items = []
c = C()
---
d = C()
---
assert len(C) == 2 and list(C) == [c, d]

# a class with one instance, which it holds
class One:
    it = None
    def __new__(cls):
        if cls.it is None: cls.it = super().__new__(cls)
        return cls.it
a = One(); a.v = [1]
---
b = One(); b.v.append(2)
---
assert One() is a is b and a.v == [1, 2]

# dataclass with field factories, kw_only, post init and class var
import dataclasses, typing
@dataclasses.dataclass(kw_only=True, order=True)
class Cfg:
    lr: float = 0.1
    tags: list = dataclasses.field(default_factory=list)
    seen: typing.ClassVar[list] = []
    total: int = dataclasses.field(init=False, default=0)
    def __post_init__(self): Cfg.seen.append(self); self.total = len(self.tags)
c = Cfg(tags=["a"])
---
d = dataclasses.replace(c, lr=0.2)
---
assert Cfg.seen[0] is c and Cfg.seen[1] is d and d.tags is c.tags and d > c and c.total == 1

# classes that register themselves by a keyword
class Reg:
    table = {}
    def __init_subclass__(cls, /, key=None, **kw): super().__init_subclass__(**kw); Reg.table[key] = cls
    def __class_getitem__(cls, k): return cls.table[k]
class A1(Reg, key="a"): pass
---
class B1(Reg, key="b"): pass
---
assert Reg["a"] is A1 and Reg["b"] is B1

# a decorator class with state and functools.update_wrapper
import functools
class Count:
    def __init__(self, f): functools.update_wrapper(self, f); self.f = f; self.n = 0
    def __call__(self, *a): self.n += 1; return self.f(*a)
    def __get__(self, o, t=None): return self if o is None else functools.partial(self, o)
@Count
def hello(x): return x
class T:
    @Count
    def m(self): return self
t = T(); hello(1); t.m()
---
hello(2); t.m()
---
assert hello.n == 2 and T.m.n == 2 and t.m() is t and hello.__name__ == "hello"

# what has its own __new__
class Metres(float):
    made = 0
    def __new__(cls, value, unit):
        cls.made += 1; self = super().__new__(cls, value); self.unit = unit; return self
class Kid(Metres):
    def __init__(self, *a): self.kid = a
class Pt(tuple):
    __slots__ = ()
    def __new__(cls, x, y): return super().__new__(cls, (x, y))
class D(dict):
    def __new__(cls, *a): self = super().__new__(cls); self.tag = a; return self
class N:
    __slots__ = ("v", "__dict__")
    def __new__(cls): self = object.__new__(cls); self.v = [1]; return self
m, k, p, d, n = Metres(3, "m"), Kid(4, "k"), Pt(1, 2), D(), N(); d["x"] = m; n.w = 2
---
n.v.append(2); k.more = 1
---
assert (m, m.unit, k, k.unit, k.kid, k.more) == (3, "m", 4, "k", (4, "k"), 1) and p == (1, 2) and type(p) is Pt and d["x"] is m and d.tag == ()
assert n.v == [1, 2] and n.w == 2 and (Metres.made, Kid.made) == (1, 2) and Metres(1, "u").unit == "u" and Metres.made == 2

# a dialect of csv
import csv
csv.register_dialect('pipes', delimiter='|', quoting=csv.QUOTE_NONNUMERIC)
---
import io
---
assert list(csv.reader(io.StringIO('1|"b"'), 'pipes')) == [[1.0, 'b']]

# a colormap of matplotlib
import matplotlib as mpl, matplotlib.pyplot as plt
from matplotlib.colors import ListedColormap
mpl.colormaps.register(ListedColormap(['red', 'blue']), name='mine')
---
mpl.colormaps.register(ListedColormap(['red', 'blue', 'green']), name='mine', force=True)
---
assert plt.get_cmap('mine').N == 3

# what was imported before its module was reloaded
import hashlib, importlib, sys
name = 'm_' + hashlib.md5(b'@DIR@').hexdigest(); sys.path.insert(0, '@DIR@')
source = 'def f(): return {0}\\nclass C:\\n    def m(self): return {0}\\n'
open(f'@DIR@/{name}.py', 'w').write(source.format(1))
again = importlib.import_module(name); old, Old, c = again.f, again.C, again.C()
---
open(f'@DIR@/{name}.py', 'w').write(source.format(2222))
again = importlib.reload(again); new = again.C()
---
assert (again.f(), old(), new.m(), c.m(), Old().m()) == (2222, 1, 2222, 1, 1)
assert (type(c) is Old, type(new) is again.C, isinstance(c, again.C)) == (True, True, False)

# what classes and functions of a user's module hold
import hashlib, importlib, sys
name = 'm_' + hashlib.md5(b'held @DIR@').hexdigest(); sys.path.insert(0, '@DIR@')
open(f'@DIR@/{name}.py', 'w').write('''
import abc, ctypes, enum
class Model:
    made = 0; cache = {}; only = None
    class Inner:
        log = []
    def __init__(self, n):
        Model.made += 1; self.n = n; Model.cache[n] = self
        Model.Inner.log.append(n); Model.only = Model.only or self; count()
def count(): count.calls = getattr(count, 'calls', 0) + 1
class Base(abc.ABC):
    kinds = []
    def __init_subclass__(cls): Base.kinds.append(cls.__name__)
class Kid(Base): pass
class Point(ctypes.Structure):
    _fields_ = [('x', ctypes.c_int)]
class Hue(enum.Enum):
    RED = 1
''')
mod = importlib.import_module(name)
m = mod.Model(1); log = mod.Model.Inner.log; red = mod.Hue.RED
---
k = mod.Model(2); m.n = 10; p = mod.Point(4); mod.Model.more = [k]
class Mine(mod.Base): pass
---
M = mod.Model
assert (M.made, list(M.cache), M.Inner.log, mod.count.calls) == (2, [1, 2], [1, 2], 2)
assert M.cache[1] is m and M.cache[2] is k and M.only is m and M.Inner.log is log and M.more[0] is k
assert mod.Base.kinds == ['Kid', 'Mine'] and mod.Hue(1) is red and mod.Point(3).x == 3 and m.n == 10

# generators and coroutines that have ended
def numbers(): yield 1
async def later(): return 2
async def several(): yield 3
done, shut = numbers(), numbers(); list(done); shut.close()
waited, agen = later(), several(); two = await waited; threes = [each async for each in agen]
---
again = done
---
assert again is done and list(done) == list(shut) == [] and done.__name__ == 'numbers'
assert [each async for each in agen] == [] and (two, threes) == (2, [3])
try: await waited
except RuntimeError as error: assert 'already awaited' in str(error)

# objects that a library has under a name
import functools, matplotlib, os, pandas as pd, sys
from matplotlib import rcParams
from os import environ
from pandas import options
from sys import path
missing = {'value': functools._initial_missing}
---
rcParams['figure.figsize'] = 3, 2; options.display.max_rows = 7; path.append('/rk/named'); environ['RK_NAMED'] = '1'
---
assert rcParams is matplotlib.rcParams and list(matplotlib.rcParams['figure.figsize']) == [3, 2]
assert options is pd.options and pd.get_option('display.max_rows') == 7
assert path is sys.path and '/rk/named' in sys.path and environ is os.environ and os.getenv('RK_NAMED') == '1'
assert missing['value'] is functools._initial_missing

# lists and dicts of libraries that cells change, and attributes of their objects
import calendar, gc, mimetypes, xml.etree.ElementTree as ET
seen = []
def notice(phase, info): pass
---
mimetypes.types_map['.rk'] = 'text/rk'; ET._namespace_map['http://rk'] = 'rk'; gc.callbacks.append(notice); calendar.c.rk = seen
---
assert mimetypes.guess_type('a.rk')[0] == 'text/rk' and ET._namespace_map['http://rk'] == 'rk'
assert notice in gc.callbacks and calendar.c.rk is seen
gc.callbacks.remove(notice)

# calls that set something up
import calendar, codecs, collections.abc, copy, copyreg, logging, mimetypes, numpy as np, sqlite3, threading
class Point:
    def __init__(self, x): self.x = x
    def __len__(self): return 0
def plus_one(point): return Point, (point.x + 1,)
def question(error): return '?', error.end
codes = []
def noted(kind, flag): codes.append(kind)
copyreg.pickle(Point, plus_one)
sqlite3.register_adapter(Point, lambda point: point.x)
codecs.register_error('rk-question', question)
collections.abc.Sequence.register(Point)
@collections.abc.Sized.register
class Bag: pass
np.seterr(all='call'); np.seterrcall(noted)
---
logging.addLevelName(25, 'NOTICE'); mimetypes.add_type('text/rk-call', '.rkc'); a = 1
calendar.setfirstweekday(6)
threading.stack_size(1 << 20)
---
assert copy.copy(Point(1)).x == 2 and 'aä'.encode('ascii', 'rk-question') == b'a?'
assert sqlite3.connect(':memory:').execute('select ?', (Point(4),)).fetchone() == (4,)
assert isinstance(Point(1), collections.abc.Sequence) and isinstance(Bag(), collections.abc.Sized)
assert logging.getLevelName('NOTICE') == 25 and mimetypes.guess_type('a.rkc')[0] == 'text/rk-call'
assert (calendar.firstweekday(), threading.stack_size(), np.geterrcall()) == (6, 1 << 20, noted)
calendar.setfirstweekday(0); _ = np.array([1.0]) / 0; assert codes

# classes that answer for any name
class Passes:
    def __init__(self, to): self._to = to
    def __getattr__(self, name): return getattr(self._to, name)
class Fields(dict):
    __getattr__ = dict.get
    __setattr__ = dict.__setitem__
class Slots:
    __slots__ = ('own', 'rest')
    def __init__(self): self.own = 1; self.rest = {'z': 9}
    def __getattr__(self, name): return self.rest[name]
class Counts(Passes):
    made = 0
    def __new__(cls, *args): Counts.made += 1; return super().__new__(cls)
passes, fields, slots, counts = Passes([1]), Fields(x=1), Slots(), Counts('abc')
---
passes.append(2); fields.y = 2
---
assert passes._to == [1, 2] and passes.count(1) == 1 and (fields.x, fields.y) == (1, 2)
assert (slots.own, slots.z, counts.upper(), Counts.made) == (1, 9, 'ABC', 1)

# functions and names of the notebook that unpacking needs
import math
offset = 3
def checked(x): return math.floor(x) + offset
class Made:
    def __init__(self, x): self.x = x; self.y = checked(x)
    def __reduce__(self): return Made, (self.x,)
---
made = Made(2.5); more = {checked: made}
---
assert made.y == 5 and more[checked] is made

# where an exception was raised
import json, traceback
def text(error): return ''.join(traceback.format_exception(type(error), error, error.__traceback__))
def f(x, *more, last=1):
    return (x +
        1 / x)
class Deep:
    def go(self, n): return self.go(n - 1) if n else [f(n) for _ in '1'][0]
try: Deep().go(3)
except ZeroDivisionError as e: error = e
try: json.loads('{')
except ValueError as e:
    try: raise KeyError('x') from e
    except KeyError as e: other = e
before, said = text(error), text(other)
---
again = [error]
---
assert text(error) == before and text(other) == said and again[0] is error, text(error)
assert 'in go' in before and '1 / x)' in before and 'in decode' in said
try: raise error
except ZeroDivisionError as e: assert 'in go' in text(e)

# numbers that the process goes by
import gc, os, multiprocessing
os.umask(0o077); gc.disable(); gc.set_threshold(500, 5, 5)
---
get_ipython().Completer.use_jedi = not get_ipython().Completer.use_jedi; jedi = get_ipython().Completer.use_jedi
---
now = os.umask(0o022); os.umask(0o022)
assert now == 0o077 and not gc.isenabled() and gc.get_threshold() == (500, 5, 5) and get_ipython().Completer.use_jedi == jedi
gc.enable(); get_ipython().Completer.use_jedi = not jedi

# what calls leave in the defaults of functions of a user's module
import hashlib, importlib, sys
name = 'm_' + hashlib.md5(b'defaults @DIR@').hexdigest(); sys.path.insert(0, '@DIR@')
_ = open(f'@DIR@/{name}.py', 'w').write('''
class C:
    def m(self, x, to={}):
        to[x] = 1; return to
def f(x, to=[]):
    to.append(x); return to
''')
mod = importlib.import_module(name)
---
mod.f(1); first = mod.C().m('a')
---
assert mod.f(2) == [1, 2] and mod.C().m('b') == {'a': 1, 'b': 1} and mod.C.m.__defaults__[0] is first

# how numbers are shown, by functions
import numpy as np, pandas as pd
pd.options.display.float_format = '{:.1f}?'.format
np.set_printoptions(formatter={'float': lambda x: f'{x:.1f}#'})
---
df = pd.DataFrame({'a': [1.23456]}); a = np.array([1.25])
---
assert '1.2?' in repr(df) and '1.2#' in repr(a)
pd.set_option('display.float_format', lambda x: 'x'); assert 'x' in repr(df)
np.set_printoptions(formatter=None); pd.reset_option('display.float_format'); assert '1.25' in repr(a)

# a match with two names, and a generator without a state
import random, re
match = re.match('(a)(b)', 'ab'); other = [match]; system = random.SystemRandom()
---
a = 1
---
assert other[0] is match and match.group(2) == 'b' and 0 <= system.random() < 1

# bases that are given anew
class A:
    def who(self): return 'A'
class B:
    def who(self): return 'B'
class K(A): pass
k = K(); first = k.who()
---
K.__bases__ = (B,); K.__name__ = 'Renamed'; K.__qualname__ = 'Renamed'; second = k.who()
---
x = 1
---
assert (first, second) == ('A', 'B') and k.who() == 'B' and K.__bases__ == (B,) and isinstance(k, B)
assert K.__name__ == 'Renamed' and 'Renamed' in repr(k), K
class D(K): pass
assert D().who() == 'B'

# elements of structured arrays are views
import numpy as np
s = np.zeros(4, dtype=[('a', 'i4'), ('b', 'f8')]); one = s[1]; rec = np.rec.array([(1, 2.5), (3, 4.5)], dtype=s.dtype); last = rec[1]
own = np.void(b'abc'); copied = s[2].copy()
---
one['a'] = 5; last.b = 9
---
s[1]['b'] = 7; y = 1; copied['a'] = 77
---
assert s['a'][1] == 5 and one['b'] == 7 and rec.b[1] == 9 and type(last) is np.record and own.tobytes() == b'abc'
one['a'] = 8; rec[1].a = 11
assert s[1]['a'] == 8 and last.a == 11 and s[2]['a'] == 0 and copied['a'] == 77

# what is done about exceptions of a kind
seen = []
def handler(self, etype, value, tb, tb_offset=None):
    seen.append(str(value)); return []
get_ipython().set_custom_exc((ZeroDivisionError,), handler)
---
x = 1
---
import contextlib, io
with contextlib.redirect_stdout(io.StringIO()): get_ipython().run_cell('1/0')
assert seen == ['division by zero'], seen
get_ipython().set_custom_exc((), None)

# a finder of modules
import sys, types, importlib.machinery
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == 'found_by_a_hook': return importlib.machinery.ModuleSpec(name, self)
    def create_module(self, spec): return None
    def exec_module(self, module): module.answer = 42
finder = Finder(); sys.meta_path.insert(0, finder); n = len(sys.meta_path)
---
x = 1
---
import found_by_a_hook
assert found_by_a_hook.answer == 42 and sys.meta_path[0] is finder
sys.meta_path.remove(finder); del sys.modules['found_by_a_hook']

# functions that a figure calls
import matplotlib; matplotlib.use('agg')
import matplotlib.pyplot as plt
from matplotlib.widgets import Slider
fig, (ax, low) = plt.subplots(2); calls = []
def moved(axes): calls.append(('x', axes is ax))
cid = ax.callbacks.connect('xlim_changed', moved)
key = fig.canvas.mpl_connect('key_press_event', lambda event: calls.append('key'))
slider = Slider(low, 'a', 0, 10, valinit=3); slider.on_changed(lambda v: calls.append(('s', v)))
---
ax.set_xlim(0, 5)
---
slider.set_val(4)
---
ax.set_xlim(0, 6); slider.set_val(5)
assert calls == [('x', True), ('s', 4), ('x', True), ('s', 5)], calls
from matplotlib.backend_bases import KeyEvent
fig.canvas.callbacks.process('key_press_event', KeyEvent('key_press_event', fig.canvas, 'a'))
assert calls[-1] == 'key'
ax.callbacks.disconnect(cid); ax.set_xlim(0, 9); assert len(calls) == 5
plt.close('all')

# a class whose instances have a name
class Named:
    def __init__(self, n): self.n = n
    @property
    def __name__(self): return 'own ' + self.n
class Plain:
    __name__ = 'x'
    __qualname__ = 'Q'
k = Named('a'); p = Plain()
---
x = 1
---
assert k.__name__ == 'own a' and p.__name__ == 'x' and Plain.__name__ == 'Plain' and Named.__name__ == 'Named', (k.__name__, p.__name__)
"""


def read_traps(text: str) -> dict[str, tuple[list[str], str]]:
    """Name -> cells and check."""
    traps = {}
    for part in text.strip().split("\n# ")[0:]:
        name, _, body = part.removeprefix("# ").partition("\n")
        *cells, check = textwrap.dedent(body).split("\n---\n")
        traps[name] = ([cell.strip("\n") for cell in cells], check.strip("\n"))
    return traps


TRAPS = read_traps(_TEXT)
