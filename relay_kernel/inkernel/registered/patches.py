"""What cells have set on modules and classes that are not theirs: ``pd.DataFrame.area = area``."""

from __future__ import annotations

import ast
import inspect
import pkgutil
import re
import sys
import types
from enum import Enum

from ..mentions import parsed
from ..modules import is_code
from .table import CellReader, here

#: A cell without it sets no attribute.
_SETS = re.compile(
    r"\.\s*\w+[\s,)\]]*[^\s=!<>]{0,3}[:=]|\b(?:setattr|del)\b|\b(?:for|as)\b[^\n]*\."
)
#: What is of each kernel, or travels otherwise.
_NOT_HERE = frozenset(
    [
        *(f"sys.{name}" for name in ("modules", "path", "stdin", "stdout", "stderr")),
        "os.environ",
        "warnings.showwarning",
    ]
)


class _Absent(Enum):
    """Stands for an attribute that is not there; it travels like a value."""

    ABSENT = "absent"


_ABSENT = _Absent.ABSENT
#: Classes of pandas on which its accessors and other libraries (``tqdm.pandas()``) set something.
_OF_PANDAS = (
    *("pandas.DataFrame", "pandas.Series", "pandas.Index"),
    *("pandas.core.groupby.DataFrameGroupBy", "pandas.core.groupby.SeriesGroupBy"),
)


class Patches(CellReader):
    """Attributes that cells name where they set them, by the name of whose they are.

    That is a module, a class, or an object of which a library has the one.
    """

    name = "patch of "

    def __init__(self, state):
        super().__init__(state)
        #: ``module.Class.attribute`` -> (whose it is, attribute)
        self._places = {}
        #: the same -> what was there before it was first set
        self._before = {}
        #: key -> value that has no place here, and is handed on
        self._waiting = {}
        #: name -> class, once pandas is there
        self._of_pandas = {}
        #: name of a class of pandas -> ids of what it had last time
        self._looked_at = {}

    def sets(self, path):
        """Return whether a cell set what is under ``module.attribute``."""
        return path in self._places

    def expect(self, code):
        """Note what is where a cell is about to set something."""
        tree = parsed(code) if _SETS.search(code) else None
        if tree is not None:
            imports = imported(tree)
            for chain in _chains(tree):
                self._note(chain, imports, is_before=True)

    def found(self):
        """Return ``patch of module.Class.attribute`` -> value."""
        self._look_through_cells()
        self._look_at_pandas()
        return self._now()

    def _now(self):
        found = dict(self._waiting)
        for path, (owner, attribute) in self._places.items():
            value = _get(owner, attribute)
            if value is not self._before.get(path, _ABSENT) and self._counts(owner, value):
                found[self.name + path] = value
        return found

    def _counts(self, owner, value):
        """Return whether no module of the user travels with this."""
        home = owner.__name__ if _is_module(owner) else getattr(owner, "__module__", None)
        return is_code(value) or not self.state.modules.owns(home)

    def put(self, values):
        """Set these, and put back what was there instead of the others."""
        self._waiting = {}
        self.pass_over()
        for key in self._now().keys() - values.keys():
            self._put_back(key[len(self.name) :])
        for key, value in here(values).items():
            try:
                self._put(key[len(self.name) :], value)
            except (ImportError, AttributeError):
                self._waiting[key] = value

    def _put_back(self, path):
        owner, attribute = self._places.pop(path)
        if not _is_plain(owner):
            return
        if path in self._before:
            _set(owner, attribute, self._before.pop(path))
        elif _is_new(owner, attribute):
            _set(owner, attribute, _ABSENT)

    def _put(self, path, value):
        if path not in self._places:
            name, _, attribute = path.rpartition(".")
            owner = pkgutil.resolve_name(name)
            self._places[path] = owner, attribute
            self._remember(path)
        _set(*self._places[path], value)

    def _remember(self, path):
        owner, attribute = self._places[path]
        # To ask another object may run code of its library, as for a default that costs.
        if _is_plain(owner):
            self._before[path] = _get(owner, attribute)

    # ------------------------------------------------------------- where cells set something

    def _look_through_cells(self):
        for cell in self.new_cells():
            tree = parsed(cell) if _SETS.search(cell) else None
            for chain in _chains(tree) if tree is not None else ():
                self._note(chain, {}, is_before=False)

    def _note(self, chain, imports, *, is_before):
        owner = imports.get(chain[0], self.state.user_ns.get(chain[0]))
        for part in chain[1:-1]:
            owner = vars(owner).get(part) if self._may_be_patched(owner) else None
        path = f"{self._path_of(owner)}.{chain[-1]}"
        if self._may_be_patched(owner) and path not in _NOT_HERE and not self._is_notebooks(owner):
            try:
                known = pkgutil.resolve_name(self._path_of(owner)) is owner
            except (ImportError, AttributeError, ValueError):
                known = False
            if known and path not in self._places:
                self._places[path] = owner, chain[-1]
                if is_before:
                    self._remember(path)

    def _look_at_pandas(self):
        if not hasattr(sys.modules.get("pandas"), "Series"):
            return
        if not self._of_pandas:
            self._of_pandas = {name: pkgutil.resolve_name(name) for name in _OF_PANDAS}
        for name, cls in self._of_pandas.items():
            ids = tuple(map(id, vars(cls).values()))
            if self._looked_at.get(name) != ids:
                self._looked_at[name] = ids
                for attribute, value in vars(cls).items():
                    if self._is_given(value):
                        path = f"{self._path_of(cls)}.{attribute}"
                        self._places.setdefault(path, (cls, attribute))

    def _is_given(self, value):
        """Return whether an attribute of a class is of others, and importing them sets it not."""
        for inner in ("__func__", "fget", "_accessor"):
            value = getattr(value, inner, value)
        home = getattr(value, "__module__", None)
        if not isinstance(home, str) or home.partition(".")[0] == "pandas":
            return False
        is_made = "<locals>" in getattr(value, "__qualname__", "")
        return callable(value) and (is_made or self.is_users(value))

    def _is_notebooks(self, owner):
        if _is_module(owner):
            return owner is sys.modules["__main__"]
        if not isinstance(owner, type):
            return False
        # What a class of the shell's configuration has is a setting.
        return owner.__module__ == "__main__" or "_all_trait_default_generators" in vars(owner)

    def _may_be_patched(self, thing):
        is_other = not _is_module(thing) and not issubclass(type(thing), type)
        return not is_other or self.state.named.place(thing) is not None

    def _path_of(self, owner):
        if _is_module(owner):
            return owner.__name__
        if issubclass(type(owner), type):
            return f"{owner.__module__}.{owner.__qualname__}"
        return ".".join(self.state.named.place(owner) or ("",))


