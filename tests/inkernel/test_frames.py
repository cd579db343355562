"""Frames of polars: whatever they hold comes over, and little is kept where little changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.envs.rig import Env
from tests.inkernel.rig import Pair

pytest.importorskip("polars")

#: Names and columns of every type, short and long.
COLUMNS = """\
import datetime as dt, decimal, numpy as np, polars as pl
def columns(n):
    at, day = range(n), dt.date(2024, 2, 29)
    whole = [pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.Int128, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64]
    made = [pl.Series(f"{kind}", [i % 100 for i in at], dtype=kind) for kind in whole]
    made += [pl.Series(f"{kind}", [i / 3 for i in at], dtype=kind) for kind in (pl.Float32, pl.Float64)]
    seconds = [dt.datetime(2024, 2, 29) + dt.timedelta(seconds=i) for i in at]
    made += [
        pl.Series("nan", [float("nan"), -0.0, float("inf")] * n),
        pl.Series("nulls", [None if i % 3 else i for i in at], dtype=pl.Int64),
        pl.Series("nothing", [None] * n),
        pl.Series("true", [i % 2 == 0 for i in at], dtype=pl.Boolean),
        pl.Series("text", [f"a text that is long {i}" if i % 2 else None for i in at], dtype=pl.String),
        pl.Series("bytes", [b"\\0" * (i % 20) for i in at], dtype=pl.Binary),
        pl.Series("day", [day + dt.timedelta(days=i) for i in at], dtype=pl.Date),
        pl.Series("time", [dt.time(i % 24) for i in at], dtype=pl.Time),
        pl.Series("took", [dt.timedelta(microseconds=i) for i in at], dtype=pl.Duration("us")),
        pl.Series("ms", seconds, dtype=pl.Datetime("ms")),
        pl.Series("ns", seconds, dtype=pl.Datetime("ns")),
        pl.Series("zone", seconds, dtype=pl.Datetime("us")).dt.replace_time_zone("Europe/Berlin"),
        pl.Series("money", [decimal.Decimal(i) / 100 for i in at], dtype=pl.Decimal(20, 2)),
        pl.Series("kind", [f"k{i % 5}" for i in at], dtype=pl.Categorical),
        pl.Series("enum", ["ab"[i % 2] for i in at], dtype=pl.Enum(["b", "a"])),
        pl.Series("list", [list(range(i % 4)) for i in at], dtype=pl.List(pl.Int64)),
        pl.Series("array", [[i, i] for i in at], dtype=pl.Array(pl.Int32, 2)),
        pl.Series("struct", [{"x": i, "y": str(i)} for i in at], dtype=pl.Struct({"x": pl.Int64, "y": pl.String})),
        pl.concat([pl.Series("parts", list(at), dtype=pl.Int64)] * 3, rechunk=False),
        pl.Series("up", list(at), dtype=pl.Int64).sort(),
        pl.Series("down", list(at), dtype=pl.Int64).sort(descending=True),
        pl.Series("part", list(range(2 * n)), dtype=pl.Int64).slice(n // 2, n),
    ]
    return {series.name: series for series in made}
def order(series):
    return {name: is_so for name, is_so in series.flags.items() if name.startswith("SORTED")}
"""  # noqa: E501 - a column a line
MADE = "kept = {n: columns(n) for n in (0, 1, 7, 3000)}"
SAME = """\
for n, found in kept.items():
    for name, series in columns(n).items():
        got = found[name]
        assert type(got) is pl.Series and got.name == name and got.dtype == series.dtype, (n, name)
        assert got.equals(series, check_dtypes=True, null_equal=True) or name == "nan", (n, name)
        assert got.to_list() == series.to_list() or name == "nan", (n, name)
        assert order(got) == order(series), (n, name, order(got), order(series))
    bits = found["nan"].to_numpy().view(np.int64), columns(n)["nan"].to_numpy().view(np.int64)
    assert (bits[0] == bits[1]).all()
"""


def test_a_column_of_any_type_comes_over(pair: Pair) -> None:
    """A column would have other values, or another type."""
    pair.cell(COLUMNS)
    pair.cell(MADE)
    assert pair.problems == {}
    pair.a.check(SAME)
    assert pair.back()["left_behind"] == {}
    pair.b.check(SAME)


def test_frames_queries_and_what_they_share(pair: Pair) -> None:
    """Two names for one frame would be two; a slice would see what is written to the whole."""
    pair.cell(
        "import polars as pl\n"
        "df = pl.DataFrame({'a': range(5000), 'b': [str(i) for i in range(5000)]})\n"
        "same, part, none, wide = df, df.slice(10, 3000), pl.DataFrame(), pl.DataFrame({'a': []})\n"
        "lazy = df.lazy().filter(pl.col('a') > 4990).select('b')\n"
        "rule = pl.col('a') * 2; grouped = df.group_by(pl.col('a') % 2)"
    )
    pair.cell("df[10, 'a'] = -1; df.insert_column(0, pl.Series('c', [1.5] * 5000))")
    assert pair.problems == {}
    check = (
        "assert same is df and df.columns == ['c', 'a', 'b'] and df[10, 'a'] == -1\n"
        "assert part[0, 'a'] == 10 and part.height == 3000 and part.columns == ['a', 'b']\n"
        "assert none.shape == (0, 0) and wide.shape == (0, 1) and wide.columns == ['a']\n"
        "assert lazy.collect()['b'].to_list() == [str(i) for i in range(4991, 5000)]\n"
        "assert df.select(rule)['a'][4999] == 9998 and grouped.len().height == 2\n"
        "df[11, 'a'] = -2; assert part[1, 'a'] == 11 and same[11, 'a'] == -2; df[11, 'a'] = 11"
    )
    pair.a.check(check)
    pair.back()
    pair.b.check(check)


def test_one_number_of_a_long_column_costs_one_chunk(pair: Pair) -> None:
    """Each cell would send the frame."""
    pair.cell(
        "import numpy as np, polars as pl\n"
        "df = pl.DataFrame({'a': np.random.rand(10**6), 'b': np.random.rand(10**6)})"
    )
    before = pair.chunks()
    pair.cell("df.shape")
    assert pair.chunks() == before
    pair.cell("df[77, 'b'] = 0.5")
    assert len(pair.chunks() - before) == 1
    pair.a.check("assert df[77, 'b'] == 0.5")


def test_a_column_of_python_objects_stays_and_says_so(pair: Pair) -> None:
    """The rest of the notebook would stay with it."""
    manifest = pair.cell("import polars as pl; s = pl.Series([object()], dtype=pl.Object); x = 1")
    assert manifest["left_behind"].keys() == {"s"}
    pair.a.check("assert x == 1")


def test_frames_need_no_numpy(tmp_path: Path) -> None:
    """polars does not, and panics on stderr where it is asked for what needs it."""
    env = Env.make(tmp_path / "env")
    env.install("ipykernel", "polars")
    pair = Pair(tmp_path, Path(env.python))
    try:
        pair.cell(
            "import polars as pl\n"
            "df = pl.DataFrame({'a': range(3000), 's': [str(i) for i in range(3000)]})"
        )
        assert pair.b.shown() == ""
        assert pair.problems == {}
        pair.a.check("import sys; assert df[7].row(0) == (7, '7') and 'numpy' not in sys.modules")
    finally:
        pair.stop()
