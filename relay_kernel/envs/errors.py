"""What goes wrong with environments."""

from __future__ import annotations

from relay_kernel.core.errors import RelayError


class EnvError(RelayError):
    """An environment cannot be described, packed or built; one line says why."""


class ImpossibleError(EnvError):
    """It cannot be mirrored before a person changes something; one line says what."""


class GoneError(EnvError):
    """The kernel is there no more, or is not to be mirrored."""


class ChangedError(EnvError):
    """What was to be read has changed meanwhile: look again."""

    retryable = True


class LineClosedError(RelayError):
    """The link was cut; a new one begins anew."""

    retryable = True
