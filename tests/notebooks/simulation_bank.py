# ruff: noqa
# %%
import dataclasses
import enum
import heapq
import itertools
import random


class Kind(enum.Enum):
    ARRIVE = "arrive"
    LEAVE = "leave"


@dataclasses.dataclass(order=True)
class Event:
    time: float
    number: int
    kind: Kind = dataclasses.field(compare=False)
    customer: "Customer" = dataclasses.field(compare=False, repr=False, default=None)


# %%
class Customer:
    count = 0
    __slots__ = ("number", "arrived", "served")

    def __init__(self, arrived):
        Customer.count += 1
        self.number, self.arrived, self.served = Customer.count, arrived, None


class Bank:
    def __init__(self, seed, clerks=2):
        self.random = random.Random(seed)
        self.numbers = itertools.count(1)
        self.clerks, self.busy = clerks, 0
        self.queue, self.line, self.done = [], [], []
        self.plan(0.0, Kind.ARRIVE)

    def plan(self, after, kind, customer=None):
        heapq.heappush(self.queue, Event(after, next(self.numbers), kind, customer))

    def step(self):
        event = heapq.heappop(self.queue)
        getattr(self, event.kind.value)(event)
        return event

    def arrive(self, event):
        self.line.append(Customer(event.time))
        self.plan(event.time + self.random.expovariate(1.0), Kind.ARRIVE)
        self.serve(event.time)

    def serve(self, now):
        if self.line and self.busy < self.clerks:
            customer = self.line.pop(0)
            customer.served = now
            self.busy += 1
            self.plan(now + self.random.expovariate(0.6), Kind.LEAVE, customer)

    def leave(self, event):
        self.busy -= 1
        self.done.append(event.customer)
        self.serve(event.time)


bank = Bank(7)
len(bank.queue)
# %%
for _ in range(40):
    last = bank.step()
last.kind, Customer.count, len(bank.done)


# %% the class changes while its instances live
def waited(self):
    return self.served - self.arrived


Customer.waited = property(waited)
round(sum(c.waited for c in bank.done), 4)
# %%
trace = [bank.step() for _ in range(30)]
sum(e.kind is Kind.ARRIVE for e in trace), trace[-1].customer in bank.done


# %%
class Hurried(Bank):
    def serve(self, now):
        while len(self.line) > 3:
            self.line.pop()
        super().serve(now)


banks = [Hurried(seed, clerks=1) for seed in range(3)]
for each in banks:
    for _ in range(25):
        each.step()
[len(each.done) for each in banks], Customer.count
# %%
bank.clerks = 3
for _ in range(20):
    bank.step()
isinstance(banks[0], Bank), round(max(c.waited for c in bank.done), 4)
# %%
oldest = min(bank.done, key=lambda c: c.arrived)
oldest.number, hasattr(oldest, "__dict__"), next(bank.numbers)
