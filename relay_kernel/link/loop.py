"""The event loop of the processes that pass bytes on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Like :func:`asyncio.run`, on libuv where that is installed.

    A small cell on a PC passes through the hub and the agent four times; it takes a tenth less so.
    """
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)
