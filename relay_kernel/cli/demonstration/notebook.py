"""The notebook that the demo runs: a small classifier, trained with plain numpy.

It holds on purpose what makes state hard to move: a class of the notebook, two names for one
object, functions that look their globals up when they are called, objects changed in place, and
random generators that go on. It is seeded, so every run of it gives the same values.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

#: Seconds that one epoch of the long cell takes: long enough to watch it, and to pull the plug.
PACE = 0.35


@dataclass(frozen=True)
class Cell:
    """One code cell."""

    title: str
    code: str


_IMPORTS = Cell(
    "Imports, and seeds for all random generators",
    """\
import random
import time

import numpy as np

random.seed(7)
np.random.seed(11)
rng = np.random.default_rng(2020)
""",
)
_DATA = Cell(
    "Make the data: two half moons with noise",
    """\
def half_moons(count, noise):
    angle = rng.uniform(0, np.pi, count)
    side = np.arange(count) % 2
    x = np.where(side, 1 - np.cos(angle), np.cos(angle))
    y = np.where(side, 0.5 - np.sin(angle), np.sin(angle))
    return np.column_stack([x, y]) + rng.normal(0, noise, (count, 2)), side.astype(float)

inputs, labels = half_moons(800, 0.15)
test_inputs, test_labels = half_moons(200, 0.15)
inputs.shape, float(labels.mean())
""",
)
_MODEL = Cell(
    "A class of the notebook: the model",
    """\
class Model:
    def __init__(self, hidden):
        self.weights = [rng.normal(0, 1, (2, hidden)), rng.normal(0, 0.3, hidden)]
        self.biases = [np.zeros(hidden), np.zeros(())]
        self.momenta = [np.zeros_like(p) for p in self.parameters()]
        self.epochs = 0

    def parameters(self):
        return [*self.weights, *self.biases]

    def hidden(self, x):
        return np.tanh(x @ self.weights[0] + self.biases[0])

    def forward(self, x):
        return 1 / (1 + np.exp(-(self.hidden(x) @ self.weights[1] + self.biases[1])))

    def step(self, x, y):
        error = (self.forward(x) - y) / len(y)
        hidden = self.hidden(x)
        inner = np.outer(error, self.weights[1]) * (1 - hidden**2)
        slopes = [x.T @ inner, hidden.T @ error, inner.sum(0), error.sum()]
        for value, momentum, slope in zip(self.parameters(), self.momenta, slopes):
            momentum *= inertia
            momentum -= rate * slope
            value += momentum
""",
)
_SETUP = Cell(
    "Make the model; a second name for its weights",
    """\
model = Model(hidden=24)
weights = model.weights
history = []
best = {"loss": np.inf, "epoch": 0}
rate, inertia = 0.3, 0.9
""",
)
_FUNCTIONS = Cell(
    "Functions that use the notebook's globals",
    """\
def loss():
    p = np.clip(model.forward(test_inputs), 1e-9, 1 - 1e-9)
    return float(-np.mean(test_labels * np.log(p) + (1 - test_labels) * np.log(1 - p)))

def accuracy():
    return float(np.mean((model.forward(test_inputs) > 0.5) == test_labels))

def epoch(size=50):
    order = rng.permutation(len(inputs))
    for start in range(0, len(order), size):
        batch = order[start : start + size]
        model.step(inputs[batch], labels[batch])
    model.epochs += 1
    history.append(loss())
    if history[-1] < best["loss"]:
        best.update(loss=history[-1], epoch=model.epochs)

loss()
""",
)
_WARM_UP = Cell(
    "Train for 3 epochs",
    """\
for turn in range(3):
    epoch()
history
""",
)
_TRAINING = Cell(
    "Train for 14 epochs, slowly",
    f"""\
for turn in range(14):
    epoch()
    time.sleep({PACE})  # so that there is something to watch
    print(f"epoch {{model.epochs:2d}}  loss {{history[-1]:.6f}}  accuracy {{accuracy():.1%}}")
""",
)
_EVALUATION = Cell(
    "Evaluate, with a look at an old Out",
    """\
print(f"best loss {best['loss']:.6f} in epoch {best['epoch']}; before training {Out[5]:.6f}")
sample = random.sample(range(len(test_inputs)), 5)
accuracy()
""",
)
_SLOWER = Cell(
    "A lower rate, seen by the old functions",
    """\
rate = 0.05
for turn in range(3):
    epoch()
_, history[-1]
""",
)
_ALIASES = Cell(
    "Two names for one list: is it still one?",
    """\
weights[1][:3] *= 1.01
print(weights is model.weights, isinstance(model, Model), len(history))
history.append(loss())
""",
)
_FINAL = Cell(
    "The last epochs, and the next random numbers",
    """\
for turn in range(3):
    epoch()
print(f"epoch {model.epochs}  loss {history[-1]:.6f}  accuracy {accuracy():.1%}")
rng.integers(1000, size=3).tolist(), np.random.rand(), random.random()
""",
)

CELLS = (
    *(_IMPORTS, _DATA, _MODEL, _SETUP, _FUNCTIONS, _WARM_UP, _TRAINING),
    *(_EVALUATION, _SLOWER, _ALIASES, _FINAL),
)

#: The cell in which the plug is pulled.
TRAINING = CELLS.index(_TRAINING)

#: The first cell that waits until the PC is back.
RETURN = CELLS.index(_ALIASES)

#: Expressions that show what functions and methods do; they change nothing that lasts.
PROBES = (
    "loss()",
    "accuracy()",
    "model.forward(np.ones((3, 2)))",
    "weights is model.weights",
    "isinstance(model, Model)",
    "loss.__globals__ is globals()",
)


def as_ipynb(introduction: str) -> str:
    """The notebook as the text of an ``.ipynb``, to be run by the kernelspec ``relay``.

    Args:
        introduction: Markdown, for a cell of its own above the others.
    """
    cells = [_ipynb_cell("markdown", "introduction", introduction)]
    for number, cell in enumerate(CELLS, 1):
        cells.append(_ipynb_cell("markdown", f"title-{number}", f"**{cell.title}**"))
        cells.append(_ipynb_cell("code", f"cell-{number}", cell.code.rstrip("\n")))
    kernelspec = {"name": "relay", "display_name": "Python 3 (relay)", "language": "python"}
    document = {
        "cells": cells,
        "metadata": {"kernelspec": kernelspec, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(document, indent=1)


def _ipynb_cell(kind: str, name: str, text: str) -> dict[str, object]:
    cell: dict[str, object] = {"cell_type": kind, "id": name, "metadata": {}, "source": text}
    return cell | {"execution_count": None, "outputs": []} if kind == "code" else cell
