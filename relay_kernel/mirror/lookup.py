"""Finds the kernelspec that a mirror relays to, for those who start it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

from relay_kernel.mirror.folder import KernelsFolder

if TYPE_CHECKING:
    from relay_kernel.mirror.generated import Mark


class Originals(KernelSpecManager):
    """All kernelspecs on the disk, and those that only a Jupyter Server's own manager lists.

    Of the latter (conda environments, say) a mirror has what is needed to start them.
    """

    def find_kernel_specs(self) -> dict[str, str]:
        """Name -> folder of its resources."""
        elsewhere = {name: mark.folder for name, mark in self._elsewhere().items()}
        return {**elsewhere, **super().find_kernel_specs()}

    def get_kernel_spec(self, kernel_name: str) -> Any:
        """The kernelspec of that name.

        Raises:
            NoSuchKernel: there is none, and no mirror has it either.
        """
        try:
            return super().get_kernel_spec(kernel_name)
        except NoSuchKernel:
            mark = self._elsewhere().get(kernel_name)
            if mark is None or mark.spec is None:
                raise
            return self.kernel_spec_class(resource_dir=mark.folder, **mark.spec)

    def _elsewhere(self) -> dict[str, Mark]:
        """Those that do not lie on the disk, by name."""
        found: dict[str, Mark] = {}
        for path in self.kernel_dirs:
            for mark in KernelsFolder(Path(path)).marks().values():
                if mark.spec is not None:
                    found.setdefault(mark.original, mark)
        return found
