"""Kernelspec managers as others write them. Copied into an environment: needs only Jupyter."""

from __future__ import annotations

import os
import time
from pathlib import Path

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager


class CondaLike(KernelSpecManager):
    """Lists the kernels of environments that are in no kernels folder, as nb_conda_kernels does.

    Each is a folder below ``ENVIRONMENTS`` with ``share/jupyter/kernels/python3`` in it.
    """

    def _environments(self) -> dict[str, Path]:
        folders = sorted(Path(os.environ["ENVIRONMENTS"]).iterdir())
        found = {f"conda-env-{each.name}-py": each for each in folders}
        return {
            name: env / "share" / "jupyter" / "kernels" / "python3" for name, env in found.items()
        }

    def find_kernel_specs(self) -> dict[str, str]:
        found = super().find_kernel_specs()
        found.update({name: str(folder) for name, folder in self._environments().items()})
        return found

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        folder = self._environments().get(kernel_name)
        if folder is None:
            return super().get_kernel_spec(kernel_name)
        spec = KernelSpec.from_resource_dir(str(folder))
        spec.argv = [str(folder.parents[3] / "bin" / "python"), *spec.argv[1:]]
        spec.display_name = f"Python [conda env:{folder.parents[3].name}]"
        spec.metadata = {**spec.metadata, "conda_env_name": folder.parents[3].name}
        return spec


class Slow(KernelSpecManager):
    """Takes its time, and says so while it does."""

    def find_kernel_specs(self) -> dict[str, str]:
        if not os.path.exists("asked"):
            Path("asked").touch()
            while not os.path.exists("go on"):
                time.sleep(0.01)
        return super().find_kernel_specs()


class Broken(KernelSpecManager):
    """Fails for one of the kernels."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        if kernel_name == "science":
            raise RuntimeError("the disk is on fire")
        return super().get_kernel_spec(kernel_name)


class Sealed(KernelSpecManager):
    """Lets nobody extend it."""

    def __init_subclass__(cls, **_: object) -> None:
        raise RuntimeError("sealed")


class Asynchronous(KernelSpecManager):
    """Has coroutines where Jupyter's own has functions, as that of a gateway has."""

    async def find_kernel_specs(self) -> dict[str, str]:  # type: ignore[override]
        return super().find_kernel_specs()

    async def get_kernel_spec(self, kernel_name: str) -> KernelSpec:  # type: ignore[override]
        return super().get_kernel_spec(kernel_name)

    async def get_all_specs(self) -> dict:
        found = await self.find_kernel_specs()
        specs = {name: await self.get_kernel_spec(name) for name in found}
        return {
            name: {"resource_dir": found[name], "spec": spec.to_dict()}
            for name, spec in specs.items()
        }
