"""Random numbers of TensorFlow and Keras: what a seed was set for goes on where it was."""

from __future__ import annotations

import importlib
import random
import sys

from .section import Section

_CONTEXT = "tensorflow.python.eager.context"
_STATEFUL = "tensorflow.python.ops.stateful_random_ops"
_GLOBAL_STATE = "keras.src.backend.common.global_state"


class TensorflowRandom(Section):
    """What ``tf.random.set_seed`` began, and ``tf.random.get_global_generator``."""

    name = "tensorflow_random"

    def take(self):
        """Return a blob of seed and state, and of algorithm and state; nothing without a seed."""
        context = getattr(sys.modules.get(_CONTEXT), "context", None)
        stateful = sys.modules.get(_STATEFUL)
        if context is None or stateful is None:
            return None
        seed, own = context()._seed, getattr(context(), "_rng", None)
        seeded = None if seed is None or own is None else (seed, own.getstate())
        generator = stateful.global_generator
        if generator is not None:
            generator = int(generator.algorithm), generator.state.numpy().tolist()
        return self.pack((seeded, generator)) if seeded or generator else None

    def put(self, wire):
        """Go on there."""
        if not wire or wire == self.take():
            return
        random_of = importlib.import_module("tensorflow").random
        seeded, generator = self.unpack(wire)
        if seeded:
            random_of.set_seed(seeded[0])
            context = sys.modules[_CONTEXT].context()
            context._rng = random.Random()
            context._rng.setstate(seeded[1])
        if generator:
            made = random_of.Generator.from_state(generator[1], generator[0])
            random_of.set_global_generator(made)


class KerasRandom(Section):
    """The generator of Keras that is used where none is given."""

    name = "keras_random"

    def take(self):
        """Return its state, where it was used."""
        module = sys.modules.get(_GLOBAL_STATE)
        if not hasattr(module, "get_global_attribute"):
            return None
        generator = module.get_global_attribute("global_seed_generator")
        if generator is None or "keras" not in sys.modules:
            return None
        return sys.modules["keras"].ops.convert_to_numpy(generator.state).tolist()

    def put(self, wire):
        """Set its state."""
        if wire and wire != self.take():
            importlib.import_module("keras")
            seeds = importlib.import_module("keras.src.random.seed_generator")
            seeds.global_seed_generator().state.assign(wire)
