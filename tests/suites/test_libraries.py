"""Libraries that a cell sets up by a call, or of which it holds a part: both travel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.inkernel.traps import read_traps
from tests.suites.pythons import environment, interpreters, sys_minor

if TYPE_CHECKING:
    from pathlib import Path

    from tests.inkernel.rig import Pair

#: pandas stands for those that change the classes of another when they are imported.
WANTED = (
    *("ipykernel", "pandas", "altair", "plotly", "bokeh", "holoviews", "hvplot", "xarray", "dask"),
    *("jax", "nest_asyncio", "rich", "structlog", "mpmath", "fastapi", "pydantic"),
    *("beautifulsoup4", "pillow", "matplotlib", "duckdb", "jupysql", "mlflow-skinny", "wandb"),
    *("rdkit", "flax", "equinox"),
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

# a call that no row knows
import structlog
said = []
def keep(logger, method, event): said.append(event['event']); raise structlog.DropEvent
structlog.configure(processors=[structlog.processors.add_log_level, keep])
log = structlog.get_logger()
---
log.info('a')
---
log.info('b'); assert said[:2] == ['a', 'b']

# an object of a library that cells set up by its attributes
from mpmath import mp, mpf
mp.dps = 50
---
third = mpf(1) / 3
---
import mpmath
assert mp is mpmath.mp and mp.dps == 50 and str(mpf(1) / 3 - third) == '0.0'

# what is registered by a decorator
import jax, xarray as xr
@jax.tree_util.register_pytree_node_class
class Pair:
    def __init__(self, a, b): self.a, self.b = a, b
    def tree_flatten(self): return (self.a, self.b), None
    @classmethod
    def tree_unflatten(cls, aux, parts): return cls(*parts)
@xr.register_dataset_accessor('rk')
class Accessor:
    def __init__(self, dataset): self.size = len(dataset)
---
pair = Pair(1.0, 2.0)
---
twice = jax.tree_util.tree_map(lambda x: x * 2, pair)
assert type(twice) is Pair and (twice.a, twice.b) == (2, 4) and xr.Dataset().rk.size == 0

# a font, a scale and a unit
import matplotlib.font_manager as fonts, matplotlib.scale as scales, matplotlib.units as units
path = fonts.findfont('DejaVu Sans')
class Square(scales.LinearScale):
    name = 'square'
class Metres: pass
class Converts(units.ConversionInterface): pass
---
fonts.fontManager.addfont(path); scales.register_scale(Square)
units.registry[Metres] = Converts()
---
assert [font.fname for font in fonts.fontManager.ttflist].count(path) > 1
assert 'square' in scales.get_scale_names() and type(units.registry[Metres]) is Converts

# a page and its tags
from bs4 import BeautifulSoup
page = BeautifulSoup('<p>a<b>c</b></p><i>d</i>', 'html.parser'); b = page.b; text = page.i.string
---
b.string = 'e'
---
b['id'] = 'x'; text.replace_with('f')
assert page.find(id='x') is b and '<i>' in str(page) and page.i.string == 'f' and page.new_tag('u')
page.i.string.replace_with(text)

# models of pydantic, also generic ones
from typing import Generic, Optional, TypeVar
from pydantic import BaseModel, Field, PrivateAttr, ValidationError
T = TypeVar('T')
class Box(BaseModel, Generic[T]):
    item: T
class Node(BaseModel):
    size: int = Field(ge=0); next: 'Optional[Node]' = None
    _seen: int = PrivateAttr(default=0)
---
box = Box[int](item=4); node = Node(size=1, next=Node(size=2)); node._seen = 9
---
assert type(box) is Box[int] and node._seen == 9 and Node(size=3, next=node).next is node
try: Node(size=-1); raise SystemError
except ValidationError: pass

# an application
import fastapi
api = fastapi.FastAPI()
@api.get('/one')
def one(): return 1
---
routes = len(api.routes)
---
assert len(api.routes) == routes and api.url_path_for('one') == '/one'

# what draws on a picture
from PIL import Image, ImageDraw
picture = Image.new('RGB', (20, 20), 'red'); draw = ImageDraw.Draw(picture)
---
draw.rectangle([0, 0, 5, 5], fill='blue')
---
draw.rectangle([10, 10, 12, 12], fill='white')
assert (picture.getpixel((1, 1)), picture.getpixel((11, 11))) == ((0, 0, 255), (255, 255, 255))

# states of training that JAX takes apart, of flax
import jax, jax.numpy as jnp, optax, flax.linen as nn
from flax import serialization, struct
from flax.training import train_state
class State(train_state.TrainState):
    counts: dict
@struct.dataclass
class Box:
    a: jax.Array
    n: int = struct.field(pytree_node=False, default=3)
net, x, box = nn.Dense(1), jnp.ones((4, 3)), Box(jnp.ones(2))
weights = net.init(jax.random.key(0), x)
counts = {'m': jnp.zeros(2)}; adam = optax.adam(.1)
state = State.create(apply_fn=net.apply, params=weights, tx=adam, counts=counts)
@jax.jit
def step(state, x):
    loss = lambda weights: jnp.mean((state.apply_fn(weights, x) - 1) ** 2)
    now, slope = jax.value_and_grad(loss)(state.params)
    return state.apply_gradients(grads=slope), now
state, now = step(state, x); losses = [float(now)]
---
state, now = step(state, x); losses.append(float(now)); box = box.replace(a=box.a + 1)
---
state, now = step(state, x); losses.append(float(now)); assert int(state.step) == len(losses)
assert losses[-1] < losses[0] and jax.tree.map(lambda leaf: leaf * 2, box).a[0] == 4 and box.n == 3
said = serialization.to_state_dict(state); assert set(said) >= {'params', 'counts', 'step'}
path = jax.tree_util.tree_flatten_with_path(box)[0][0][0]; assert jax.tree_util.keystr(path) == '.a'

# modules of equinox
import jax, jax.numpy as jnp, equinox as eqx
class Line(eqx.Module):
    w: jax.Array
    n: int = eqx.field(static=True)
    def __init__(self, n): self.w = jnp.ones(n); self.n = n
    def __call__(self, x): return jnp.dot(self.w, x)
line, x = Line(3), jnp.ones(3); losses = []
@eqx.filter_jit
def step(line, x):
    now, slope = eqx.filter_value_and_grad(lambda line: (line(x) - 1) ** 2)(line)
    return jax.tree.map(lambda old, by: old - .1 * by, line, slope), now
line, now = step(line, x); losses.append(float(now))
---
line, now = step(line, x); losses.append(float(now)); other = Line(2)
---
line, now = step(line, x); losses.append(float(now)); assert losses[-1] < losses[0]
assert Line(2) == other and type(other) is Line and len(jax.tree.leaves(line)) == 1

# molecules and their properties
from rdkit import Chem
mol = Chem.MolFromSmiles('CCO'); mol.SetProp('k', 'v'); mol.GetAtomWithIdx(0).SetProp('a', 'b')
mol.note = [1]; same = [mol, mol]; other = Chem.RWMol(mol)
---
mol.SetIntProp('n', 3)
---
assert same[0] is same[1] is mol and (mol.GetProp('k'), mol.GetIntProp('n')) == ('v', 3)
assert mol.GetAtomWithIdx(0).GetProp('a') == 'b' and mol.note == [1] and type(other) is Chem.RWMol

# arrays of jax
import jax, jax.numpy as jnp, numpy as np
a = jnp.arange(5_000.0); view = np.asarray(a)
held = {'a': a, 'i': jnp.int8(3), 'bool': jnp.array([True])}
half = jnp.ones((3,), jnp.bfloat16); weak = jax.jit(lambda: 3.0)(); empty = jnp.zeros((0, 2))
key = jax.random.key(0)
---
key, part = jax.random.split(key); b = a.at[0].set(5)
---
assert held['a'] is a and b[0] == 5 and half.dtype == (weak + half).dtype == jnp.bfloat16
assert view[3] == 3 and held['i'].dtype == jnp.int8 and held['bool'].dtype == bool
assert empty.shape == (0, 2) and jax.random.normal(part, (2,)).shape == (2,)
""")


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with all of these."""
    folder = tmp_path_factory.mktemp("libraries")
    return environment(folder / "env", interpreters()[sys_minor()], *WANTED).python


#: Cells -> what they leave at a library, in no variable -> what its reason tells to do.
SERVICES = {
    "import duckdb; r = duckdb.sql('create table t as select 42 as x')": (
        *("tables of DuckDB's default connection", "`duckdb.connect` a file"),
    ),
    "import os; os.environ['MLFLOW_ALLOW_FILE_STORE'] = 'true'; import mlflow\n"
    "mlflow.set_tracking_uri('file:@DIR@/runs'); r = mlflow.start_run()": (
        *("the run of MLflow", "mlflow.start_run(run_id=…)"),
    ),
    "import wandb; r = wandb.init(mode='disabled', dir='@DIR@')": (
        *("the run of Weights & Biases", "wandb.init(id=…, resume='must')"),
    ),
    "get_ipython().run_line_magic('load_ext', 'sql')\n%sql sqlite://\nr = 1": (
        *("the connection of %sql", "connect again"),
    ),
}


@pytest.mark.parametrize("cell", SERVICES)
def test_what_a_library_keeps_on_one_machine_is_told(pair: Pair, cell: str, tmp_path: Path) -> None:
    name, advice = SERVICES[cell]
    pair.cell("x = 1")
    told = pair.cell(cell.replace("@DIR@", str(tmp_path)))["left_behind"]
    assert advice in told[name]["reason"]
    assert "Staying" not in told[name]["type"]
    assert pair.cell("x = 2")["left_behind"] == told
    pair.a.check("assert x == 2")


@pytest.mark.parametrize("name", TRAPS)
def test_a_library_stays_as_it_was_set_up(pair: Pair, name: str) -> None:
    """Figures would go to a file, numbers lose half their digits, loops raise."""
    cells, check = TRAPS[name]
    assert not any(pair.journey([*cells, check, check], ROUTE))
    pair.a.assert_ok()
    pair.b.assert_ok()
