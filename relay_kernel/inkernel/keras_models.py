"""Models of Keras 3: packed by Keras itself, and what variables hold of them stays theirs.

Keras packs a model as the file that it would save. By its own rules a layer, or the optimizer, that
is in a variable as well becomes one that belongs to no model: ``base.trainable = False`` would
change nothing any more.
"""

from __future__ import annotations

import io
import json
import pickle
import re
import sys
import types
import zipfile

from . import rebuild

#: Base class of all that Keras packs by itself.
SAVEABLE = ("keras.src.saving.keras_saveable", "KerasSaveable")
_METADATA = "metadata.json"
_CONFIGURATION = "config.json"
_OPTIMIZER = "optimizer"


class Parts:
    """Which layers and optimizers are parts of the models that have a name.

    Args:
        namespace: of the user.
    """

    def __init__(self, namespace):
        #: id of a part -> (model, which of its parts); a model that is no part is not in it
        self._places = {}
        model = getattr(sys.modules.get("keras.src.models.model"), "Model", None)
        if model is None:
            return
        values = namespace.copy().values()
        models = {id(value): value for value in values if isinstance(value, model)}
        inner = set()
        for each in models.values():
            inner.update(id(part) for _, part in parts_of(each) if part is not each)
        for ident, each in models.items():
            if ident not in inner:
                self._places.update((id(part), (each, at)) for at, part in parts_of(each))
        for ident in models.keys() - inner:
            self._places.pop(ident, None)

    def place(self, thing):
        """Return (model, which of its parts) of a part, or None."""
        return self._places.get(id(thing))


def parts_of(model):
    """Yield (which, part) for the layers of a model, in order, and for its optimizer."""
    yield from enumerate(model._flatten_layers(include_self=False))
    if getattr(model, _OPTIMIZER, None) is not None:
        yield _OPTIMIZER, model.optimizer


def reduce_saveable(pickler, thing):
    """Reduce a model to the files that Keras saves it as, and a part of one to its place there."""
    place = pickler.keras_parts.place(thing)
    if place is not None:
        return rebuild.part_of_keras_model, place
    reduced = thing.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
    if len(reduced) != 2 or type(reduced[1][0]) is not io.BytesIO:
        return reduced
    # The file says when it was made, which would make another of it each time.
    with zipfile.ZipFile(reduced[1][0]) as file:
        content = {name: file.read(name) for name in file.namelist()}
    if _METADATA in content:
        about = json.loads(content[_METADATA])
        about.pop("date_saved", None)
        content[_METADATA] = json.dumps(about).encode()
    wrapped = {name: pickle.PickleBuffer(data) for name, data in content.items()}
    return rebuild.keras_model, (type(thing), wrapped, _users(pickler.user_ns, content))


def _users(namespace, content):
    """Return name -> class or function of the notebook, of what a model's configuration names."""
    words = set(re.findall(r'"(\w+)"', content.get(_CONFIGURATION, b"").decode()))
    named = {word: namespace.get(word) for word in words & namespace.keys()}
    return {
        name: thing
        for name, thing in sorted(named.items())
        if isinstance(thing, (type, types.FunctionType)) and thing.__module__ == "__main__"
    }


def make(cls, content, users):
    """Return what Keras makes of the files that ``reduce_saveable`` read.

    Args:
        cls: its class.
        content: name -> bytes.
        users: name -> class or function of the notebook that these name.
    """
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name, data in content.items():
            file.writestr(name, bytes(data))
    packed.seek(0)
    with sys.modules["keras"].saving.custom_object_scope(users):
        return cls._unpickle_model(packed)
