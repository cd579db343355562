"""Random numbers: every generator that is global goes on where it was."""

from __future__ import annotations

import importlib
import random
import sys

from .section import NotHere, Section


class Random(Section):
    """``random``."""

    name = "random"

    def __init__(self, state):
        super().__init__(state)
        self._known = None

    def take(self):
        """Return a blob of the state."""
        now = random.getstate()
        if self._known is None or self._known[0] != now:
            self._known = (now, self.pack(now))
        return self._known[1]

    def put(self, wire):
        """Set the state."""
        if wire and wire != self.take():
            random.setstate(self.unpack(wire))

    def distrust(self):
        """Believe no more that the state is in the store."""
        super().distrust()
        self._known = None


class NumpyRandom(Section):
    """NumPy's global generator."""

    name = "numpy_random"

    def take(self):
        """Return a blob of the state."""
        module = sys.modules.get("numpy.random")
        return module and self.pack(module.get_state(legacy=False))

    def put(self, wire):
        """Set the state."""
        if wire:
            importlib.import_module("numpy.random").set_state(self.unpack(wire))


class TorchRandom(Section):
    """Torch's generator on the CPU."""

    name = "torch_random"

    def take(self):
        """Return a blob of the state."""
        torch = sys.modules.get("torch")
        return hasattr(torch, "get_rng_state") and self.pack(_bytes(torch.get_rng_state()))

    def put(self, wire):
        """Set the state."""
        if wire:
            torch = importlib.import_module("torch")
            torch.set_rng_state(_tensor(torch, self.unpack(wire)))


class TorchCudaRandom(Section):
    """Torch's generators on the GPUs, where GPUs are in use."""

    name = "torch_cuda_random"

    def take(self):
        """Return a blob of the states."""
        cuda = sys.modules.get("torch.cuda")
        if not hasattr(cuda, "get_rng_state_all") or not cuda.is_initialized():
            return None
        return self.pack([_bytes(state) for state in cuda.get_rng_state_all()])

    def put(self, wire):
        """Set the states of as many GPUs as there are here."""
        if not wire:
            return
        torch = importlib.import_module("torch")
        if not torch.cuda.is_available():
            raise NotHere
        states = self.unpack(wire)
        for number in range(min(len(states), torch.cuda.device_count())):
            torch.cuda.set_rng_state(_tensor(torch, states[number]), number)


def _bytes(tensor):
    try:
        return tensor.numpy().tobytes()
    except RuntimeError:  # torch without NumPy
        return bytes(tensor.tolist())


def _tensor(torch, data):
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)


class LibraryRandom(Section):
    """Generators that are attributes of imported libraries, such as ``faker.generator.random``.

    Those of the user's own modules are data of these.
    """

    name = "library_random"

    def __init__(self, state):
        super().__init__(state)
        self._looked = set(sys.modules)
        self._count = len(sys.modules)
        #: (module, attribute) -> generator
        self._found = {}

    def take(self):
        """Return a blob of (module, attribute) -> state."""
        self._look()
        self._found = {at: one for at, one in self._found.items() if _found(*at) is one}
        return self._found and self.pack({at: _state(one) for at, one in self._found.items()})

    def _look(self):
        if len(sys.modules) == self._count:
            return
        kinds = _kinds()
        known = {id(random._inst), *map(id, self._found.values())}
        for name in sys.modules.keys() - self._looked:
            module = sys.modules.get(name)
            if name.startswith("numpy.random") or self.state.modules.is_users(name, module):
                continue
            for attribute, value in list(getattr(module, "__dict__", {}).items()):
                if type(value) in kinds and id(value) not in known and not _is_numpys(value):
                    self._found[name, attribute] = value
                    known.add(id(value))
        self._looked, self._count = set(sys.modules), len(sys.modules)

    def put(self, wire):
        """Set the states, and say which generators are not here."""
        missing = []
        for (name, attribute), state in (self.unpack(wire) if wire else {}).items():
            try:
                found = getattr(importlib.import_module(name), attribute)
                _set_state(found, state)
                self._found[name, attribute] = found
            except Exception:
                missing.append(f"{name}.{attribute}")
        if missing:
            raise LookupError(f"random generators that are not here: {', '.join(missing)}")


def _kinds():
    numpy = sys.modules.get("numpy.random")
    if not hasattr(numpy, "Generator"):
        return (random.Random,)
    return random.Random, numpy.RandomState, numpy.Generator


def _found(module, attribute):
    return getattr(sys.modules.get(module), attribute, None)


def _is_numpys(value):
    return value is getattr(sys.modules.get("numpy.random.mtrand"), "_rand", None)


def _state(generator):
    if isinstance(generator, random.Random):
        return generator.getstate()
    if hasattr(generator, "bit_generator"):
        return generator.bit_generator.state
    return generator.get_state(legacy=False)


def _set_state(generator, state):
    if isinstance(generator, random.Random):
        generator.setstate(state)
    elif hasattr(generator, "bit_generator"):
        generator.bit_generator.state = state
    else:
        generator.set_state(state)
