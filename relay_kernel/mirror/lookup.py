"""Finds the kernelspec that a mirror relays to, for those who start it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

from relay_kernel.mirror.folder import KernelsFolder


class Originals(KernelSpecManager):
    """All kernelspecs on the disk, and those that only a Jupyter Server's own manager lists.

    Of the latter (conda environments, say) a mirror has what is needed to start them.
    """

    def get_kernel_spec(self, kernel_name: str) -> Any:
        """The kernelspec of that name.

        Raises:
            NoSuchKernel: there is none, and no mirror has it either.
        """
        try:
            return super().get_kernel_spec(kernel_name)
        except NoSuchKernel:
            for path in self.kernel_dirs:
                for mark in KernelsFolder(Path(path)).marks().values():
                    if mark.original == kernel_name and mark.spec is not None:
                        return self.kernel_spec_class(resource_dir=mark.folder, **mark.spec)
            raise
