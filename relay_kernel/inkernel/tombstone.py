"""What stands in a namespace for a thing that could not travel, and says so when it is used."""

from __future__ import annotations

#: Operators and protocols that are "use". Identity, hash, repr and type stay quiet, so that
#: a tombstone may lie in a list or be looked at.
# fmt: off
_USES = (
    "call", "len", "getitem", "setitem", "delitem", "iter", "next", "reversed", "contains",
    "enter", "exit", "bool", "int", "float", "complex", "index", "add", "radd", "iadd", "sub",
    "rsub", "isub", "mul", "rmul", "imul", "matmul", "rmatmul", "imatmul", "truediv", "rtruediv",
    "itruediv", "floordiv", "rfloordiv", "ifloordiv", "mod", "rmod", "imod", "divmod", "rdivmod",
    "pow", "rpow", "ipow", "lshift", "rlshift", "ilshift", "rshift", "rrshift", "irshift", "and",
    "rand", "iand", "or", "ror", "ior", "xor", "rxor", "ixor", "neg", "pos", "abs", "invert",
    "lt", "le", "gt", "ge", "eq", "ne", "bytes", "format", "round", "trunc", "floor", "ceil",
    "await", "aiter", "anext", "aenter", "aexit",
)
# fmt: on


class LeftBehindError(RuntimeError):
    """A variable was used whose value could not come along."""


class LeftBehind:
    """Stands for a value that lives in another kernel.

    Args:
        name: the variable, as the user knows it.
        kind: the type of the real value.
        reason: why it could not travel.
        place: where the real value is, in words.
        kernel_id: the kernel that may still hold the real value.
        token: finds the real value there.
    """

    __slots__ = ("__weakref__", "_relay")

    def __init__(self, name, kind, reason, place, kernel_id, token):
        object.__setattr__(self, "_relay", (name, kind, reason, place, kernel_id, token))

    def __repr__(self):
        name, kind, reason, place, _, _ = object.__getattribute__(self, "_relay")
        if type(self) is Parked:
            return f"<{sentence(self)}>"
        return f"<{name} was left behind: a {kind} that lives in {place}; {reason}>"

    def __getattr__(self, attribute):
        # Python and IPython probe for such names to learn what an object can do.
        if attribute.startswith("_"):
            raise AttributeError(sentence(self))
        raise LeftBehindError(sentence(self))

    def __setattr__(self, attribute, value):
        raise LeftBehindError(sentence(self))

    def __delattr__(self, attribute):
        raise LeftBehindError(sentence(self))

    __hash__ = object.__hash__


class Parked(LeftBehind):
    """Stands for a value that is on the disk of this machine, and does not fit into its memory.

    Its pickle is that of a tombstone, and stays the same whatever :func:`explain` says meanwhile.
    """

    __slots__ = ("_why",)


def explain(parked, why=None):
    """Return why a value is on the disk; with ``why``, after setting it."""
    if why is not None:
        object.__setattr__(parked, "_why", why)
    return object.__getattribute__(parked, "_why")


def facts(stone):
    """Return (name, kind, reason, place, kernel_id, token) of a tombstone."""
    return object.__getattribute__(stone, "_relay")


def sentence(stone):
    """Return the one clear line that a person sees on use."""
    name, kind, reason, place, _, _ = facts(stone)
    if type(stone) is Parked:
        return f"`{name}` is kept on disk: {explain(stone)}"
    advice = "Make it again here"
    if name.isidentifier():
        advice += f" (`%relay rebuild {name}` runs the cells again that made it)"
    return (
        f"`{name}` is not here: it is a {kind} that lives in {place} and could not come along, "
        f"because {reason}. {advice}, or run this cell there."
    )


def _refuse(self, *_, **__):
    raise LeftBehindError(sentence(self))


for _name in _USES:
    setattr(LeftBehind, f"__{_name}__", _refuse)
# Set after the class was made, __eq__ leaves __hash__ as it is.
