"""How our code gets into a plain ipykernel: one silent cell, run before any of the user's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cloudpickle.cloudpickle

#: Name of the package inside the kernel's process.
PACKAGE = "_relay_inkernel"

_FOLDER = Path(__file__).parent.parent / "inkernel"

# One expression, so that no name is left in the user's namespace; nothing is taken from it either,
# but __import__ and the two names that IPython puts there itself.
_CODE = """\
(lambda ip, util, sys, folder, options: (
    lambda spec: (
        lambda module: (
            sys.modules.__setitem__(spec.name, module),
            spec.loader.exec_module(module),
            module.install(ip, options),
        )
    )(util.module_from_spec(spec))
)(util.spec_from_file_location({package!r}, folder + "/__init__.py",
    submodule_search_locations=[folder])))(
    get_ipython(), __import__("importlib.util").util, __import__("sys"), {folder!r}, {options!r}
) and None
"""


def injection(options: dict[str, Any]) -> str:
    """The code to execute silently in a new kernel.

    Args:
        options: for ``inkernel.install``: ``store`` (folder of the chunk store), ``kernel_id``,
            ``place`` (where this kernel is, in words), ``cells`` (folder that the files of cells
            are said to be in; optional), ``seconds_per_component`` and
            ``bytes_per_component`` (what packing one variable may take; optional).
    """
    options = {**options, "cloudpickle": cloudpickle.cloudpickle.__file__}
    return _CODE.format(package=PACKAGE, folder=str(_FOLDER), options=options)
