"""How single objects of libraries are taken apart whose own way of packing loses something.

Each function takes the pickler and the object, and returns what ``reducer_override`` may return.
"""

from __future__ import annotations

import copyreg
import importlib
import operator
import sys

from . import rebuild

#: Arrays of JAX, whose home has moved.
JAX_ARRAYS = tuple((f"jaxlib.{home}", "ArrayImpl") for home in ("_jax", "xla_extension"))


def reduce_soup(pickler, soup):
    """Reduce a page of Beautiful Soup to its tree.

    By its own rules it is parsed anew, and the tags that variables hold are those of no page.
    """
    state = dict(vars(soup))
    if not soup.builder.picklable:
        state["builder"] = type(soup.builder)
    return copyreg.__newobj__, (type(soup),), state, None, None, rebuild.set_soup


def reduce_draw(pickler, draw):
    """Reduce an ImageDraw of Pillow to the image that it draws on, and its settings."""
    image = getattr(draw, "_image", None)
    if image is None:
        return NotImplemented
    own = {name: vars(draw)[name] for name in ("ink", "fontmode", "fill") if name in vars(draw)}
    return type(draw), (image, draw.mode), own, None, None, rebuild.set_attributes


def reduce_system_random(pickler, generator):
    """Reduce a generator that takes its numbers from the system, and so has no state."""
    return type(generator), (), dict(vars(generator)), None, None, rebuild.set_attributes


def reduce_jax_array(pickler, array):
    """Reduce an array of JAX to one of NumPy over the same memory, which leaves the pickle."""
    if not array.is_fully_addressable:
        return NotImplemented
    return jax_array, (sys.modules["numpy"].asarray(array), array.aval.weak_type)


def jax_array(values, is_weak):
    """Return an array of JAX; ``is_weak``: its type gives way to that of others."""
    made = importlib.import_module("jax").device_put(values)
    if is_weak:
        made.aval = made.aval.update(weak_type=True)
    return made


def reduce_molecule(pickler, molecule):
    """Reduce a molecule of RDKit with its properties, which its own way leaves out."""
    every = sys.modules["rdkit.Chem.rdchem"].PropertyPickleOptions.AllProps
    own = dict(vars(molecule))
    return type(molecule), (molecule.ToBinary(int(every)),), own, None, None, rebuild.set_attributes


def generic_of(cls):
    """Return (class, arguments) for what pydantic made of a generic model; else None.

    There is one such class for the same arguments.
    """
    made = vars(cls).get("__pydantic_generic_metadata__") or {}
    return (made["origin"], made["args"]) if made.get("origin") and made.get("args") else None


def reduce_generic(made):
    """Reduce a class to what ``generic_of`` says of it."""
    origin, args = made
    return operator.getitem, (origin, args)
