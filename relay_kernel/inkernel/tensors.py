"""Torch storage: each travels once, and a CUDA one lands on the CPU where there is no GPU."""

from __future__ import annotations

import functools
import pickle
import sys
import weakref

from . import rebuild
from .blobs import INLINE
from .tombstone import LeftBehindError


def is_storage(kind):
    """Return whether ``kind`` is one of torch's storage classes, without importing torch."""
    torch = sys.modules.get("torch")
    if not hasattr(torch, "UntypedStorage"):
        return False
    return kind is torch.UntypedStorage or kind is torch.storage.TypedStorage


def reduce_tensor(pickler, tensor):
    """Reduce a tensor with its gradient, which its own pickle goes without.

    One that was computed from others is packed as one that was not, and ``backward`` of that would
    do nothing. What it was computed from stays, and its copy says so.
    """
    if not tensor.is_leaf and type(tensor) is sys.modules["torch"].Tensor:
        return without_graph, (
            tensor.detach(),
            getattr(tensor.grad_fn, "place", pickler.state.place),
        )
    if not tensor.is_leaf or tensor.grad is None:
        return NotImplemented
    make, args, *state = tensor.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
    if any(part is not None for part in state):
        return NotImplemented
    return make, args, tensor.grad, None, None, rebuild.set_gradient


def without_graph(value, place):
    """Return a tensor over the memory of ``value`` that was computed in another kernel."""
    torch = sys.modules["torch"]
    with torch.enable_grad():
        anchor = torch.empty(0, requires_grad=True)
        return _graph_elsewhere(torch).apply(anchor, value, place)


@functools.lru_cache(maxsize=None)
def _graph_elsewhere(torch):
    class GraphElsewhere(torch.autograd.Function):
        """Stands for the steps in which a tensor was computed."""

        @staticmethod
        def forward(ctx, anchor, value, place):
            ctx.place = place
            # No view of it, to which nothing could be added in place.
            return torch.empty(0, dtype=value.dtype, device=value.device).set_(value)

        @staticmethod
        def backward(ctx, gradient):
            raise LeftBehindError(
                "the steps that computed this tensor did not come along with its value: they ran "
                f"in {ctx.place}. Run the cell that computes it again, and then this one."
            )

    return GraphElsewhere


def reducer_of(kind):
    """Return the reducer for a storage class."""
    return reduce_typed if kind.__name__ == "TypedStorage" else reduce_untyped


def reduce_typed(pickler, storage):
    """Reduce typed storage, a mere view, to the one storage below it."""
    below = storage._untyped_storage
    below = pickler.storages.setdefault((str(below.device), below.data_ptr()), below)
    return rebuild.torch_typed_storage, (below, storage.dtype)


def device_of(state, storage):
    """Return where a storage belongs: where it is, or where it was before it came here."""
    reference, device = state.devices.get(id(storage), (None, None))
    return device if reference is not None and reference() is storage else str(storage.device)


def belongs(state, storage, device):
    """Note that a storage that is on the CPU here belongs on ``device``, to which it returns."""
    for ident, (reference, _) in list(state.devices.items()):
        if reference() is None:
            del state.devices[ident]
    state.devices[id(storage)] = weakref.ref(storage), device


def reduce_untyped(pickler, storage):
    """Reduce storage to its bytes and the device it was on."""
    torch = sys.modules["torch"]
    size = storage.nbytes()
    device = device_of(pickler.state, storage)
    if not size:
        return rebuild.torch_storage, (b"", 0, device)
    pickler.sharing.others.append((storage.data_ptr(), storage.data_ptr() + size, storage))
    here = storage if storage.device.type == "cpu" else storage.cpu()
    memory = memoryview(torch.empty(0, dtype=torch.uint8).set_(here).numpy())
    payload = bytes(memory) if size <= INLINE else pickler.out_of_band(memory)
    return rebuild.torch_storage, (payload, size, device)
