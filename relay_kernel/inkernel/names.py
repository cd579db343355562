"""Which names of the namespace are the user's, and how they are put back."""

from __future__ import annotations

import re
import types

#: IPython's own record of the session, kept by ``history``; a user who rebinds one loses it.
_RECORD = frozenset(("In", "Out", "_ih", "_oh", "_dh", "_i", "_ii", "_iii"))
_INPUT = re.compile(r"_i\d+")
_OUTPUT = re.compile(r"_(\d+)")
#: What a name can be by its looks: IPython's record, whatever it holds; or the user's.
_RECORDED, _FREE = -1, -2
#: The last three results.
UNDERSCORES = ("_", "__", "___")
_MISSING = object()

#: Exact types whose values never change and of which a copy is as good as the one.
ATOMS = frozenset(
    (
        *(int, float, complex, bool, str, bytes, range, type(None), type(...)),
        types.ModuleType,
        types.BuiltinFunctionType,
    )
)


def name_of(root):
    """Return how a person would call a root: a variable, an output or a class."""
    kind, key = root
    return {"o": f"Out[{key}]", "c": f"class {key}", "m": f"module {key}"}.get(kind, key)


class Names:
    """The roots of the namespace: what the state of the notebook hangs from.

    A root is (kind, key): ``("n", name)`` a name of the user, ``("o", number)`` an entry of
    ``Out``, ``("u", "_")`` one of the last three results. Classes and modules of the user are
    roots too (``"c"``, ``"m"``), which others keep.

    Args:
        shell: the IPython shell; what its namespace holds now is not the user's.
    """

    def __init__(self, shell):
        self.shell = shell
        self.user_ns = shell.user_ns
        self.baseline = dict(shell.user_ns)
        self._looks = {}

    def outputs(self):
        """Return the dict behind ``Out``."""
        found = self.user_ns.get("_oh")
        return found if isinstance(found, dict) else {}

    def roots(self):
        """Return root -> value for all that is the user's."""
        baseline, outputs, looks = self.baseline, self.outputs(), self._looks
        found = {}
        for name, value in self.user_ns.copy().items():
            if name in baseline and baseline[name] is value:
                continue
            kind = looks.get(name)
            if kind is None:
                kind = looks[name] = self._classify(name)
            if kind == _FREE or (kind >= 0 and outputs.get(kind, _MISSING) is not value):
                found["n", name] = value
        for number, value in outputs.copy().items():
            found["o", number] = value
        for name in UNDERSCORES:
            value = self.user_ns.get(name, "")
            if type(value) is not str or value:
                found["u", name] = value
        return found

    def _classify(self, name):
        """Return what a name is by its looks; for ``_N``, the number of the output it may be."""
        if type(name) is not str:
            return _RECORDED  # No code can name it, so nothing of it travels.
        if name[:1] != "_" and name not in _RECORD:
            return _FREE
        if name in _RECORD or name in UNDERSCORES or _INPUT.fullmatch(name):
            return _RECORDED
        if name in self.baseline and name.startswith("__"):
            return _RECORDED
        found = _OUTPUT.fullmatch(name)
        return int(found.group(1)) if found else _FREE

    def put(self, values):
        """Make the roots exactly ``values``: set them, and delete what else is the user's."""
        before = self.roots()
        for kind, key in before.keys() - values.keys():
            if kind == "n":
                self._drop(key)
            elif kind == "o":
                self.outputs().pop(key, None)
                self._drop(f"_{key}")
        self.exchange(values)
        self._order_outputs()
        self.exchange({("u", name): values.get(("u", name), "") for name in UNDERSCORES})

    def exchange(self, values):
        """Set some roots; the others stay as they are."""
        for (kind, key), value in values.items():
            if kind == "n":
                self.user_ns[key] = value
            elif kind == "o":
                self.outputs()[key] = value
                self._put_hidden(f"_{key}", value)
            elif kind == "u":
                self._put_hidden(key, value)
                setattr(self.shell.displayhook, key, value)

    def _order_outputs(self):
        """Let ``Out`` list its entries as they came into being: by number."""
        outputs = self.outputs()
        numbers = list(outputs)
        if all(type(number) is int for number in numbers) and numbers != sorted(numbers):
            ordered = {number: outputs[number] for number in sorted(numbers)}
            outputs.clear()
            outputs.update(ordered)

    def _drop(self, name):
        if name in self.baseline:
            self.user_ns[name] = self.baseline[name]
        else:
            self.user_ns.pop(name, None)
        if name[:1] == "_":
            self.shell.user_ns_hidden.pop(name, None)

    def _put_hidden(self, name, value):
        # IPython goes on with `_` only if it finds there what it put there itself.
        self.user_ns[name] = self.shell.user_ns_hidden[name] = value
