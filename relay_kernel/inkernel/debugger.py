"""Keeps the debugger in the user's code."""

from __future__ import annotations

import os

_FOLDER = os.path.dirname(__file__)


def pass_over(kernel, cloudpickle):
    """Let the debugger neither show our code nor stop in it.

    Below every cell on the stack lies a handler of ours, and after its last line comes the capture.
    The kernel has its debugger pass over the modules that were there when it started, and ours came
    later.

    Args:
        kernel: of the shell.
        cloudpickle: path of the agent's ``cloudpickle.py``.
    """
    debugger = getattr(kernel, "debugger", None)
    rules = getattr(debugger, "kernel_modules", None)
    if isinstance(rules, list):
        rules.extend((_FOLDER, cloudpickle))
