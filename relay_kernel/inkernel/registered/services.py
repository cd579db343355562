"""What libraries hold for the user in no variable, and what belongs to one machine.

It stays there. Nobody would be told of it otherwise: code that uses it names the library only.
"""

from __future__ import annotations

import contextlib
import sys

from ..reasons import StaysError
from .table import Table

_ONE_PROCESS = "a run is logged from one process: go on with `{}`"
#: What ``wandb.init`` returns.
WANDB_RUN = ("wandb.sdk.wandb_run", "Run")


class Services(Table):
    """Tables, runs and connections that a library keeps by itself, a row each."""

    name = "what libraries keep"

    def __init__(self, state):
        super().__init__(state)
        #: id of what stays -> what stands for it
        self._stands = {}

    def has(self, key):
        """Return whether a key is of this table."""
        return key in _ROWS

    def found(self):
        """Return name -> what stands for it."""
        found, stands = {}, {}
        for name, (module, get, reason) in _ROWS.items():
            thing = None
            if module in sys.modules:
                # What is closed, say, holds nothing any more.
                with contextlib.suppress(Exception):
                    thing = get(sys.modules[module])
            if thing is not None:
                known = self._stands.get(id(thing)) or _stand_for(thing, reason)
                found[name] = stands[id(thing)] = known
        self._stands = stands
        return found

    def put(self, values):
        """Nothing of it can be had elsewhere."""


class Staying:
    """Stands for something that stays on its machine."""

    def __init__(self, thing, reason):
        self.thing = thing
        self._reason = reason

    def __reduce__(self):
        raise StaysError(self, self._reason)


def _stand_for(thing, reason):
    """Return something that stays, under the name of the type of ``thing``, which is told."""
    kind = type(thing)
    named = type(kind.__name__, (Staying,), {"__module__": kind.__module__})
    return named(thing, reason)


def refuse_run(pickler, run):
    """Raise: it can be packed, and then is one that logs nothing."""
    raise StaysError(run, _ONE_PROCESS.format("wandb.init(id=…, resume='must')"))


def _get_duckdb(duckdb):
    connection = duckdb.default_connection()
    # What runs on the user's own would end a query whose rows were not all fetched.
    tables = connection.cursor().execute("select 1 from information_schema.tables limit 1")
    return connection if tables.fetchone() else None


def _get_mlflow(fluent):
    return fluent.active_run()


def _get_wandb(wandb):
    return wandb.run


def _get_sql(connection):
    return connection.ConnectionManager.current


#: What a person calls it -> (module that is imported where it may be, what finds it, why it stays).
_ROWS = {
    "tables of DuckDB's default connection": (
        *("duckdb", _get_duckdb),
        "a database in memory belongs to one process: give `duckdb.connect` a file",
    ),
    "the run of MLflow": (
        *("mlflow.tracking.fluent", _get_mlflow),
        _ONE_PROCESS.format("mlflow.start_run(run_id=…)"),
    ),
    "the run of Weights & Biases": (
        *("wandb", _get_wandb),
        _ONE_PROCESS.format("wandb.init(id=…, resume='must')"),
    ),
    "the connection of %sql": (
        *("sql.connection", _get_sql),
        "an open connection belongs to one machine: connect again",
    ),
}
