"""Runs inside the user's kernels: takes the state of a notebook, and puts it back elsewhere.

An agent loads this package under the name ``_relay_inkernel`` and calls ``install`` before any
code of the user runs. It stands alone: the standard library, IPython, and the agent's own
cloudpickle. It keeps to Python 3.9, because the user chooses the interpreter; nothing of it may
be left in the namespace, the history or the output; and since users shadow names, it takes
nothing from their namespace.
"""

from __future__ import annotations


def install(shell, config):
    """Prepare a kernel for capture and apply.

    Args:
        shell: the IPython shell of the kernel.
        config: ``store``: folder of the chunk store; ``cloudpickle``: path of the agent's
            ``cloudpickle.py``; ``kernel_id``: random hex; ``place``: where this kernel is, in
            words for the user (optional); ``cells``: folder that the files of cells are said to
            be in, for the debugger (optional).
    """
    from . import again, debugger, recipe
    from .directives import blank_directives
    from .messages import Handlers
    from .state import Kernel

    again.register(shell)
    debugger.prepare(shell.kernel, config.get("cells"))
    kernel = Kernel(shell, config)
    Handlers(kernel).register()
    recipe.offer(recipe.registrar(kernel))
    shell.input_transformers_cleanup.append(blank_directives)
