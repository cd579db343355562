"""State of a session that is in no variable: folder, environment, random numbers, options.

Each section is taken and put by itself, so that one that fails costs only itself. A library is
imported for its section only if the sender had imported it. What holds objects of the user
(magics, callbacks, filters of warnings) is no section: see ``registered``.
"""

from __future__ import annotations

import functools
import os
import sys

from .. import blobs
from ..reasons import one_line
from . import (
    arithmetic,
    generators,
    imports,
    libraries,
    logs,
    options,
    process,
    pyplot,
    shell,
    sources,
    tensor_generators,
)
from .section import NotHere

#: What unpacking depends on.
_EARLY = (
    *(process.Environ, process.SearchPath, process.Folder, sources.Sources),
    *(functools.partial(libraries.Library, setup=each) for each in libraries.EARLY),
)
#: The rest. Imports come first, as they may change what follows; and random numbers last.
_LATE = (
    *(imports.Imports, shell.Extensions, shell.Autoreload, shell.Aliases, shell.Folders),
    *(
        shell.Display,
        shell.Switches,
        shell.Completer,
        shell.Future,
        logs.LogLevels,
        process.Locale,
        process.Limits,
    ),
    *(arithmetic.Decimal, arithmetic.NumpyErrors, arithmetic.TorchDefaults),
    *(options.NumpyPrint, options.TorchPrint, options.Pandas, options.Sklearn),
    *(pyplot.Pyplot, options.Matplotlib, options.Colormaps, options.Inline),
    *(functools.partial(libraries.Library, setup=each) for each in libraries.LATE),
    # It may draw from ``random`` to begin.
    *(tensor_generators.KerasRandom, tensor_generators.TensorflowRandom),
    *(generators.Random, generators.NumpyRandom, generators.TorchRandom),
    *(generators.TorchCudaRandom, generators.LibraryRandom),
)


class Context:
    """The sections, as this kernel takes and puts them.

    Args:
        state: the kernel, before any code of the user ran.
    """

    def __init__(self, state):
        self._store = state.store
        self._early = [kind(state) for kind in _EARLY]
        self._late = [kind(state) for kind in _LATE]
        #: Name of a section -> (what could not be put, what was here instead). While that is
        #: still so, it is handed on, since the kernel that it came from may want it back.
        self._stuck = {}
        #: name of a section -> why the last capture went without it
        self.failed = {}
        #: whether what is known by name in a module may be another object since ``put_early``
        self.reran = False

    def capture(self):
        """Return section -> what travels, for sections that have something to say."""
        taken, self.failed = {}, {}
        for section in (*self._early, *self._late):
            value = self._take(section)
            if value:
                taken[section.name] = value
        return taken

    def _take(self, section):
        try:
            value = section.take()
        except Exception as error:
            # A library whose inside is not as expected.
            self.failed[section.name] = f"{type(error).__name__}: {one_line(str(error))}"
            return None
        if section.name in self._stuck:
            wanted, instead = self._stuck[section.name]
            if value == instead:
                return wanted
            del self._stuck[section.name]
        return value

    def distrust(self):
        """Believe no more that any section is in the store."""
        for section in (*self._early, *self._late):
            section.distrust()
        self._stuck = {
            name: (wanted, instead)
            for name, (wanted, instead) in self._stuck.items()
            if all(self._store.has(blob["chunks"]) for blob in blobs.within(wanted))
        }

    def put_early(self, wire, undo, problems):
        """Put what unpacking depends on, and add to ``undo`` how to take it back."""
        undo.append(self._undo_early())
        self._put(self._early, wire, problems)
        self.reran = any(getattr(section, "reran", False) for section in self._early)

    def put_late(self, wire, problems):
        """Put the rest."""
        self._put(self._late, wire, problems)
        for section in self._early:
            section.settle()

    def _put(self, sections, wire, problems):
        for section in sections:
            self._stuck.pop(section.name, None)
            wanted = wire.get(section.name)
            try:
                section.put(wanted)
                continue
            except NotHere:
                pass
            except Exception as error:
                problems[section.name] = f"{type(error).__name__}: {one_line(str(error))}"
            try:
                self._stuck[section.name] = wanted, section.take()
            except Exception:
                continue

    def _undo_early(self):
        environ, path, folder = dict(os.environ), list(sys.path), process.current_folder()
        of_libraries = [each for each in self._early if isinstance(each, libraries.Library)]
        set_to = [(each, each.take()) for each in of_libraries]

        def put_back():
            sys.path[:] = path
            for name in os.environ.keys() - environ.keys():
                del os.environ[name]
            os.environ.update(environ)
            if folder is not None:
                os.chdir(folder)
            for library, before in set_to:
                library.put(before)

        return put_back
