# ruff: noqa
# %%
import csv
import io
import json
import sqlite3

raw = "id,customer,item,price\n" + "\n".join(
    f"{n},{'ann bob cid'.split()[n % 3]},{'tea,cup'.split(',')[n % 2]},{n * 1.5}" for n in range(30)
)
raw.count("\n")


# %% a pipeline of generators, used up in this cell
def rows(text):
    yield from csv.DictReader(io.StringIO(text))


def typed(source):
    for row in source:
        yield {**row, "id": int(row["id"]), "price": float(row["price"])}


def cheap(source, limit):
    return (row for row in source if row["price"] <= limit)


orders = list(cheap(typed(rows(raw)), 30))
len(orders), orders[-1]
# %% a database as a file is closed again; what it says is kept as text
with sqlite3.connect(":memory:") as base:
    base.execute("create table orders (id integer, customer text, price real)")
    base.executemany("insert into orders values (:id, :customer, :price)", orders)
    totals = base.execute(
        "select customer, sum(price) from orders group by 1 order by 1"
    ).fetchall()
    dump = "\n".join(base.iterdump())
base.close()
del base
totals


# %%
def batches(items, size):
    source = iter(items)
    while batch := [item for _, item in zip(range(size), source)]:
        yield batch


sizes = [len(batch) for batch in batches(orders, 8)]
sizes
# %% an iterator over a list goes on after a cell
pending = iter(orders)
first = [next(pending)["id"] for _ in range(4)]
first
# %%
second = [next(pending)["id"] for _ in range(4)]
second
# %%
by_customer = {}
for order in orders:
    by_customer.setdefault(order["customer"], []).append(order)
by_customer["ann"][0]["price"] = 99.0
orders[0]["price"], by_customer["ann"][0] is orders[0]
# %%
text = json.dumps(by_customer, sort_keys=True)
again = json.loads(text)
again == by_customer, len(text)
# %% an order without a price stops the load in the middle
loaded = []
for order in [*orders[:2], {"id": 7}]:
    loaded.append((order["id"], order["price"]))
# %%
len(loaded), next(pending)["id"], dump.splitlines()[0]
