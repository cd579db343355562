"""What a shell completes behind ``relay``. Errors complete to nothing: nobody could read them."""

from __future__ import annotations

from relay_kernel.core.errors import RelayError
from relay_kernel.settings.paths import find_places


def complete_target(incomplete: str) -> list[str]:
    """The names of the PCs."""
    from relay_kernel.settings.config import load_config

    try:
        targets = load_config(find_places().config).targets
    except RelayError:
        return []
    return [target.name for target in targets if target.name.startswith(incomplete)]


def complete_kernel(incomplete: str) -> list[str]:
    """The names of the kernels whose environments are known."""
    from relay_kernel.hub.env_board import read_envs

    return [name for name in read_envs(find_places()) if name.startswith(incomplete)]


def complete_log(incomplete: str) -> list[str]:
    """The names of the logs."""
    from relay_kernel.settings.logs import log_files

    return [name for name in log_files(find_places()) if name.startswith(incomplete)]
