"""How single objects of libraries are taken apart whose own way of packing loses something.

Each function takes the pickler and the object, and returns what ``reducer_override`` may return.
"""

from __future__ import annotations

import copyreg
import operator

from . import rebuild


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
