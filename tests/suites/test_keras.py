"""Models of Keras and functions of TensorFlow: one thing stays one thing, and training goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.inkernel.traps import read_traps
from tests.suites.pythons import environment, interpreters, sys_minor

if TYPE_CHECKING:
    from pathlib import Path

    from tests.inkernel.rig import Pair

WANTED = ("ipykernel", "keras", "jax", "tensorflow-cpu")
#: Where each cell runs, and the check twice: a switch after every cell.
ROUTE = "baba"
SET = "import os; os.environ['KERAS_BACKEND'] = '{}'; os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'"

#: On either backend.
MODELS = read_traps("""
# layers, a model within a model, and its optimizer
import keras, numpy as np
keras.config.disable_interactive_logging()
base = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)]); base.trainable = False
class Sum(keras.layers.Layer):
    def call(self, x): return keras.ops.sum(x, axis=-1, keepdims=True)
def loss(y, p): return keras.ops.mean((y - p) ** 2)
model = keras.Sequential([keras.Input((3,)), base, keras.layers.Dense(1), Sum()])
adam = keras.optimizers.Adam(.01); model.compile(adam, loss); dense = base.layers[0]
---
x, y = np.ones((4, 3)), np.ones(4); kernel = dense.get_weights()[0]
_ = model.fit(x, y, epochs=2)
---
assert model.layers[0] is base and base.layers[0] is dense and model.optimizer is adam
assert type(model.layers[2]) is Sum and not dense.trainable_weights
assert int(adam.iterations) == 2
again = keras.optimizers.SGD(.1); base.trainable = True; model.compile(again, loss)
_ = model.fit(x, y); assert not np.allclose(dense.get_weights()[0], kernel)
base.trainable = False; model.compile(adam, loss)

# two models that share layers, and what made of them
import keras, numpy as np
keras.config.disable_interactive_logging(); L = keras.layers
i = keras.Input((3,)); h = L.Dense(4, name='mid')(i); m = keras.Model(i, L.Dense(1)(h))
probe = keras.Model(m.input, h); x = np.ones((4, 3), 'f4')
m.compile('adam', 'mse', metrics=['mae']); _ = m.fit(x, x[:, 0], epochs=2)
---
_ = m.fit(x, x[:, 0]); number = 1
---
assert probe.layers[1] is m.layers[1] and probe.output is m.layers[1].output
kernel, bias = m.get_layer('mid').get_weights()
assert np.allclose(probe.predict(x), x @ kernel + bias, atol=1e-5)
assert int(m.optimizer.iterations) == 3 and L.Dense(1).name == f'dense_{number}'; number += 1
config = m.get_config(); assert len(keras.Model.from_config(config).get_weights()) == 4
m.save('@DIR@/m.keras'); back = keras.models.load_model('@DIR@/m.keras')
assert np.allclose(back.predict(x), m.predict(x), atol=1e-6)

# a generator and what judges it, each compiled by itself
import keras, numpy as np
keras.config.disable_interactive_logging(); L = keras.layers
gen = keras.Sequential([keras.Input((2,)), L.Dense(3)], name='gen')
disc = keras.Sequential([keras.Input((3,)), L.Dense(4), L.Dropout(.2), L.Dense(1)], name='disc')
disc.compile('adam', 'mse'); disc.trainable = False
z = keras.Input((2,)); gan = keras.Model(z, disc(gen(z))); gan.compile('sgd', 'mse')
noise = np.random.default_rng(0).normal(size=(8, 2)).astype('f4')
def step():
    kernel = gen.get_weights()[0]; a = disc.train_on_batch(gen.predict(noise), np.zeros((8, 1)))
    b = gan.train_on_batch(noise, np.ones((8, 1)))
    return not np.allclose(kernel, gen.get_weights()[0])
moved = [step()]
---
moved.append(step())
---
assert gan.layers[-1] is disc and int(gan.optimizer.iterations) == len(moved) and all(moved)
moved.append(step()); assert int(gan.optimizer.iterations) == len(moved) and all(moved)

# a model of the user's own class, and its history
import keras, numpy as np
keras.config.disable_interactive_logging()
class Block(keras.layers.Layer):
    def __init__(self, n, **k):
        super().__init__(**k); self.parts = {'a': keras.layers.Dense(n), 'b': keras.layers.Dense(n)}
    def build(self, shape):
        self.scale = self.add_weight(shape=(), initializer='ones'); super().build(shape)
    def call(self, x): return sum(part(x) for part in self.parts.values()) * self.scale
class Net(keras.Model):
    def __init__(self): super().__init__(); self.block = Block(3); self.out = keras.layers.Dense(1)
    def call(self, x, training=False): return self.out(self.block(x))
x, t = np.ones((4, 5), 'f4'), np.ones((4, 1), 'f4')
net = Net(); net.compile('adam', 'mse', metrics=['mae'])
history = net.fit(x, t)
---
_ = net.fit(x, t); block = net.block; kernel = block.parts['a'].kernel
---
steps = int(net.optimizer.iterations); before = net.predict(x); history = net.fit(x, t, epochs=2)
assert block is net.block and kernel is block.parts['a'].kernel
assert len(net.trainable_variables) == 7
assert not np.allclose(net.predict(x), before) and int(net.optimizer.iterations) == steps + 2
assert history.model is net

