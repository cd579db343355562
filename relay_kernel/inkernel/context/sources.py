"""The source of the user's own modules, for a machine that does not have their files."""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys

from ..blobs import marks
from ..homes import local, travelling
from .section import Section


class Sources(Section):
    """The modules of the user that are imported: what each was made from.

    The other side imports them from there only if it finds no file. Where a module was reloaded
    after it had been imported over there, its new source is run over there, too.
    """

    name = "modules"

    def __init__(self, state):
        super().__init__(state)
        self._finder = _Finder()
        #: name -> (spec of the import that it was read for, what travels)
        self._known = {}
        #: whether the last ``put`` gave modules new functions under old names
        self.reran = False

    def take(self):
        """Return name -> [blob of the source, path]."""
        found = {}
        for _, name in self.state.modules.roots():
            spec = getattr(sys.modules[name], "__spec__", None)
            known = self._known.get(name)
            if known is None or known[0] is not spec:
                known = self._known[name] = (spec, self._read(spec))
            if known[1]:
                found[name] = known[1]
        return found

    def _read(self, spec):
        """Return what travels of a module, or None if its source is not to be had."""
        try:
            data = spec.loader.get_data(spec.origin)
        except (AttributeError, OSError):
            return None
        view = memoryview(data)
        return [self.state.store.keep(view, marks(view), {}), travelling(spec.origin)]

    def put(self, wire):
        """Have modules that are not found here imported from these sources."""
        here, failed, self.reran = self.take(), [], False
        for name, (blob, path) in (wire or {}).items():
            loaded, known = here.get(name), self._finder.loaders.get(name)
            if blob in (loaded and loaded[0], known and known.blob):
                continue
            loader = Loader(name, local(path), bytes(self.state.store.read(blob)), blob)
            self._finder.loaders[name] = loader
            if loaded is not None:
                self.reran = True
                failed += _run_again(name, loader)
        if self._finder.loaders and self._finder not in sys.meta_path:
            sys.meta_path.append(self._finder)
        if failed:
            raise ImportError("; ".join(failed))

    def settle(self):
        """Read what modules were imported from just now, before their files change."""
        with contextlib.suppress(Exception):
            self.take()

    def distrust(self):
        """Believe no more that any source is in the store."""
        self._known.clear()


def _run_again(name, loader):
    """Do what ``importlib.reload`` did over there; return what went wrong."""
    module = sys.modules[name]
    try:
        loader.exec_module(module)
    except Exception as error:
        return [f"module {name} was reloaded, and fails here with {type(error).__name__}: {error}"]
    module.__spec__ = importlib.util.spec_from_loader(name, loader)
    module.__loader__ = loader
    return []


class Loader(importlib.abc.SourceLoader):
    """Makes one module from source in memory."""

    def __init__(self, name, path, data, blob):
        self.blob = blob
        self._name = name
        self._path = path
        self._data = data

    def get_filename(self, fullname):
        """Return where the file was, as this machine would call it."""
        return self._path

    def get_data(self, path):
        """Return the source."""
        if path != self._path:
            raise OSError(f"{path} is not here")
        return self._data


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules that came along. It stands last, so files of this machine come first."""

    def __init__(self):
        self.loaders = {}

    def find_spec(self, fullname, path, target=None):
        loader = self.loaders.get(fullname)
        if loader is not None:
            return importlib.util.spec_from_loader(fullname, loader)
        if any(name.startswith(fullname + ".") for name in self.loaders):
            # A package without a file of its own.
            spec = importlib.machinery.ModuleSpec(fullname, None, is_package=True)
            spec.submodule_search_locations = []
            return spec
        return None
