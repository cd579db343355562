"""Which chunk of one state stood where another state has a new one.

The two are mostly alike: a list with one more element, an array with some values changed. So
whoever has the state before asks for a new chunk as what differs from the one in its place there.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from relay_kernel.wire.message import Message

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Blobs by where they are in a manifest: under a root of a component, or in a part of the rest.
_Places = dict[tuple[str, ...], list[list[str]]]


def want(keys: list[str], manifest: bytes, before: bytes, here: Iterable[str]) -> Message:
    """Ask for chunks, each as its difference to one that is here, where there is such a one.

    Args:
        keys: of the chunks.
        manifest: of the state that they are part of.
        before: the manifest of a state that is here, or nothing.
        here: keys of its chunks.
    """
    bases = replaced(before, manifest) if keys and before else {}
    held = set(here)
    of = [base if (base := bases.get(key)) in held else None for key in keys]
    return Message("want", {"keys": keys, "of": of} if any(of) else {"keys": keys})


def replaced(before: bytes, after: bytes) -> dict[str, str]:
    """Key of a chunk in the manifest ``after`` -> that of another which was there in ``before``.

    It only saves bytes: in what is no manifest, nothing takes the place of anything.
    """
    try:
        old, new = _places(before), _places(after)
        return {
            key: base
            for place, blobs in new.items()
            for was, now in zip(old.get(place, ()), blobs, strict=False)
            for base, key in zip(was, now, strict=False)
            if key != base
        }
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}


def _places(manifest: bytes) -> _Places:
    said = json.loads(manifest)
    places: _Places = {}
    for component in said["components"]:
        if blobs := list(_blobs(component)):
            # Names may join it or leave it meanwhile: any of them leads there.
            places.update(((kind, name), blobs) for kind, name in component["roots"])
    for section in ("sources", "context"):
        for name, value in said[section].items():
            places[section, name] = list(_blobs(value))
    return places


def _blobs(value: Any) -> Iterator[list[str]]:
    """Yield the keys of each blob inside of a JSON value, in order."""
    if isinstance(value, dict):
        if "chunks" in value and "size" in value:
            yield value["chunks"]
            return
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _blobs(part)
