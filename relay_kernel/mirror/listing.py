"""The kernelspec manager of a Jupyter Server that also lists the mirrors, from the first moment."""

from __future__ import annotations

import os
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

from relay_kernel.mirror.generated import mirror_names, mirror_of, own_interpreter
from relay_kernel.mirror.mirroring import is_installed
from relay_kernel.mirror.originals import Original, look_at, reason_against

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class MirroringSpecs(KernelSpecManager):
    """Put before another kernelspec manager, whatever that is: see :func:`compose`.

    What is on the disk, that one lists. A mirror that is not there, because its original is a
    moment old or because nothing may be written, is made up here.
    """

    #: Called when an original was met that had not been seen before.
    seen_new: Callable[[], None] | None = None

    #: Mirror's name -> original, of those that the last listing made up.
    _made_up: Mapping[str, Original] = MappingProxyType({})

    def find_kernel_specs(self) -> dict[str, str]:
        """Name -> folder of resources, with all mirrors."""
        found: dict[str, str] = dict(super().find_kernel_specs())
        self._made_up = self._unwritten(found)
        return {**found, **{name: str(each.folder) for name, each in self._made_up.items()}}

    def get_kernel_spec(self, kernel_name: str) -> Any:
        """The kernelspec of that name; that of a mirror also if it is not on the disk.

        Raises:
            NoSuchKernel: there is none.
        """
        try:
            return super().get_kernel_spec(kernel_name)
        except KeyError:
            if kernel_name not in self._made_up:
                self.find_kernel_specs()
            original = self._made_up.get(kernel_name)
            if original is None:
                raise
        spec = mirror_of(original, kernel_name, own_interpreter()).spec
        return self.kernel_spec_class(resource_dir=str(original.folder), **spec)

    def remove_kernel_spec(self, name: str) -> Any:
        """Remove a kernelspec from the disk.

        Raises:
            NoSuchKernel: there is none; a mirror that is made up has no folder of its own.
        """
        found = super().find_kernel_specs()
        if name not in found and name in self._unwritten(dict(found)):
            raise NoSuchKernel(name)
        return super().remove_kernel_spec(name)

    @property
    def originals(self) -> OtherSpecs:
        """What the other manager has, and nothing made up."""
        return OtherSpecs(super().find_kernel_specs, super().get_kernel_spec)

    def _unwritten(self, found: dict[str, str]) -> dict[str, Original]:
        """Mirror's name -> original, of those that are not on the disk."""
        try:
            names = mirror_names(self._known_originals(found)) if is_installed() else {}
        except Exception as error:
            # Nothing that goes wrong here may take the other kernels away.
            self.log.warning("relay_kernel: relay kernels cannot be listed: %s", error)
            return {}
        allowed = self.allowed_kernelspecs
        return {
            mirror: self._looked[name][1]
            for name, mirror in names.items()
            if mirror not in found and (not allowed or mirror in allowed)
        }

    def _known_originals(self, found: dict[str, str]) -> list[str]:
        looked: dict[str, Any] = self.__dict__.setdefault("_looked", {})
        is_new = False
        for name, folder in found.items():
            stamp = _stamp(folder)
            if name not in looked or looked[name][0] != stamp:
                looked[name] = stamp, look_at(self.originals, name, folder)[0]
                is_new = is_new or looked[name][1] is not None
        if is_new and self.seen_new is not None:
            self.seen_new()
        known = ((name, looked[name][1]) for name in found)
        return [name for name, each in known if each and not reason_against(each.spec)]


class OtherSpecs:
    """The two methods of a kernelspec manager by which kernelspecs are found."""

    def __init__(self, find: Callable[[], Mapping[str, str]], get: Callable[[str], Any]) -> None:
        self.find_kernel_specs = find
        self.get_kernel_spec = get


def compose(base: type[Any]) -> type[Any]:
    """A class that does what ``base`` does, and lists mirrors."""
    if issubclass(base, MirroringSpecs):
        return base
    return type(f"Relay{base.__name__}", (MirroringSpecs, base), {})


def _stamp(folder: str) -> tuple[str, int, int]:
    try:
        found = os.stat(os.path.join(folder, "kernel.json"))
    except OSError:
        return folder, 0, 0
    return folder, found.st_mtime_ns, found.st_size