def _is_module(thing):
    # By its type alone: what else is asked of an object may be answered by code of the user.
    return issubclass(type(thing), types.ModuleType)


def _is_plain(owner):
    """Return whether an object has exactly the attributes that its ``__dict__`` has."""
    return type(owner) is types.ModuleType or issubclass(type(owner), type)


def _get(owner, attribute):
    if _is_plain(owner):
        return vars(owner).get(attribute, _ABSENT)
    return getattr(owner, attribute, _ABSENT)


def _is_new(owner, attribute):
    """Return whether an attribute is of cells alone: the source of whose it is nowhere names it."""
    module = owner if _is_module(owner) else sys.modules.get(owner.__module__)
    try:
        return not re.search(rf"\b{attribute}\b", inspect.getsource(module))
    except (OSError, TypeError):
        return False


def _set(owner, attribute, value):
    if not _is_plain(owner):
        setattr(owner, attribute, value)
        return
    # Past what a metaclass or a module may do on the way.
    kind = types.ModuleType if _is_module(owner) else type
    if value is not _ABSENT:
        kind.__setattr__(owner, attribute, value)
    elif attribute in vars(owner):
        kind.__delattr__(owner, attribute)


def _chains(tree):
    """Yield what a cell sets, as ``("pd", "DataFrame", "area")``; in functions, too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, (ast.Store, ast.Del)):
            chain = chain_of(node)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", None) == "setattr":
            chain = _chain_of_setattr(node.args)
        else:
            continue
        if chain:
            yield chain


def imported(tree):
    """Return name -> module or class, for what a cell imports from what is imported already."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for each in node.names:
                package = each.name.partition(".")[0]
                found[each.asname or package] = sys.modules.get(
                    each.name if each.asname else package
                )
        elif isinstance(node, ast.ImportFrom) and node.module in sys.modules:
            there = vars(sys.modules[node.module])
            found.update({each.asname or each.name: there.get(each.name) for each in node.names})
    return {name: thing for name, thing in found.items() if thing is not None}


def chain_of(node):
    """Return ``("a", "b", "c")`` for the syntax of ``a.b.c``, or None."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return (node.id, *reversed(parts)) if isinstance(node, ast.Name) else None


def _chain_of_setattr(arguments):
    if len(arguments) != 3 or not isinstance(arguments[1], ast.Constant):
        return None
    owner = chain_of(arguments[0])
    name = arguments[1].value
    return (*owner, name) if owner and isinstance(name, str) else None
