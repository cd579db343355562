"""One notebook over two machines.

The idea is Conrad Ludgate's: "Jupyter Notebooks and the Remote Kernel" (2020).
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__version__ = "0.1.0"

_Function = TypeVar("_Function", bound="Callable[[], Any]")


def recipe(name: str) -> Callable[[_Function], _Function]:
    """Say how a variable is made again where its value could not come along.

    The decorated function takes nothing and returns the value. It runs on the kernel that took
    over, when a cell mentions the variable there. In a kernel that does not run under relay-kernel
    it is never called.

    Args:
        name: of the variable.

    Raises:
        ValueError: it is no name that a variable can have.
    """

    def register(function: _Function) -> _Function:
        # Put there by the agent of this kernel, if it has one.
        kernel = sys.modules.get("_relay_inkernel")
        if kernel is not None:
            kernel.register_recipe(name, function)
        return function

    return register


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    """Tell a Jupyter Server where its extension is: relay kernels list themselves."""
    return [{"module": "relay_kernel.mirror.extension", "name": "relay_kernel"}]
