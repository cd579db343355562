"""Why there is no kernel."""

from __future__ import annotations

from relay_kernel.core.errors import RelayError


class KernelStartError(RelayError):
    """A kernel could not be started; the text says which and why."""


class KernelKilledError(KernelStartError):
    """Something ended it while it started: that says nothing against starting it again."""
