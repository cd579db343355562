"""Calls by which cells set a library up: ``structlog.configure(processors=[mine])``.

What such a call sets is in no variable, and each library has another place for it. It gets to
another kernel by being made there as well: once, with the same arguments. So it must be a call
that is made for that, and that a second time does no harm; the rules below say which are.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import re
import sys
import sysconfig
import types
from enum import Enum

from IPython.utils.capture import capture_output

from ..budget import TooLong
from ..mentions import parsed
from ..names import ATOMS
from ..reasons import one_line
from .table import CellReader, here

#: How names of functions begin that set something up, and the names of some that do.
_VERBS = re.compile(
    r"(?!.*seed)(set|enable|disable|register|add|configure|config|install|setup|use|activate)"
    r"(_|[A-Z]|$)"
    r"|(init_notebook_mode|init_printing|init_session|initjs|addfont|autolog|extension|theme_set|seterrcall)$"
)
#: These of the standard library, and no others of it.
_OF_PYTHON = frozenset(
    [
        *("calendar.setfirstweekday", "mimetypes.add_type", "copyreg.pickle"),
        *("logging.addLevelName", "logging.setLoggerClass", "logging.setLogRecordFactory"),
        *("logging.captureWarnings", "urllib.request.install_opener", "tracemalloc.start"),
        *("sqlite3.register_adapter", "sqlite3.register_converter", "faulthandler.enable"),
        *("codecs.register", "codecs.register_error", "abc.ABCMeta.register"),
        *("xml.etree.ElementTree.register_namespace", "functools.singledispatch.register"),
        *("email.charset.add_charset", "email.charset.add_alias", "thread.stack_size"),
    ]
)
_NAMES_OF_PYTHON = frozenset(path.rpartition(".")[2] for path in _OF_PYTHON)
#: What these are set to travels by itself, or is of each kernel, or they write files.
_NOT_THESE = re.compile(
    r"(IPython|ipykernel|traitlets|ipywidgets|matplotlib(\.pyplot)?|pandas|seaborn|dotenv"
    r"|keyring|kaggle|huggingface_hub|wandb)(\..*)?$"
)
_BUT_THESE = re.compile(r"matplotlib\.(font_manager|scale|projections|units)(\..*)?$")
#: These are given objects of any kind; others only what is code, or never changes.
_TAKES_OBJECTS = re.compile(
    r"(urllib\.request\.install_opener|pint\..*|astropy\..*|dspy\..*|structlog\..*|plotnine\..*)$"
)
_CODE = (type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType)
_MADE_OF_OTHERS = (
    *(ast.List, ast.Tuple, ast.Set, ast.Dict),
    *(ast.UnaryOp, ast.BinOp, ast.JoinedStr, ast.FormattedValue),
)
_PLAIN = (*_CODE, Enum, functools.partial, *ATOMS)


class SetUps(CellReader):
    """Set-up calls that cells made, at their top level or as decorators, in order."""

    name = "set-up call "

    def __init__(self, state):
        super().__init__(state)
        #: text of a call -> (number, name -> value, for the names in it)
        self._calls = {}
        #: key -> why a call failed when it was made here last
        self.failed = {}

    def found(self):
        """Return ``set-up call TEXT`` -> (number, name -> value)."""
        new = self.new_cells()
        if self.state.shell.last_execution_succeeded:
            for cell in new:
                tree = parsed(cell) if _may_set_up(cell) else None
                for call in _calls(tree) if tree is not None else ():
                    # To look at what libraries have may run code of theirs.
                    with contextlib.suppress(Exception):
                        self._note(call)
        return {self.name + text: noted for text, noted in self._calls.items()}

    def _note(self, call):
        if not self._sets_up(call):
            return
        values = {name: self.state.user_ns[name] for name in sorted(_names(call))}
        number = max((number for number, _ in self._calls.values()), default=0) + 1
        text = ast.unparse(call)
        self._calls.pop(text, None)
        self._calls[text] = number, values

    def put(self, values):
        """Make the calls that were not made here, or not with these objects.

        Args:
            values: key -> what ``found`` says of it; None for what is as it is here.
        """
        self.pass_over()
        made, self.failed = self._calls, {}
        wanted = {key[len(self.name) :]: noted for key, noted in here(values).items()}
        wanted = {text: noted or made[text] for text, noted in wanted.items()}
        self._calls = dict(sorted(wanted.items(), key=lambda item: item[1][0]))
        with self.state.budget.watch():
            for text, (_, names) in self._calls.items():
                before = made.get(text, (0, {}))[1]
                if before.keys() != names.keys() or any(before[n] is not names[n] for n in names):
                    self._make(text, names)

    def _make(self, text, names):
        code = compile(text, "<set-up call>", "exec")
        try:
            with self.state.shell.builtin_trap, capture_output():
                self.state.budget.within(exec, code, dict(names))
        except TooLong:
            # It may wait for a service that is not there, and a notebook waits for it.
            self.failed[self.name + text] = f"it took longer than {self.state.budget.seconds:g} s"
        except Exception as error:
            reason = f"it raised {type(error).__name__}: {one_line(str(error))}"
            self.failed[self.name + text] = reason

    # ------------------------------------------------------------- which calls

    def _sets_up(self, call):
        """Return whether a call is one for setting a library up, as far as one can tell."""
        given = _given(call)
        if isinstance(call.func, ast.Call):  # a decorator with arguments
            given += _given(call.func)
            call = call.func
        called = getattr(call.func, "attr", getattr(call.func, "id", ""))
        if not (_VERBS.match(called) or called in _NAMES_OF_PYTHON):
            return False
        function = self._reached(call.func)
        if function is None or not self._is_for_that(function):
            return False
        any_kind = _TAKES_OBJECTS.match(_path_of(function))
        if not all(self._may_be_given(each, any_kind) for each in given):
            return False
        # What is registered with a service, and not in this process, is no code.
        is_local = _is_python(function) or any(self._holds_code(each) for each in given)
        return is_local or not called.startswith("register")

    def _is_for_that(self, function):
        path = _path_of(function)
        if _is_python(function):
            return path in _OF_PYTHON
        home = path.rpartition(".")[0]
        return not _NOT_THESE.match(home) or bool(_BUT_THESE.match(home))

    def _reached(self, node):
        """Return the callable of a library that a dotted name stands for, or None."""
        parts = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return None
        thing = self.state.user_ns.get(node.id)
        if not (isinstance(thing, _CODE) or self.state.named.find(thing) is not None):
            return None
        for part in reversed(parts):
            thing = getattr(thing, part, None)
        return thing if callable(thing) and not self._is_notebooks(thing) else None

    def _is_notebooks(self, thing):
        owner = getattr(thing, "__self__", None)
        return self.is_users(thing) or (isinstance(owner, type) and self.is_users(owner))

    def _may_be_given(self, node, any_kind):
        """Return whether making a call with this once more changes nothing but what it sets."""
        if isinstance(node, ast.Call):
            function = self._reached(node.func)
            parts = _given(node) if function is not None else [None]
            return all(self._may_be_given(each, any_kind) for each in parts)
        if isinstance(node, _MADE_OF_OTHERS):
            parts = [each for each in ast.iter_child_nodes(node) if isinstance(each, ast.expr)]
            return all(self._may_be_given(each, any_kind) for each in parts)
        if isinstance(node, ast.Name):
            return any_kind or isinstance(self.state.user_ns[node.id], _PLAIN)
        if isinstance(node, ast.Attribute):
            return self._may_be_given(node.value, any_kind)
        return isinstance(node, (ast.Constant, ast.Lambda))

    def _holds_code(self, node):
        return any(self.is_users(self.state.user_ns.get(name)) for name in _names(node))


def _names(node):
    """Return the names in an expression that are not the parameters of a lambda in it."""
    lambdas = [each for each in ast.walk(node) if isinstance(each, ast.Lambda)]
    own = {each.arg for one in lambdas for each in ast.walk(one.args) if isinstance(each, ast.arg)}
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)} - own


def _may_set_up(cell):
    return re.search(r"^@|^[\w.]+\(", cell, re.MULTILINE)


def _calls(tree):
    """Yield the calls of a cell that stand for themselves, and those of its decorators."""
    for statement in tree.body:
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            yield statement.value
        for decorator in reversed(getattr(statement, "decorator_list", ())):
            named = decorator.func if isinstance(decorator, ast.Call) else decorator
            # Others make something else of what they are given, and would of that again.
            if getattr(named, "attr", getattr(named, "id", "")).startswith("register"):
                yield ast.Call(decorator, [ast.Name(statement.name, ast.Load())], [])


def _given(call):
    return [*call.args, *(each.value for each in call.keywords)]


def _path_of(function):
    """Return ``module.name`` of a callable; what C calls its modules by, without underscores."""
    home = getattr(function, "__module__", None) or type(function).__module__
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{home.lstrip('_')}.{name.replace('.<locals>', '')}"


def _is_python(function):
    home = getattr(function, "__module__", None) or type(function).__module__
    return _is_of_python(home.partition(".")[0])


@functools.lru_cache(maxsize=None)
def _is_of_python(package):
    """Return whether a package is of the standard library."""
    if hasattr(sys, "stdlib_module_names"):
        return package in sys.stdlib_module_names
    file = getattr(sys.modules.get(package), "__file__", None)
    return file is None or (
        file.startswith(sysconfig.get_paths()["stdlib"]) and "site-packages" not in file
    )
