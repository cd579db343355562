"""Libraries that a cell sets up by a call: what that changed is in no variable, and travels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.inkernel.rig import Pair
from tests.inkernel.traps import read_traps
from tests.suites.pythons import environment, interpreters, sys_minor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: pandas stands for those that change the classes of another when they are imported.
WANTED = (
    *("ipykernel", "pandas", "altair", "plotly", "bokeh", "holoviews", "hvplot", "xarray", "dask"),
    *("jax", "nest_asyncio", "rich"),
)

#: Where each cell runs, and the check twice: a switch after every cell.
ROUTE = "baba"

TRAPS = read_traps("""
# numbers of jax
import jax, jax.numpy as jnp
jax.config.update('jax_enable_x64', True)
x = jnp.arange(3.0) / 3; w = {'a': x}
@jax.jit
def f(a): return a * 2 + 1
---
y = f(x)
---
assert x.dtype == y.dtype == jnp.ones(2).dtype == 'float64' and w['a'] is x
assert float(x[1]) == 1 / 3 and f(y)[0] == 3

# charts of altair
import altair as alt
alt.data_transformers.disable_max_rows()
---
alt.theme.enable('dark')
---
assert alt.data_transformers.options == {'max_rows': None} and alt.theme.active == 'dark'

# defaults of plotly
import plotly.io as pio
pio.renderers.default = 'json'; pio.templates.default = 'ggplot2'
---
a = 1
---
assert (pio.renderers.default, pio.templates.default) == ('json', 'ggplot2')

# bokeh shows in the notebook
from bokeh.io import output_notebook
output_notebook(hide_banner=True)
---
from bokeh.io.state import curstate
---
assert curstate().notebook and curstate().notebook_type == 'jupyter'

# holoviews draws with bokeh
import holoviews as hv
hv.extension('bokeh')
---
curve = hv.Curve([1, 2, 3])
---
assert (hv.Store.current_backend, hv.Store.loaded_backends()) == ('bokeh', ['bokeh'])
assert hv.render(curve)

# a module that is imported for what it does elsewhere, and takes itself out again
import hvplot.pandas
import pandas as pd
---
df = pd.DataFrame({'a': [1]})
---
assert df.hvplot.line()

# options of xarray
import xarray as xr
xr.set_options(display_style='text', keep_attrs=True)
---
a = 1
---
assert (xr.get_options()['display_style'], xr.get_options()['keep_attrs']) == ('text', True)

# configuration of dask
import dask
dask.config.set({'scheduler': 'sync', 'array.chunk-size': '1MiB'})
---
a = 1
---
assert (dask.config.get('scheduler'), dask.config.get('array.chunk-size')) == ('sync', '1MiB')

# loops within loops
import nest_asyncio, asyncio
nest_asyncio.apply()
---
async def main(): return 5
---
assert asyncio.run(main()) == 5

# rich shows results and errors
from rich import pretty, traceback
pretty.install(); traceback.install()
---
a = {'a': 1}
---
shell = get_ipython()
assert type(shell.display_formatter.formatters['text/plain']).__module__ == 'rich.pretty'
assert shell.showtraceback.__module__ == 'rich.traceback'
""")


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with all of these."""
    folder = tmp_path_factory.mktemp("libraries")
    return environment(folder / "env", interpreters()[sys_minor()], *WANTED).python


@pytest.fixture
def pair(python: Path, tmp_path: Path) -> Iterator[Pair]:
    """Two kernels in which nothing is imported yet."""
    pair = Pair(tmp_path, python)
    pair.a.patience = pair.b.patience = 120
    yield pair
    pair.stop()


@pytest.mark.parametrize("name", TRAPS)
def test_a_library_stays_as_it_was_set_up(pair: Pair, name: str) -> None:
    """Figures would go to a file, numbers lose half their digits, loops raise."""
    cells, check = TRAPS[name]
    assert not any(pair.journey([*cells, check, check], ROUTE))
    pair.a.assert_ok()
    pair.b.assert_ok()
