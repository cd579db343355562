"""How numbers are computed: precision, what is an error, default types."""

from __future__ import annotations

import importlib
import sys

from .section import NotHere, Section, changed

_SIZES = ("prec", "rounding", "Emin", "Emax", "capitals", "clamp")
_NUMPY = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}
_TORCH = {
    "dtype": "float32",
    "device": "cpu",
    "grad": True,
    "deterministic": False,
    "benchmark": False,
    "matmul": "highest",
}


class Decimal(Section):
    """The context of ``decimal``."""

    name = "decimal"

    def __init__(self, state):
        super().__init__(state)
        self._before = _decimal_now()

    def take(self):
        """Return sizes, flags and traps, if one of them was changed."""
        now = _decimal_now()
        return now if now and now != (self._before or _decimal_default()) else None

    def put(self, wire):
        """Change the context in place."""
        if not wire and "decimal" not in sys.modules:
            return
        context = importlib.import_module("decimal").getcontext()
        wanted = wire or self._before or _decimal_default()
        if wanted == _decimal_now():
            return
        for name in _SIZES:
            setattr(context, name, wanted[name])
        for name in ("flags", "traps"):
            table = getattr(context, name)
            for signal in table:
                table[signal] = signal.__name__ in wanted[name]


def _decimal_now():
    decimal = sys.modules.get("decimal")
    return _facts(decimal.getcontext()) if hasattr(decimal, "getcontext") else None


def _decimal_default():
    return _facts(sys.modules["decimal"].DefaultContext)


def _facts(context):
    sizes = {name: getattr(context, name) for name in _SIZES}
    return {**sizes, "flags": _names(context.flags), "traps": _names(context.traps)}


def _names(signals):
    return sorted(signal.__name__ for signal, is_set in signals.items() if is_set)


class NumpyErrors(Section):
    """What NumPy does on overflow, division by zero and so on."""

    name = "numpy_errors"

    def take(self):
        """Return what is not NumPy's default."""
        numpy = sys.modules.get("numpy")
        return hasattr(numpy, "geterr") and changed(_NUMPY, numpy.geterr())

    def put(self, wire):
        """Set it; the others go back to the default."""
        if wire or "numpy" in sys.modules:
            importlib.import_module("numpy").seterr(**{**_NUMPY, **(wire or {})})


class TorchDefaults(Section):
    """Torch's default type and device, whether gradients are kept, and determinism."""

    name = "torch_defaults"

    def take(self):
        """Return what is not torch's default."""
        torch = sys.modules.get("torch")
        if not hasattr(torch, "are_deterministic_algorithms_enabled"):
            return None
        return changed(_TORCH, _torch_now(torch))

    def put(self, wire):
        """Set it; the others go back to the default."""
        if not wire and "torch" not in sys.modules:
            return
        torch = importlib.import_module("torch")
        wanted = {**_TORCH, **(wire or {})}
        for name, value in changed(_torch_now(torch), wanted).items():
            if name == "dtype":
                torch.set_default_dtype(getattr(torch, value))
            elif name == "grad":
                torch.set_grad_enabled(value)
            elif name == "deterministic":
                torch.use_deterministic_algorithms(value)
            elif name == "benchmark":
                torch.backends.cudnn.benchmark = value
            elif name == "matmul":
                torch.set_float32_matmul_precision(value)
            elif value.startswith("cuda") and not torch.cuda.is_available():
                raise NotHere
            else:
                torch.set_default_device(value)


def _torch_now(torch):
    device = getattr(torch, "get_default_device", lambda: "cpu")()
    return {
        "dtype": str(torch.get_default_dtype()).split(".")[-1],
        "device": str(device),
        "grad": torch.is_grad_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "benchmark": torch.backends.cudnn.benchmark,
        "matmul": _matmul(torch),
    }


def _matmul(torch):
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:
        # It was set by the newer names, beside which this one is of no use.
        return _TORCH["matmul"]
