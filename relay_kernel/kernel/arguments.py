"""R's command line: what is about R itself, and what is for the user's kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_PORTS = ("ip", "hb", "shell", "iopub", "stdin", "control", "transport")
#: Options about R's own sockets, its key, and whom it relays to; each takes a value.
_OWN = frozenset({"f", "spec", "ident", "user", "keyfile", *_PORTS})
_OWN_FLAGS = frozenset({"secure", "no-secure", "h", "help", "help-all", "version"})
_OWN_CLASSES = ("Session", "ConnectionFileMixin", "RelayKernel", "RelayKernelApp")
#: Of ipykernel's application: the rest of it is the user's kernel's.
_OWN_TRAITS = frozenset(
    {
        *("ip", "transport", "connection_file", "parent_handle", "interrupt", "kernel_name"),
        *("hb_port", "shell_port", "iopub_port", "stdin_port", "control_port"),
    }
)


def divide(argv: list[str]) -> tuple[list[str], list[str]]:
    """Divide a command line into R's own part and that of the user's kernels, each in its order.

    What is not known goes to the kernels: they say what is wrong with it, as they always do.
    """
    own: list[str] = []
    others: list[str] = []
    wants_value = False
    for argument in argv:
        if argument.startswith("-") and argument != "-":
            name, equals, _ = argument.lstrip("-").partition("=")
            is_own = _is_own(name)
            wants_value = is_own and not equals and name not in _OWN_FLAGS
        else:
            is_own, wants_value = wants_value, False
        (own if is_own else others).append(argument)
    return own, others


def option(argv: Sequence[str], *names: str) -> str | None:
    """The value of an option, under any of its names; None if it is not there."""
    for number, argument in enumerate(argv):
        name, equals, value = argument.lstrip("-").partition("=")
        if argument.startswith("-") and name in names:
            return value if equals else next(iter(argv[number + 1 :]), None)
    return None


def _is_own(name: str) -> bool:
    if name in _OWN or name in _OWN_FLAGS:
        return True
    class_name, dot, trait = name.partition(".")
    if not dot:
        return False
    return class_name in _OWN_CLASSES or (class_name == "IPKernelApp" and trait in _OWN_TRAITS)