# random numbers
import keras
def draw(): return float(keras.ops.convert_to_numpy(keras.random.normal(())))
keras.utils.set_random_seed(4); expected = [draw() for _ in range(4)]
keras.utils.set_random_seed(4); drawn = [draw()]
---
drawn.append(draw())
---
drawn.append(draw()); assert drawn == expected[:len(drawn)]

# a measure that is half done
import keras
mean = keras.metrics.Mean(); mean.update_state([1., 2.])
---
mean.update_state([6.])
---
assert float(mean.result()) == 3
""")

#: On TensorFlow.
LOOPS = read_traps("""
# functions that were traced, with what they find by name
import tensorflow as tf
v = tf.Variable([1.0, 2.0])
@tf.function
def f(x): return x * v
class Module(tf.Module):
    def __init__(self): self.w = tf.Variable(2.0)
    @tf.function
    def __call__(self, x): return self.w * x
module = Module(); y, z = f(tf.constant([1.0, 2.0])), module(tf.constant(3.0))
---
y, z = f(tf.constant([1.0, 2.0])), module(tf.constant(4.0))
---
v.assign_add([3, 3]); _ = module.w.assign(5.0); ones = tf.constant([1.0, 1.0])
assert f(ones).numpy().tolist() == v.numpy().tolist() and float(module(tf.constant(2.0))) == 10

# random numbers, from a seed and of a generator
import tensorflow as tf
def own(): return float(tf.random.get_global_generator().normal(()))
def begin(): tf.random.set_seed(3); tf.random.set_global_generator(tf.random.Generator.from_seed(5))
begin(); expected = [(float(tf.random.normal(())), own()) for _ in range(4)]
begin(); drawn = [(float(tf.random.normal(())), own())]
---
drawn.append((float(tf.random.normal(())), own()))
---
drawn.append((float(tf.random.normal(())), own())); assert drawn == expected[:len(drawn)]

# a loop of training, with an optimizer of no model
import tensorflow as tf, keras, numpy as np
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(1)])
opt, mean = keras.optimizers.Adam(.01), keras.metrics.Mean()
x = tf.random.normal((16, 3)); t = tf.reduce_sum(x, 1, keepdims=True); losses = []
@tf.function
def step(x, t):
    with tf.GradientTape() as tape: loss = tf.reduce_mean((t - model(x, training=True)) ** 2)
    learnt = model.trainable_variables
    opt.apply_gradients(zip(tape.gradient(loss, learnt), learnt))
    mean.update_state(loss); return loss
losses.append(float(step(x, t))); kernel = model.layers[0].kernel
---
losses += [float(step(x, t)) for _ in range(3)]
---
before = kernel.numpy().copy(); losses.append(float(step(x, t)))
assert int(opt.iterations) == len(losses) and abs(float(mean.result()) - np.mean(losses)) < 1e-5
assert kernel is model.layers[0].kernel and not np.allclose(before, kernel.numpy())
assert sorted(losses, reverse=True) == losses

# variables and optimizers that an object of the user's has
import tensorflow as tf, keras
class Trainer:
    def __init__(self):
        rate = keras.optimizers.schedules.ExponentialDecay(.1, 10, .5)
        self.raw = tf.Variable([1.0]); self.opt = keras.optimizers.SGD(rate, momentum=.9)
        self.models = {'a': keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])}
    def step(self):
        with tf.GradientTape() as tape: loss = (self.raw - 3) ** 2
        self.opt.apply_gradients([(tape.gradient(loss, self.raw), self.raw)])
trainer = Trainer(); trainer.step(); inner = trainer.models['a'].layers[0]; n = 1
---
trainer.step(); n += 1
---
before = float(trainer.raw[0]); trainer.step(); n += 1
assert int(trainer.opt.iterations) == n and float(trainer.raw[0]) > before
assert inner is trainer.models['a'].layers[0] and float(trainer.opt.learning_rate) < .1
""")
PROGRAMS = {
    f"{name}, on {on}": (on, *MODELS[name]) for name in MODELS for on in ("jax", "tensorflow")
}
PROGRAMS |= {name: ("tensorflow", *LOOPS[name]) for name in LOOPS}


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with all of these."""
    folder = tmp_path_factory.mktemp("keras")
    return environment(folder / "env", interpreters()[sys_minor()], *WANTED).python


@pytest.mark.parametrize("name", PROGRAMS)
def test_training_goes_on_elsewhere(pair: Pair, name: str, tmp_path: Path) -> None:
    """Layers would belong to no model, and an optimizer would begin again."""
    backend, cells, check = PROGRAMS[name]
    texts = [SET.format(backend) + "\n" + cells[0], *cells[1:], check, check]
    texts = [text.replace("@DIR@", str(tmp_path)) for text in texts]
    assert not any(pair.journey(texts, ROUTE))
    pair.a.assert_ok()
    pair.b.assert_ok()
