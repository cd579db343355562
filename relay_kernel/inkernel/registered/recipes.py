"""What the user said of how a value can be made again: see ``recipe``."""

from __future__ import annotations

from .table import Table, here


class Recipes(Table):
    """Name of a variable -> function that makes its value."""

    name = "recipe of "

    def found(self):
        """Return ``recipe of NAME`` -> function."""
        return {self.name + name: function for name, function in self.state.recipes.items()}

    def put(self, values):
        """Make these the recipes."""
        self.state.recipes.clear()
        for key, function in here(values).items():
            self.state.recipes[key[len(self.name) :]] = function
