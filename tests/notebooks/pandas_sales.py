# ruff: noqa
# %%
import numpy as np
import pandas as pd

np.random.seed(5)
days = pd.date_range("2024-01-01", periods=120, freq="D")
sales = pd.DataFrame(
    {
        "day": np.random.choice(days, 600),
        "shop": np.random.choice(["north", "south", "east"], 600),
        "amount": np.random.gamma(2.0, 20.0, 600).round(2),
    }
)
sales.shape
# %%
sales["month"] = sales["day"].dt.to_period("M")
by_shop = sales.groupby("shop")
by_shop["amount"].sum().round(2)
# %% a second table, and what joins them
shops = pd.DataFrame({"shop": ["north", "south", "west"], "head": ["Ana", "Bo", "Cy"]})
joined = sales.merge(shops, on="shop", how="left", indicator=True)
joined["_merge"].value_counts().to_dict()
# %%
table = joined.pivot_table(index="month", columns="shop", values="amount", aggfunc="sum")
table.round(1)
# %% one cell of a frame, and a frame that was copied from it before
before = sales.copy()
sales.loc[0, "amount"] = 0.0
int((before["amount"] != sales["amount"]).sum())
# %%
sales["shop"] = sales["shop"].astype("category")
levels = sales["shop"].cat.categories
week = sales.set_index("day").sort_index()["amount"].resample("W").sum()
print(list(levels), week.index[0].date(), len(week))


# %%
def top(group, n=2):
    return group.nlargest(n, "amount")


best = pd.concat(
    [top(rows.drop(columns="shop")) for _, rows in sales.groupby("shop", observed=True)]
)
best["amount"].tolist()
# %% a wrong column is an error; the frame is as it was
sales["no such column"]
# %%
multi = sales.groupby([sales["day"].dt.day_of_week, "shop"], observed=True)["amount"].agg(
    ["mean", "size"]
)
multi.loc[0].round(2)
# %%
missing = table.reindex(pd.period_range("2024-01", "2024-06", freq="M"))
filled = missing.fillna(missing.mean())
bool(filled.isna().any().any()), str(filled.index.dtype), next(iter(by_shop))[0]
