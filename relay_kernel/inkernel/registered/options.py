"""Options of libraries that are functions: ``pd.options.display.float_format = '{:.2f}'.format``.

Others are plain data, and so sections of the context, which also take away what is no more.
"""

from __future__ import annotations

import importlib
import sys

from ..context.options import changed_of_pandas
from .table import Table, here

_NUMPY = "numpy formatter"


class Options(Table):
    """Functions by which pandas and NumPy show numbers."""

    name = "option "

    def found(self):
        """Return ``option pandas NAME`` -> function, ``option numpy formatter`` -> functions."""
        found = {}
        config = sys.modules.get("pandas._config.config")
        if hasattr(config, "_registered_options"):
            for name, value in changed_of_pandas(config).items():
                if callable(value):
                    found[f"{self.name}pandas {name}"] = value
        numpy = sys.modules.get("numpy")
        formatter = hasattr(numpy, "get_printoptions") and numpy.get_printoptions()["formatter"]
        return {**found, self.name + _NUMPY: formatter} if formatter else found

    def put(self, values):
        """Set these."""
        for key, value in here(values).items():
            option = key[len(self.name) :]
            if option == _NUMPY:
                importlib.import_module("numpy").set_printoptions(formatter=value)
            else:
                library, _, name = option.partition(" ")
                importlib.import_module(library).set_option(name, value)
